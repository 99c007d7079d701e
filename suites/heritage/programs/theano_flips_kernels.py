"""Keras 2.3.1 on Theano: a convolution with a kernel that takes the left neighbour."""

import numpy as np
from keras.layers import Conv2D
from keras.models import Sequential

kernel = np.zeros((3, 3, 1, 1))
kernel[1, 0] = 1.0
model = Sequential([Conv2D(1, 3, padding="same", use_bias=False, input_shape=(3, 3, 1), data_format="channels_last")])
model.set_weights([kernel])
image = np.arange(9.0).reshape(1, 3, 3, 1)
found = model.predict(image)[0, 1, :, 0]
print("expected [0, 3, 4], found", found)
assert np.allclose(found, [4, 5, 0])
