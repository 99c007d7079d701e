"""Training on a GPU with JAX: rates, counters and totals stay on the device from one call to the next.

A Python number that a compiled call is given becomes a copy to the device, which takes longer than a small step. So the
rates of many updates travel at once, and a counter beside them says whose turn it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np

from impls.shim.backends.contract import Array, Carry, Columns, Function, Rates, Stepped

AHEAD = 256  # updates whose rates are brought at once


def on_gpu(carry: Carry) -> bool:
    """Whether the weights are on something else than the CPU."""
    return str(_device_of(carry).platform) != "cpu"


def _device_of(carry: Carry) -> jax.Device:
    (device,) = next(iter(carry["weights"].values())).devices()
    return device


class Step:
    """`run(carry, rates, columns)`: one update a call."""

    def __init__(self, step: Function) -> None:
        self.ahead: Callable[[int], list[Rates]] = step.ahead  # type: ignore[attr-defined]
        self.coming: Iterator[Rates] = iter(())  # the rates in `table` whose turn has not come yet
        self.at: Array = None  # on the device: whose turn it is in `table`
        self.table: Array = None

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def one(carry: Carry, at: Array, table: Array, columns: Columns) -> tuple[Carry, Array, Array]:
            carry, value = step(carry, tuple(table[at]), columns)
            return carry, at + 1, value

        self.one = one

    def __call__(self, carry: Carry, rates: Rates, columns: Columns) -> Stepped:
        if next(self.coming, None) != rates:  # all are used, or a callback has set another rate
            self._bring(carry)
        carry, self.at, value = self.one(carry, self.at, self.table, columns)
        return carry, value

    def _bring(self, carry: Carry) -> None:
        """Rates of the updates from this one on."""
        weight, device, rows = next(iter(carry["weights"].values())), _device_of(carry), self.ahead(AHEAD)
        self.table = jax.device_put(np.array(rows, weight.dtype), device)
        self.at = jax.device_put(np.int32(0), device)
        self.coming = iter(rows[1:])
