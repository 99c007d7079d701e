"""What is drawn: first weights, dropout and augmentation follow their laws, and no draw repeats another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from suites.equivalence.compare import AGREEMENT, normwise
from suites.references import defaults
from suites.references.case import layer
from suites.references.shim import Shim, Shims

NOTHING: dict[str, Any] = {"layers": [layer("Dense", units=1)], "inputs": [[1]]}
SHAPES = {(30, 20): (30, 20), (3, 2, 4, 6): (24, 36), (40,): (40, 40)}  # with the inputs and outputs of a unit
CHANCE = 1e-6  # that a right law is refused
COUNT = 40


@pytest.fixture
def numpy_shim(shims: Shims) -> Shim:
    return shims["numpy"]


def drawn(shim: Shim, name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    call = ["draw", {"name": name, "shape": list(shape), "seed": seed, "count": COUNT}]
    return shim.run(NOTHING, [call])[1]["0/values"]


def law(name: str, shape: tuple[int, ...]) -> Any:
    """The distribution that SciPy has for it."""
    kind, size = defaults.INITIALIZERS[name]
    inputs, outputs = SHAPES[shape]
    if isinstance(size, tuple):
        variance = size[0] / (inputs + outputs if size[1] == "inputs + outputs" else inputs)
        deviation = math.sqrt(variance)
        size = deviation * math.sqrt(3) if kind == "uniform" else deviation
    if kind == "uniform":
        return stats.uniform(-size, 2 * size)
    if kind == "normal":
        return stats.norm(0, size)
    return stats.truncnorm(-2, 2, 0, size / stats.truncnorm(-2, 2).std())  # of that deviation after the cut


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name", [n for n, (kind, _) in defaults.INITIALIZERS.items() if kind not in ("constant", "orthogonal")]
)
def test_first_weights_follow_their_law(name: str, shape: tuple[int, ...], numpy_shim: Shim) -> None:
    """Kolmogorov and Smirnov's test of the values, theirs of the deviation, and no dependence on place or draw."""
    values, expected = drawn(numpy_shim, name, shape), law(name, shape)
    assert stats.kstest(values.ravel(), expected.cdf).pvalue > CHANCE
    count = values.size
    kurtosis = float(expected.stats("k")) + 3
    spread = math.sqrt((kurtosis - 1) / count) * -stats.norm.ppf(CHANCE / 2)
    assert abs(values.var() / expected.var() - 1) < spread
    assert np.abs(values).max() <= expected.support()[1] * (1 + 1e-12)
    for other in (np.roll(values, 1, 0), np.roll(values, 1, -1), np.roll(values, 1, 1)):
        correlation = float(np.corrcoef(values.ravel(), other.ravel())[0, 1])
        assert abs(correlation) < -stats.norm.ppf(CHANCE / 2) / math.sqrt(count)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 4)])
def test_orthogonal_weights(shape: tuple[int, ...], numpy_shim: Shim) -> None:
    """Rows or columns of length 1 at right angles, and no direction that the draws prefer."""
    values = drawn(numpy_shim, "orthogonal", shape)
    for matrix in values.reshape(COUNT, -1, shape[-1]):
        small = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
        assert normwise(small, np.eye(len(small))) <= AGREEMENT
    for corner in (0, shape[-1] + 1):  # a decomposition's own signs would all be the same
        positive = int((values.reshape(COUNT, -1)[:, corner] > 0).sum())
        assert stats.binomtest(positive, COUNT).pvalue > CHANCE


def test_constants(numpy_shim: Shim) -> None:
    for name, value in (("zeros", 0), ("ones", 1)):
        assert (drawn(numpy_shim, name, (4, 5)) == value).all()


