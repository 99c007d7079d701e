"""Nesterov's momentum as Sutskever et al. (2013) write it, the rate inside the velocity, with Triptych's shim."""

from impls import shim

OPTIMIZER = shim.SGD(learning_rate=0.02, momentum=0.9, nesterov=True)
