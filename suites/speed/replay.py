"""Hands rounds measured elsewhere to pytest-benchmark, so that its files, table and `compare` work on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class Replay:
    """A timer for `@pytest.mark.benchmark(timer=...)`: each pair of readings is one recorded duration apart."""

    def __init__(self) -> None:
        self.readings: Iterator[float] = iter(())

    def load(self, durations: Sequence[float]) -> None:
        """The durations in seconds that the next rounds are to show."""
        self.readings = iter([reading for duration in durations for reading in (0.0, duration)])

    def __call__(self) -> float:
        return next(self.readings, 0.0)
