"""keras-mxnet 2.2.4.3: putting a value into a float64 variable."""

import numpy as np
from keras import backend as K

K.set_floatx("float64")
variable = K.variable(np.zeros(1), dtype="float64")
try:
    K.set_value(variable, np.ones(1))
except AssertionError as error:
    print(error)
else:
    raise AssertionError("it works")
