"""What is made of several operations: statistics without NaN, windows of signals, activations, counts, scatters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suites.campaign.operations import (
    FULL,
    SHAPES,
    Long,
    Operation,
    exact,
    gamma,
    numbers,
    of_size_one,
    register,
    shape,
    typed,
)
from suites.campaign.tables.windows import picker
from suites.runner.workers import Arrays

Drawn = tuple[Arrays, dict[str, Any]]
Draw = Callable[[np.random.Generator, str], Drawn]


def table(name: str, truth: Any, forms: dict[str, str], draw: Draw, error: Any = exact, dtypes: Any = FULL) -> None:
    register(Operation(name, forms, truth, draw, error, dtypes))


def of_magnitudes(function: Any, terms: int = 0) -> Any:
    """Sums of products: gamma_n of the same with all signs positive."""

    def error(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
        n = terms or max(value.size for value in arrays.values()) + 20
        return gamma(n, u) * np.abs(function(**{k: np.abs(v) for k, v in arrays.items()}, **options))

    return error


def weighted(rng: np.random.Generator, dtype: str) -> Drawn:
    """Numbers and positive weights along an axis."""
    x = numbers(rng, shape(rng, (1, 2)), dtype, "normal")
    axis = int(rng.integers(x.ndim))
    return {"x": x, "y": typed(np.abs(rng.normal(size=x.shape[axis])) + 0.1, dtype)}, {"axis": axis}


def average(x: Any, y: Any, axis: int) -> Any:
    return np.average(x.astype(Long), axis, y.astype(Long))


table("average", average, {"jax": "jnp.average(x, axis, y)", "keras": "ops.average(x, axis, y)"}, weighted,
      of_magnitudes(average))  # fmt: skip


def axis_of(fill: str, ranks: tuple[int, ...] = (1, 2, 3)) -> Draw:
    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        x = numbers(rng, shape(rng, ranks), dtype, fill)
        return {"x": x}, {"axis": int(rng.integers(x.ndim))}

    return draw


def with_nan(rng: np.random.Generator, dtype: str) -> Drawn:
    """A fifth NaN, but no slice of nothing else; short, for Keras on TensorFlow takes minutes for a long median."""
    x = numbers(rng, SHAPES[int(rng.integers(len(SHAPES)))], dtype, "normal")
    axis = int(rng.integers(x.ndim))
    x[rng.random(x.shape) < 0.2] = np.nan
    empty = np.isnan(x).all(axis, keepdims=True)
    return {"x": np.where(empty, 1.0, x)}, {"axis": axis}


def no_nan(function: Any) -> Any:
    return lambda x, axis: function(x.astype(Long), axis)


def of_nan_sums(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    x = np.nan_to_num(arrays["x"])
    return gamma(x.shape[options["axis"]] + 8, u) * (1 + np.max(np.abs(x))) ** 2 + np.zeros(np.shape(truth))


for short in ("mean", "var", "std", "median"):
    table(f"nan{short}", no_nan(getattr(np, f"nan{short}")),
          {"jax": f"jnp.nan{short}(x, axis)", "keras": f"ops.nan{short}(x, axis)"}, with_nan, of_nan_sums)  # fmt: skip
table("nanargmax", lambda x, axis: np.nanargmax(x, axis), {"jax": "jnp.nanargmax(x, axis)",
      "keras": "ops.nanargmax(x, axis)"}, with_nan)  # fmt: skip
table("nanmin", lambda x, axis: np.nanmin(x, axis), {"jax": "jnp.nanmin(x, axis)", "keras": "ops.nanmin(x, axis)"},
      with_nan)  # fmt: skip
table("nancumsum", no_nan(np.nancumsum), {"jax": "jnp.nancumsum(x, axis)", "keras": "ops.nancumsum(x, axis)"},
      with_nan, lambda arrays, truth, options, u: gamma(arrays["x"].size + 4, u) * np.nansum(np.abs(arrays["x"]))
      + np.zeros(np.shape(truth)))  # fmt: skip
table("std", no_nan(np.std), {"torch": "torch.std(x, dim=axis, correction=0)", "jax": "jnp.std(x, axis)",
      "tensorflow": "tf.math.reduce_std(x, axis)", "keras": "ops.std(x, axis)"}, axis_of("normal"),
      of_nan_sums)  # fmt: skip
table("nan_to_num", lambda x: np.nan_to_num(x, nan=0.5, posinf=2.0, neginf=-3.0),
      {"torch": "torch.nan_to_num(x, 0.5, 2.0, -3.0)", "jax": "jnp.nan_to_num(x, nan=0.5, posinf=2.0, neginf=-3.0)",
       "keras": "ops.nan_to_num(x, 0.5, 2.0, -3.0)"},
      lambda rng, dtype: ({"x": numbers(rng, shape(rng, (1, 2)), dtype, "specials")}, {}))  # fmt: skip


def of_decimals(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    """Ulps; infinite where 100 x, rounded, may lie on the other side of a half: which way it goes is then open."""
    scaled = 100 * np.abs(arrays["x"].astype(Long))
    open_ways = np.abs(scaled - np.floor(scaled) - 0.5) <= 4 * u * scaled
    return np.where(open_ways, np.inf, of_size_one(arrays, truth, options, u))


table("round_decimals", lambda x: np.round(x.astype(Long), 2), {"torch": "torch.round(x, decimals=2)",
      "jax": "jnp.round(x, 2)", "keras": "ops.round(x, 2)"},
      lambda rng, dtype: ({"x": numbers(rng, shape(rng, (1, 2)), dtype, "normal")}, {}), of_decimals)  # fmt: skip


def trapezoid(x: Any, axis: int) -> Any:
    return np.trapezoid(x.astype(Long), axis=axis)


table("trapezoid", trapezoid, {"torch": "torch.trapezoid(x, dim=axis)", "jax": "jnp.trapezoid(x, axis=axis)",
      "keras": "ops.trapezoid(x, axis=axis)"}, axis_of("normal"), of_magnitudes(trapezoid))  # fmt: skip


def few(rng: np.random.Generator, dtype: str) -> Drawn:
    """A short vector and a count."""
    pick = picker(rng)
    return {"x": numbers(rng, (pick((1, 2, 3, 5)),), dtype, "ties")}, {"n": pick((1, 2, 3, 4))}


table("vander", lambda x, n: np.vander(x, n), {"jax": "jnp.vander(x, n)", "keras": "ops.vander(x, n)"}, few,
      lambda arrays, truth, options, u: 8 * u * np.abs(truth))  # fmt: skip
table("diag", lambda x, n: np.diag(x, n), {"torch": "torch.diag(x, n)", "jax": "jnp.diag(x, n)",
      "keras": "ops.diag(x, n)"}, few)  # fmt: skip
table("diagflat", lambda x, n: np.diagflat(x, -n), {"torch": "torch.diagflat(x, -n)", "jax": "jnp.diagflat(x, -n)",
      "keras": "ops.diagflat(x, -n)"}, few)  # fmt: skip
table("tri", lambda n, m, k: np.tri(n, m, k), {"jax": "jnp.tri(n, m, k)", "keras": "ops.tri(n, m, k)"},
      lambda rng, dtype: ({}, {"n": picker(rng)((1, 2, 5)), "m": picker(rng)((1, 3, 4)),
                               "k": picker(rng)((-2, -1, 0, 1, 2))}), exact, ("float32",))  # fmt: skip


def span(rng: np.random.Generator, dtype: str) -> Drawn:
    return {}, {"n": picker(rng)((1, 2, 3, 4, 7, 8, 33))}


for short in ("bartlett", "blackman", "hamming", "hanning"):
    forms = {"jax": f"jnp.{short}(n)", "keras": f"ops.{short}(n)"}
    if short != "hanning":
        forms["torch"] = f"torch.{short}_window(n, periodic=False)"
    table(short, lambda n, short=short: getattr(np, short)(n), forms, span,
          lambda arrays, truth, options, u: np.full(np.shape(truth), 2.0**-20), ("float32",))  # fmt: skip
table("kaiser", lambda n: np.kaiser(n, 4.0), {"jax": "jnp.kaiser(n, 4.0)", "keras": "ops.kaiser(n, 4.0)",
      "torch": "torch.kaiser_window(n, periodic=False, beta=4.0)"}, span,
      lambda arrays, truth, options, u: np.full(np.shape(truth), 2.0**-18), ("float32",))  # fmt: skip


def ranges(rng: np.random.Generator, dtype: str) -> Drawn:
    a, n = int(rng.integers(-5, 5)), int(rng.choice([1, 2, 5, 50]))
    return {}, {"a": a, "b": a + int(rng.integers(1, 4)), "n": n}


table("logspace", lambda a, b, n: np.logspace(a, b, n), {"jax": "jnp.logspace(a, b, n, dtype='float32')",
      "torch": "torch.logspace(a, b, n)", "keras": "ops.logspace(a, b, n, dtype='float32')"}, ranges,
      lambda arrays, truth, options, u: 200 * u * np.abs(truth), ("float32",))  # fmt: skip
table("geomspace", lambda a, b, n: np.geomspace(2.0**a, 2.0**b, n),
      {"jax": "jnp.geomspace(2.0**a, 2.0**b, n, dtype='float32')",
       "keras": "ops.geomspace(2.0**a, 2.0**b, n, dtype='float32')"}, ranges,
      lambda arrays, truth, options, u: 200 * u * np.abs(truth), ("float32",))  # fmt: skip
table("arange", lambda a, b, n: np.arange(a, b, 0.5), {"torch": "torch.arange(a, b, 0.5)",
      "jax": "jnp.arange(a, b, 0.5)", "tensorflow": "tf.range(a, b, 0.5)", "keras": "ops.arange(a, b, 0.5)"}, ranges,
      exact, ("float32",))  # fmt: skip


def bins(rng: np.random.Generator, dtype: str) -> Drawn:
    """Integers as floats, in bins of whole numbers, with some on the edges and some outside."""
    x = typed(rng.integers(-6, 7, picker(rng)((1, 2, 7, 33, 1025))).astype(float), dtype)
    return {"x": x}, {"n": picker(rng)((1, 2, 5, 10))}


table("histogram", lambda x, n: np.histogram(x, n, (-5, 5))[0], {"torch": "torch.histc(x, n, -5, 5)",
      "jax": "jnp.histogram(x, n, (-5, 5))[0]", "keras": "ops.histogram(x, n, (-5, 5))[0]",
      "tensorflow": "tf.histogram_fixed_width(x, [-5.0, 5.0], n)"}, bins, exact, ("float32",))  # fmt: skip
table("digitize", lambda x, n: np.digitize(x, np.arange(-3.0, 4.0)),
      {"jax": "jnp.digitize(x, jnp.arange(-3.0, 4.0))",
       "keras": "ops.digitize(x, [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])",
       "torch": "torch.bucketize(x, torch.arange(-3.0, 4.0), right=True)"}, bins, exact, ("float32",))  # fmt: skip
table("isin", lambda x, n: np.isin(x, [1.0, 2.0, 9.0]), {"torch": "torch.isin(x, torch.tensor([1.0, 2.0, 9.0]))",
      "jax": "jnp.isin(x, jnp.asarray([1.0, 2.0, 9.0]))", "keras": "ops.isin(x, [1.0, 2.0, 9.0])"}, bins, exact,
      ("float32",))  # fmt: skip


def ids(rng: np.random.Generator, dtype: str) -> Drawn:
    """Labels, some of which are out of range."""
    return {"i": rng.integers(-2, 7, picker(rng)((1, 2, 7, 17))).astype(np.int32)}, {"n": picker(rng)((1, 2, 5))}


table("one_hot", lambda i, n: (i[:, None] == np.arange(n)).astype(float), {"jax": "jax.nn.one_hot(i, n)",
      "tensorflow": "tf.one_hot(i, n)", "keras": "ops.one_hot(i, n)"}, ids, exact, ("float32",))  # fmt: skip


def updates(rng: np.random.Generator, dtype: str) -> Drawn:
    """Rows that are written, none of them twice."""
    n = picker(rng)((1, 2, 5, 17))
    rows = rng.permutation(n)[: max(1, n // 2)].astype(np.int32)
    x, y = numbers(rng, (n, 3), dtype, "normal"), numbers(rng, (len(rows), 3), dtype, "normal")
    return {"x": x, "i": rows, "y": y}, {}


def updated(x: Any, i: Any, y: Any) -> Any:
    found = x.copy()
    found[i] = y
    return found


table("scatter_update", updated, {"jax": "x.at[i].set(y)",
      "tensorflow": "tf.tensor_scatter_nd_update(x, i[:, None], y)",
      "keras": "ops.scatter_update(x, i[:, None], y)", "torch": "x.index_copy(0, i.long(), y)"}, updates)  # fmt: skip


def duplicated(rng: np.random.Generator, dtype: str) -> Drawn:
    n = picker(rng)((1, 2, 5, 33, 1025))
    return {"i": rng.integers(0, 4, n).astype(np.int32), "y": numbers(rng, (n, 2), dtype, "normal")}, {}


def scattered(i: Any, y: Any) -> Any:
    found = np.zeros((4, 2), Long)
    np.add.at(found, i, y)
    return found


table("scatter_duplicates", scattered, {"tensorflow": "tf.scatter_nd(i[:, None], y, [4, 2])",
      "keras": "ops.scatter(i[:, None], y, (4, 2))"}, duplicated, lambda arrays, truth, options, u:
      gamma(len(arrays["i"]) + 2, u) * scattered(arrays["i"], np.abs(arrays["y"])))  # fmt: skip


def single(fill: str = "normal", low: float = -np.inf) -> Draw:
    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        return {"x": np.maximum(numbers(rng, shape(rng, (1, 2)), dtype, fill), low)}, {}

    return draw


ACTIVATIONS: dict[str, tuple[Any, str, str]] = {
    "celu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), "F.celu(x)", "jax.nn.celu(x)"),
    "selu": (lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
             "F.selu(x)", "jax.nn.selu(x)"),
    "hard_shrink": (lambda x: np.where(np.abs(x) > 0.5, x, 0), "F.hardshrink(x)", ""),
    "soft_shrink": (lambda x: np.where(x > 0.5, x - 0.5, np.where(x < -0.5, x + 0.5, 0)), "F.softshrink(x)", ""),
    "tanh_shrink": (lambda x: x - np.tanh(x), "F.tanhshrink(x)", ""),
    "squareplus": (lambda x: (x + np.sqrt(x * x + 4)) / 2, "", "jax.nn.squareplus(x)"),
    "sparse_plus": (lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)), "", "jax.nn.sparse_plus(x)"),
    "hard_sigmoid": (lambda x: np.clip(x / 6 + 0.5, 0, 1), "F.hardsigmoid(x)", "jax.nn.hard_sigmoid(x)"),
    "hard_silu": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "F.hardswish(x)", "jax.nn.hard_silu(x)"),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), "F.hardtanh(x)", "jax.nn.hard_tanh(x)"),
}  # fmt: skip
for name, (function, torch, jax) in ACTIVATIONS.items():
    forms = {api: form for api, form in (("torch", torch), ("jax", jax), ("keras", f"ops.{name}(x)")) if form}
    table(name, lambda x, function=function: function(x.astype(Long)), forms, single(), of_size_one)


def rows_of(rng: np.random.Generator, dtype: str) -> Drawn:
    """Rows with ties, up to long ones."""
    n, m = picker(rng)((1, 2, 5)), picker(rng)((1, 2, 3, 8, 17, 33))
    return {"x": numbers(rng, (n, m), dtype, str(rng.choice(["normal", "ties"])))}, {}


def sparsemax(x: Any) -> Any:
    """Martins and Astudillo (2016), algorithm 1."""
    z = -np.sort(-x, -1)
    k = np.arange(1, x.shape[-1] + 1)
    inside = 1 + k * z > np.cumsum(z, -1)
    count = inside.sum(-1, keepdims=True)
    threshold = (np.take_along_axis(np.cumsum(z, -1), count - 1, -1) - 1) / count
    return np.maximum(x - threshold, 0)


table("sparsemax", lambda x: sparsemax(x.astype(Long)), {"keras": "ops.sparsemax(x)"}, rows_of,
      lambda arrays, truth, options, u: gamma(80, u) * (1 + np.abs(arrays["x"]).max()) * 4
      + np.zeros(np.shape(truth)))  # fmt: skip
table("glu", lambda x: x[:, 0::2] * 0 + np.split(x, 2, -1)[0] / (1 + np.exp(-np.split(x, 2, -1)[1])),
      {"torch": "F.glu(x)", "jax": "jax.nn.glu(x)", "keras": "ops.glu(x)"},
      lambda rng, dtype: ({"x": numbers(rng, (3, 2 * picker(rng)((1, 3, 8))), dtype, "normal")}, {}),
      of_size_one)  # fmt: skip


def whole(rng: np.random.Generator, dtype: str) -> Drawn:
    """Small whole numbers along an axis."""
    x = np.clip(numbers(rng, shape(rng, (1, 2, 3)), dtype, "ties"), -3, 3)
    return {"x": x}, {"axis": int(rng.integers(x.ndim))}


table("diff_int", lambda x, axis: np.diff(x, axis=axis), {"torch": "torch.diff(x, dim=axis)",
      "jax": "jnp.diff(x, axis=axis)", "keras": "ops.diff(x, axis=axis)"}, whole, exact, ("int32",
      "int64"))  # fmt: skip
table("median_int", lambda x, axis: np.median(x, axis), {"jax": "jnp.median(x, axis)", "keras": "ops.median(x, axis)"},
      whole, exact, ("int32", "int64", "int8"))  # fmt: skip
table("max_of_integers", lambda x, axis: np.max(x, axis), {"torch": "torch.amax(x, dim=axis)",
      "jax": "jnp.max(x, axis)", "tensorflow": "tf.reduce_max(x, axis)", "keras": "ops.max(x, axis)"}, whole, exact,
      ("int32", "int64", "int8", "uint8", "int16"))  # fmt: skip
table("any_int", lambda x, axis: np.any(x, axis), {"torch": "torch.any(x, dim=axis)", "jax": "jnp.any(x, axis)",
      "keras": "ops.any(x, axis)"}, whole, exact, ("int32", "int8"))  # fmt: skip
table("clip_int", lambda x, axis: np.clip(x, -1, 2), {"torch": "torch.clip(x, -1, 2)", "jax": "jnp.clip(x, -1, 2)",
      "tensorflow": "tf.clip_by_value(x, -1, 2)", "keras": "ops.clip(x, -1, 2)"}, whole, exact,
      ("int32", "int64"))  # fmt: skip
table("unfold_sequences", lambda x: np.lib.stride_tricks.sliding_window_view(x, 3, -1)[..., ::2, :],
      {"keras": "ops.extract_sequences(x, 3, 2)", "torch": "x.unfold(-1, 3, 2)",
       "tensorflow": "tf.signal.frame(x, 3, 2)"},
      lambda rng, dtype: ({"x": numbers(rng, (2, picker(rng)((3, 4, 5, 8, 17))), dtype, "normal")}, {}))  # fmt: skip
table("take_along_axis", lambda x, i: np.take_along_axis(x, i, -1),
      {"jax": "jnp.take_along_axis(x, i, -1)", "torch": "torch.take_along_dim(x, i.long(), -1)",
       "tensorflow": "tf.gather(x, i, axis=-1, batch_dims=1)", "keras": "ops.take_along_axis(x, i, -1)"},
      lambda rng, dtype: ({"x": numbers(rng, (3, 5), dtype, "normal"),
                           "i": rng.integers(0, 5, (3, 4)).astype(np.int32)}, {}))  # fmt: skip
table("tile", lambda x, n: np.tile(x, (2, n)), {"torch": "torch.tile(x, (2, n))", "jax": "jnp.tile(x, (2, n))",
      "keras": "ops.tile(x, (2, n))"}, few)  # fmt: skip
table("percentile", lambda x, axis: np.percentile(x.astype(Long), 30, axis), {"jax": "jnp.percentile(x, 30, axis)",
      "keras": "ops.percentile(x, 30, axis)"}, axis_of("normal", (1, 2)),
      lambda arrays, truth, options, u: 64 * u * (1 + np.abs(arrays["x"]).max() * 2000)
      + np.zeros(np.shape(truth)))  # fmt: skip
table("rms_normalization", lambda x: x / np.sqrt(np.mean(x.astype(Long) ** 2, -1, keepdims=True) + 1e-5),
      {"keras": "ops.rms_normalization(x, epsilon=1e-5)", "torch": "F.rms_norm(x, x.shape[-1:], eps=1e-5)"}, rows_of,
      lambda arrays, truth, options, u: gamma(80, u) * (np.abs(truth) + 1))  # fmt: skip
table("segment_prod", lambda i, y: _segment_product(i, y), {"jax": "jax.ops.segment_prod(y, i, 4)",
      "tensorflow": "tf.math.unsorted_segment_prod(y, i, 4)", "keras": "ops.segment_prod(y, i, 4)"},
      lambda rng, dtype: ({"i": rng.integers(0, 4, 6).astype(np.int32), "y": numbers(rng, (6, 2), dtype, "normal")},
                          {}), lambda arrays, truth, options, u: gamma(20, u) * np.abs(truth))  # fmt: skip


def _segment_product(i: Any, y: Any) -> Any:
    found = np.ones((4, 2), Long)
    np.multiply.at(found, i, y)
    return found
