"""One module per engine: the same functions in the same order, aliases first. Importing this loads none of them."""

from typing import Any, Callable, Sequence


def python_epoch(step: Callable[..., Any]) -> Callable[..., Any]:
    """An epoch as a Python loop over `step`, for modes that have no compiled loop. It waits for nothing."""

    def run(carry: Any, rates: Any, columns: Sequence[Any], batch: int) -> Any:
        total: Any = 0.0
        count = len(columns[0])
        for row, start in zip(rates.tolist(), range(0, count, batch)):
            stop = min(start + batch, count)
            carry, value = step(carry, row, [column[start:stop] for column in columns])
            total = total + value * (stop - start)
        return carry, total

    return run
