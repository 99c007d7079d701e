"""Two workers of one cell, head against base, in rounds of base, head, head, base until the rule is satisfied.

What is compared is the processor time of the worker's process, which waiting for a core is no part of: on shared cores
it repeats ten times better than the clock on the wall. The wall clock is kept beside it, because code that sleeps or
waits longer takes no processor time. With several threads, on a GPU, and where a revision does not tell its processor
time, the wall clock is compared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from suites import estimate, plan
from suites.estimate import Rule
from suites.records import Cell
from suites.speed import placement
from suites.speed.rounds import Arm, What
from suites.stages import data, opened
from suites.workers import Worker

BLOCK_SECONDS = 0.003  # about what the scheduler gives at once
START_SECONDS = 300.0
MOVE_ROUNDS = 20  # then both arms move to another core, for one may be busier or slower for long
SETTLING_CALLS = (1, 1, 2, 4)
PAIRS = 2  # of workers: where a process happens to lie in memory makes it faster or slower for good

Pair = tuple[Arm, Arm]
Pairs = Sequence[Pair]


@dataclass
class Duel:
    """Seconds of two blocks a round and arm; blocks of head hold `extra` more calls for each of base's."""

    iterations: int
    extra: float = 0.0
    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)
    base_wall: list[float] = field(default_factory=list)
    head_wall: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def calls(self) -> tuple[int, int]:
        """Calls in a block of base and of head; `extra` of them has to be a whole number."""
        return self.iterations, self.iterations + round(self.iterations * self.extra)


def settle(arm: Arm, what: What) -> float:
    """Seconds that a call of `arm` takes once it has traced, compiled and filled its caches."""
    for calls in SETTLING_CALLS:
        arm.block(what, calls)
    calls = SETTLING_CALLS[-1]
    for _ in range(2):  # the second time in blocks of about the right length: a block has a cost of its own
        each = min(arm.block(what, calls) for _ in range(3)) / calls
        calls = max(1, round(BLOCK_SECONDS / each))
    return each


def iterations(pairs: Pairs, what: What, multiple: int = 1) -> int:
    """How many calls fill a block, a `multiple` of something; the workers are warm afterwards."""
    each = min(settle(arm, what) for pair in pairs for arm in pair)
    return max(1, round(BLOCK_SECONDS / each / multiple)) * multiple


def fight(pairs: Pairs, what: What, duel: Duel, rule: Rule, wall: bool = False, seed: int = 0) -> Duel:
    """Measure rounds into `duel` until `rule` is satisfied or its time is over. Raises WorkerFailed.

    The rounds go through `pairs` of (base, head), which are workers of the same cell: each lies elsewhere in memory.
    """
    rng = np.random.default_rng(seed)
    cores = [] if wall else list(rng.permutation(placement.cores()))
    start = time.perf_counter()
    while not _ended(duel, rule):
        if cores and len(duel.base) % MOVE_ROUNDS == 0:
            core = int(cores[len(duel.base) // MOVE_ROUNDS % len(cores)])
            placement.bind([arm.worker.pid for pair in pairs for arm in pair], core)
        _round(pairs[len(duel.base) % len(pairs)], what, duel, bool(rng.integers(2)), wall)
        duel.seconds = time.perf_counter() - start
    return duel


def _round(arms: Pair, what: What, duel: Duel, mirrored: bool, wall: bool) -> None:
    walls: tuple[list[float], list[float]] = ([], [])
    used: tuple[list[float], list[float]] = ([], [])
    for index in (1, 0, 0, 1) if mirrored else (0, 1, 1, 0):
        seconds, cpu = _block(arms[index], what, duel.calls[index])
        walls[index].append(seconds)
        used[index].append(seconds if wall else cpu)
    duel.base.append(sum(used[0]))
    duel.head.append(sum(used[1]))
    duel.base_wall.append(min(walls[0]))
    duel.head_wall.append(min(walls[1]))


def _block(arm: Arm, what: What, calls: int) -> tuple[float, float]:
    """A call that brings the arm's code and data back into the caches, by itself: old revisions know no other way."""
    arm.block(what, 1)
    return arm.clocks(what, calls)


def build(worker: Worker, cell: Cell) -> Arm:
    """Build the model from the canonical weights and leave one batch with the worker."""
    opened(worker, cell)
    split, batch = data(plan.dataset(cell)), plan.batch_size(cell)
    arrays = {"x": split.x[:batch], "y": split.y[:batch]}
    worker.call("prepare", arrays, timeout=START_SECONDS, batch_size=batch)
    return Arm(worker)


def pairs_of(arms: Sequence[Arm]) -> Pairs:
    """Base, head, base, head, ... as pairs."""
    return list(zip(arms[::2], arms[1::2], strict=True))


def tells_processor_time(pairs: Pairs, what: What) -> bool:
    """Whether both revisions say how much processor time their calls take."""
    return not any(math.isnan(arm.clocks(what, 1)[1]) for arm in pairs[0])


def _ended(duel: Duel, rule: Rule) -> bool:
    """Whether the rounds have said what they have to say, looked at only where the rule looks."""
    rounds = len(duel.base)
    if rounds >= rule.looks[-1] or (rounds >= estimate.FEWEST and duel.seconds >= rule.cap_seconds):
        return True
    return rounds in rule.looks and bool(decided(duel, rule).word)


def decided(duel: Duel, rule: Rule) -> estimate.Decision:
    """What `duel` says; the last look is the one at which its time was over, if it was."""
    late = duel.seconds >= rule.cap_seconds
    return estimate.decide(duel.base, duel.head, duel.base_wall, duel.head_wall, rule, ended=late)
