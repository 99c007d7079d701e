"""Count how often the gate errs on this machine, on the user's own benchmarks.

Base is the working tree; head is the same tree in another folder and in other words (see `disguise`). Comparisons of
both must not alarm; those in which one side makes exactly 1, 2 or 5 % more calls must. What each said is a line of a
file; `reports.projects.error_rates` counts.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suites.gate import calibrate
from suites.gate.calibrate import CALLS, fingerprint
from suites.projects import rounds
from suites.projects.crew import Crew
from suites.projects.sessions import SessionFailed
from suites.projects.trial import Trial
from suites.records import project_rule
from suites.records.projects import Contest
from suites.records.stopping_rule import PAIRS, Rule
from suites.runner import machine
from suites.runner.laboratory import now

DECIDES = (*calibrate.DECIDES, project_rule, rounds)  # what the counts hold for
EACH = 6  # comparisons of a test before the next one
INJECTED = (1, 2, 5)
IDENTICAL = 2  # comparisons of identical work to one of each injection
LONGEST = 20.0  # seconds: an injection whose fewest rounds take longer is left out
NAME = "project-calibration"


@dataclass(frozen=True)
class Plan:
    """How long to count, where to write, and what draws orders and disguises."""

    seconds: float
    results: Path
    seed: int
    arguments: tuple[str, ...]


class Counting:
    """Goes round the tests until the time is over; each round has new processes."""

    def __init__(self, crew_from: Callable[[int], Crew], plan: Plan) -> None:
        self.crew_from, self.plan = crew_from, plan
        self.files: list[str] = []
        self.others: dict[int, Crew] = {}  # for repeats, by the number of their first place
        self.rng = random.Random(plan.seed)
        self.end = time.monotonic() + plan.seconds
        stamp = now()[:19].replace(":", "").replace("-", "")
        self.path = plan.results / f"{NAME}-{stamp}-{os.getpid()}.jsonl"

    def go(self, changed: int) -> Path:
        """The file of what was counted. Raises SessionFailed where pytest does not run."""
        header = {
            "environment": asdict(machine.environment()),
            "rule": fingerprint(DECIDES),
            "started": now(),
            "changed": changed,
        }
        self.write(header)
        while time.monotonic() < self.end:
            crew = self.crew_from(0)
            try:
                self.turn(crew)
            finally:
                for each in (crew, *self.others.values()):
                    each.stop()
                self.others.clear()
        return self.path

    def write(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")

    def turn(self, crew: Crew) -> None:
        """Every test once, with the same processes."""
        first = crew.collect()["base"]
        self.files = sorted({os.path.relpath(item["file"], crew.grounds["base"].tree) for item in first.tests})
        tests = [item["id"] for item in first.tests]
        for test, following in zip(tests, [*tests[1:], None], strict=True):
            if time.monotonic() >= self.end:
                return
            crew.complete(self.files)
            try:
                self.test(crew, test, following)
            except SessionFailed:
                pass  # a test that can't be measured counts nothing
            finally:
                for each in (crew, *self.others.values()):
                    each.close()

    def test(self, crew: Crew, test: str, following: str | None) -> None:
        """Some comparisons of one test. Raises SessionFailed."""
        trial = Trial(crew, test, Rule())
        trial.begin(following)
        possible = [percent for percent in INJECTED if trial.length.shortest(CALLS[percent]) <= LONGEST]
        kinds = [0] * IDENTICAL * max(1, len(possible)) + possible
        if trial.length.shortest() > LONGEST:
            return
        trials = [trial]
        for _ in range(EACH):
            if time.monotonic() >= self.end:
                return
            self.compare(trials, self.rng.choice(kinds))

    def compare(self, trials: list[Trial], percent: int) -> None:
        """One comparison, with `percent` more calls in head; which tree is head is drawn for all pairs together.

        The trials after the first one are those of repeats; they are begun when the first repeat is wanted.
        """
        swapped = bool(self.rng.randrange(2))

        def fight(trial: Trial) -> Contest:
            trial.fight(self.rng.randrange(2**31), CALLS[percent], percent / 100, swapped)
            return trial.contest()

        contest = fight(trials[0])
        repeats: list[Contest] = []
        try:
            while project_rule.wants_repeat(contest, 1, repeats):
                number = len(repeats) + 1
                if number == len(trials):
                    trials.append(self.other(number * PAIRS, trials[0].test))
                repeats.append(fight(trials[number]))
        except SessionFailed:  # it counts as the gate judges what could not be repeated
            self.record(contest, repeats, percent, swapped)
            raise
        self.record(contest, repeats, percent, swapped)

    def other(self, first: int, test: str) -> Trial:
        """The test in sessions that lie elsewhere, ready to be measured. Raises SessionFailed."""
        if first not in self.others:
            self.others[first] = self.crew_from(first)
        self.others[first].complete(self.files)
        trial = Trial(self.others[first], test, Rule())
        trial.begin(None)
        return trial

    def record(self, contest: Contest, repeats: Sequence[Contest], percent: int, swapped: bool) -> None:
        said = project_rule.judge(contest, 1, repeats)
        measured = [contest, *repeats]
        pairs = [value for item in measured for value in project_rule.values_of_pairs(item)]
        low, high = said.decision.found.interval(0.025)
        self.write(
            {
                "contest": contest.test,
                "what": "",
                "percent": percent,
                "word": said.word,
                "rule_word": said.decision.word,
                "reason": said.reason,
                "value": round(said.decision.found.value, 6),
                "low": round(low, 6),
                "high": round(high, 6),
                "rounds": sum(len(item.base) for item in measured),
                "seconds": round(math.fsum(item.seconds for item in measured), 3),
                "pairs": [round(value, 5) for value in pairs],
                "swapped": swapped,
                "waited": contest.waited,
                "stolen": contest.stolen,
                "noise": contest.noise,
                "average": os.getloadavg()[0],
            }
        )
