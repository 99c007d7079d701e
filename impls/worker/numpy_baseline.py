"""Work that no framework has a part in: it tells a slow machine from slow code. Valid on Python 3.6.

`control` is what a small network asks of NumPy, a product, a sum, an elementwise function and a reduction. `matmul` is
the largest rate of floating-point operations that NumPy's BLAS reaches here, with the threads of this process.
"""

from typing import Any, Callable, Dict

import numpy as np

ROWS, INPUTS, UNITS = 64, 64, 128  # the small reference models' own order of magnitude
SIDE = 768  # three such matrices fill a second-level cache; larger ones are hardly faster
FLOPS = {"control": 2 * ROWS * INPUTS * UNITS, "matmul": 2 * SIDE**3}


def calls(dtype: str) -> Dict[str, Callable[[], Any]]:
    """Both, on fixed arrays of `dtype`."""
    rng = np.random.RandomState(0)
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((ROWS, INPUTS), (INPUTS, UNITS), (UNITS,)))
    left, right = (rng.standard_normal((SIDE, SIDE)).astype(dtype) for _ in range(2))
    out = np.empty_like(left)
    return {
        "control": lambda: np.tanh(x @ w + b).sum(0),
        "matmul": lambda: np.matmul(left, right, out),
    }
