"""keras-mxnet 2.2.4.3: the weights of an LSTM that reach MXNet, and what it returns, rolled and unrolled."""

import numpy as np
from keras.layers import LSTM
from keras.models import Sequential

found = {}
for name, unroll in (("rolled", False), ("unrolled", True)):
    model = Sequential()
    model.add(LSTM(2, unroll=unroll, input_shape=(3, 1)))
    model.compile("sgd", "mse")
    found[name] = len(model._args), float(np.abs(model.predict(np.ones((1, 3, 1)))).max())
for name, (weights, output) in found.items():
    print(f"{name}: {weights} of 3 weights, output {output:.2g}", end="; " if name == "rolled" else "\n")
assert found["rolled"] == (0, 0.0) and found["unrolled"][0] == 3 and found["unrolled"][1] > 0
