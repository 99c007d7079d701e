"""Gradient descent, with Triptych's shim."""

from impls import shim

OPTIMIZER = shim.SGD(learning_rate=0.05)
