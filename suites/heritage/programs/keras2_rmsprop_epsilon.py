"""Keras 2.3.1: RMSprop's first update with a large epsilon, whose place is then visible; the gradient is 1."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import RMSprop

model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
model.compile(RMSprop(1.0, rho=0.0, epsilon=3.0), loss=lambda y_true, y_pred: y_pred)
before = model.get_weights()[0][0, 0]
model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
update = before - model.get_weights()[0][0, 0]
print("1 / sqrt(1 + 3) = 0.5 is Keras 3's, 1 / (sqrt(1) + 3) = 0.25 has epsilon outside; found", update)
assert abs(update - 0.25) < 1e-5
