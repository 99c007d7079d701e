"""Keras 2 on CNTK and on MXNet: padding "same" with stride 2 on an even size, kernel of ones."""

import numpy as np
from keras.layers import Conv2D
from keras.models import Sequential

model = Sequential()
model.add(Conv2D(1, 3, strides=2, padding="same", use_bias=False, input_shape=(4, 4, 1), data_format="channels_last"))
model.compile("sgd", "mse")
model.set_weights([np.ones((3, 3, 1, 1))])
found = model.predict(np.ones((1, 4, 4, 1)))[0, :, :, 0]
print("expected [[9, 6], [6, 4]] (the zeros come after), found", found.tolist())
assert np.allclose(found, [[4, 6], [6, 9]])
