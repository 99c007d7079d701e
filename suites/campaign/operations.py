"""Single operations, straight from the engines' own API, against NumPy in extended precision.

An operation is an expression for each API, a NumPy function that says what is right, and a bound on the error of each
element: inputs are exact in the type that is asked, so only the operation's own roundings count. `u` is the unit
roundoff of the type.

    exact           nothing is rounded: what is moved, compared, counted, or is an integer
    one function    ULPS ulps of the result (vectorised elementary functions stay within 6, see
                    `impls.worker.stochastic_rounding`), and what is below the normal numbers may become zero
    sums            gamma_n sum |terms|, gamma_n = n u / (1 - n u), whatever the order (Higham 2002, equation 3.4)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from impls.floating_types import UNIT
from suites.runner.workers import Arrays

ULPS = 16.0
FLOATS = ("float32", "float64", "float16", "bfloat16")
FULL = ("float32", "float64")
INTEGERS = ("int32", "int64", "int8", "uint8", "int16")
Long = np.longdouble

Truth = Callable[..., Any]
Error = Callable[[Arrays, Any, Mapping[str, Any], float], Any]


def exact(arrays: Arrays, truth: Any, options: Mapping[str, Any], u: float) -> Any:
    """Nothing is rounded."""
    return np.zeros(np.shape(truth))


def one_function(arrays: Arrays, truth: Any, options: Mapping[str, Any], u: float) -> Any:
    """ULPS ulps of the result."""
    return 2 * ULPS * u * np.abs(truth)


def of_size_one(arrays: Arrays, truth: Any, options: Mapping[str, Any], u: float) -> Any:
    """ULPS ulps of one: a function made of others, whose values near zero are differences."""
    return 2 * ULPS * u * np.maximum(np.abs(truth), 1)


def gamma(n: float, u: float) -> float:
    """n u / (1 - n u); infinite where the sum has too many terms for the type."""
    return n * u / (1 - n * u) if n * u < 0.5 else np.inf


def of_sum(arrays: Arrays, truth: Any, options: Mapping[str, Any], u: float) -> Any:
    """A sum along `axis`."""
    x, axis = arrays["x"], options.get("axis")
    terms = np.sum(np.abs(x.astype(Long)), axis, keepdims=options.get("keepdims", False))
    n = x.size if axis is None else x.shape[axis]
    return np.reshape(gamma(n + 2, u) * terms, np.shape(truth))


def of_mean(arrays: Arrays, truth: Any, options: Mapping[str, Any], u: float) -> Any:
    n = arrays["x"].size if options.get("axis") is None else arrays["x"].shape[options["axis"]]
    return of_sum(arrays, truth, options, u) / n + 2 * u * np.abs(truth)


def of_variance(arrays: Arrays, truth: Any, options: Mapping[str, Any], u: float) -> Any:
    """n u kappa of an updating algorithm, n u + (n u kappa)^2 of two passes, where kappa^2 = 1 + mean^2 / variance.

    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", table 1.
    """
    x = arrays["x"].astype(Long)
    axis = options.get("axis")
    n = x.size if axis is None else x.shape[axis]
    size = np.reshape(np.mean(x * x, axis), np.shape(truth))  # kappa^2 times the variance
    once = gamma(n + 5, u)
    return once * np.sqrt(truth * size) + once**2 * size


def of_product(arrays: Arrays, truth: Any, options: Mapping[str, Any], u: float) -> Any:
    """An inner product: gamma_n |x| |y|; the NumPy function is applied to magnitudes."""
    magnitudes = {name: np.abs(value.astype(Long)) for name, value in arrays.items()}
    n = max(value.size for value in arrays.values())
    terms = options.get("terms", n)
    return gamma(terms + 2, u) * OPERATIONS[options["operation"]].truth(**magnitudes, **plain(options))


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that an expression sees."""
    return {key: value for key, value in options.items() if key not in ("operation", "terms")}


@dataclass(frozen=True)
class Operation:
    """`forms` are expressions by API, `draw` makes arrays and options from a random stream and a type."""

    name: str
    forms: Mapping[str, str]
    truth: Truth
    draw: Callable[[np.random.Generator, str], tuple[Arrays, dict[str, Any]]]
    error: Error = one_function
    dtypes: Sequence[str] = FLOATS
    per_row: bool = field(default=False)  # whether a row of the first array can be done alone: vmap


SHAPES: tuple[tuple[int, ...], ...] = (
    (1,), (2,), (3,), (7,), (8,), (9,), (15,), (16,), (17,), (31,), (33,), (63,), (64,), (65,), (127,), (129,), (255,),
    (257,), (1023,), (1025,), (4097,), (1, 1), (1, 7), (7, 1), (3, 5), (16, 17), (17, 16), (33, 31), (2, 129), (129, 2),
    (1, 1025), (1025, 1), (2, 3, 4), (1, 5, 1), (3, 1, 7), (5, 16, 3), (2, 3, 2, 5),
)  # fmt: skip
LONG = ((65537,), (131071,), (70000, 2), (3, 40001), (2**17 + 1,))


