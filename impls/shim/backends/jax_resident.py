"""Training on a GPU with JAX: rates, counters and totals stay on the device from one call to the next.

A Python number that a compiled call is given becomes a copy to the device, which takes longer than a small step. So the
rates of many updates travel at once, and a counter beside them says whose turn it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from impls.shim import backends

AHEAD = 256  # updates whose rates are brought at once
TOGETHER = 1  # updates of an epoch in one call


def on_gpu(carry: Any) -> bool:
    """Whether the weights are on something else than the CPU."""
    return _device_of(carry).platform != "cpu"


def _device_of(carry: Any) -> Any:
    (device,) = next(iter(carry["weights"].values())).devices()
    return device


class Step:
    """`run(carry, rates, columns)`: one update a call."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.coming: Any = None  # the optimizer and update that the rates at hand go on with
        self.end = 0

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def one(carry: Any, at: Any, table: Any, columns: Any) -> Any:
            carry, value = step(carry, tuple(table[at]), columns)
            return carry, at + 1, value

        self.one = one

    def __call__(self, carry: Any, rates: Any, columns: Any) -> Any:
        wanted = rates.optimizer, rates.override, rates.t
        if self.coming != wanted or rates.t >= self.end:
            self._bring(carry, rates)
        carry, self.at, value = self.one(carry, self.at, self.table, columns)
        self.coming = rates.optimizer, rates.override, rates.t + 1
        return carry, value

    def _bring(self, carry: Any, rates: Any) -> None:
        weight, device = next(iter(carry["weights"].values())), _device_of(carry)
        self.table = jax.device_put(rates.ahead(AHEAD, weight.dtype), device)
        self.at = jax.device_put(np.int32(0), device)
        self.end = rates.t + AHEAD


def compile_epoch(step: Callable[..., Any], shape: tuple[int, ...]) -> Callable[..., Any]:
    """`run(carry, rates, columns, batch)`: TOGETHER updates a call, each of which takes its own slice of the data."""

    @functools.partial(jax.jit, static_argnums=(5, 6, 7), donate_argnums=(0, 1, 2))
    def several(
        carry: Any, total: Any, at: Any, table: Any, columns: Any, batch: int, size: int, count: int
    ) -> Any:  # fmt: skip
        for _ in range(count):
            part = [lax.dynamic_slice_in_dim(column, at * batch, size) for column in columns]
            carry, value = step(carry, tuple(table[at]), part)
            total, at = total + value * size, at + 1
        return carry, total, at

    def run(carry: Any, rates: Any, columns: Any, batch: int) -> Any:
        device, count = _device_of(carry), len(columns[0])
        table, total, at = jax.device_put((rates, np.zeros(shape, rates.dtype), np.int32(0)), device)
        for first, last in backends.chunks(count, batch, TOGETHER):
            size = min(batch, count - first * batch)
            carry, total, at = several(carry, total, at, table, columns, batch, size, last - first)
        return carry, total

    return run
