"""One module per engine: the same functions in the same order, aliases first. Importing this loads none of them."""

from collections.abc import Callable, Sequence
from typing import Any


def batches(column: Any, batch: int) -> Any:
    """Consecutive slices of a column; the last one may be shorter."""
    return [column[start : start + batch] for start in range(0, len(column), batch)]


def python_epoch(step: Callable[..., Any], split: Callable[..., Any], stack: Callable[..., Any]) -> Callable[..., Any]:
    """An epoch as a Python loop over `step`, for modes that have no compiled loop. It waits for nothing."""

    def run(carry: Any, rates: Any, columns: Sequence[Any], batch: int) -> Any:
        values = []
        for row, part in zip(
            rates.tolist(), zip(*(split(column, batch) for column in columns), strict=False), strict=False
        ):
            carry, value = step(carry, row, part)
            values.append(value)
        rest = len(columns[0]) - batch * (len(values) - 1)
        return carry, stack(values[:-1]).sum(0) * batch + values[-1] * rest if values[1:] else values[0] * rest

    return run
