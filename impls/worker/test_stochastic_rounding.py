"""Random rounding errors have the size that real ones have: float32 arithmetic against float64."""

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls.shim import backends
from impls.worker import stochastic_rounding

UNIT = 2.0**-24
Modules = dict[str, list[ast.stmt]]
DRAWS = 20


@pytest.fixture
def rounding() -> Iterator[stochastic_rounding.Rounding]:
    """The arithmetic of float32, for one test."""
    stochastic_rounding.ROUNDING = stochastic_rounding.Rounding(UNIT)
    yield stochastic_rounding.ROUNDING
    stochastic_rounding.ROUNDING = stochastic_rounding.Rounding()


def modelled(operation: Callable[..., Any], *operands: np.ndarray) -> float:
    """The standard deviation of the modelled errors, relative to the result."""
    noisy = [stochastic_rounding.noisy(np.asarray(operand, np.float64)) for operand in operands]
    results = np.stack([np.asarray(operation(*noisy)) for _ in range(DRAWS)])
    return float(np.sqrt(np.mean((results / operation(*operands) - 1) ** 2)))


def real(operation: Callable[..., Any], *operands: np.ndarray) -> float:
    """The root mean square of the errors that float32 makes, relative to the result."""
    single = operation(*(np.asarray(operand, np.float32) for operand in operands))
    assert single.dtype == np.float32
    return float(np.sqrt(np.mean((single / operation(*operands) - 1) ** 2)))


def running(terms: np.ndarray) -> Any:
    """The sum in the order of the terms."""
    return np.add.reduce(terms, 0) if terms.dtype == np.float64 else np.cumsum(terms, 0)[-1]


def drawn(seed: int, shape: int | tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 2, shape).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("operation", [np.add, np.multiply, np.divide])
def test_one_operation(rounding: stochastic_rounding.Rounding, operation: np.ufunc) -> None:
    operands = drawn(0, 1000), drawn(1, 1000)
    assert 0.9 < modelled(operation, *operands) / real(operation, *operands) < 1.1


@pytest.mark.parametrize("every", [4000, 4])
def test_a_running_sum(rounding: stochastic_rounding.Rounding, every: int) -> None:
    """Equal terms make equal errors: as if they were independent, the sum would be off by several times the model."""
    terms = drawn(2, (4000, 64))
    terms[::every] = terms[0]
    ratio = modelled(running, terms) / real(running, terms)
    assert 0.7 < ratio < 2.5


def test_adding_zeros_is_exact(rounding: stochastic_rounding.Rounding) -> None:
    """A gradient behind a ReLU is mostly zeros; they add nothing, and no error either."""
    terms = drawn(3, (4000, 64))
    terms[2:] = 0
    assert modelled(running, terms) < 2 * UNIT


def test_places_that_float32_cannot_tell_apart_err_together(rounding: stochastic_rounding.Rounding) -> None:
    """A sequence whose places differ by 1e-11 is one place 64 times in an engine: its errors add up as 64, not as 8."""
    places, weight = drawn(4, (1000, 1)) * (1 + 1e-11 * np.arange(64)), drawn(5, (1000, 1))
    noisy = stochastic_rounding.noisy(places) * weight
    sums = [(np.asarray(found) - places * weight).sum(1) for found in (noisy, np.float32(places) * np.float32(weight))]
    modelled_size, real_size = (float(np.sqrt(np.mean(errors**2))) for errors in sums)
    assert 0.9 < modelled_size / real_size < 1.1


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_within_a_cell_is_lost_or_an_ulp(rounding: stochastic_rounding.Rounding, sign: int) -> None:
    """Independent errors would give it an ulp always: too much for the difference of two places."""
    ulp = 2 * UNIT
    cell = sign * (1.5 + ulp * np.linspace(-0.49, 0.49, 99))
    steps = [rounding.rounded(cell, stochastic_rounding.half_ulp(cell)) / ulp for _ in range(DRAWS)]
    lost = np.stack([each - each[0] for each in steps]) * sign
    assert np.abs(lost - np.rint(lost)).max() < 1e-6
    assert set(np.rint(lost).ravel()) == {0.0, 1.0}


@pytest.mark.parametrize("apart, different", [(False, 1), (True, 5)])
def test_equal_numbers_stay_equal_unless_they_are_apart(apart: bool, different: int) -> None:
    """Ties stay ties; of what stands on equal numbers a run that is apart says what an engine may make of it."""
    errors = stochastic_rounding.Rounding(2.0**-24, apart=apart)
    assert len(np.unique(errors.rounded(np.full(5, 1.5), 1.0))) == different


def test_constants_are_off_in_float32_only(rounding: stochastic_rounding.Rounding) -> None:
    """0.9 is another number in float32; in float64 it is the same one for everybody."""
    assert rounding.constant(0.5) == 0.5
    assert abs(rounding.constant(0.9) - 0.9) == pytest.approx(abs(float(np.float32(0.9)) - 0.9))
    assert stochastic_rounding.Rounding(2.0**-40, float64=True).constant(0.9) == 0.9


def test_a_masked_score_is_exact_and_the_others_are_not() -> None:
    """Minus infinity stands for what is not seen: with an error it would be no number, and so would every bound."""
    scores = np.where(np.tri(4, dtype=bool), np.arange(16.0).reshape(4, 4) / 7, -np.inf)
    stochastic_rounding.ROUNDING = stochastic_rounding.Rounding(2.0**-24)
    try:
        found = np.asarray(stochastic_rounding.noisy(scores) - scores.max(-1, keepdims=True))
    finally:
        stochastic_rounding.ROUNDING = stochastic_rounding.Rounding()
    assert np.array_equal(np.isinf(found), np.isinf(scores)) and not np.isnan(found).any()
    assert (found != scores - scores.max(-1, keepdims=True)).any()


def computes_with(name: str, known: Modules) -> Modules:
    """The modules beside a backend's own that it imports, itself among them, each with its statements."""
    path = Path(backends.__file__).parent / f"{name}.py"
    if name in known or not path.is_file():
        return known
    known[name] = ast.parse(path.read_text(encoding="utf-8")).body
    for statement in known[name]:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("impls.shim.backends"):
            computes_with((statement.module or "").rpartition(".")[2], known)
            for alias in statement.names:
                computes_with(alias.name, known)
    return known


def numpy_names(statements: Iterable[ast.stmt]) -> Iterator[str | None]:
    """What statements of a module call NumPy and its parts."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.asname for alias in statement.names if alias.name.split(".")[0] == "numpy")
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").split(".")[0] == "numpy":
            yield from (alias.name for alias in statement.names)


def test_every_module_of_the_numpy_backend_is_rounded() -> None:
    """A module that is not covered would compute exactly: the noise misses there, and every bound is too small."""
    found = {name: set(numpy_names(statements)) for name, statements in computes_with("numpy", {}).items()}
    computing = {name: names for name, names in found.items() if names}
    assert computing == {name: {"np"} for name in stochastic_rounding.NUMPY_MODULES}
