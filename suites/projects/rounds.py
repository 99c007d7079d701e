"""One test in all sessions: how long a block of its calls is, and rounds of blocks until the rule is satisfied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from suites.gate.paired_rounds import BLOCK_SECONDS, FEWEST_UNITS, LONG_SECONDS, Duel, Pairs, fight
from suites.projects.sessions import Session
from suites.records.stopping_rule import FEWEST, Rule
from suites.runner.workers import Worker
from suites.speed.rounds import Arm, What

CALL: What = "predict"  # the loop hands it on; a benchmark has one call only
SHORT_SECONDS = 20e-6  # calls below this are timed several at a time, so that the clock costs them nothing
WARM_CALLS = (1, 2, 4)
LONG_CALL = 0.05  # seconds: it is not called more often than it has to be
VERY_LONG_CALL = 0.25  # one of them is a block
BLOCKS = 4  # of a round
CONTROL_CALLS = 20  # in a unit of the positive control, which head makes one call more of: 5 %


class TooLong(RuntimeError):
    """A test whose fewest rounds would take too long."""


@dataclass
class SessionArm(Arm):
    """A session's test as an arm of a comparison; a call of the arm is `inner` calls of the user's function."""

    inner: int = 1
    seconds_allowed: float = 600.0
    fastest: list[float] = field(default_factory=list)

    def block(self, what: What, iterations: int, discard: int = 0) -> float:
        return math.fsum(self.calls(what, iterations + discard)[discard:])

    def calls(self, what: What, iterations: int) -> list[float]:
        times = cast(Session, self.worker).block(iterations, self.inner, self.seconds_allowed)
        self.fastest.append(min(times))
        return times


def pairs_of(base: Sequence[Session], head: Sequence[Session], seconds_allowed: float) -> Pairs:
    """Pairs of arms, session by session."""
    arms = [[SessionArm(cast(Worker, item), seconds_allowed=seconds_allowed) for item in side] for side in (base, head)]
    return list(zip(*arms, strict=True))


@dataclass(frozen=True)
class Length:
    """How a test is measured: seconds of a call of an arm, which is `inner` calls, and whether it is very long."""

    seconds: float
    inner: int

    def units(self, calls: int = 1, extra: bool = False) -> int:
        """Units of so many calls in a block; `extra`: head's unit is longer, and has to fit into the block as well."""
        each = self.seconds * calls
        fewest = 1 if each > VERY_LONG_CALL and not extra else 2
        return max(round(BLOCK_SECONDS / each), min(FEWEST_UNITS, round(LONG_SECONDS / each)), fewest)

    @property
    def control_calls(self) -> int:
        """Calls in a unit of the positive control: fewer where they are so long that its rounds would take minutes."""
        return max(1, min(CONTROL_CALLS, int(VERY_LONG_CALL / self.seconds)))

    def shortest(self, calls: int = 1) -> float:
        """Seconds of the fewest rounds that can be judged."""
        return FEWEST * BLOCKS * self.units(calls) * calls * self.seconds


def length(pairs: Pairs, repeats: bool) -> Length:
    """Warm every arm up, and choose how many calls are timed together, the same for all arms."""
    arms: list[Any] = [arm for pair in pairs for arm in pair]
    each = min(warm(arm) for arm in arms)
    inner = max(1, math.ceil(SHORT_SECONDS / max(each, 1e-9))) if repeats and each < SHORT_SECONDS else 1
    for arm in arms:
        arm.inner = inner
    if inner > 1:
        each = min(min(arm.calls(CALL, 4)) for arm in arms)
    return Length(each, inner)


def warm(arm: Any) -> float:
    """Seconds of a call that has filled its caches."""
    seconds = float(arm.calls(CALL, 1)[0])
    if seconds > LONG_CALL:
        return min(seconds, float(arm.calls(CALL, 1)[0]))
    for calls in WARM_CALLS:
        seconds = min(arm.calls(CALL, calls))
    if seconds < SHORT_SECONDS:
        seconds = min(arm.calls(CALL, round(SHORT_SECONDS / max(seconds, 1e-7)) + 1))
    return float(seconds)


def measure(pairs: Pairs, duel: Duel, rule: Rule, seed: int, bind: bool) -> None:
    """Rounds of head against base into `duel`, which keeps what it has where a session fails."""
    for arm in (arm for pair in pairs for arm in pair):
        cast(SessionArm, arm).fastest.clear()
    fight(pairs, CALL, duel, rule, bound=bind, seed=seed)


def noise(pairs: Pairs) -> float:
    """How far two blocks of the same session in one round are apart: the median absolute log ratio.

    A round has two blocks of each arm, so this is a control of the same code in the same process that costs nothing.
    """
    apart: list[float] = []
    for index, pair in enumerate(pairs):
        for arm in pair:
            times = cast(SessionArm, arm).fastest
            times = times[1:] if index == 0 else times  # the loop tries the first pair with a call
            apart += [abs(math.log(b / a)) for a, b in zip(times[::2], times[1::2], strict=False) if a and b]
    return sorted(apart)[len(apart) // 2] if apart else 0.0
