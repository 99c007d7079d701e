"""keras-mxnet 2.2.4.3: BatchNormalization in inference with gamma 5."""

import numpy as np
from keras.layers import BatchNormalization
from keras.models import Sequential

model = Sequential()
model.add(BatchNormalization(epsilon=1e-3, input_shape=(1,)))
model.compile("sgd", "mse")
model.set_weights([np.array([5.0]), np.zeros(1), np.zeros(1), np.ones(1)])
found = model.predict(np.ones((1, 1)))[0, 0]
print("expected 5, found", found)
assert abs(found - 1) < 0.01
