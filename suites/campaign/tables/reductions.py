"""Sums, extrema, scans, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from suites.campaign.operations import (
    FLOATS,
    FULL,
    INTEGERS,
    Long,
    Operation,
    along,
    call,
    exact,
    gamma,
    numbers,
    of_mean,
    of_size_one,
    of_sum,
    of_variance,
    register,
    shape,
    typed,
)

AXIS = "x, axis"
TORCH_AXIS = "x, dim=axis"


def reduction(name: str, truth: Any, forms: list[str], error: Any, dtypes: Any = FLOATS, fill: str = "") -> None:
    """A reduction along `axis`."""
    named = dict(zip(("torch", "jax", "tensorflow", "keras"), forms, strict=True))
    kept = {api: form for api, form in named.items() if form}
    register(Operation(name, kept, truth, along(fill=fill), error, dtypes))


def wide(function: Any) -> Any:
    return lambda x, axis: function(x.astype(Long), axis)


def of_prefix(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    """Every prefix sum: gamma_n of the sum of magnitudes so far."""
    x = np.abs(arrays["x"].astype(Long))
    return gamma(x.shape[options["axis"]] + 2, u) * np.cumsum(x, options["axis"])


def of_prefix_product(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    return gamma(2 * arrays["x"].shape[options["axis"]], u) * np.abs(truth)


def logsumexp(x: Any, axis: Any) -> Any:
    top = np.max(x, axis, keepdims=True)
    safe = np.where(np.isfinite(top), top, 0)
    return np.squeeze(safe, axis) + np.log(np.sum(np.exp(x - safe), axis))


def of_logsumexp(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    """gamma_n of the sum, whose logarithm errs absolutely; and ulps of the largest input."""
    n = arrays["x"].shape[options["axis"]]
    with np.errstate(invalid="ignore"):
        return gamma(n + 20, u) + 32 * u * np.maximum(np.abs(truth), np.max(np.abs(arrays["x"]), options["axis"]))


def softmax(x: Any, axis: Any) -> Any:
    e = np.exp(x - np.max(x, axis, keepdims=True))
    return e / np.sum(e, axis, keepdims=True)


def of_softmax(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    """x - max is rounded, and what it errs is relative in the exponential."""
    x = arrays["x"]
    n, reach = x.shape[options["axis"]], np.max(np.abs(x - np.max(x, options["axis"], keepdims=True)))
    return (gamma(n + 40, u) + 4 * u * min(float(reach), 800.0)) * truth


def of_log_softmax(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    x = arrays["x"]
    n = x.shape[options["axis"]]
    return gamma(n + 20, u) + 32 * u * (np.abs(truth) + np.max(np.abs(x), options["axis"], keepdims=True))


reduction("sum", wide(np.sum), ["torch.sum(x, dim=axis)", "jnp.sum(x, axis)", "tf.reduce_sum(x, axis)",
                                "ops.sum(x, axis)"], of_sum)  # fmt: skip
reduction("mean", wide(np.mean), ["torch.mean(x, dim=axis)", "jnp.mean(x, axis)", "tf.reduce_mean(x, axis)",
                                  "ops.mean(x, axis)"], of_mean)  # fmt: skip
reduction("var", wide(np.var), ["torch.var(x, dim=axis, correction=0)", "jnp.var(x, axis)",
                                "tf.math.reduce_variance(x, axis)", "ops.var(x, axis)"], of_variance, FULL)  # fmt: skip
reduction("max", lambda x, axis: np.max(x, axis), ["torch.amax(x, dim=axis)", "jnp.max(x, axis)",
                                                    "tf.reduce_max(x, axis)", "ops.max(x, axis)"], exact)  # fmt: skip
reduction("min_int", lambda x, axis: np.min(x, axis), ["torch.amin(x, dim=axis)", "jnp.min(x, axis)",
          "tf.reduce_min(x, axis)", "ops.min(x, axis)"], exact, INTEGERS)  # fmt: skip
reduction("argmax", lambda x, axis: np.argmax(x, axis), ["torch.argmax(x, dim=axis)", "jnp.argmax(x, axis)",
          "tf.argmax(x, axis)", "ops.argmax(x, axis)"], exact, (*FLOATS, *INTEGERS))  # fmt: skip
reduction("argmin", lambda x, axis: np.argmin(x, axis), ["torch.argmin(x, dim=axis)", "jnp.argmin(x, axis)",
          "tf.argmin(x, axis)", "ops.argmin(x, axis)"], exact, (*FLOATS, *INTEGERS))  # fmt: skip
reduction("any", lambda x, axis: np.any(x != 0, axis), ["torch.any(x != 0, dim=axis)", "jnp.any(x, axis)",
          "tf.reduce_any(tf.cast(x, bool), axis)", "ops.any(x, axis)"], exact, FULL)  # fmt: skip
reduction("all", lambda x, axis: np.all(x != 0, axis), ["torch.all(x != 0, dim=axis)", "jnp.all(x, axis)",
          "tf.reduce_all(tf.cast(x, bool), axis)", "ops.all(x, axis)"], exact, FULL)  # fmt: skip
reduction("count_nonzero", lambda x, axis: np.count_nonzero(x, axis), ["torch.count_nonzero(x, dim=axis)",
          "jnp.count_nonzero(x, axis)", "tf.math.count_nonzero(x, axis)", "ops.count_nonzero(x, axis)"], exact,
          (*FULL, *INTEGERS))  # fmt: skip
reduction("cumsum", wide(np.cumsum), ["torch.cumsum(x, dim=axis)", "jnp.cumsum(x, axis)", "tf.cumsum(x, axis)",
          "ops.cumsum(x, axis)"], of_prefix)  # fmt: skip
reduction("cumprod", wide(np.cumprod), ["torch.cumprod(x, dim=axis)", "jnp.cumprod(x, axis)",
          "tf.math.cumprod(x, axis)", "ops.cumprod(x, axis)"], of_prefix_product, FULL, "near_one")  # fmt: skip
reduction("prod", wide(np.prod), ["torch.prod(x, dim=axis)", "jnp.prod(x, axis)", "tf.reduce_prod(x, axis)",
          "ops.prod(x, axis)"], of_prefix_product, FULL, "near_one")  # fmt: skip
reduction("cummax", lambda x, axis: np.maximum.accumulate(x, axis), ["torch.cummax(x, dim=axis)[0]",
          "lax.cummax(x, axis)", "", ""], exact)  # fmt: skip
reduction("logsumexp", wide(logsumexp), ["torch.logsumexp(x, dim=axis)", "jax.nn.logsumexp(x, axis)",
          "tf.reduce_logsumexp(x, axis)", "ops.logsumexp(x, axis)"], of_logsumexp, FULL)  # fmt: skip
reduction("softmax", wide(softmax), ["torch.softmax(x, dim=axis)", "jax.nn.softmax(x, axis)",
          "tf.nn.softmax(x, axis)", "ops.softmax(x, axis)"], of_softmax, FULL, "saturated")  # fmt: skip
reduction("log_softmax", wide(lambda x, axis: x - np.expand_dims(logsumexp(x, axis), axis)),
          ["torch.log_softmax(x, dim=axis)", "jax.nn.log_softmax(x, axis)", "tf.nn.log_softmax(x, axis)",
           "ops.log_softmax(x, axis)"], of_log_softmax, FULL, "saturated")  # fmt: skip
reduction("median", lambda x, axis: np.median(x.astype(Long), axis), ["", "jnp.median(x, axis)", "",
          "ops.median(x, axis)"], of_size_one, FULL)  # fmt: skip
reduction("nanmax", lambda x, axis: np.nanmax(x, axis), ["", "jnp.nanmax(x, axis)", "", "ops.nanmax(x, axis)"],
          exact, FULL, "specials")  # fmt: skip
reduction("nansum", wide(np.nansum), ["torch.nansum(x, dim=axis)", "jnp.nansum(x, axis)", "", "ops.nansum(x, axis)"],
          of_sum, FULL, "normal")  # fmt: skip
reduction("ptp", lambda x, axis: np.ptp(x.astype(Long), axis), ["", "jnp.ptp(x, axis)", "", "ops.ptp(x, axis)"],
          of_size_one, FULL, "normal")  # fmt: skip
reduction("sort", lambda x, axis: np.sort(x, axis), ["torch.sort(x, dim=axis)[0]", "jnp.sort(x, axis)",
          "tf.sort(x, axis)", "ops.sort(x, axis)"], exact, (*FLOATS, *INTEGERS))  # fmt: skip
reduction("argsort", lambda x, axis: np.argsort(x, axis, kind="stable"), [
          "torch.argsort(x, dim=axis, stable=True)", "jnp.argsort(x, axis)", "tf.argsort(x, axis, stable=True)",
          "ops.argsort(x, axis)"], exact, (*FLOATS, *INTEGERS))  # fmt: skip
reduction("diff", lambda x, axis: np.diff(x.astype(Long), axis=axis), ["torch.diff(x, dim=axis)",
          "jnp.diff(x, axis=axis)", "", "ops.diff(x, axis=axis)"], of_size_one, FULL, "normal")  # fmt: skip
reduction("flip", lambda x, axis: np.flip(x, axis), ["torch.flip(x, [axis])", "jnp.flip(x, axis)",
          "tf.reverse(x, [axis])", "ops.flip(x, axis)"], exact)  # fmt: skip


def wrapped(function: Any) -> Any:
    """In the integer type that NumPy's own reduction takes."""
    return lambda x, axis: function(x, axis, dtype=np.int64)


