"""Gradients of single operations, reductions after products, scans, and functions that are mapped over a batch.

The gradient of a sum of f(x), or of f(x) weighted by y, by each API's own means. Right is a formula in extended
precision. What the derivative of a function of each element may be off is ULPS ulps of `size`, the largest term of the
formulas that engines use: tanh' is 1 - tanh^2, so that its size is 1 where it is small.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from impls.floating_types import FLOATING
from suites.campaign.operations import (
    FULL,
    SHAPES,
    ULPS,
    Long,
    Operation,
    gamma,
    numbers,
    register,
    typed,
)
from suites.campaign.tables.elementwise import SMOOTH, SPECIAL, STEPS, sigmoid
from suites.campaign.tables.reductions import of_prefix, softmax
from suites.runner.workers import Arrays

INF = float("inf")
FILLS = ("normal", "ties", "wide", "large_mean", "tiny", "near_one", "integers")
Drawn = tuple[Arrays, dict[str, Any]]
Draw = Callable[[np.random.Generator, str], Drawn]
FEW = [each for each in SHAPES if np.prod(each) <= 300]


def differentiated(forms: dict[str, str], weighted: bool = False) -> dict[str, str]:
    """The gradient by x of the sum of an expression, times y where it is weighted."""
    found = {}
    for api, form in forms.items():
        inner = f"({form}) * y" if weighted else form
        if api == "torch":
            found[api] = f"torch.func.grad(lambda x: ({inner}).sum())(x)"
        elif api == "jax":
            found[api] = f"jax.grad(lambda x: ({inner}).sum())(x)"
        elif api == "tensorflow":
            found[api] = f"gradient(lambda x: {inner}, x)"
    return found


def called(row: Any) -> dict[str, str]:
    """The forms of a row of the tables of functions of each element."""
    apis = dict(zip(("torch", "jax", "tensorflow"), row[1:4], strict=True))
    return {api: name if "(" in name else f"{name}(x)" for api, name in apis.items() if name}


def inside(low: float, high: float, fills: tuple[str, ...] = FILLS) -> Draw:
    """Numbers within a domain, its edges left out: there a slope is infinite, or has a convention."""

    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        extents = SHAPES[int(rng.integers(len(SHAPES)))]
        x = numbers(rng, extents, dtype, fills[int(rng.integers(len(fills)))])
        if np.isfinite([low, high]).any():
            x = np.where((x <= low) | (x >= high), 0.5 if high <= 1 else 1.5, x)
        return {"x": typed(x, dtype)}, {}

    return draw


def density(x: Any) -> Any:
    return np.exp(-x * x / 2) / np.sqrt(2 * Long(np.pi))


# name: the slope, the size of what it is made of (None: the slope itself)
SLOPES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any] | None]] = {
    "exp": (np.exp, None),
    "expm1": (np.exp, lambda x: 1 + np.exp(x)),
    "log": (lambda x: 1 / x, None),
    "log1p": (lambda x: 1 / (1 + x), None),
    "sqrt": (lambda x: 0.5 / np.sqrt(x), None),
    "rsqrt": (lambda x: -0.5 / (x * np.sqrt(x)), None),
    "square": (lambda x: 2 * x, None),
    "reciprocal": (lambda x: -1 / (x * x), None),
    "sin": (np.cos, None),
    "cos": (lambda x: -np.sin(x), None),
    "tan": (lambda x: 1 + np.tan(x) ** 2, None),
    "arcsin": (lambda x: 1 / np.sqrt((1 - x) * (1 + x)), lambda x: ((1 - x) * (1 + x)) ** -1.5),
    "arctan": (lambda x: 1 / (1 + x * x), None),
    "arcsinh": (lambda x: 1 / np.sqrt(1 + x * x), None),
    "arctanh": (lambda x: 1 / ((1 - x) * (1 + x)), lambda x: 1 / ((1 - x) * (1 + x)) ** 2),
    "tanh": (lambda x: 1 / np.cosh(x) ** 2, np.ones_like),
    "sigmoid": (lambda x: sigmoid(x) * sigmoid(-x), np.ones_like),
    "softplus": (sigmoid, np.ones_like),
    "log_sigmoid": (lambda x: sigmoid(-x), np.ones_like),
    "swish": (lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), lambda x: 1 + np.abs(x)),
    "softsign": (lambda x: 1 / (1 + np.abs(x)) ** 2, lambda x: 1 / (1 + np.abs(x))),
    "elu": (lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))), np.ones_like),
    "erf": (lambda x: 2 / np.sqrt(Long(np.pi)) * np.exp(-x * x), lambda x: (1 + x * x) * np.exp(-x * x)),
    "gelu": (lambda x: special.ndtr(np.asarray(x, np.float64)) + x * density(x), lambda x: 1 + np.abs(x)),
    "relu": (lambda x: (x > 0) * 1.0, None),
    "abs": (np.sign, None),
}


def slope_error(size: Callable[[Any], Any] | None) -> Any:
    def error(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
        scale = np.abs(truth) if size is None else size(arrays["x"].astype(Long))
        return 2 * ULPS * u * scale

    return error


for name, (slope, size) in SLOPES.items():
    row = {**SMOOTH, **SPECIAL, **STEPS}[name]
    truth = lambda x, slope=slope: slope(x.astype(Long))  # noqa: E731
    dtypes = ("float32",) if name in SPECIAL else FULL
    register(
        Operation(
            f"gradient_of_{name}", differentiated(called(row)), truth, inside(*row[5]), slope_error(size), dtypes, True
        )
    )


# Of reductions


def few(fill: str = "normal", weighted: bool = False, zeros: float = 0.0) -> Draw:
    """Numbers and an axis; weights `y` of the same shape; some zeros."""

    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        x = numbers(rng, FEW[int(rng.integers(len(FEW)))], dtype, fill)
        if zeros:
            x = np.where(rng.random(x.shape) < zeros, 0.0, x)
        arrays = {"x": x}
        if weighted:
            arrays["y"] = numbers(rng, x.shape, dtype, "normal")
        return arrays, {"axis": int(rng.integers(x.ndim))}

    return draw


def others(x: Any, axis: int) -> Any:
    """The product of all other numbers along an axis: defined at zero as well."""
    moved = np.moveaxis(x.astype(Long), axis, 0)
    found = [np.prod(np.delete(moved, at, 0), 0) for at in range(len(moved))]
    return np.moveaxis(np.stack(found), 0, axis)


def of_prefixes(x: Any, axis: int) -> Any:
    """What each number has to do with the sum of all prefix products."""
    moved = np.moveaxis(x.astype(Long), axis, 0)
    found = np.zeros_like(moved)
    for at in range(len(moved)):
        without = moved.copy()
        without[at] = 1
        found[at] = np.cumprod(without, 0)[at:].sum(0)
    return np.moveaxis(found, 0, axis)


def of_others(function: Any) -> Any:
    def error(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
        n = arrays["x"].shape[options["axis"]]
        return gamma(4 * n + 20, u) * function(np.abs(arrays["x"]), options["axis"])

    return error


def softmax_slope(x: Any, y: Any, axis: int) -> Any:
    s = softmax(x.astype(Long), axis)
    return s * (y - np.sum(s * y, axis, keepdims=True))


SMALLEST = {each.unit: each.tiny for each in FLOATING.values()}  # normal number by the unit roundoff of its type


def of_softmax_slope(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    x, y, axis = arrays["x"], arrays["y"], options["axis"]
    reach = float(np.max(np.abs(x - np.max(x, axis, keepdims=True))))
    largest = np.max(np.abs(y), axis, keepdims=True)
    underflow = 2 * SMALLEST[u] * largest  # softmax, and its product with the sum, may be flushed to zero
    return 2 * (gamma(x.shape[axis] + 40, u) + 8 * u * reach) * softmax(x.astype(Long), axis) * largest + underflow


def deviation(x: Any, axis: int) -> Any:
    x = x.astype(Long)
    return 2 * (x - np.mean(x, axis, keepdims=True)) / x.shape[axis]


def of_deviation(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    x, axis = np.abs(arrays["x"]), options["axis"]
    n = x.shape[axis]
    return 2 / n * gamma(n + 8, u) * (x + np.mean(x, axis, keepdims=True))


def nothing(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    return np.zeros(np.shape(truth))


def remaining(x: Any, axis: int) -> Any:
    """How many prefixes each number is in."""
    counts = np.arange(x.shape[axis], 0, -1.0)
    return np.broadcast_to(counts.reshape([-1 if at == axis else 1 for at in range(x.ndim)]), x.shape)


def by_rank(x: Any, y: Any, axis: int) -> Any:
    return np.take_along_axis(y, np.argsort(np.argsort(x, axis, kind="stable"), axis, kind="stable"), axis)


OF_REDUCTIONS: dict[str, tuple[Any, dict[str, str], Draw, Any, bool]] = {
    "prod": (others, {"torch": "torch.prod(x, dim=axis)", "jax": "jnp.prod(x, axis)",
             "tensorflow": "tf.reduce_prod(x, axis)"}, few("near_one", zeros=0.1), of_others(others), False),
    "cumprod": (of_prefixes, {"torch": "torch.cumprod(x, dim=axis)", "jax": "jnp.cumprod(x, axis)",
                "tensorflow": "tf.math.cumprod(x, axis)"}, few("near_one", zeros=0.05), of_others(of_prefixes), False),
    "cumsum": (remaining, {"torch": "torch.cumsum(x, dim=axis)", "jax": "jnp.cumsum(x, axis)",
               "tensorflow": "tf.cumsum(x, axis)"}, few(), nothing, False),
    "logsumexp": (lambda x, axis: softmax(x.astype(Long), axis), {"torch": "torch.logsumexp(x, dim=axis)",
                  "jax": "jax.nn.logsumexp(x, axis)", "tensorflow": "tf.reduce_logsumexp(x, axis)"}, few("saturated"),
                  lambda arrays, truth, options, u: of_softmax_slope({**arrays, "y": np.ones_like(arrays["x"])}, truth,
                                                                     options, u), False),
    "softmax": (softmax_slope, {"torch": "torch.softmax(x, dim=axis)", "jax": "jax.nn.softmax(x, axis)",
                "tensorflow": "tf.nn.softmax(x, axis)"}, few("saturated", True), of_softmax_slope, True),
    "var": (deviation, {"torch": "torch.var(x, dim=axis, correction=0)", "jax": "jnp.var(x, axis)",
            "tensorflow": "tf.math.reduce_variance(x, axis)"}, few("large_mean"), of_deviation, False),
    "sort": (by_rank, {"torch": "torch.sort(x, dim=axis)[0]", "jax": "jnp.sort(x, axis)"}, few("normal", True), nothing,
             True),
}  # fmt: skip
for name, (truth, forms, draw, error, weighted) in OF_REDUCTIONS.items():
    register(Operation(f"gradient_of_{name}", differentiated(forms, weighted), truth, draw, error, FULL))


# Reductions after products, scans, functions over a batch


def product_sum(x: Any, y: Any, axis: int) -> Any:
    return np.sum(x.astype(Long) * y, axis)


def of_product_sum(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    n = arrays["x"].shape[options["axis"]]
    return gamma(n + 3, u) * np.abs(product_sum(np.abs(arrays["x"]), np.abs(arrays["y"]), options["axis"]))


def stacks(rng: np.random.Generator, dtype: str) -> Drawn:
    """Two stacks of as many matrices."""
    n, a, b, c = (int(rng.choice((1, 2, 3, 5, 8, 16, 17, 33, 65))) for _ in range(4))
    return {"x": numbers(rng, (n, a, b), dtype, "normal"), "y": numbers(rng, (n, b, c), dtype, "normal")}, {}


def of_stacks(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    return gamma(arrays["x"].shape[-1] + 2, u) * (np.abs(arrays["x"]) @ np.abs(arrays["y"]))


def recurrence(x: Any, y: Any) -> Any:
    """h = y h + x along the first axis."""
    h, found = np.zeros(x.shape[1:], Long), []
    for a, b in zip(y, x, strict=True):
        h = a * h + b
        found.append(h)
    return np.stack(found)


def of_recurrence(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    return gamma(4 * len(arrays["x"]) + 4, u) * recurrence(np.abs(arrays["x"]), np.abs(arrays["y"]))


def decaying(rng: np.random.Generator, dtype: str) -> Drawn:
    """Numbers, and factors below one."""
    n, m = int(rng.choice((1, 2, 3, 7, 8, 9, 33, 129, 1025))), int(rng.choice((1, 2, 5)))
    return {"x": numbers(rng, (n, m), dtype, "normal"), "y": typed(rng.uniform(0.1, 0.99, (n, m)), dtype)}, {}


def log_cumulative(x: Any, axis: int) -> Any:
    return np.logaddexp.accumulate(x.astype(Long), axis)


def of_log_cumulative(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    n = arrays["x"].shape[options["axis"]]
    largest = np.max(np.abs(arrays["x"]), options["axis"], keepdims=True)
    return gamma(n + 20, u) * (1 + largest) + 32 * u * (np.abs(truth) + largest)


register(
    Operation(
        "product_sum",
        {"torch": "(x * y).sum(axis)", "jax": "(x * y).sum(axis)", "tensorflow": "tf.reduce_sum(x * y, axis)",
         "keras": "ops.sum(x * y, axis)"},
        product_sum, few("normal", True), of_product_sum, FULL,
    )
)  # fmt: skip
register(
    Operation(
        "product_of_each",
        {"torch": "torch.func.vmap(torch.matmul)(x, y)", "jax": "jax.vmap(jnp.matmul)(x, y)",
         "tensorflow": "tf.linalg.matmul(x, y)", "keras": "ops.vectorized_map(lambda z: ops.matmul(*z), (x, y))"},
        lambda x, y: x.astype(Long) @ y.astype(Long), stacks, of_stacks, FULL,
    )
)  # fmt: skip
register(
    Operation(
        "batched_product",
        {"torch": "torch.bmm(x, y)", "jax": "jnp.einsum('nij,njk->nik', x, y)",
         "tensorflow": "tf.einsum('nij,njk->nik', x, y)", "keras": "ops.einsum('nij,njk->nik', x, y)"},
        lambda x, y: x.astype(Long) @ y.astype(Long), stacks, of_stacks, FULL,
    )
)  # fmt: skip
register(
    Operation(
        "recurrence",
        {"jax": "lax.scan(lambda h, z: (z[0] * h + z[1],) * 2, jnp.zeros_like(x[0]), (y, x))[1]",
         "tensorflow": "tf.scan(lambda h, z: z[0] * h + z[1], (y, x), tf.zeros_like(x[0]))",
         "keras": "ops.scan(lambda h, z: (z[0] * h + z[1],) * 2, ops.zeros_like(x[0]), (y, x))[1]"},
        recurrence, decaying, of_recurrence, FULL,
    )
)  # fmt: skip
register(
    Operation(
        "recurrence_by_halves",
        {"jax": "lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (y, x))[1]",
         "keras": "ops.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (y, x))[1]"},
        recurrence, decaying, of_recurrence, FULL,
    )
)  # fmt: skip
register(
    Operation(
        "cumulative_logsumexp",
        {"torch": "torch.logcumsumexp(x, dim=axis)", "jax": "lax.cumlogsumexp(x, axis)",
         "tensorflow": "tf.math.cumulative_logsumexp(x, axis)"},
        log_cumulative, few("saturated"), of_log_cumulative, FULL,
    )
)  # fmt: skip
register(
    Operation(
        "sums_by_scan",
        {"jax": "lax.associative_scan(jnp.add, x, axis=axis)",
         "keras": "ops.associative_scan(lambda a, b: a + b, x, axis=axis)"},
        lambda x, axis: np.cumsum(x.astype(Long), axis), few(), of_prefix, FULL,
    )
)  # fmt: skip
