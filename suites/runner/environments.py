"""The environments of the engines that came before: where they are, what they lack, how a worker is started in one."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impls import IMPLEMENTATIONS, interpreters
from suites.runner.requirements import HERITAGE
from suites.runner.workers import HERE, Source

TABLE = Path(__file__).with_name("environments.toml")
LINKS = Path("lib", "heritage")  # in an environment: libraries under the names that its packages know them by


@dataclass(frozen=True)
class Library:
    """A library of the system that an engine is linked with; `links` maps the name it wants to the one there is."""

    environment: str
    engine: str
    command: str
    links: Mapping[str, str]

    def missing(self) -> list[str]:
        """Names of the files that no folder of the system has."""
        return [file for file in dict.fromkeys(self.links.values()) if located(file) is None]


@dataclass(frozen=True)
class Environment:
    """Packages that live together under one Python; the keys of `environments.toml`, which says what they mean."""

    name: str
    title: str
    python: tuple[str, ...]
    packages: tuple[str, ...]
    first: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[Library, ...] = field(default=())

    @property
    def folder(self) -> Path:
        return interpreters.folder(self.name)

    @property
    def interpreter(self) -> Path:
        return interpreters.interpreter(self.name)

    def link(self) -> None:
        """Make the links that its packages want, where the system has the libraries."""
        if not self.interpreter.exists():
            return
        (self.folder / LINKS).mkdir(exist_ok=True)
        for library in self.libraries:
            for wanted, file in library.links.items():
                place, there = self.folder / LINKS / wanted, located(file)
                place.unlink(missing_ok=True)
                if there is not None:
                    place.symlink_to(there)

    def source(self) -> Source:
        """How its workers are started; a user's own keras.json has no say."""
        found = {"LD_LIBRARY_PATH": str(self.folder / LINKS), "KERAS_HOME": str(self.folder / "keras")}
        return Source(str(self.interpreter), environment={**found, **self.variables})


@functools.cache
def located(file: str) -> Path | None:
    """The path of a shared library that the system's loader knows, or nothing."""
    for folder in ("/usr/local/lib", "/usr/lib", "/usr/lib64"):
        for pattern in (file, f"*/{file}"):
            for path in Path(folder).glob(pattern):
                return path
    return None


@functools.cache
def environments(path: Path = TABLE) -> dict[str, Environment]:
    """Every environment of the table, by its name."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    libraries = [Library(**item) for item in content["library"]]
    return {item["name"]: _environment(item, libraries) for item in content["environment"]}


def _environment(item: Mapping[str, Any], libraries: Sequence[Library]) -> Environment:
    lists = {name: tuple(item[name]) for name in ("python", "packages", "first")}
    own = tuple(library for library in libraries if library.environment == item["name"])
    return Environment(**{**item, **lists, "libraries": own})


def of(implementation: str, backend: str) -> Environment | None:
    """The environment in which this runs; None: this one."""
    name = IMPLEMENTATIONS[implementation].environments.get(backend, "")
    return environments()[name] if name else None


def source(implementation: str, backend: str) -> Source:
    """Where the workers of this come from."""
    environment = of(implementation, backend)
    return environment.source() if environment else HERE


def reason_against(implementation: str, backend: str) -> str:
    """Why this can't run in its environment, or nothing."""
    environment = of(implementation, backend)
    if environment is None:
        return ""
    if not environment.interpreter.exists():
        return f"{HERITAGE} {environment.title}: `triptych heritage` makes it"
    for library in environment.libraries:
        if library.engine == backend and (missing := library.missing()):
            return f"{backend} wants {' and '.join(missing)}, which the system lacks: {library.command}"
    return ""
