"""Ways out of the shim and into it: weights of other frameworks, ONNX files, scikit-learn."""
