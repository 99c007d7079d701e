"""Goes through the tests that both sides have, one after the other in all sessions, and records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from suites.projects import changes, fitness, rounds
from suites.projects.crew import SIDES, Crew, SideName
from suites.projects.janitor import Janitor
from suites.projects.repeats import TRIES, Repeats
from suites.projects.sessions import Ground, Session, SessionFailed
from suites.projects.table import Table
from suites.projects.trial import Trial
from suites.projects.wheels import BuildError
from suites.records import project_rule, projects, terminal
from suites.records.projects import Contest, Outcome, ProjectRun
from suites.records.stopping_rule import Rule

UNFIT_IN_A_ROW = 3  # comparisons, after which only short tests are tried
SHORT_TEST = 0.001  # seconds of a call
NO_TEST = "no test with pytest-benchmark's `benchmark` fixture is in both revisions"


class Asked(Protocol):
    """What the walk has to know of the command line."""

    @property
    def arguments(self) -> tuple[str, ...]: ...
    @property
    def results(self) -> Path: ...


class Walk:
    """One walk of all sessions through the tests."""

    def __init__(
        self,
        run: ProjectRun,
        grounds: dict[SideName, Ground],
        table: Table,
        asked: Asked,
        folder: Path,
        janitor: Janitor,
    ) -> None:
        self.run, self.grounds, self.table, self.asked = run, grounds, table, asked
        self.folder, self.janitor = folder, janitor
        self.patience = fitness.Patience(table.patience)
        self.cheapest: tuple[float, str] | None = None
        self.strained = 0  # comparisons in a row
        self.tests: list[str] = []
        self.files: dict[str, str] = {}
        self.parent = os.getppid()

    def go(self) -> None:
        """Measure every test, then the controls. Raises BuildError where pytest does not run in head."""
        crew = self.crew(self.grounds, "sessions", self.table.arguments + self.asked.arguments)
        try:
            if self.collect(crew):
                for test, following in zip(self.tests, [*self.tests[1:], None], strict=True):
                    self.one(crew, test, following)
                    projects.save(self.run, self.asked.results)
        finally:
            crew.stop()
            done = {item.id for item in self.run.tests}
            self.run.tests += [Outcome(test, "unfinished") for test in self.tests if test not in done]
        self.repeat(crew.options())
        self.prove(crew.options())

    def crew(self, grounds: dict[SideName, Ground], name: str, arguments: Sequence[str], first: int = 0) -> Crew:
        folder = self.folder / name
        return Crew(grounds, folder, arguments, self.janitor, self.table.bind, self.table.timeout, first)

    def repeat(self, options: Sequence[str]) -> None:
        """Compare what differs in other processes too."""

        def crew_from(first: int) -> Crew:
            return self.crew(self.grounds, f"repeats{first}", options, first)

        def save() -> None:
            projects.save(self.run, self.asked.results)
            self.check_parent()

        Repeats(self.run, self.rule, self.files, self.patience, save).go(crew_from)

    def collect(self, crew: Crew) -> bool:
        """Find the tests of both sides; whether there are any."""
        try:
            first = crew.collect()
        except SessionFailed as failure:
            if failure.side == "head":
                raise BuildError(f"pytest does not run in head: {failure}") from failure
            self.run.absent = f"pytest does not run in base: {failure}"
            return False
        top = self.grounds["head"].tree
        self.files = {item["id"]: os.path.relpath(item["file"], top) for item in first["head"].tests}
        self.tests = self.common(first)
        return bool(self.tests)

    def common(self, first: dict[SideName, Session]) -> list[str]:
        """The tests of both sides; those of one only, and files that can't be collected, go to the record."""
        names = {side: [item["id"] for item in first[side].tests] for side in SIDES}
        for side in SIDES:
            for error in first[side].errors:
                self.run.notes.append(f"{side}: {error['place']} can't be collected: {error['reason']}")
        broken = {error["place"] for error in first["base"].errors}
        for name in names["head"]:
            if name not in names["base"]:
                in_broken = name.partition("::")[0] in broken
                reason = "its file can't be collected in base" if in_broken else "base has no such test"
                self.run.tests.append(Outcome(name, "new", reason, "base"))
        for name in names["base"]:
            if name not in names["head"]:
                self.run.tests.append(Outcome(name, "vanished", "head has no such test", "head"))
        both = [name for name in names["head"] if name in set(names["base"])]
        self.run.absent = "" if both else NO_TEST + self.elsewhere()
        return both

    def elsewhere(self) -> str:
        """Where benchmarks are that pytest does not find by itself."""
        files = changes.not_collected(self.grounds["head"].tree, self.files.values())
        if not files:
            return ""
        return f"; pytest does not collect {changes.listed(files)} by itself: name it behind --base REV"

    def one(self, crew: Crew, test: str, following: str | None) -> None:
        """One test, once more where a session died or the machine was too busy."""
        trouble = self.patience.wait()
        outcome, contest, again = Outcome(test, "unfinished"), None, False
        for left in reversed(range(TRIES)):
            try:
                crew.complete(sorted({self.files[name] for name in self.tests}))
                outcome, contest = self.attempt(crew, test, following)
                again = contest is not None and project_rule.strained(contest) and bool(left)
                trouble = self.patience.wait() if again else trouble
                again = again and not trouble
            except SessionFailed as failure:
                outcome, again = became(test, failure), failure.outcome == "died"
            if not again:
                break
        self.record(outcome, contest)

    def attempt(self, crew: Crew, test: str, following: str | None) -> tuple[Outcome, Contest | None]:
        """Measure a test once. Raises SessionFailed where not even a part of it can be judged."""
        trial = Trial(crew, test, self.rule)
        outcome = Outcome(test, "measured")
        try:
            trial.begin(following)
            refused = self.refused(test, trial.length)
            if refused:
                crew.close()
                return refused, None
            self.show(test)
            trial.fight(len(self.run.contests))
        except SessionFailed as failure:
            crew.close()
            if not trial.enough:
                raise
            outcome = replace(outcome, reason=f"cut short: {failure.side}: {failure}")
        except KeyboardInterrupt:
            if trial.enough:
                self.record(replace(outcome, reason="cut short: interrupted"), trial.contest())
            raise
        contest = trial.contest()
        ending = crew.close()
        self.check_parent()
        return (replace(outcome, reason=f"after its measurement, {ending}") if ending else outcome), contest

    def show(self, test: str) -> None:
        number = sum(item.status == "measured" for item in self.run.tests) + 1
        terminal.LOG.info(f"{number}/{len(self.tests)} {test}")

    @property
    def rule(self) -> Rule:
        """The rule of Triptych's own gate, for so many comparisons."""
        return Rule(comparisons=max(Rule.comparisons, len(self.tests)))

    def refused(self, test: str, length: rounds.Length) -> Outcome | None:
        """Why a test is not measured, if it is not."""
        if length.shortest() > self.table.longest:
            reason = f"a call takes {length.seconds:.2g} s: its fewest rounds would take {length.shortest():.0f} s"
            return Outcome(test, "n/a", f"{reason}, `longest` in [tool.triptych.gate] is {self.table.longest:g} s")
        if self.strained >= UNFIT_IN_A_ROW and length.seconds / length.inner > SHORT_TEST:
            return Outcome(test, "unfit", f"left out: the machine was too busy in {self.strained} comparisons in a row")
        return None

    def record(self, outcome: Outcome, contest: Contest | None) -> None:
        self.run.tests.append(outcome)
        self.run.waited_seconds = round(self.patience.waited, 1)
        if contest is None:
            return
        self.run.contests.append(contest)
        self.strained = self.strained + 1 if project_rule.strained(contest) else 0
        cost = (min(contest.base) / contest.base_calls, contest.test)
        self.cheapest = min(self.cheapest or cost, cost)

    def check_parent(self) -> None:
        """Where the command that started this is gone, nobody waits for an answer."""
        if os.getppid() != self.parent:
            raise KeyboardInterrupt

    def prove(self, options: Sequence[str]) -> None:
        """An A/A control that must not alarm and a positive control that must, on the test with the shortest calls."""
        if self.cheapest is None:
            return
        test = self.cheapest[1]
        grounds = dict.fromkeys(SIDES, self.grounds["base"])
        crew = self.crew(grounds, "controls", [*options, self.files[test]])
        self.patience.wait()
        try:
            crew.complete([self.files[test]])
            trial = Trial(crew, test, self.rule)
            trial.begin(None)
            trial.fight(len(self.run.contests))
            self.run.contests.append(trial.contest("twin"))
            calls = trial.length.control_calls
            trial.fight(len(self.run.contests), calls, 1 / calls)
            self.run.contests.append(trial.contest("canary"))
        except SessionFailed as failure:
            self.run.notes.append(f"the controls on {test} failed: {failure}")
        finally:
            crew.stop()


def became(test: str, failure: SessionFailed) -> Outcome:
    """What became of a test that could not be measured."""
    if failure.outcome == "skipped":
        return Outcome(test, "skipped", str(failure), failure.side)
    if failure.outcome == "passed":
        return Outcome(test, "n/a", str(failure), failure.side)
    return Outcome(test, "failed", str(failure), failure.side)
