"""Real data that needs no download: it ships with scikit-learn or with Python itself.

Each function returns a `Split`. Floats are float32 (so exactly representable in float64), integers int64. The
order is shuffled once, with a fixed seed, and the last part is held out: every run sees the same split.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from impls.specs import VOCABULARY

WINDOWS = 5120  # of the documentation's text for training: enough to learn from, few enough for a benchmark


class Split(NamedTuple):
    """Training and held-out data, first axis is the example."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def _split(x: np.ndarray, y: np.ndarray, held_out: float) -> Split:
    order = np.random.RandomState(0).permutation(len(x))
    x, y = x[order], y[order]
    cut = round(len(x) * (1 - held_out))
    return Split(x[:cut], y[:cut], x[cut:], y[cut:])


def _standardised(split: Split) -> Split:
    """Zero mean and unit variance by the training part's statistics; constant features stay zero."""
    mean, deviation = split.x.mean(0), split.x.std(0)
    deviation[deviation == 0] = 1
    x, x_test = ((part - mean) / deviation for part in (split.x, split.x_test))
    return Split(x.astype(np.float32), split.y, x_test.astype(np.float32), split.y_test)


def iris() -> Split:
    """Fisher's Iris, versicolor (0) against virginica (1): x (N, 4), y (N, 1) float."""
    from sklearn.datasets import load_iris

    x, species = load_iris(return_X_y=True)
    two = species > 0
    return _standardised(_split(x[two], (species[two] == 2).astype(np.float32)[:, None], 0.3))


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x, y.astype(np.int64)


def digits() -> Split:
    """8x8 handwritten digits as standardised vectors: x (N, 64), y (N,)."""
    return _standardised(_split(*_digits(), 0.2))


def digit_images() -> Split:
    """8x8 handwritten digits as images in [0, 1]: x (N, 8, 8, 1), y (N,)."""
    x, y = _digits()
    return _split((x / 16).astype(np.float32).reshape(-1, 8, 8, 1), y, 0.2)


def digits_784() -> Split:
    """The digits enlarged to 28x28 by linear interpolation: x (N, 784), y (N,)."""
    from scipy.ndimage import zoom

    x, y = _digits()
    large = zoom(x.reshape(-1, 8, 8), (1, 3.5, 3.5), order=1, grid_mode=True, mode="nearest")
    return _standardised(_split(large.reshape(len(x), 784), y, 0.2))


def photo_patches() -> Split:
    """32x32 patches of scikit-learn's two photographs: x (N, 32, 32, 3), y (N,): photograph * 5 + column fifth."""
    from sklearn.datasets import load_sample_images

    rng = np.random.RandomState(0)
    patches, labels = [], []
    for photo, image in enumerate(load_sample_images().images):
        height, width, _ = image.shape
        for _ in range(1500):
            top, left = rng.randint(height - 32), rng.randint(width - 32)
            patches.append(image[top : top + 32, left : left + 32] / 255.0)
            labels.append(photo * 5 + left * 5 // (width - 32))
    return _split(np.asarray(patches, np.float32), np.asarray(labels, np.int64), 0.2)


def _python_docs(steps: int) -> Split:
    from pydoc_data.topics import topics

    text = "".join(topics[name] for name in sorted(topics))
    ids = np.full(0x110000, VOCABULARY - 1, np.int64)
    ids[32:127] = np.arange(95)
    ids[10] = 95
    codes = ids[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
    count = (len(codes) - 1) // steps
    x = codes[: count * steps].reshape(count, steps)  # (N, T)
    y = codes[1 : count * steps + 1].reshape(count, steps)  # (N, T)
    split = _split(x, y, 0.1)
    return split._replace(x=split.x[:WINDOWS], y=split.y[:WINDOWS])


def python_docs_32() -> Split:
    """Windows of 32 characters of CPython's documentation and their successors: x (N, 32), y (N, 32)."""
    return _python_docs(32)


def python_docs_64() -> Split:
    """Windows of 64 characters of CPython's documentation and their successors: x (N, 64), y (N, 64)."""
    return _python_docs(64)


def python_docs_256() -> Split:
    """Windows of 256 characters of CPython's documentation and their successors: x (N, 256), y (N, 256)."""
    return _python_docs(256)


DATASETS: dict[str, Callable[[], Split]] = {
    function.__name__: function
    for function in (
        iris,
        digits,
        digit_images,
        digits_784,
        photo_patches,
        python_docs_32,
        python_docs_64,
        python_docs_256,
    )
}
