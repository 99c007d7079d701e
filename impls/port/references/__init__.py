"""What the frameworks' own layers, losses and optimizers compute, for tests of formulas that are written without them.

`python -m impls.port.references torch OUT.npz` (or keras). Names are `group/case/array`; images are (N, *spatial, C),
kernels in Keras's layout. All in float64. One generator draws the numbers of all groups, in their order.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray]

SIZES = {1: (9,), 2: (9, 8), 3: (5, 6, 4)}  # of an image, by its axes
