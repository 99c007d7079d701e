"""tf-keras 2.21: BatchNormalization, momentum 0: the running variance after an image of two pixels, by precision."""

import numpy as np
from tf_keras.layers import BatchNormalization

x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
found = {}
for dtype in ("float64", "float32"):
    layer = BatchNormalization(momentum=0.0, dtype=dtype)
    layer(x, training=True)
    found[dtype] = float(layer.moving_variance[0])
print(f"the image's variance is {x.var()}, found", found)
assert found == {"float64": 1.0, "float32": 2.0}
