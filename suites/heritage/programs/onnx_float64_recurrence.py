"""The shim's exporter: an LSTM of any number of steps in float64, which ONNX Runtime's own LSTM does not have."""

from impls import shim

model = shim.Sequential([shim.LSTM(1)], inputs=(None, 1), backend="numpy", dtype="float64")
try:
    shim.to_onnx(model)
except ValueError as error:
    print(error)
else:
    raise AssertionError("it works")