reduction("sum_int", wrapped(np.sum), ["torch.sum(x, dim=axis)", "", "", ""], exact, INTEGERS)
reduction("cumsum_int", wrapped(np.cumsum), ["torch.cumsum(x, dim=axis)", "jnp.cumsum(x, axis)",
          "tf.cumsum(x, axis)", "ops.cumsum(x, axis)"], exact, ("int32", "int64"))  # fmt: skip
reduction("mean_int", lambda x, axis: np.mean(x, axis), ["", "jnp.mean(x, axis)", "", "ops.mean(x, axis)"],
          lambda arrays, truth, options, u: 2.0**-16 * np.abs(arrays["x"]).max() * np.ones(np.shape(truth)),
          INTEGERS)  # fmt: skip
reduction("var_int", lambda x, axis: np.var(x.astype(np.float64), axis), ["", "jnp.var(x, axis)", "",
          "ops.var(x, axis)"],
          lambda arrays, truth, options, u: 2.0**-16 * np.abs(arrays["x"]).max() ** 2 * np.ones(np.shape(truth)),
          INTEGERS)  # fmt: skip


def quantiles(rng: np.random.Generator, dtype: str) -> Any:
    """Numbers, an axis and a share."""
    x = numbers(rng, shape(rng, (1, 2)), dtype, "normal")
    return {"x": x}, {"axis": int(rng.integers(x.ndim)), "q": float(rng.choice([0.0, 0.25, 0.5, 0.75, 1.0]))}


