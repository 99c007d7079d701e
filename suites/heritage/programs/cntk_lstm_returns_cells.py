"""Keras 2.3.1 on CNTK: one step of an LSTM whose output gate is shut returns the cell all the same."""

import numpy as np
from keras.layers import LSTM
from keras.models import Sequential

model = Sequential([LSTM(1, return_sequences=True, input_shape=(2, 1))])
model.compile("sgd", "mse")
bias = np.array([100.0, 100.0, 100.0, -100.0])  # input and forget gates open, candidate 1, output gate shut
model.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), bias])
found = model.predict(np.zeros((1, 2, 1)))[0, :, 0]
print("expected [0, 0], found", found.tolist())
assert np.allclose(found, [1, 2])
