"""RMSprop (Tieleman and Hinton 2012), epsilon inside the root, with Triptych's shim."""

from impls import shim

OPTIMIZER = shim.RMSprop(learning_rate=0.001, rho=0.9)
