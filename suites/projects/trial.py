"""One try at a test in all sessions; it keeps what it has measured where something ends it."""

from __future__ import annotations

from suites.gate.paired_rounds import Duel, Pairs
from suites.projects import fitness, rounds
from suites.projects.crew import Crew
from suites.records.projects import Contest, Role
from suites.records.stopping_rule import FEWEST, Rule


class Trial:
    """A test that is open in all sessions of a crew."""

    def __init__(self, crew: Crew, test: str, rule: Rule) -> None:
        self.crew, self.test, self.rule = crew, test, rule
        self.pairs: Pairs = []
        self.length = rounds.Length(0.0, 1)
        self.duel: Duel | None = None
        self.before = fitness.read()
        self.counted = (0.0, 0.0)

    def blocks(self) -> tuple[float, float]:
        """Seconds that blocks of all sessions took until now, and of them without a core."""
        sessions = self.crew.sessions.values()
        return sum(item.measured for item in sessions), sum(item.waited for item in sessions)

    def begin(self, following: str | None) -> None:
        """Run the test up to its measurement, and warm it up. Raises SessionFailed."""
        self.pairs, repeats = self.crew.open(self.test, following)
        self.length = rounds.length(self.pairs, repeats)

    def fight(self, seed: int, calls: int = 1, extra: float = 0.0, swapped: bool = False) -> None:
        """Measure until the rule is satisfied; `swapped`: with base as head. Raises SessionFailed."""
        pairs = [(head, base) for base, head in self.pairs] if swapped else self.pairs
        self.duel = Duel(self.length.units(calls, extra > 0), calls, extra)
        self.before, self.counted = fitness.read(), self.blocks()
        rounds.measure(pairs, self.duel, self.rule, seed, self.crew.bind)

    @property
    def enough(self) -> bool:
        """Whether what was measured can be judged."""
        return self.duel is not None and len(self.duel.base_whole) >= FEWEST

    def contest(self, role: Role = "gate") -> Contest:
        """What was measured, as it is recorded; a round that did not end is left out."""
        assert self.duel is not None
        (before, waited_before), (after, waited_after) = self.counted, self.blocks()
        lists = (self.duel.base, self.duel.head, self.duel.base_whole, self.duel.head_whole)
        whole = min(map(len, lists))
        base, head, base_whole, head_whole = (times[:whole] for times in lists)
        return Contest(
            test=self.test,
            role=role,
            inner=self.length.inner,
            base_calls=self.duel.unit[0],
            head_calls=self.duel.unit[1],
            base=base,
            head=head,
            base_whole=base_whole,
            head_whole=head_whole,
            seconds=self.duel.seconds,
            waited=min(1.0, (waited_after - waited_before) / max(after - before, 1e-9)),
            stolen=fitness.stolen_between(self.before, fitness.read()),
            noise=rounds.noise(self.pairs),
        )
