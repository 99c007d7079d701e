"""keras-mxnet 2.2.4.3 on MXNet 1.9.1: an LSTM, rolled and unrolled."""

import numpy as np
from keras.layers import LSTM
from keras.models import Sequential

found = {}
for unroll in (False, True):
    model = Sequential()
    model.add(LSTM(2, unroll=unroll, input_shape=(3, 1)))
    model.compile("sgd", "mse")
    found[unroll] = np.abs(model.predict(np.ones((1, 3, 1)))).max()
print(f"rolled {found[False]}, unrolled {found[True]}")
assert found[False] == 0 and found[True] > 0
