"""Momentum (Polyak 1964), the rate inside the velocity, with Triptych's shim."""

from impls import shim

OPTIMIZER = shim.SGD(learning_rate=0.02, momentum=0.9)