register(
    Operation(
        "quantile",
        {"jax": "jnp.quantile(x, q, axis)", "keras": "ops.quantile(x, q, axis)",
         "torch": "torch.quantile(x, q, dim=axis)"},
        lambda x, q, axis: np.quantile(x.astype(Long), q, axis),
        quantiles,
        lambda arrays, truth, options, u: 16 * u * np.max(np.abs(arrays["x"])) * np.ones(np.shape(truth)),
        FULL,
    )
)  # fmt: skip


def largest(rng: np.random.Generator, dtype: str) -> Any:
    """Numbers and how many of them."""
    x = numbers(rng, shape(rng, (1, 2)), dtype, str(rng.choice(["normal", "ties", "integers"])))
    return {"x": x}, {"k": int(rng.integers(1, min(x.shape[-1], 40) + 1))}


register(
    Operation(
        "top_k",
        {"torch": "torch.topk(x, k)[0]", "jax": "lax.top_k(x, k)[0]", "tensorflow": "tf.math.top_k(x, k)[0]",
         "keras": "ops.top_k(x, k)[0]"},
        lambda x, k: -np.sort(-x, -1)[..., :k],
        largest,
        exact,
        (*FLOATS, *INTEGERS[:2]),
    )
)  # fmt: skip
register(
    Operation(
        "top_k_indices",
        {"jax": "lax.top_k(x, k)[1]", "tensorflow": "tf.math.top_k(x, k)[1]", "keras": "ops.top_k(x, k)[1]"},
        lambda x, k: np.argsort(-x, -1, kind="stable")[..., :k],
        largest,
        exact,
        (*FLOATS, *INTEGERS[:2]),
    )
)


def searched(rng: np.random.Generator, dtype: str) -> Any:
    """An ascending row, and what is looked for."""
    x = np.sort(numbers(rng, (int(rng.choice([1, 2, 7, 16, 129, 1025])),), dtype, "ties"))
    y = numbers(rng, (int(rng.choice([1, 3, 17])),), dtype, "ties")
    return {"x": x, "y": y}, {"side": str(rng.choice(["left", "right"]))}


register(
    Operation(
        "searchsorted",
        {"torch": "torch.searchsorted(x, y, side=side)", "jax": "jnp.searchsorted(x, y, side)",
         "tensorflow": "tf.searchsorted(x, y, side)", "keras": "ops.searchsorted(x, y, side)"},
        lambda x, y, side: np.searchsorted(x, y, side),
        searched,
        exact,
        (*FULL, *INTEGERS[:2]),
    )
)  # fmt: skip


def norm_error(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    return gamma(arrays["x"].size + 8, u) * truth


reduction("norm", wide(lambda x, axis: np.sqrt(np.sum(x * x, axis))), ["torch.linalg.vector_norm(x, dim=axis)",
          "jnp.linalg.norm(x, axis=axis)", "tf.norm(x, axis=axis)", "ops.norm(x, axis=axis)"], norm_error, FULL,
          "normal")  # fmt: skip
_ = special, typed, call
