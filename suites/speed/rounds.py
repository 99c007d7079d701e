"""Interleaved rounds: in each round every arm runs one block of calls, in an order drawn anew.

The arms of one round share the state of the machine, so only ratios within a round are worth anything; they are
computed from these raw block times by the reports. While one arm runs, the workers of the others wait in a read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np

from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Worker, WorkerFailed

What = Literal["train_step", "predict", "fit"]
WARM_UP_BLOCKS = 2
CALL_SECONDS = 600.0


@dataclass(frozen=True)
class Settings:
    """Rounds to run, and how long a block of one arm should take, in seconds."""

    rounds: int
    block_seconds: float


@dataclass
class Arm:
    """One worker in a comparison, and what it took: seconds of `iterations` calls, a number a round, on both clocks.

    `at` is the label under which its data were prepared, and `call` another call of its than that of the comparison.
    While the other arms ran it was idle for `idle_seconds`, in which its process used `idle_cpu_seconds`.
    """

    worker: Worker
    first_call_seconds: float = 0.0
    iterations: int = 1
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    failure: str = ""
    at: str = ""
    call: str = ""
    idle_seconds: float = 0.0
    idle_cpu_seconds: float = 0.0

    def block(self, what: What, iterations: int, discard: int = 0) -> float:
        """Seconds that `iterations` calls take, after `discard` calls that do not count."""
        return self.clocks(what, iterations, discard)[0]

    def clocks(self, what: What, iterations: int, discard: int = 0) -> tuple[float, float]:
        """The same, and the processor time of the worker's process; NaN from a revision that does not tell."""
        result = self._model.time(self.call or what, iterations, at=self.at, discard=discard)
        self.idle_seconds += result.get("idle_seconds", 0.0)
        self.idle_cpu_seconds += result.get("idle_cpu_seconds", 0.0)
        return float(result["seconds"]), float(result.get("cpu_seconds", math.nan))

    def calls(self, what: What, iterations: int) -> list[float] | None:
        """Seconds of each of so many calls, the wait for its result included; None from a revision that can't tell."""
        result = self._model.time(self.call or what, iterations, at=self.at, each=True)
        return result.get("calls")

    @property
    def _model(self) -> RemoteModel:
        return RemoteModel(self.worker, CALL_SECONDS)

    def warm_up(self, what: What, block_seconds: float) -> None:
        """The first call by itself, then blocks that grow to `block_seconds` and settle the iteration count.

        A call that takes twice as long as a block has nothing to settle: one more is enough.
        """
        self.first_call_seconds = self.block(what, 1)
        for _ in range(WARM_UP_BLOCKS + 1):
            each = self.block(what, self.iterations) / self.iterations
            self.iterations = max(1, round(block_seconds / each)) if each < block_seconds else 1
            if each > 2 * block_seconds > 0:
                return


def guarded(arm: Arm, action: Callable[[], None]) -> None:
    """Run `action`; a worker that dies ends its own arm only."""
    try:
        action()
    except WorkerFailed as failure:
        arm.failure = str(failure)


def measure(arms: Sequence[Arm], what: What, settings: Settings, seed: int = 0) -> None:
    """Fill every arm with `settings.rounds` interleaved blocks of `what`."""
    for arm in arms:
        guarded(arm, partial(arm.warm_up, what, settings.block_seconds))
    for order in islice(orders(len(arms), np.random.default_rng(seed)), settings.rounds):
        for index in order:
            if not arms[index].failure:
                guarded(arms[index], partial(_round, arms[index], what))


def orders(arms: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """The order of the arms in each round, from Latin squares drawn anew every 2 x `arms` rounds.

    In a square each arm has each place once. With Williams' zigzag (1949) it also follows every other arm equally
    often, in one square of an even number of arms or in two of an odd one, the second of which is mirrored.
    """
    zigzag = np.array([(place + 1) // 2 * (1 if place % 2 else -1) for place in range(arms)])
    while True:
        names = rng.permutation(arms)
        for turned in (False, True):
            for shift in rng.permutation(arms):
                row = names[(zigzag + shift) % arms].tolist()
                yield row[::-1] if turned else row


def _round(arm: Arm, what: What) -> None:
    """One counted block; a call before it brings the arm's code and data back into the caches."""
    wall, processor = arm.clocks(what, arm.iterations, discard=0 if what == "fit" else 1)
    arm.seconds.append(wall)
    arm.processor_seconds.append(processor)
