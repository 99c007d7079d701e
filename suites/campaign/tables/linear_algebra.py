"""Products of vectors and matrices, distances, norms, and what is solved with a matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from suites.campaign.operations import (
    Long,
    gamma,
    numbers,
    typed,
)
from suites.campaign.tables.composed import Draw, Drawn, of_magnitudes, rows_of, table
from suites.campaign.tables.windows import picker
from suites.runner.workers import Arrays


def pair_of(*extents: tuple[int, ...]) -> Draw:
    """Draws arrays x, y of fixed shapes."""

    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        names = ("x", "y", "z")
        return {name: numbers(rng, each, dtype, "normal") for name, each in zip(names, extents, strict=False)}, {}

    return draw


def vectors(rng: np.random.Generator, dtype: str) -> Drawn:
    """Two vectors of one length."""
    n = picker(rng)((1, 2, 3, 7, 8, 9, 16, 17, 33, 129, 1025))
    return {"x": numbers(rng, (n,), dtype, "normal"), "y": numbers(rng, (n,), dtype, "normal")}, {}


def uneven(rng: np.random.Generator, dtype: str) -> Drawn:
    """Two vectors of different lengths."""
    pick = picker(rng)
    sizes = pick((1, 2, 3, 5, 8, 17, 33)), pick((1, 2, 3, 4, 7, 16))
    return {name: numbers(rng, (n,), dtype, "normal") for name, n in zip("xy", sizes, strict=True)}, {}


def dotted(name: str, function: Any, forms: dict[str, str], draw: Draw) -> None:
    """A sum of products."""
    wide = lambda x, y: function(x.astype(Long), y.astype(Long))  # noqa: E731
    table(name, wide, forms, draw, of_magnitudes(wide))


dotted("inner", np.inner, {"torch": "torch.inner(x, y)", "jax": "jnp.inner(x, y)", "keras": "ops.inner(x, y)"}, vectors)
dotted("vdot", np.vdot, {"torch": "torch.vdot(x, y)", "jax": "jnp.vdot(x, y)", "keras": "ops.vdot(x, y)"}, vectors)
dotted("outer", np.outer, {"torch": "torch.outer(x, y)", "jax": "jnp.outer(x, y)", "keras": "ops.outer(x, y)"}, uneven)
dotted("kron", np.kron, {"torch": "torch.kron(x, y)", "jax": "jnp.kron(x, y)", "keras": "ops.kron(x, y)"},
       pair_of((2, 3), (3, 2)))  # fmt: skip
dotted("dot_of_stacks", np.dot, {"jax": "jnp.dot(x, y)", "keras": "ops.dot(x, y)"}, pair_of((2, 3, 4), (5, 4, 2)))
for mode in ("valid", "same", "full"):
    dotted(
        f"correlate_{mode}",
        lambda x, y, mode=mode: np.correlate(x, y, mode),
        {"jax": f"jnp.correlate(x, y, '{mode}')", "keras": f"ops.correlate(x, y, '{mode}')"},
        uneven,
    )


def cross(x: Any, y: Any) -> Any:
    return np.cross(x.astype(Long), y.astype(Long))


def of_cross(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    x, y = np.abs(arrays["x"]), np.abs(arrays["y"])
    return 4 * u * (np.roll(x, -1, -1) * np.roll(y, 1, -1) + np.roll(x, 1, -1) * np.roll(y, -1, -1))


table("cross", cross, {"torch": "torch.linalg.cross(x, y)", "jax": "jnp.cross(x, y)", "keras": "ops.cross(x, y)"},
      pair_of((5, 3), (5, 3)), of_cross)  # fmt: skip


table("cdist", lambda x: np.sqrt(((x[:, None].astype(Long) - x[None]) ** 2).sum(-1)),
      {"torch": "torch.cdist(x, x)", "keras": "ops.cdist(x, x)"}, rows_of,
      lambda arrays, truth, options, u: 8 * math.sqrt(u) * (1 + np.abs(arrays["x"]).max()) * 6
      + np.zeros(np.shape(truth)))  # fmt: skip


def norms(order: str) -> Any:
    return lambda x: np.linalg.norm(x, float(order), -1)


for order in ("0", "1", "3", "inf"):
    value = "float('inf')" if order == "inf" else order
    table(f"norm_{order}", norms(order), {"torch": f"torch.linalg.vector_norm(x, {value}, dim=-1)",
          "jax": f"jnp.linalg.norm(x, {value}, -1)", "keras": f"ops.norm(x, {value}, -1)"}, rows_of,
          lambda arrays, truth, options, u: gamma(100, u) * np.abs(truth))  # fmt: skip


def matrix(rng: np.random.Generator, dtype: str) -> Drawn:
    """A stack of well-conditioned symmetric matrices."""
    n, stack = picker(rng)((1, 2, 3, 5, 8, 9, 17)), picker(rng)((1, 2))
    a = rng.normal(size=(stack, n, n))
    return {"x": typed(a @ a.transpose(0, 2, 1) / n + 2 * np.eye(n), dtype)}, {}


def of_matrix(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    """Backward stable algorithms: n^2 u times the condition (below 10 here, with room) times the size of the result."""
    n = arrays["x"].shape[-1]
    return 200 * n * n * u * (np.abs(truth).max() + 1) + np.zeros(np.shape(truth))


table("inv", lambda x: np.linalg.inv(x), {"torch": "torch.linalg.inv(x)", "jax": "jnp.linalg.inv(x)",
      "tensorflow": "tf.linalg.inv(x)", "keras": "ops.inv(x)"}, matrix, of_matrix)  # fmt: skip
table("logdet", lambda x: np.linalg.slogdet(x)[1], {"torch": "torch.logdet(x)", "jax": "jnp.linalg.slogdet(x)[1]",
      "tensorflow": "tf.linalg.logdet(x)", "keras": "ops.logdet(x)"}, matrix, of_matrix)  # fmt: skip
table("cholesky", lambda x: np.linalg.cholesky(x), {"torch": "torch.linalg.cholesky(x)",
      "jax": "jnp.linalg.cholesky(x)",
      "tensorflow": "tf.linalg.cholesky(x)", "keras": "ops.cholesky(x)"}, matrix, of_matrix)  # fmt: skip
table("eigvalsh", lambda x: np.linalg.eigvalsh(x), {"torch": "torch.linalg.eigvalsh(x)",
      "jax": "jnp.linalg.eigvalsh(x)",
      "tensorflow": "tf.linalg.eigvalsh(x)", "keras": "ops.eigh(x)[0]"}, matrix, of_matrix)  # fmt: skip
