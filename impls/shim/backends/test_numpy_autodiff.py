"""The tape of NumPy, function by function: what a layer of a user's own is differentiated by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls.shim.backends import numpy as B

W = np.array([[0.3, 1.7, 2.9], [0.6, 4.1, 0.8]])
V = np.array([1.3, 0.4, 2.2])  # in every row
STEP = 1e-5

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": lambda w: B.abs(w - 1.5),
    "exp": B.exp,
    "log": B.log,
    "sqrt": B.sqrt,
    "tanh": B.tanh,
    "sigmoid": B.sigmoid,
    "relu": lambda w: B.relu(w - 1.5),
    "softplus": B.softplus,
    "gelu": B.gelu,
    "gelu_tanh": B.gelu_tanh,
    "softmax": B.softmax,
    "where": lambda w: B.where(w > 1.5, w * w, 3.0 * w),
    "where of rows": lambda w: B.where(W > 1.5, w[0], w),
    "add": lambda w: 2.0 + w + V,
    "subtract": lambda w: 2.0 - w,
    "subtract from": lambda w: (w - V) - 3.0,
    "negative": lambda w: -w,
    "multiply": lambda w: 2.0 * w * V,
    "divide": lambda w: w / V,
    "divide by another of its own": lambda w: w[:, :1] / w,
    "take": lambda w: w[:, 1:] * w[:1, :2],
    "broadcast": lambda w: w[:1] * w,
    "sum": lambda w: B.sum(w, 1, keepdims=True) * w,
    "sum of a column": lambda w: B.sum(w, 0) * w[0],
    "mean": lambda w: B.mean(w) * w,
    "mean of rows": lambda w: B.mean(w, (1,)) * w[:, 0],
    "reshape": lambda w: B.reshape(w, (3, 2)) * V[:, None],
    "flip": lambda w: B.flip(w, 1) * w,
    "concatenate": lambda w: B.concatenate(w, 2.0 * w, axis=0) * V,
    "split": lambda w: B.split(w, 3)[1] * w,
    "cast": lambda w: B.cast(w, "float64") * w,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_the_slopes(name: str) -> None:
    """Central differences, of a sum in which every element has a weight of its own."""
    function = FUNCTIONS[name]

    def loss(weights: dict[str, Any]) -> Any:
        values = function(weights["w"])
        return B.sum(values * np.cos(np.arange(np.prod(values.shape))).reshape(values.shape)), None

    (value, _), gradients = B.value_and_grad(loss, "eager")({"w": W})
    slopes = np.zeros_like(W)
    for at in np.ndindex(W.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = W.copy()
            moved[at] += step
            ends.append(B.value_and_grad(loss, "eager")({"w": moved})[0][0])
        slopes[at] = (ends[0] - ends[1]) / (2 * STEP)
    np.testing.assert_allclose(gradients["w"], slopes, rtol=1e-7, atol=1e-8)
    assert np.isfinite(value)


def test_comparisons_at_their_bound() -> None:
    """A mask of a user's own: an element that equals the bound is above none and at most it."""
    found = {}

    def loss(weights: dict[str, Any]) -> Any:
        w = weights["w"]
        found.update({"above": w > 1.7, "below": w < 1.7, "at most": w <= 1.7})
        return B.sum(w), None

    B.value_and_grad(loss, "eager")({"w": W})
    for name, mask in (("above", W > 1.7), ("below", W < 1.7), ("at most", W <= 1.7)):
        np.testing.assert_array_equal(found[name], mask)
