"""Adam (Kingma and Ba 2015, end of section 2): epsilon-hat beside the uncorrected root, with Triptych's shim."""

from impls import shim

OPTIMIZER = shim.Adam(learning_rate=0.001)
