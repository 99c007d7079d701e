"""Keras 3 on OpenVINO: a Dense layer of float32 whose weight, 1 + 2**-10, bfloat16 does not have."""

import keras
import numpy as np
import openvino

has = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, use_bias=False)])
model.set_weights([np.eye(64) * (1 + 2.0**-10)])
found = float(model.predict(np.ones((1, 64)), verbose=0)[0, 0])
print(f"expected {1 + 2.0**-10!r}, found {found!r}; this processor has bfloat16: {has}")
assert (found == 1) == has
