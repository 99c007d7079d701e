"""Metrics: scalars of one batch, computed on the device; an epoch's value is the mean over its examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Metric = Callable[..., Any]


def share(B: Any, hits: Any, like: Any) -> Any:
    return B.mean(B.where(hits, B.ones_like(like), B.zeros_like(like)))


def accuracy(B: Any, y: Any, outputs: Any) -> Any:
    """Integer labels against the largest output; labels of the outputs' own shape against the sign of logits."""
    if len(y.shape) == len(outputs.shape):
        return share(B, (outputs > 0) == (y > 0.5), y)
    return share(B, B.argmax(outputs) == y, outputs[..., 0])


def mean_absolute_error(B: Any, y: Any, outputs: Any) -> Any:
    return B.mean(B.abs(outputs - y))


def mean_squared_error(B: Any, y: Any, outputs: Any) -> Any:
    error = outputs - y
    return B.mean(error * error)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "mean_absolute_error": mean_absolute_error,
    "mean_squared_error": mean_squared_error,
}


def metric_function(name: Any) -> Metric:
    """The metric called `name`; a function `(B, y, outputs)` is taken as it is."""
    if callable(name):
        return name  # type: ignore[no-any-return]
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}: known are {', '.join(METRICS)}")
    return METRICS[name]
