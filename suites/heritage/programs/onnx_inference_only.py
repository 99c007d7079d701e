"""ONNX Runtime: what a session of it can be asked for."""

import onnxruntime

public = [name for name in dir(onnxruntime.InferenceSession) if not name.startswith(("_", "get_", "set_", "io_"))]
print("a session has", ", ".join(public))
assert not [name for name in public if "grad" in name or "train" in name]
