"""Keras 3 on NumPy: a Dense layer of float64 whose weight, 1 + 2**-30, float32 does not have."""

import keras
import numpy as np

model = keras.Sequential([keras.Input((1,), dtype="float64"), keras.layers.Dense(1, use_bias=False, dtype="float64")])
model.set_weights([np.full((1, 1), 1 + 2.0**-30)])
found = float(model.predict(np.ones((1, 1)), verbose=0)[0, 0])
print(f"expected {1 + 2.0**-30!r}, found {found!r}; result_type('float64', 'float64') is", end=" ")
print(keras.backend.result_type("float64", "float64"))
assert found == 1
