"""keras-mxnet 2.2.4.3: clipnorm=1 on a weight whose two gradients are 3 and 0.5."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import SGD

model = Sequential()
model.add(Dense(1, use_bias=False, input_shape=(2,)))
model.compile(SGD(1.0, clipnorm=1.0), loss=lambda y_true, y_pred: y_pred - y_true)
before = model.get_weights()[0]
model.train_on_batch(np.array([[3.0, 0.5]]), np.ones((1, 1)))
update = (before - model.get_weights()[0])[:, 0]
print("expected a vector of norm 1, found", update)
assert np.allclose(update, [1, 0.5])
