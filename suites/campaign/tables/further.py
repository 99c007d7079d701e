"""Operations that came later: normalisation, special functions, parts of numbers, solving, what passes over NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from suites.campaign.operations import Long, along, exact, gamma, numbers, of_size_one, of_variance, one, two
from suites.campaign.tables.composed import Draw, Drawn, axis_of, table
from suites.campaign.tables.windows import picker
from suites.runner.workers import Arrays

NORM_EPSILON = 1e-5


# Normalisation


def normalised(x: Any, axes: Any) -> Any:
    x = x.astype(Long)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + NORM_EPSILON)


def of_normalised(x: Any, axes: Any, truth: Any, u: float) -> Any:
    """The mean is off by gamma_n times the magnitudes; the variance as `of_variance` says, by n u kappa of itself."""
    x = x.astype(Long)
    spread = np.sqrt(x.var(axes, keepdims=True) + NORM_EPSILON)
    reach = np.abs(x).max(axes, keepdims=True) / spread
    once = gamma(x.size // spread.size + 10, u)
    return once * (1 + reach) * (1 + np.abs(truth)) + (once * reach) ** 2 * np.abs(truth)


def grouped(x: Any, groups: int) -> Any:
    """(N, H, W, C) to (N, H W, groups, C / groups)."""
    return x.reshape(len(x), -1, groups, x.shape[-1] // groups)


def images(rng: np.random.Generator, dtype: str) -> Drawn:
    """Images whose channels are in groups, some far from zero."""
    pick = picker(rng)
    groups, each, height, width = pick((1, 2, 3)), pick((1, 2, 4)), pick((1, 2, 7, 16)), pick((2, 3, 8, 17))
    extents = (pick((1, 2, 3)), height, width, groups * each)
    return {"x": numbers(rng, extents, dtype, str(rng.choice(["normal", "large_mean"])))}, {"groups": groups}


def group_norm(x: Any, groups: int) -> Any:
    return normalised(grouped(x, groups), (1, 3)).reshape(x.shape)


def of_group_norm(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    x = grouped(arrays["x"], options["groups"])
    return of_normalised(x, (1, 3), truth.reshape(x.shape), u).reshape(truth.shape)


for name, order in (("last", ""), ("first", ".contiguous()")):
    form = f"F.group_norm(x.permute(0, 3, 1, 2){order}, groups).permute(0, 2, 3, 1)"
    table(f"group_norm_channels_{name}", group_norm, {"torch": form}, images, of_group_norm)
table("standardize", lambda x, axis: normalised(x, axis), {"jax": "jax.nn.standardize(x, axis, epsilon=1e-5)"},
      axis_of("", (1, 2, 3)),
      lambda arrays, truth, options, u: of_normalised(arrays["x"], options["axis"], truth, u))  # fmt: skip
table("layer_normalization", lambda x: normalised(x, -1), {"keras": "ops.layer_normalization(x, epsilon=1e-5)",
      "torch": "F.layer_norm(x, x.shape[-1:], None, None, 1e-5)"}, one((2, 3)),
      lambda arrays, truth, options, u: of_normalised(arrays["x"], -1, truth, u))  # fmt: skip
table("variance_of_moments", lambda x, axis: np.var(x.astype(Long), axis),
      {"keras": "ops.moments(x, axis)[1]", "tensorflow": "tf.nn.moments(x, [axis])[1]"}, along(),
      of_variance)  # fmt: skip


# Special functions: some ulps, and what an ulp of an argument does


def of_condition(function: Callable[..., Any], exponent: bool = False) -> Any:
    """With `exponent` of two arguments: of what is exp(x log y - y - log Gamma(x)), by the sizes of these terms."""

    def error(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
        found = 64 * u * np.abs(truth)
        if exponent:
            x, y = arrays["x"], arrays["y"]
            terms = x * np.abs(np.log(np.maximum(y, 1e-30))) + np.abs(y) + np.abs(special.gammaln(x))
            found = found + 16 * u * (1 + terms) * np.abs(truth)
        for name, value in arrays.items():
            for side in (1 - 4 * u, 1 + 4 * u):
                moved = function(**{**arrays, name: value * side})
                found = found + np.abs(np.nan_to_num(moved - truth, nan=np.inf))
        return found

    return error


def within(low: float, high: float) -> Draw:
    """Numbers of an interval, whole and half ones among them; short, since a reference takes long."""

    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        x = rng.uniform(low, high, picker(rng)((1, 3, 8, 33)))
        x[rng.random(x.size) < 0.2] = np.clip(np.round(2 * x[rng.random(x.size) < 2][0]) / 2, low, high)
        return {"x": x.astype(dtype).astype(np.float64)}, {}

    return draw


def within_both(first: tuple[float, float], second: tuple[float, float]) -> Draw:
    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        n = picker(rng)((1, 3, 8, 33))
        pair = (rng.uniform(*each, n).astype(dtype).astype(np.float64) for each in (first, second))
        return dict(zip(("x", "y"), pair, strict=True)), {}

    return draw


def function_of_one(name: str, truth: Any, forms: dict[str, str], low: float, high: float) -> None:
    table(name, lambda x: truth(x), forms, within(low, high), of_condition(lambda x: truth(x)))


def function_of_two(name: str, truth: Any, forms: dict[str, str], *intervals: tuple[float, float]) -> None:
    error = of_condition(lambda x, y: truth(x, y), name in ("gammainc", "gammaincc", "betainc", "beta"))
    table(name, lambda x, y: truth(x, y), forms, within_both(*intervals), error)


JAX, TORCH, TF = "jax.scipy.special", "torch.special", "tf.math"
function_of_one("i0", special.i0, {"torch": f"{TORCH}.i0(x)", "jax": f"{JAX}.i0(x)", "keras": "ops.i0(x)",
                "tensorflow": f"{TF}.special.bessel_i0(x)"}, -30, 30)  # fmt: skip
function_of_one("i1", special.i1, {"torch": f"{TORCH}.i1(x)", "jax": f"{JAX}.i1(x)",
                "tensorflow": f"{TF}.special.bessel_i1(x)"}, -30, 30)  # fmt: skip
function_of_one("bessel_j0", special.j0, {"torch": f"{TORCH}.bessel_j0(x)",
                "tensorflow": f"{TF}.special.bessel_j0(x)"}, -30, 30)  # fmt: skip
function_of_one("bessel_y1", special.y1, {"torch": f"{TORCH}.bessel_y1(x)",
                "tensorflow": f"{TF}.special.bessel_y1(x)"}, 0.1, 30)  # fmt: skip
function_of_one("log_ndtr", special.log_ndtr, {"torch": f"{TORCH}.log_ndtr(x)", "jax": f"{JAX}.log_ndtr(x)"}, -40, 12)
function_of_one("ndtri", special.ndtri, {"torch": f"{TORCH}.ndtri(x)", "jax": f"{JAX}.ndtri(x)",
                "tensorflow": f"{TF}.ndtri(x)"}, 1e-6, 0.9)  # fmt: skip
function_of_one("entr", special.entr, {"torch": f"{TORCH}.entr(x)", "jax": f"{JAX}.entr(x)"}, 0, 30)
function_of_one("exp1", special.exp1, {"jax": f"{JAX}.exp1(x)"}, 0.01, 40)
function_of_one("expi", special.expi, {"jax": f"{JAX}.expi(x)", "tensorflow": f"{TF}.special.expint(x)"}, 0.5, 40)
function_of_one("spence", special.spence, {"jax": f"{JAX}.spence(x)", "tensorflow": f"{TF}.special.spence(x)"}, 0, 9)
function_of_one("dawsn", special.dawsn, {"tensorflow": f"{TF}.special.dawsn(x)"}, -30, 30)
function_of_two("zeta", special.zeta, {"torch": f"{TORCH}.zeta(x, y)", "jax": f"{JAX}.zeta(x, y)",
                "tensorflow": f"{TF}.zeta(x, y)"}, (1.05, 20), (0.1, 20))  # fmt: skip
function_of_one("trigamma", lambda x: special.polygamma(1, x), {"torch": f"{TORCH}.polygamma(1, x)",
                "jax": f"{JAX}.polygamma(1, x)", "tensorflow": f"{TF}.polygamma(1.0 + 0 * x, x)"},
                0.05, 40)  # fmt: skip
function_of_two("gammainc", special.gammainc, {"torch": f"{TORCH}.gammainc(x, y)", "jax": f"{JAX}.gammainc(x, y)",
                "tensorflow": f"{TF}.igamma(x, y)"}, (0.05, 60), (0, 60))  # fmt: skip
function_of_two("gammaincc", special.gammaincc, {"torch": f"{TORCH}.gammaincc(x, y)", "jax": f"{JAX}.gammaincc(x, y)",
                "tensorflow": f"{TF}.igammac(x, y)"}, (0.05, 60), (0, 60))  # fmt: skip
function_of_two("betainc", lambda x, y: special.betainc(x, 2.5, y), {"jax": f"{JAX}.betainc(x, 2.5 + 0 * x, y)",
                "tensorflow": f"{TF}.betainc(x, 2.5 + 0 * x, y)"}, (0.05, 60), (0, 1))  # fmt: skip
function_of_two("xlog1py", special.xlog1py, {"torch": f"{TORCH}.xlog1py(x, y)", "jax": f"{JAX}.xlog1py(x, y)",
                "tensorflow": f"{TF}.xlog1py(x, y)"}, (-9, 9), (-0.9, 30))  # fmt: skip
function_of_two("beta", special.beta, {"jax": f"{JAX}.beta(x, y)"}, (0.1, 30), (0.1, 30))
function_of_one("mish", lambda x: x * np.tanh(np.logaddexp(0, x.astype(Long))), {"torch": "F.mish(x)",
                "jax": "jax.nn.mish(x)"}, -40, 40)  # fmt: skip
function_of_one("log1mexp", lambda x: np.where(x < 0.5, np.log(-np.expm1(-x.astype(Long))),
                np.log1p(-np.exp(-x.astype(Long)))), {"jax": "jax.nn.log1mexp(x)"}, 0.001, 60)  # fmt: skip
table("sinc", lambda x: np.sinc(x.astype(Long)), {"torch": "torch.sinc(x)", "jax": "jnp.sinc(x)",
      "keras": "ops.sinc(x)"}, one((1, 2), fill="normal"), of_size_one)  # fmt: skip


# Parts of numbers, and what passes over NaN


def power_of_two(rng: np.random.Generator, dtype: str) -> Drawn:
    """Numbers, and exponents up to those at which a power of two alone leaves the type."""
    n = picker(rng)((1, 3, 8, 33))
    most = 140 if dtype == "float32" else 1040
    return {"x": numbers(rng, (n,), dtype, "wide"), "i": rng.integers(-most, most, n).astype(np.int32)}, {}


def loaded(x: Any, i: Any) -> Any:
    return np.ldexp(x.astype(Long), i)


table("ldexp", loaded, {"torch": "torch.ldexp(x, i)", "jax": "jnp.ldexp(x, i)", "keras": "ops.ldexp(x, i)"},
      power_of_two, lambda arrays, truth, options, u: 2 * u * np.abs(truth))  # fmt: skip
table("frexp_mantissa", lambda x: np.frexp(x)[0], {"torch": "torch.frexp(x)[0]", "jax": "jnp.frexp(x)[0]"}, one((1, 2)))
table("frexp_exponent", lambda x: np.frexp(np.where(np.isfinite(x), x, 1))[1],
      {"torch": "torch.frexp(torch.where(torch.isfinite(x), x, 1))[1]",
       "jax": "jnp.frexp(jnp.where(jnp.isfinite(x), x, 1))[1]"}, one((1, 2)))  # fmt: skip
table("fmod", lambda x, y: np.fmod(x, y), {"torch": "torch.fmod(x, y)", "jax": "jnp.fmod(x, y)",
      "keras": "ops.fmod(x, y)"},
      two(nonzero=True, fill="wide"))  # fmt: skip
table("fmax", lambda x, y: np.fmax(x, y), {"torch": "torch.fmax(x, y)", "jax": "jnp.fmax(x, y)",
      "keras": "ops.fmax(x, y)"},
      two(fill="specials"))  # fmt: skip
table("fmin", lambda x, y: np.fmin(x, y), {"torch": "torch.fmin(x, y)", "jax": "jnp.fmin(x, y)",
      "keras": "ops.fmin(x, y)"},
      two(fill="specials"))  # fmt: skip
table("divide_no_nan", lambda x, y: np.where(y == 0, 0, x.astype(Long) / np.where(y == 0, 1, y)),
      {"tensorflow": "tf.math.divide_no_nan(x, y)", "keras": "ops.divide_no_nan(x, y)"},
      two(fill="ties"), lambda arrays, truth, options, u: 4 * u * np.abs(truth))  # fmt: skip


def gaps(rng: np.random.Generator, dtype: str) -> Drawn:
    """Numbers with NaN among them, never alone along the axis."""
    n, m = picker(rng)((1, 2, 5)), picker(rng)((2, 3, 8, 33))
    x = numbers(rng, (n, m), dtype, "normal")
    x[:, 1:][rng.random((n, m - 1)) < 0.3] = np.nan
    return {"x": x}, {}


table("nanprod", lambda x: np.nanprod(x.astype(Long), -1), {"jax": "jnp.nanprod(x, -1)", "keras": "ops.nanprod(x, -1)"},
      gaps, lambda arrays, truth, options, u: gamma(80, u) * np.abs(truth))  # fmt: skip
table("nancumprod", lambda x: np.nancumprod(x.astype(Long), -1), {"jax": "jnp.nancumprod(x, -1)",
      "keras": "ops.nancumprod(x, -1)"}, gaps,
      lambda arrays, truth, options, u: gamma(80, u) * np.abs(truth))  # fmt: skip
table("nanargmin", lambda x: np.nanargmin(x, -1), {"jax": "jnp.nanargmin(x, -1)", "keras": "ops.nanargmin(x, -1)"},
      gaps, exact)  # fmt: skip
table("nanquantile", lambda x: np.nanquantile(x.astype(Long), 0.3, -1), {"torch": "torch.nanquantile(x, 0.3, -1)",
      "jax": "jnp.nanquantile(x, 0.3, -1)", "keras": "ops.nanquantile(x, 0.3, -1)"}, gaps,
      lambda arrays, truth, options, u: 64 * u * (1 + np.nanmax(np.abs(arrays["x"])) * 40)
      + np.zeros(np.shape(truth)))  # fmt: skip


# Solving, interpolating, statistics of pairs


def system(rng: np.random.Generator, dtype: str) -> Drawn:
    """A triangular system whose diagonal is large."""
    n, m = picker(rng)((1, 2, 3, 8, 17, 33)), picker(rng)((1, 2, 5))
    x = np.tril(rng.normal(size=(n, n))) / math.sqrt(n) + 2 * np.eye(n)
    return {"x": x.astype(dtype).astype(float), "y": numbers(rng, (n, m), dtype, "normal")}, {}


def of_system(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    """Backward stable: n u times a condition below 50, with room."""
    n = len(arrays["x"])
    return 500 * n * u * (1 + np.abs(truth).max()) + np.zeros(np.shape(truth))


table("solve_triangular", lambda x, y: np.linalg.solve(x, y), {
      "torch": "torch.linalg.solve_triangular(x, y, upper=False)",
      "jax": "jax.scipy.linalg.solve_triangular(x, y, lower=True)",
      "tensorflow": "tf.linalg.triangular_solve(x, y)",
      "keras": "ops.solve_triangular(x, y, lower=True)"}, system, of_system)  # fmt: skip
table("solve", lambda x, y: np.linalg.solve(x, y), {"torch": "torch.linalg.solve(x, y)",
      "jax": "jnp.linalg.solve(x, y)",
      "tensorflow": "tf.linalg.solve(x, y)", "keras": "ops.solve(x, y)"}, system, of_system)  # fmt: skip
table("det", lambda x: np.linalg.det(x), {"torch": "torch.linalg.det(x)", "jax": "jnp.linalg.det(x)",
      "tensorflow": "tf.linalg.det(x)", "keras": "ops.det(x)"}, lambda rng, dtype: (
      {"x": system(rng, dtype)[0]["x"]}, {}),
      lambda arrays, truth, options, u: 500 * len(arrays["x"]) * u * np.abs(truth))  # fmt: skip


def pairs(rng: np.random.Generator, dtype: str) -> Drawn:
    """A few variables, each seen several times."""
    n, m = picker(rng)((1, 2, 3)), picker(rng)((3, 5, 17, 129))
    return {"x": numbers(rng, (n, m), dtype, str(rng.choice(["normal", "large_mean"])))}, {}


def of_pairs(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    x = arrays["x"].astype(Long)
    reach = np.abs(x).max() / x.std(-1).min()
    return gamma(x.shape[-1] + 20, u) * (1 + reach) ** 2 * 4 + np.zeros(np.shape(truth))


table("corrcoef", lambda x: np.corrcoef(x), {"torch": "torch.corrcoef(x)", "jax": "jnp.corrcoef(x)",
      "keras": "ops.corrcoef(x)"}, pairs, of_pairs)  # fmt: skip
table("interp", lambda x: np.interp(x, np.arange(-3.0, 4.0), np.array([3.0, -1, 4, 1, -5, 9, 2])),
      {"jax": "jnp.interp(x, jnp.arange(-3.0, 4.0), jnp.array([3.0, -1, 4, 1, -5, 9, 2]))"}, one((1,), fill="normal"),
      lambda arrays, truth, options, u: 200 * u * (1 + np.abs(truth)))  # fmt: skip
table("unwrap", lambda x: np.unwrap(x), {"jax": "jnp.unwrap(x)"}, one((1,), fill="normal"),
      lambda arrays, truth, options, u: gamma(20 + 2 * arrays["x"].size, u) * (10 + np.abs(truth)) * 10)  # fmt: skip
table("unravel_index", lambda i: np.stack(np.unravel_index(i, (3, 5, 7))), {
      "torch": "torch.stack(torch.unravel_index(i.long(), (3, 5, 7)))",
      "jax": "jnp.stack(jnp.unravel_index(i, (3, 5, 7)))",
      "keras": "ops.stack(ops.unravel_index(i, (3, 5, 7)))"},
      lambda rng, dtype: ({"i": rng.integers(0, 105, 9).astype(np.int32)}, {}), exact, ("int32",))  # fmt: skip