EVERYTHING: dict[str, Any] = {
    "layers": [
        layer("Embedding", "table", inputs=40, units=30),
        layer("SimpleRNN", "simple", units=20, return_sequences=True),
        layer("LSTM", "lstm", units=20, return_sequences=True),
        layer("GRU", "gru", units=20, return_sequences=True),
        layer("Reshape", "image", target_shape=[3, 4, 20]),
        layer("Conv2D", "conv", filters=20, kernel_size=2),
        layer("DepthwiseConv2D", "depthwise", kernel_size=[2, 3], depth_multiplier=20),
        layer("BatchNorm", "norm"),
        layer("LayerNorm", "layernorm"),
        layer("Flatten", "flat"),
        layer("Dense", "dense", units=30),
    ],
    "inputs": [[12]],
    "settings": {"dtype": "float64"},
}
# Inputs and outputs of a unit of each kernel; Keras counts a depthwise kernel's as those of a convolution.
FANS = {
    "simple/kernel": (30, 20), "lstm/kernel": (20, 80), "gru/kernel": (20, 60), "conv/kernel": (80, 80),
    "depthwise/kernel": (120, 120), "dense/kernel": (400, 30),
}  # fmt: skip


def first_weights(shim: Shim, seed: int | None = None) -> dict[str, np.ndarray]:
    settings = {**EVERYTHING["settings"], **({} if seed is None else {"seed": seed})}
    found = shim.run({**EVERYTHING, "settings": settings}, [["weights", {}]])[1]
    return {name.removeprefix("0/"): value for name, value in found.items()}


def test_what_a_layer_starts_with(numpy_shim: Shim) -> None:
    """Every weight by the table of defaults, and the forget gate's bias 1: Jozefowicz et al. (2015)."""
    found = first_weights(numpy_shim)
    bias = found.pop("lstm/bias")
    np.testing.assert_array_equal(bias, np.repeat([0.0, 1, 0, 0], 20))
    for name, value in found.items():
        kind = defaults.FIRST_WEIGHTS[name.rpartition("/")[2]]
        if kind == "glorot_uniform":
            limit = math.sqrt(6 / sum(FANS[name]))
            assert stats.kstest(value.ravel(), stats.uniform(-limit, 2 * limit).cdf).pvalue > CHANCE, name
        elif kind == "uniform":
            assert stats.kstest(value.ravel(), stats.uniform(-0.05, 0.1).cdf).pvalue > CHANCE, name
        elif kind == "orthogonal":
            assert normwise(value @ value.T, np.eye(len(value))) <= AGREEMENT, name
        else:
            assert (value == {"zeros": 0, "ones": 1}[kind]).all(), name


def test_a_seed_is_a_stream_and_no_two_weights_share_one(numpy_shim: Shim) -> None:
    """The same seed gives the same weights, another one others, and none is a copy of another one's beginning."""
    one, again, other = (first_weights(numpy_shim, seed) for seed in (1, 1, 2))
    default, zero = first_weights(numpy_shim), first_weights(numpy_shim, 0)
    kernels = [name for name in one if name.endswith(("kernel", "embeddings"))]
    for name in kernels:
        np.testing.assert_array_equal(one[name], again[name])
        np.testing.assert_array_equal(default[name], zero[name])
        assert not (one[name] == other[name]).any()
    scaled = [one[name].ravel()[:100] / one[name].std() for name in kernels]
    table = np.corrcoef(scaled) - np.eye(len(scaled))
    assert np.abs(table).max() < 0.6


IMAGES = np.random.default_rng(0).normal(size=(6, 5, 7, 2))


def augmented(shim: Shim, x: np.ndarray, seed: int = 0, **options: Any) -> np.ndarray:
    call = ["augment", {"x": {"array": "x"}, "seed": seed, **options}]
    return shim.run(NOTHING, [call], {"x": x})[1]["0/images"]


