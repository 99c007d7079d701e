"""The sessions of a run: three of base and three of head, which walk the same tests; one that died is replaced.

Both sessions of a pair lie alike in memory, each pair elsewhere. Another crew lies elsewhere again, from the place with
the number `first` on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from suites.gate.paired_rounds import Pairs
from suites.projects.janitor import Janitor
from suites.projects.rounds import pairs_of
from suites.projects.sessions import Ground, Session, SessionFailed
from suites.records.stopping_rule import PAIRS

SideName = Literal["base", "head"]
SIDES: tuple[SideName, SideName] = ("base", "head")
TEST_SECONDS = 600.0


class Crew:
    """Sessions by side and pair."""

    def __init__(
        self, grounds: dict[SideName, Ground], folder: Path, arguments: Sequence[str], janitor: Janitor, bind: bool,
        seconds: float = TEST_SECONDS, first: int = 0,
    ) -> None:  # fmt: skip
        self.grounds, self.folder, self.arguments = grounds, folder, list(arguments)
        self.janitor, self.bind, self.seconds, self.first = janitor, bind, seconds, first
        self.sessions: dict[tuple[SideName, int], Session] = {}
        self.started = 0

    def start(self, side: SideName, pair: int, arguments: Sequence[str]) -> Session:
        """A new session in this place; the one that was there is ended."""
        if (side, pair) in self.sessions:
            self.sessions[side, pair].kill()
        self.started += 1
        name = f"{side}{pair}-{self.started:03d}"
        place = self.first + pair
        session = Session(name, self.grounds[side], place, self.folder, arguments, self.janitor, self.bind)
        self.sessions[side, pair] = session
        return session

    def collect(self) -> dict[SideName, Session]:
        """The first session of each side, with its tests.

        Raises SessionFailed, of head if it fails there: what neither side takes, such as a mistyped option, is no fault
        of base's.
        """
        first = {side: self.start(side, 0, self.arguments) for side in SIDES}
        first["head"].collected()
        first["base"].collected()
        return first

    def complete(self, files: Sequence[str]) -> None:
        """Have all sessions alive; new ones collect only these files. Raises SessionFailed."""
        words = [*self.options(), *files]
        new = []
        for pair, side in itertools.product(range(PAIRS), SIDES):
            there = self.sessions.get((side, pair))
            if there is None or not there.alive:
                new.append(self.start(side, pair, words))
        for session in new:
            session.collected()

    def options(self) -> list[str]:
        """The user's words for pytest that are no places of tests."""
        kept: list[str] = []
        for word in self.arguments:
            is_value = bool(kept) and kept[-1] in ("-k", "-m", "-o", "-c", "-p", "-W")
            if word.startswith("-") or is_value:
                kept.append(word)
        return kept

    def of(self, side: SideName) -> list[Session]:
        return [self.sessions[side, pair] for pair in range(PAIRS)]

    def open(self, test: str, following: str | None) -> tuple[Pairs, bool]:
        """Run a test in all sessions up to its measurement: pairs of arms, and whether calls can be repeated at once.

        Raises the SessionFailed of base, if it fails there too.
        """
        failed: dict[str, SessionFailed] = {}
        repeats = True
        for session in self.sessions.values():
            session.run(test, following)
        for session in self.sessions.values():
            try:
                repeats = session.ready(self.seconds) and repeats
            except SessionFailed as failure:
                failed.setdefault(session.side, failure)
        if failed:
            raise failed["base" if "base" in failed else "head"]
        return pairs_of(self.of("base"), self.of("head"), self.seconds), repeats

    def close(self) -> str:
        """Let the running test go on to its end everywhere; why it failed after its measurement, or nothing."""
        reasons = []
        for session in self.sessions.values():
            try:
                reasons.append(session.end(self.seconds))
            except SessionFailed as failure:
                reasons.append(str(failure))
        return next(filter(None, reasons), "")

    def stop(self) -> None:
        for session in self.sessions.values():
            session.kill()
