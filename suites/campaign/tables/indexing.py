"""What moves numbers: nothing is rounded, so every element has to be equal."""

from __future__ import annotations

from typing import Any

import numpy as np

from suites.campaign.operations import FULL, Long, Operation, exact, gamma, numbers, register, shape
from suites.runner.workers import Arrays

KINDS = ("float32", "float64", "int32", "int64", "int8", "uint8")


def table(name: str, truth: Any, forms: dict[str, str], draw: Any, error: Any = exact, dtypes: Any = KINDS) -> None:
    register(Operation(name, forms, truth, draw, error, dtypes))


def moved(ranks: Any, **draws: Any) -> Any:
    """Draws `x` and options, each a function of (rng, shape)."""

    def draw(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
        x = numbers(rng, shape(rng, ranks), dtype, "normal")
        return {"x": x}, {name: make(rng, x.shape) for name, make in draws.items()}

    return draw


def axis(rng: Any, extents: Any) -> int:
    return int(rng.integers(len(extents)))


def offset(rng: Any, extents: Any) -> int:
    return int(rng.integers(-4, 5))


def taken(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
    """Rows that are there, also counted from the end where `negative` allows it."""
    x = numbers(rng, shape(rng, (1, 2)), dtype, "normal")
    rows = rng.integers(0, len(x), int(rng.choice([1, 2, 7, 33])))
    return {"x": x, "i": rows.astype(np.int32)}, {}


def taken_negative(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
    arrays, _ = taken(rng, dtype)
    back = rng.random(arrays["i"].shape) < 0.5
    return {"x": arrays["x"], "i": np.where(back, arrays["i"] - len(arrays["x"]), arrays["i"]).astype(np.int32)}, {}


table(
    "take",
    lambda x, i: np.take(x, i, 0),
    {"torch": "torch.index_select(x, 0, i)", "jax": "jnp.take(x, i, 0)", "tensorflow": "tf.gather(x, i)",
     "keras": "ops.take(x, i, 0)"},
    taken,
)  # fmt: skip
table(
    "take_negative",
    lambda x, i: np.take(x, i, 0),
    {"jax": "jnp.take(x, i, 0)", "keras": "ops.take(x, i, 0)", "torch": "x[i]"},
    taken_negative,
)
table(
    "roll",
    lambda x, shift, axis: np.roll(x, shift, axis),
    {"torch": "torch.roll(x, shift, axis)", "jax": "jnp.roll(x, shift, axis)", "tensorflow": "tf.roll(x, shift, axis)",
     "keras": "ops.roll(x, shift, axis)"},
    moved((1, 2, 3), shift=offset, axis=axis),
)  # fmt: skip
table(
    "triu",
    lambda x, k: np.triu(x, k),
    {"torch": "torch.triu(x, k)", "jax": "jnp.triu(x, k)", "keras": "ops.triu(x, k)"},
    moved((2, 3), k=offset),
)
table(
    "tril",
    lambda x, k: np.tril(x, k),
    {"torch": "torch.tril(x, k)", "jax": "jnp.tril(x, k)", "keras": "ops.tril(x, k)"},
    moved((2, 3), k=offset),
)
table(
    "repeat",
    lambda x, n, axis: np.repeat(x, n, axis),
    {"torch": "torch.repeat_interleave(x, n, axis)", "jax": "jnp.repeat(x, n, axis)",
     "tensorflow": "tf.repeat(x, n, axis)", "keras": "ops.repeat(x, n, axis)"},
    moved((1, 2, 3), n=lambda rng, extents: int(rng.integers(1, 4)), axis=axis),
)  # fmt: skip
table(
    "diagonal",
    lambda x, k: np.diagonal(x, k),
    {"torch": "torch.diagonal(x, k)", "jax": "jnp.diagonal(x, k)", "keras": "ops.diagonal(x, k)"},
    moved((2,), k=lambda rng, extents: int(rng.integers(-min(extents[0], 4) + 1, min(extents[1], 4)))),
)
table(
    "trace",
    lambda x, k: np.trace(x.astype(Long), k),
    {"jax": "jnp.trace(x, k)", "keras": "ops.trace(x, k)"},
    moved((2,), k=lambda rng, extents: int(rng.integers(-min(extents[0], 4) + 1, min(extents[1], 4)))),
    lambda arrays, truth, options, u: gamma(1500, u) * np.abs(arrays["x"]).sum() + np.zeros(np.shape(truth)),
    FULL,
)
table(
    "pad_reflect",
    lambda x, n: np.pad(x, [(n, n)], "reflect"),
    {"torch": "F.pad(x[None], (n, n), 'reflect')[0]", "jax": "jnp.pad(x, [(n, n)], 'reflect')",
     "tensorflow": "tf.pad(x, [(n, n)], 'REFLECT')", "keras": "ops.pad(x, [(n, n)], 'reflect')"},
    moved((1,), n=lambda rng, extents: int(rng.integers(0, min(extents[0], 5)))),
    dtypes=FULL,
)  # fmt: skip
table(
    "pad_symmetric",
    lambda x, n: np.pad(x, [(n, n)], "symmetric"),
    {"jax": "jnp.pad(x, [(n, n)], 'symmetric')", "tensorflow": "tf.pad(x, [(n, n)], 'SYMMETRIC')",
     "keras": "ops.pad(x, [(n, n)], 'symmetric')"},
    moved((1,), n=lambda rng, extents: int(rng.integers(0, min(extents[0], 5) + 1))),
    dtypes=FULL,
)  # fmt: skip
table(
    "rot90",
    lambda x, k: np.rot90(x, k),
    {"torch": "torch.rot90(x, k)", "jax": "jnp.rot90(x, k)", "keras": "ops.rot90(x, k)"},
    moved((2, 3), k=offset),
)
table(
    "unique",
    lambda x: np.unique(x),
    {"torch": "torch.unique(x)", "jax": "jnp.unique(x)", "keras": "ops.unique(x)"},
    moved((1, 2)),
)


def segments(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
    """Rows and the segment of each; some segments are empty."""
    x = numbers(rng, shape(rng, (1, 2)), dtype, "normal")
    count = int(rng.choice([1, 2, 5, 17]))
    return {"x": x, "i": rng.integers(0, count, len(x)).astype(np.int32)}, {"count": count}


def segment_sum(x: Any, i: Any, count: int) -> Any:
    y = np.zeros((count, *x.shape[1:]), x.dtype if x.dtype.kind == "i" else Long)
    np.add.at(y, i, x)
    return y


def error_of_segments(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    return gamma(len(arrays["x"]) + 2, u) * segment_sum(np.abs(arrays["x"]), arrays["i"], options["count"])


table(
    "segment_sum",
    segment_sum,
    {"jax": "jax.ops.segment_sum(x, i, count)", "tensorflow": "tf.math.unsorted_segment_sum(x, i, count)",
     "keras": "ops.segment_sum(x, i, count)",
     "torch": "torch.zeros((count, *x.shape[1:]), dtype=x.dtype).index_add(0, i, x)"},
    segments,
    error_of_segments,
    FULL,
)  # fmt: skip


def segment_max(x: Any, i: Any, count: int) -> Any:
    y = np.full((count, *x.shape[1:]), -np.inf)
    np.maximum.at(y, i, x)
    return y


table(
    "segment_max",
    segment_max,
    {"jax": "jax.ops.segment_max(x, i, count)", "keras": "ops.segment_max(x, i, count)"},
    segments,
    dtypes=FULL,
)


def counted(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
    n = int(rng.choice([1, 2, 7, 33, 1025, 70000]))
    return {"i": rng.integers(0, int(rng.choice([1, 2, 9, 130])), n).astype(np.int32)}, {}


table(
    "bincount",
    lambda i: np.bincount(i),
    {"torch": "torch.bincount(i)", "jax": "jnp.bincount(i)", "tensorflow": "tf.math.bincount(i)",
     "keras": "ops.bincount(i)"},
    counted,
    dtypes=("int32",),
)  # fmt: skip


def spaced(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
    a, b = (float(np.float32(v)) for v in rng.normal(size=2) * 10)
    return {}, {"a": a, "b": b, "n": int(rng.choice([1, 2, 3, 7, 50, 129, 1025]))}


table(
    "linspace",
    lambda a, b, n: np.linspace(a, b, n),
    {"torch": "torch.linspace(a, b, n)", "jax": "jnp.linspace(a, b, n, dtype='float32')",
     "tensorflow": "tf.linspace(tf.constant(a), tf.constant(b), n)", "keras": "ops.linspace(a, b, n, dtype='float32')"},
    spaced,
    lambda arrays, truth, options, u: np.full(np.shape(truth), 8 * u * max(abs(options["a"]), abs(options["b"]))),
    ("float32",),
)  # fmt: skip
