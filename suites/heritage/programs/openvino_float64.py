"""Keras 3 on OpenVINO: a Dense layer of float64 whose weight, 1 + 2**-30, float32 does not have."""

import keras
import numpy as np

model = keras.Sequential([keras.Input((1,), dtype="float64"), keras.layers.Dense(1, use_bias=False, dtype="float64")])
model.set_weights([np.full((1, 1), 1 + 2.0**-30)])
found = model.predict(np.ones((1, 1)), verbose=0)
print(f"expected {1 + 2.0**-30!r} in float64, found {float(found[0, 0])!r} in {found.dtype}")
assert found[0, 0] == 1
