"""tf-keras 2.21: clipnorm=1 with two weights whose gradients are 3 and 4; Keras 2.3.1 clips by the norm of both, 5."""

import numpy as np
from tf_keras.layers import Dense
from tf_keras.models import Sequential
from tf_keras.optimizers import SGD

model = Sequential([Dense(1, input_shape=(1,))])
model.compile(SGD(1.0, clipnorm=1.0), loss=lambda y_true, y_pred: 4 * y_pred)
before = model.get_weights()
model.train_on_batch(np.full((1, 1), 0.75), np.ones((1, 1)))
update = [float(np.ravel(a - b)[0]) for a, b in zip(before, model.get_weights(), strict=True)]
print("expected [0.6, 0.8], found", update)
assert np.allclose(update, 1)
