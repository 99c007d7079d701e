"""Compares what differs again, in processes that lie elsewhere in memory: a difference has to survive that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from suites.projects.crew import Crew
from suites.projects.fitness import Patience
from suites.projects.sessions import SessionFailed
from suites.projects.trial import Trial
from suites.records import project_rule, terminal
from suites.records.projects import Contest, ProjectRun
from suites.records.stopping_rule import PAIRS, Rule

CrewFrom = Callable[[int], Crew]  # a crew whose pairs lie at the places from this number on
TRIES = 2  # of a test one of whose sessions died, or beside which the machine was busy


class Repeats:
    """The repeats of a run, all of its tests in one crew before the next crew is started."""

    def __init__(
        self, run: ProjectRun, rule: Rule, files: dict[str, str], patience: Patience, save: Callable[[], object]
    ) -> None:
        self.run, self.rule, self.files, self.patience, self.save = run, rule, files, patience, save

    def go(self, crew_from: CrewFrom) -> None:
        """Repeat until every difference is confirmed or denied."""
        for number in range(1, project_rule.REPEATS + 1):
            tests = [item.test for item in self.run.contests if self.is_wanted(item)]
            if not tests:
                return
            crew = crew_from(number * PAIRS)
            try:
                for test, following in zip(tests, [*tests[1:], None], strict=True):
                    terminal.LOG.info(f"again {number}: {test}")
                    self.one(crew, tests, test, following)
                    self.save()
            finally:
                crew.stop()

    def is_wanted(self, item: Contest) -> bool:
        repeats = self.run.repeats_of(item.test)
        return item.role == "gate" and project_rule.wants_repeat(item, self.rule.comparisons, repeats)

    def one(self, crew: Crew, tests: Sequence[str], test: str, following: str | None) -> None:
        """One test, once more where a session died or the machine was too busy."""
        for left in reversed(range(TRIES)):
            self.patience.wait()
            try:
                crew.complete(sorted({self.files[name] for name in tests}))
                contest = measure(crew, test, following, self.rule, len(self.run.contests))
            except SessionFailed as failure:
                if not left:
                    self.run.notes.append(f"{test} could not be repeated: {failure.side}: {failure}")
                continue
            if not left or not project_rule.strained(contest):
                self.run.contests.append(contest)
                return


def measure(crew: Crew, test: str, following: str | None, rule: Rule, seed: int) -> Contest:
    """One comparison of a test. Raises SessionFailed."""
    trial = Trial(crew, test, rule)
    try:
        trial.begin(following)
        trial.fight(seed)
    finally:
        crew.close()
    return trial.contest("repeat")
