"""Stories that no comparison of cells tells: `stories.toml`, small programs whose output is recorded."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from suites.heritage.shown import run
from suites.records.run import Told
from suites.runner import environments

TABLE = Path(__file__).with_name("stories.toml")


@dataclass(frozen=True)
class Story:
    """A program and where it runs, in the `environment` of that name ("": this one), with these variables."""

    story: str
    title: str
    program: str
    environment: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> Told:
        """Run it; a story whose environment is missing says so."""
        place = environments.environments()[self.environment] if self.environment else None
        if place is not None and not place.interpreter.exists():
            reason = f"there is no environment with {place.title}: `triptych heritage` makes it"
            return self._as(place.title, True, [reason])
        said = run(self.program, place, self.variables)
        return self._as(place.title if place else "this environment", said.ended, said.lines)

    def _as(self, title: str, ended: bool, lines: list[str]) -> Told:
        return Told(self.story, self.title, title, self.program, ended, lines)


def table(path: Path = TABLE) -> list[Story]:
    """Every story, in the order of the file."""
    return [Story(**item) for item in tomllib.loads(path.read_text(encoding="utf-8"))["story"]]


def tell() -> Iterator[Told]:
    """Run them all, two at a time, and print each."""
    with ThreadPoolExecutor(2) as executor:
        for told in executor.map(Story.told, table()):
            print(f"{told.story}, {told.title}:", *told.lines, sep="\n    ", flush=True)
            yield told
