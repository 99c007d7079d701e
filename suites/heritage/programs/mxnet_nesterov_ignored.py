"""keras-mxnet 2.2.4.3: the first update of SGD with Nesterov's momentum 0.5; the gradient is 1."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import SGD

model = Sequential()
model.add(Dense(1, use_bias=False, input_shape=(1,)))
model.compile(SGD(1.0, momentum=0.5, nesterov=True), loss=lambda y_true, y_pred: y_pred - y_true)
before = model.get_weights()[0][0, 0]
model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
update = before - model.get_weights()[0][0, 0]
print("expected 1.5, found", update)
assert abs(update - 1) < 1e-5
