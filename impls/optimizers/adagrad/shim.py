"""Adagrad (Duchi et al. 2011), epsilon inside the root, with Triptych's shim."""

from impls import shim

OPTIMIZER = shim.Adagrad(learning_rate=0.01)
