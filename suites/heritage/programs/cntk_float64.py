"""Keras 2.3.1 on CNTK: casting to float64."""

import numpy as np
from keras import backend as K

found = K.cast(K.variable(np.ones(1, np.float32), dtype="float32"), "float64").dtype
print("expected float64, found", found)
assert found == np.float32
