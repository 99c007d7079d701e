"""One module per engine: the same names in the same order; `numpy` is the one that says what each of them does.

Here is what several of them share. Importing this loads no engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from impls.shim.backends.contract import Array, Carry, Cell, Columns, Function, Held, Stepped


def same(x: Array) -> Array:
    """What a backend has for a change that it does not need."""
    return x


def renewed(old: Array, new: Array) -> Array:
    """`assign` where arrays do not change."""
    return new


def less(weight: Array, step: Array) -> Array:
    """`subtract` where arrays do not change."""
    return weight - step


def decayed(weights: list[Array], share: Array, subtract: Callable[[Array, Array], Array]) -> list[Array]:
    """Each weight less that share of it, where no call does that for all of them."""
    return [subtract(w, w * share) for w in weights]


def refused(backend: str, what: str) -> Callable[..., NoReturn]:
    """A function of the contract that a backend does not have."""

    def call(*args: object) -> NoReturn:
        raise NotImplementedError(f"backend {backend!r} has no {what}: take numpy, tensorflow, torch or jax")

    return call


def when(condition: Array, update: Callable[[], Held], held: Held) -> Held:
    """`when` where Python can ask."""
    return update() if condition else held


def scaled(arrays: list[Array], factor: Array) -> list[Array]:
    """Each array times the factor, where no call does that for all of them."""
    return [a * factor for a in arrays]


def straight(cell: Cell, rows: Iterable[Sequence[Array]], states: tuple[Array, ...]) -> list[Array]:
    """A recurrence as straight code: the first state after each of the steps whose rows these are."""
    outputs = []
    for row in rows:
        states = cell(*row, *states)
        outputs.append(states[0])
    return outputs


def one_by_one(function: Callable[[Array], Array]) -> Callable[[Sequence[Array]], list[Array]]:
    """The function of each of several arrays, where no call does that for all of them."""
    return lambda arrays: [function(a) for a in arrays]


def batches(column: Array, batch: int) -> Array:
    """Consecutive slices of a column; the last one may be shorter."""
    return [column[start : start + batch] for start in range(0, len(column), batch)]


def python_epoch(step: Function, split: Function, stack: Function) -> Function:
    """An epoch as a Python loop over `step`, for modes that have no compiled loop. It waits for nothing."""

    def run(carry: Carry, rates: Array, columns: Columns, batch: int) -> Stepped:
        values = []
        for row, part in zip(
            rates.tolist(), zip(*(split(column, batch) for column in columns), strict=False), strict=False
        ):
            carry, value = step(carry, row, part)
            values.append(value)
        rest = len(columns[0]) - batch * (len(values) - 1)
        return carry, stack(values[:-1]).sum(0) * batch + values[-1] * rest if values[1:] else values[0] * rest

    return run


def chunks(count: int, batch: int, together: int) -> list[tuple[int, int]]:
    """First and last update of each call of an epoch: so many full batches `together`, then what is left one by one."""
    full, rest = divmod(count, batch)
    together = max(1, min(together, full))
    whole, updates = full // together * together, full + bool(rest)
    cuts = [*range(0, whole, together), *range(whole, updates), updates]
    return list(itertools.pairwise(cuts))
