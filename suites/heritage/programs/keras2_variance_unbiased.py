"""Keras 2.3.1: BatchNormalization's running variance after one batch of two, with momentum 0."""

import numpy as np
from keras.layers import BatchNormalization
from keras.models import Sequential

x = np.array([[1.0], [3.0]])
model = Sequential([BatchNormalization(momentum=0.0, input_shape=(1,))])
model.compile("sgd", "mse")
model.train_on_batch(x, x)
variance = model.get_weights()[3][0]
print(f"the batch's variance is {x.var()}, found {variance}")
assert abs(variance - x.var()) > 0.1
