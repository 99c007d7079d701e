"""Metrics: one value a place, averaged on the device over the places that a mask keeps; or a scalar of one's own.

An epoch's value is the mean over its examples. Sample and class weights change the loss, not the metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from impls.shim.config import looked_up

Metric = Callable[..., Any]


def share(B: Any, hits: Any, like: Any) -> Any:
    return B.where(hits, B.ones_like(like), B.zeros_like(like))


def accuracy(B: Any, y: Any, outputs: Any) -> Any:
    """Integer labels against the largest output; labels of the outputs' own shape against the sign of logits."""
    if len(y.shape) == len(outputs.shape):
        return share(B, (outputs > 0) == (y > 0.5), y)
    return share(B, B.argmax(outputs) == y, outputs[..., 0])


def mean_absolute_error(B: Any, y: Any, outputs: Any) -> Any:
    return B.abs(outputs - y)


def mean_squared_error(B: Any, y: Any, outputs: Any) -> Any:
    error = outputs - y
    return error * error


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "mean_absolute_error": mean_absolute_error,
    "mean_squared_error": mean_squared_error,
}


def metric_function(name: Any) -> Metric:
    """The metric called `name`; a function `(B, y, outputs)` gives one value a place, or a scalar."""
    return name if callable(name) else looked_up("metric", name, METRICS)  # type: ignore[no-any-return]