def test_images_are_mirrored_half_of_the_time(numpy_shim: Shim) -> None:
    many = np.tile(IMAGES[:1], (400, 1, 1, 1))
    found = augmented(numpy_shim, many, flip=True)
    mirrored = np.array([normwise(image, IMAGES[0, :, ::-1]) <= AGREEMENT for image in found])
    kept = np.array([normwise(image, IMAGES[0]) <= AGREEMENT for image in found])
    assert (mirrored | kept).all()
    assert stats.binomtest(int(mirrored.sum()), 400).pvalue > CHANCE


def test_nothing_is_changed_that_was_not_asked_for(numpy_shim: Shim) -> None:
    for images in (IMAGES, IMAGES.swapaxes(1, 2)):
        assert normwise(augmented(numpy_shim, images), images) <= AGREEMENT


@pytest.mark.parametrize("axis", [0, 1])
def test_images_are_shifted_by_up_to_so_many_pixels(axis: int, numpy_shim: Shim) -> None:
    """Of a ramp along an axis the value says how far: uniform between the bounds, in each direction alone."""
    ramp = np.indices((9, 9))[axis].astype(float)
    many = np.tile(ramp[None, :, :, None], (500, 1, 1, 1))
    found = augmented(numpy_shim, many, shift=2.0)[:, 4, 4, 0] - 4
    assert stats.kstest(found, stats.uniform(-2, 4).cdf).pvalue > CHANCE
    edge = augmented(numpy_shim, many, shift=2.0)
    assert edge.min() == 0 and edge.max() == 8  # outside, the nearest edge
    other = np.tile(np.indices((9, 9))[1 - axis].astype(float)[None, :, :, None], (500, 1, 1, 1))
    across = augmented(numpy_shim, other, shift=2.0)[:, 4, 4, 0] - 4
    assert abs(float(np.corrcoef(found, across)[0, 1])) < 0.25


def test_images_are_turned_about_their_middle(numpy_shim: Shim) -> None:
    """Of a pair of ramps the slopes say the angle: uniform between the bounds, and the middle stays."""
    rows, columns = np.indices((9, 13)) - np.array([4.0, 6.0]).reshape(2, 1, 1)
    many = np.tile(np.stack([rows, columns], -1)[None], (400, 1, 1, 1))
    found = augmented(numpy_shim, many, rotation=30.0)
    assert normwise(found[:, 4, 6], np.zeros((400, 2))) <= AGREEMENT
    angle = np.degrees(np.arctan2(found[:, 4, 8, 0], found[:, 4, 8, 1]))
    assert stats.kstest(angle, stats.uniform(-30, 60).cdf).pvalue > CHANCE
    length = np.hypot(found[:, 4, 8, 0], found[:, 4, 8, 1])
    assert normwise(length, np.full(400, 2.0)) <= AGREEMENT


def test_the_share_that_dropout_keeps_and_that_masks_are_independent(numpy_shim: Shim) -> None:
    """Of ones, behind a dropout, the loss is the mean of what is kept: over examples, units and epochs alike."""
    rate = 0.3
    described = {
        "layers": [layer("Dropout", "drop", rate=rate), layer("Dense", "unit", units=1, use_bias=False)],
        "inputs": [[50]],
        "settings": {"dtype": "float64"},
    }
    arrays = {"x": np.ones((40, 50)), "y": np.zeros((40, 1)), "start/unit/kernel": np.full((50, 1), 0.02)}
    compile_ = ["compile", {"optimizer": ["SGD", {"learning_rate": 0.0}], "loss": "mean_absolute_error"}]
    fit = ["fit", {"x": {"array": "x"}, "y": {"array": "y"}, "epochs": 60, "batch_size": 1}]
    _, found = numpy_shim.run(described, [["set_weights", {"prefix": "start/"}], compile_, fit], arrays)
    losses = found["2/loss"]  # each the mean over 2,000 units of 0 or 1 / (1 - rate)
    deviation = math.sqrt(rate / (1 - rate) / 2000)
    assert abs(losses.mean() - 1) < 5 * deviation / math.sqrt(60)
    assert 0.4 < losses.std() / deviation < 1.8
    assert len(np.unique(losses)) > 30
