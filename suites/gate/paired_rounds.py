"""Pairs of workers of one cell, head against base, in rounds of base, head, head, base until the rule is satisfied.

A block is a handful of calls, each timed until its result has arrived, and its fastest call is what is compared: on
shared cores it repeats three times better than the sum or the processor time of the block, for a neighbour interrupts
some calls and not all. The whole blocks are kept beside it, because code may be slower in some of its calls only.
Where a revision does not time single calls, whole blocks are compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from suites.gate import placement
from suites.records import stopping_rule
from suites.records.run import Cell
from suites.records.stopping_rule import Rule
from suites.runner import plan
from suites.runner.stages import data, opened
from suites.runner.workers import Worker
from suites.speed.rounds import Arm, What

BLOCK_SECONDS = 0.0015
FEWEST_UNITS = 12  # in a block, of which the fastest counts,
LONG_SECONDS = 0.012  # unless they take longer than this
START_SECONDS = 300.0
MOVE_ROUNDS = 20  # then all arms move to another core, for one may be busier or slower for long
SETTLING_CALLS = (1, 1, 2, 4)

Pair = tuple[Arm, Arm]
Pairs = Sequence[Pair]


@dataclass
class Duel:
    """Seconds of a unit of calls, summed over the two blocks of a round and arm, and of one in the faster whole block.

    A unit is `calls` calls, of head `extra` more for each of them. A block is `units` units of base, for both. Each
    call of a unit counts as the fastest of those at its place.
    """

    units: int
    calls: int = 1
    extra: float = 0.0
    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)
    base_whole: list[float] = field(default_factory=list)
    head_whole: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def unit(self) -> tuple[int, int]:
        """Calls in a unit of base and of head; `extra` of them has to be a whole number."""
        return self.calls, self.calls + round(self.calls * self.extra)


def settle(arm: Arm, what: What) -> float:
    """Seconds that a call of `arm` takes once it has traced, compiled and filled its caches."""
    for calls in SETTLING_CALLS:
        arm.block(what, calls)
    calls = SETTLING_CALLS[-1]
    for _ in range(2):  # the second time in blocks of about the right length: a block has a cost of its own
        each = min(arm.block(what, calls) for _ in range(3)) / calls
        calls = max(1, round(BLOCK_SECONDS / each))
    return each


def units(pairs: Pairs, what: What, calls: int = 1) -> int:
    """How many units of `calls` make a block; the workers are warm afterwards."""
    each = min(settle(arm, what) for pair in pairs for arm in pair) * calls
    return max(round(BLOCK_SECONDS / each), min(FEWEST_UNITS, round(LONG_SECONDS / each)), 2)


def fight(pairs: Pairs, what: What, duel: Duel, rule: Rule, bound: bool = True, seed: int = 0) -> Duel:
    """Measure rounds into `duel` until `rule` is satisfied or its time is over. Raises WorkerFailed.

    The rounds go through `pairs` of (base, head), which are workers of the same cell: each lies elsewhere in memory.
    `bound`: all of them to one core at a time.
    """
    rng = np.random.default_rng(seed)
    cores = list(rng.permutation(placement.cores())) if bound else []
    single = all(arm.calls(what, 1) is not None for arm in pairs[0])
    start = time.perf_counter()
    while not _ended(duel, rule):
        if cores and len(duel.base) % MOVE_ROUNDS == 0:
            core = int(cores[len(duel.base) // MOVE_ROUNDS % len(cores)])
            placement.bind([arm.worker.pid for pair in pairs for arm in pair], core)
        _round(pairs[len(duel.base) % len(pairs)], what, duel, bool(rng.integers(2)), single)
        duel.seconds = time.perf_counter() - start
    return duel


def _round(arms: Pair, what: What, duel: Duel, mirrored: bool, single: bool) -> None:
    found: tuple[list[float], list[float]] = ([], [])
    whole: tuple[list[float], list[float]] = ([], [])
    for index in (1, 0, 0, 1) if mirrored else (0, 1, 1, 0):
        fastest, mean = _block(arms[index], what, duel.units * duel.calls, duel.unit[index], single)
        found[index].append(fastest)
        whole[index].append(mean)
    duel.base.append(sum(found[0]))
    duel.head.append(sum(found[1]))
    duel.base_whole.append(min(whole[0]))
    duel.head_whole.append(min(whole[1]))


def _block(arm: Arm, what: What, calls: int, unit: int, single: bool) -> tuple[float, float]:
    """Seconds of a unit in a block of so many calls: of the fastest call at each of its places, and on average.

    Both arms make equally many calls, so that a quiet moment is as likely in one as in the other.
    The first calls bring code and data back into the caches.
    """
    each = arm.calls(what, calls) if single else None
    if each is None:
        mean = arm.block(what, calls) / calls * unit
        return mean, mean
    return sum(min(each[place::unit]) for place in range(unit)), sum(each) / calls * unit


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


def _ended(duel: Duel, rule: Rule) -> bool:
    """Whether the rounds have said what they have to say, looked at only where the rule looks."""
    rounds = len(duel.base)
    if rounds >= rule.looks[-1] or (rounds >= stopping_rule.FEWEST and duel.seconds >= rule.cap_seconds):
        return True
    return rounds in rule.looks and bool(decided(duel, rule).word)


def decided(duel: Duel, rule: Rule) -> stopping_rule.Decision:
    """What `duel` says; the last look is the one at which its time was over, if it was."""
    late = duel.seconds >= rule.cap_seconds
    return stopping_rule.decide(duel.base, duel.head, duel.base_whole, duel.head_whole, rule, ended=late)