def shape(rng: np.random.Generator, ranks: Sequence[int] = (1, 2, 3, 4)) -> tuple[int, ...]:
    """A shape at which kernels switch; now and then a long one."""
    shapes = LONG if rng.random() < 0.06 else SHAPES
    fitting = [each for each in shapes if len(each) in ranks]
    if not fitting:  # of the long ones none has such a rank
        fitting = [each for each in SHAPES if len(each) in ranks]
    return fitting[int(rng.integers(len(fitting)))]


def typed(values: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest numbers that the type has, in float64 (int64 for integers)."""
    if dtype not in UNIT:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        inside = np.clip(np.round(np.nan_to_num(values)), max(low, -(2**62)), min(high, 2**62))
        return np.asarray(inside, np.int64)
    with np.errstate(over="ignore"):
        if dtype == "bfloat16":
            bits: Any = np.asarray(values, np.float32).view(np.uint32)
            return np.asarray((bits & np.uint32(0xFFFF0000)).view(np.float32), np.float64)
        return np.asarray(np.asarray(values, dtype), np.float64)


FILLS = ("normal", "normal", "ties", "wide", "large_mean", "tiny", "integers", "saturated", "specials", "near_one")


def numbers(rng: np.random.Generator, extents: Sequence[int], dtype: str, fill: str = "") -> np.ndarray:
    """Numbers of a kind."""
    x = rng.normal(size=tuple(extents))
    fill = fill or FILLS[int(rng.integers(len(FILLS)))]
    made: dict[str, Callable[[], Any]] = {
        "ties": lambda: np.round(x),
        "wide": lambda: x * 10.0 ** rng.integers(-6, 6, x.shape),
        "large_mean": lambda: 100 + x,
        "tiny": lambda: x * 1e-6,
        "integers": lambda: np.round(20 * x),
        "saturated": lambda: 40 * x,
        "near_one": lambda: 1 + x * 1e-3,
    }
    if dtype not in UNIT:
        return typed(np.round(x * (3 if fill in ("ties", "normal") else 40)), dtype)
    x = made[fill]() if fill in made else x
    if fill == "specials":
        places = rng.random(x.shape) < 0.2
        x[places] = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0], int(places.sum()))
    return typed(x, dtype)


def one(ranks: Sequence[int] = (1, 2, 3), low: float = -np.inf, high: float = np.inf, fill: str = "") -> Any:
    """Draws `x`, clipped into a domain."""

    def draw(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
        x = numbers(rng, shape(rng, ranks), dtype, fill)
        inside = np.clip(np.nan_to_num(x), low, high) if np.isfinite([low, high]).any() else x
        return {"x": typed(inside, dtype)}, {}

    return draw


def two(positive: bool = False, fill: str = "", nonzero: bool = False) -> Any:
    """Draws `x` and `y` of one shape, or where one is broadcast."""

    def draw(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
        extents = shape(rng, (1, 2, 3))
        x = numbers(rng, extents, dtype, fill)
        other = tuple(1 if rng.random() < 0.2 else n for n in extents)
        y = numbers(rng, other, dtype, fill)
        if positive:
            x, y = np.abs(x), np.abs(y)
        if nonzero:
            y = np.where((y == 0) | ~np.isfinite(y), 1, y)
        return {"x": x, "y": y}, {}

    return draw


def along(ranks: Sequence[int] = (1, 2, 3), fill: str = "") -> Any:
    """Draws `x` and an axis."""

    def draw(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
        x = numbers(rng, shape(rng, ranks), dtype, fill)
        return {"x": x}, {"axis": int(rng.integers(x.ndim))}

    return draw


def call(torch: str = "", jax: str = "", tensorflow: str = "", keras: str = "", given: str = "x") -> dict[str, str]:
    """Forms that call a function of each API on the same arguments; one with a bracket is an expression already."""
    forms = {"torch": torch, "jax": jax, "tensorflow": tensorflow, "keras": keras}
    return {api: name if "(" in name else f"{name}({given})" for api, name in forms.items() if name}


def long(function: Callable[..., Any]) -> Truth:
    """The NumPy function in extended precision."""

    def truth(**arrays: Any) -> Any:
        return function(*[value.astype(Long) for value in arrays.values()])

    return truth


OPERATIONS: dict[str, Operation] = {}


def register(operation: Operation) -> None:
    OPERATIONS[operation.name] = operation
