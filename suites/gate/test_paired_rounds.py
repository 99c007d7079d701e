"""Rounds of workers that need no process: what is compared, and that exact extra work is seen as exactly that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from suites.gate.paired_rounds import Duel, decided, fight, units
from suites.records.stopping_rule import PAIRS, Rule

RULE = replace(Rule(), placement=0.001)


@dataclass
class Clockwork:
    """A worker whose calls take `seconds`, but for every `rare`th, which takes `hit` times as long."""

    seconds: float = 1e-4
    rare: int = 10**9
    hit: float = 1.0
    single: bool = True
    asked: list[int] = field(default_factory=list)
    worker: Any = field(default_factory=lambda: SimpleNamespace(pid=0))

    def calls(self, what: str, iterations: int) -> list[float] | None:
        self.asked.append(iterations)
        each = [self.seconds * (self.hit if call % self.rare == 0 else 1) for call in range(1, iterations + 1)]
        return each if self.single else None

    def block(self, what: str, iterations: int) -> float:
        return self.seconds * iterations


def fought(base: Clockwork, head: Clockwork, calls: int = 1, extra: float = 0.0) -> Duel:
    pairs: Any = [(replace(base, asked=[]), replace(head, asked=[])) for _ in range(PAIRS)]
    duel = Duel(units(pairs, "predict", calls), calls, extra)
    return fight(pairs, "predict", duel, RULE, bound=False)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("calls", [20, 100])
def test_one_call_more_in_a_unit_is_exactly_that_much(single: bool, calls: int) -> None:
    """Also where a block is no whole number of head's units, and with a revision that times whole blocks only."""
    arm = Clockwork(single=single)
    duel = fought(arm, arm, calls, 1 / calls)
    ratios = [head / base for base, head in zip(duel.base, duel.head, strict=True)]
    assert ratios == pytest.approx([1 + 1 / calls] * len(ratios))
    assert duel.head_whole[0] / duel.base_whole[0] == pytest.approx(1 + 1 / calls)


def test_a_neighbour_that_interrupts_some_calls_is_not_seen() -> None:
    duel = fought(Clockwork(), Clockwork(rare=7, hit=1.1))
    assert decided(duel, RULE).word == "same" and len(duel.base) == RULE.looks[0]


def test_code_that_is_slower_in_some_calls_is_seen() -> None:
    found = decided(fought(Clockwork(), Clockwork(rare=7, hit=2.0)), RULE)
    assert found.word == "slower" and found.by_whole


def test_a_slow_call_is_not_asked_for_often() -> None:
    pairs: Any = [(Clockwork(0.01), Clockwork(0.01))]
    assert units(pairs, "train_step") == 2
