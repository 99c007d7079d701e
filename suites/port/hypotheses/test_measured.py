"""What is measured and not guessed: relations of two arrays, the first pair that differs, transforms, sampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suites.port.hypotheses import explain_measured, explain_part, explain_region
from suites.port.hypotheses.meanings import convolved, flat_product, found_in, normalisations
from suites.port.hypotheses.placing import around, placed
from suites.port.hypotheses.program import close
from suites.port.hypotheses.question import Part, same
from suites.port.hypotheses.relations import partial_relation, relation
from suites.port.hypotheses.sampling import ORDERS, Sampling, affine_grid, sampled, ways
from suites.port.recording import Operand
from suites.port.testing.tapes import Array, Tape, question

RNG = np.random.default_rng(7)
X = RNG.normal(size=(3, 6, 8))
POSITIVE = np.abs(X) + 0.1
SLOPES = 2.0 ** -np.arange(6.0)[:, None]

RELATIONS = {
    "affine": (X, 2.5 * X - 1, "2.5 x - 1"),
    "power": (POSITIVE, 3 * POSITIVE**1.5, "to the power 1.5, times 3"),
    "power with a sign": (X, np.sign(X) * np.abs(X) ** 0.5, "to the power 0.5"),
    "logarithm": (POSITIVE, np.log(POSITIVE), "B log(x)"),
    "its inverse": (np.log(POSITIVE), POSITIVE, "B exp(x)"),
    "sum": (POSITIVE, POSITIVE / POSITIVE.sum(-1, keepdims=True), "divided by its own sum over axis 2"),
    "mean": (X, X - X.mean((1, 2), keepdims=True), "less its own mean over axes (1, 2)"),
    "slopes": (X, X * SLOPES, "at each place of axis 1 of (3, 6, 8): A x, B x times 1, 0.5, ... (each times 0.5)"),
    "addends": (X, X + np.arange(8), "axis 2 of (3, 6, 8): A x, B x plus 0, 1, ... (each plus 1)"),
    "layout": (X, (X * SLOPES).transpose(0, 2, 1), "x times 1, 0.5, ..."),
    "later": (X, np.concatenate([X[:, :1], X[:, :-1]], 1), "axis 1 of (3, 6, 8): A as it is, B moved by 1 later"),
    "earlier": (X, np.concatenate([X[..., 2:], X[..., :2]], 2), "moved by 2 earlier"),
}  # fmt: skip


@pytest.mark.parametrize("kind", RELATIONS)
def test_a_relation_is_measured(kind: str) -> None:
    a, b, words = RELATIONS[kind]
    found = relation(a, b, lambda made: close(made.ravel(), b.ravel()) or close(made.transpose(0, 2, 1), b))
    assert found is not None and words in found.cause("result").words()


def test_numbers_that_have_nothing_to_do_with_each_other_have_no_relation() -> None:
    other = RNG.normal(size=X.shape)
    assert relation(X, other, lambda made: close(made, other)) is None
    assert partial_relation(X, other) is None
    assert relation(X[0, 0, :2], X[1, 0, :2], lambda made: close(made, X[1, 0, :2])) is None  # two numbers fit anything


@pytest.mark.parametrize("words, mask", {
    "at place 0 of axis 1": np.arange(6)[:, None] == 0, "at places 6, 7 of axis 2": np.arange(8) > 5,
}.items())  # fmt: skip
def test_what_only_some_places_have_is_told_by_them(words: str, mask: Array) -> None:
    found = partial_relation(X, np.where(mask, 0.0, X))
    assert found is not None and words in found.cause("result").words() and "B all 0" in found.cause("").words()


def test_a_triangle_is_told() -> None:
    square = RNG.normal(size=(2, 5, 5))
    tape, other = Tape(), Tape()
    a, b = (part.given(square) for part in (tape, other))
    tape.op("custom", square, a)
    other.op("custom", np.tril(square), b)
    assert "above the diagonal" in explain_part(question(tape.part(a), other.part(b)))[0].words()


def words(a: Part, b: Part) -> str:
    asked = question(a, b)
    found = explain_region(asked) or explain_measured(asked)
    return found[0].words() if found else ""


def embedded(last: int) -> Part:
    """Cosines and sines of a time at frequencies that are made of nothing."""
    tape = Tape()
    time = tape.given(X[:, 0, :1] * 100)
    rates = tape.op("range", 1e4 ** (-np.arange(4.0) / last))
    angles = tape.op("multiply", tape.values[time] * tape.values[rates], time, rates)
    waves = [tape.op(name, wave(tape.values[angles]), angles) for name, wave in (("cos", np.cos), ("sin", np.sin))]
    tape.op("concatenate", np.concatenate([tape.values[at] for at in waves], -1), *waves)
    return tape.part(time)


def test_the_first_pair_that_differs_is_found_behind_several_operations() -> None:
    found = words(embedded(4), embedded(3))
    assert found.startswith("constants of range") and "each times 0.1)" in found and "each times 0.04642" in found


def passed(exclusive: bool) -> Part:
    """How much light passes up to each step, with this step or without."""
    tape = Tape()
    given = tape.given(POSITIVE)
    whole = POSITIVE.cumprod(1)
    at = tape.op("anything", whole, given)
    if exclusive:
        cut = tape.op("slice", whole[:, :-1], at)
        ones = tape.op("ones", np.ones((3, 1, 8)))
        at = tape.op("concatenate", np.concatenate([np.ones((3, 1, 8)), whole[:, :-1]], 1), ones, cut)
    other = tape.given(X)
    weighed = tape.op("multiply", tape.values[at] * X, at, other)
    tape.op("sum", tape.values[weighed].sum(1), weighed)
    return tape.part(given, other)


def test_a_product_that_is_one_step_further_is_told() -> None:
    assert words(passed(True), passed(False)) == "slice and concatenate: A applies it, B leaves it out"


def spectral(norm: str = "backward", sign: int = 1) -> Part:
    """A kernel of low frequencies, as in a Fourier neural operator."""
    tape = Tape()
    given = tape.given(X)
    kernel = RNG_KERNEL[0] + sign * 1j * RNG_KERNEL[1]
    forward = tape.op("any", np.fft.rfftn(X, axes=(1, 2), norm=norm), given)  # type: ignore[arg-type]
    low = tape.op("slice", tape.values[forward][..., :3], forward)
    mixed = tape.op("mul", tape.values[low] * kernel, low, tape.op("complex", kernel))
    back = tape.op("name", np.fft.irfft(tape.values[mixed], n=8, axis=2), mixed)
    tape.op("tanh", np.tanh(tape.values[back]), back)
    return tape.part(given)


RNG_KERNEL = RNG.normal(size=(2, 6, 3))


def test_conventions_of_a_fourier_transform() -> None:
    assert "A no factor forward, 1/n back, B 1/sqrt(n) both ways" in words(spectral(), spectral("ortho"))
    assert "complex numbers: A as they are, B conjugated" in words(spectral(), spectral(sign=-1))


HANN = np.hanning(9)[:-1]


def heard(mode: str = "reflect", window: Array = HANN, exponent: float = 2.0) -> Part:
    """The power of the frequencies in frames of a wave."""
    tape = Tape()
    given = tape.given(X.reshape(2, 72))
    padded = tape.op("pad", np.pad(tape.values[given], ((0, 0), (4, 4)), mode=mode), given)  # type: ignore[call-overload]
    framed = tape.op("cut", tape.values[padded][:, np.arange(19)[:, None] * 4 + np.arange(8)], padded)
    weighed = tape.op("multiply", tape.values[framed] * window, framed)
    tape.ops[-1] = replace(tape.ops[-1], inputs=(*tape.ops[-1].inputs, Operand(literal=window.tolist())))
    changed = tape.op("fft", np.fft.rfft(tape.values[weighed]), weighed)
    size = tape.op("abs", np.abs(tape.values[changed]), changed)
    power = tape.op("power", tape.values[size] ** exponent, size, exponent)
    raised = tape.op("add", tape.values[power] + 1e-6, power, 1e-6)
    tape.op("log", np.log(tape.values[raised]), raised)
    return tape.part(given)


HEARD: dict[str, dict] = {  # type: ignore[type-arg]
    "A mirrors it without its edge, B zeros": {"mode": "constant"},
    "A periodic Hann, B symmetric Hann": {"window": np.hanning(8)},
    "exponent of power (x.py:5): A 2, B 1": {"exponent": 1.0},
}


@pytest.mark.parametrize("told, other", HEARD.items())
def test_conventions_of_a_spectrogram(told: str, other: dict) -> None:  # type: ignore[type-arg]
    assert told in words(heard(), heard(**other))


def test_a_padding_is_found_where_its_middle_is() -> None:
    assert around(X, np.pad(X, ((0, 0), (1, 2), (0, 0)))) == [(0, 0), (1, 2), (0, 0)]
    assert around(X, np.pad(X + 1, ((0, 0), (1, 2), (0, 0)))) is None


IMAGE, GRID = RNG.normal(size=(2, 3, 5, 6)), RNG.normal(size=(2, 4, 3, 2))


def test_sampling_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    image, grid, theta = (torch.as_tensor(each) for each in (IMAGE, GRID, X[:2, :2, :3]))
    for how in ways():
        if how.order == "x, y":
            wanted = functional.grid_sample(image, grid, how.between, how.outside, how.corners).numpy()
            assert close(sampled(how, IMAGE, GRID), wanted), how
    for corners in (True, False):
        wanted = functional.affine_grid(theta, [2, 3, 4, 5], align_corners=corners).numpy()
        assert close(affine_grid(theta.numpy(), (4, 5), corners), wanted)


WAYS = {
    "A middles of the outer pixels (align_corners=True), B outer edges": Sampling(False),
    "A x, y, B y, x": Sampling(True, order=ORDERS[1]),
    "A x, y, B y, x (exchanged as pixels": Sampling(True, order=ORDERS[2]),
    "A zeros, B its border": Sampling(True, "border"),
    "A bilinear, B nearest": Sampling(True, between="nearest"),
}


@pytest.mark.parametrize("told, how", WAYS.items())
def test_conventions_of_a_grid(told: str, how: Sampling) -> None:
    sides = []
    for each, name in ((Sampling(True), "grid_sample"), (how, "by hand")):
        tape = Tape()
        ids = tape.given(IMAGE), tape.given(GRID)
        at = tape.op(name, sampled(each, IMAGE, GRID), *ids)
        tape.op("max", tape.values[at].max((2, 3)), at)
        sides.append(tape.part(*ids))
    assert told in words(*sides)


def test_axes_that_one_side_has_merged_are_the_same_numbers() -> None:
    pictures = RNG.normal(size=(2, 3, 4, 5))  # (N, C, h, w), and patches (N, h w, C)
    assert same(pictures, pictures.reshape(2, 3, 20).transpose(0, 2, 1), 1e-12)
    assert not same(pictures, pictures.transpose(0, 1, 3, 2).reshape(2, 3, 20).transpose(0, 2, 1)[:, ::-1], 1e-12)


def test_operations_of_pytorch_that_do_several_things_are_computed_again() -> None:
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    x, kernel, bias = (torch.as_tensor(RNG.normal(size=shape)) for shape in ((2, 4, 7, 6), (6, 2, 3, 3), (6,)))
    image = kernel.numpy().transpose(2, 3, 1, 0), bias.numpy()
    for stride, pad, dilation in ((1, 1, 1), (2, 1, 1), (1, 2, 2), (2, 0, 1)):
        y = functional.conv2d(x, kernel, bias, stride, pad, dilation, groups=2).numpy()
        assert found_in([x.numpy(), *image], y, convolved) is not None, (stride, pad, dilation)
    wide = torch.as_tensor(RNG.normal(size=(2, 5, 8)))
    scale, shift = wide[0, 0], wide[1, 1]
    normed = functional.layer_norm(wide, [8], scale, shift, 1e-3).numpy()
    arrays = [each.numpy() for each in (wide, scale, shift)]
    assert found_in(arrays, normed, lambda a, _: normalisations("layer_norm", 1e-3, None, a)) is not None
    grouped = functional.group_norm(x, 2, eps=1e-3).numpy()
    assert found_in([x.numpy()], grouped, lambda a, _: normalisations("group_norm", 1e-3, 2, a)) is not None


def test_a_kernel_of_heads_is_multiplied_with_its_axes_merged() -> None:
    kernel = RNG.normal(size=(8, 6))
    assert found_in([X, kernel], (X @ kernel).reshape(3, 6, 2, 3), flat_product) is not None
    assert found_in([X.reshape(3, 6, 2, 4), kernel], X @ kernel, flat_product) is not None


def boxes(half: bool, off: float = 0.0) -> Part:
    """The right end of a box, whose middle comes in as far off as float32 leaves it."""
    tape = Tape()
    middle, width = tape.given(X * (1 + off)), tape.given(POSITIVE)
    size = tape.op("exp", np.exp(POSITIVE), width)
    part = tape.op("divide", tape.values[size] / 2, size, 2.0)
    end = part if half else size
    both = [tape.op(name, tape.values[middle] + sign * tape.values[at], middle, at) for name, sign, at in
            (("subtract", -1, part), ("add", 1, end))]  # fmt: skip
    tape.op("concatenate", np.concatenate([tape.values[at] for at in both], -1), *both)
    return tape.part(middle, width)


def test_what_comes_in_as_far_apart_as_float32_leaves_it_hides_no_cause() -> None:
    asked = question(boxes(True), boxes(False, off=3e-8))
    assert not explain_region(asked)
    found = explain_region(replace(asked, entering=3e-8))
    assert found[0].words() == "operand of add (x.py:3): A the result of divide (x.py:1), B the result of exp (x.py:0)"


def test_a_block_that_is_put_into_another_array_is_understood() -> None:
    block = RNG.normal(size=(3, 2, 3)) + 1j
    whole = np.zeros((3, 6, 8), complex)
    whole[:, :2, 5:] = block
    for arrays in ([np.zeros((3, 6, 8), complex), block], [block]):
        found = found_in(arrays, whole, placed)
        assert found is not None
        again = found[2]([2 * arrays[at] for at in found[1]])
        assert np.allclose(again[:, :2, 5:], 2 * block) and not again[:, 2:].any()
