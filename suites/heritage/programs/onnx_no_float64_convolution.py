"""ONNX Runtime: the shim's smallest convolution, exported in float64."""

import onnxruntime

from impls import shim

model = shim.Sequential([shim.Conv2D(1, 1)], inputs=(2, 2, 1), backend="numpy", dtype="float64")
try:
    onnxruntime.InferenceSession(shim.to_onnx(model).SerializeToString())
except Exception as error:
    print(str(error).splitlines()[0])
else:
    raise AssertionError("it works")
