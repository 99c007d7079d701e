"""Every engine of the story, then and now, from the kept file of a run.

Verdicts, ratios, lines, what departs and why, and what small programs say that no comparison of cells shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, NotRequired, TypedDict

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from reports import formatting, verdicts
from reports.verdicts import Verdict
from suites.records.run import Cell, RecordError, Told

KEPT = Path(__file__).parents[1] / "data" / "heritage.json"
ABSENT = Verdict("not there", "dash", "quiet", 3)
KNOWN = Verdict("finding", "diamond", "warn", 5)
WORDS = {
    "equal": verdicts.SAME,
    "departs": verdicts.EXPLAINED,
    "different": verdicts.DIFFERS,
    "fails": verdicts.FAILED,
    "absent": ABSENT,
    "skipped": verdicts.SKIPPED,
}
LAST_KERAS_2 = 16  # the first minor release of Keras 2 that is a release of tf-keras only
REFERENCE = ("raw_tf", "tensorflow")
WHATS = ("train_step", "predict", "fit")
SHOWN = ("model", "dtype")


@validated(frozen=True)
class Said:
    """What a stage of a cell came to, see `suites.heritage.record`."""

    cell: Cell
    stage: str
    word: str
    where: str
    cause: str
    known: bool
    programs: dict[str, str]


@validated(frozen=True)
class Timed:
    """Rounds of a cell, in seconds a call; those of one `group` ran interleaved."""

    cell: Cell
    what: str
    seconds: list[float]
    group: str
    batch_size: int
    threads: int


@validated(frozen=True)
class Engine:
    """What a way ran on."""

    implementation: str
    backend: str
    python: str
    versions: dict[str, str]


@validated(frozen=True)
class Lines:
    """Logical lines of a program."""

    model: str
    implementation: str
    lines: int


@validated(frozen=True)
class Heritage:
    """The kept file."""

    started: str
    finished: str
    machine: dict[str, Any]
    verdicts: list[Said]
    stories: list[Told]
    timings: list[Timed]
    engines: list[Engine]
    programs: list[Lines]
    format: Literal["triptych-heritage"]
    version: Literal[1]


@dataclass(frozen=True)
class Row:
    """One way on one engine: its releases, a verdict a model, ratios to raw TensorFlow (None: not timed), lines."""

    implementation: str
    backend: str
    releases: str
    verdicts: list[Verdict]
    ratios: list[float | None]
    lines: int


@dataclass(frozen=True)
class Difference:
    """A cause, the cells that it changes, what departs first in one of them, and what the smallest programs print."""

    cells: str
    where: str
    cause: str
    programs: dict[str, str]
    verdict: Verdict


def load(path: Path = KEPT) -> Heritage | None:
    """The kept file; None: there is none. Raises RecordError where it can't be read."""
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Heritage).validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise RecordError(f"{path}: {str(error).splitlines()[0]}") from error


def models(kept: Heritage) -> list[str]:
    """The models in the order of the file."""
    return list(dict.fromkeys(said.cell.model for said in kept.verdicts))


def rows(kept: Heritage) -> list[Row]:
    """A row for each way on each engine."""
    versions = {(engine.implementation, engine.backend): engine for engine in kept.engines}
    found = []
    for way in dict.fromkeys(way_of(said.cell) for said in kept.verdicts):
        judged = [verdict(kept, way, model) for model in models(kept)]
        ratios = [ratio(kept, way, what) for what in WHATS]
        lines = sum(program.lines for program in kept.programs if program.implementation == way[0])
        found.append(Row(*way, _releases(versions.get(way)), judged, ratios, lines))
    return found


def way_of(cell: Cell) -> tuple[str, str]:
    """The implementation, and the engine it runs on."""
    return cell.implementation, cell.backend


def _releases(engine: Engine | None) -> str:
    if engine is None:
        return ""
    found = {name: version for name, version in engine.versions.items() if version != "unknown" and name != "numpy"}
    parts = ((name, version.partition("-")[0]) for name, version in (found or engine.versions).items())
    return ", ".join(f"{package(name, version)} {version}" for name, version in parts)  # without OpenVINO's build


def package(name: str, version: str) -> str:
    """The package that has this release: Keras 2 was released as tf-keras alone from 2.16 on."""
    major, _, rest = version.partition(".")
    alone = name == "keras" and major == "2" and int(rest.partition(".")[0] or 0) >= LAST_KERAS_2
    return "tf-keras" if alone else name


def verdict(kept: Heritage, way: tuple[str, str], model: str) -> Verdict:
    """The worst of the stages that the engine has; absent where it has none."""
    found = [judged(said) for said in kept.verdicts if way_of(said.cell) == way and said.cell.model == model]
    had = [word for word in found if word is not ABSENT]
    return max(had or found, key=lambda word: word.rank, default=verdicts.NONE)


def judged(said: Said) -> Verdict:
    """The verdict of one stage."""
    return KNOWN if said.word == "different" and said.known else WORDS[said.word]


def ratio(kept: Heritage, way: tuple[str, str], what: str) -> float | None:
    """The median over the models of the median ratio within a round to raw TensorFlow of today."""
    references = {timing.group: timing for timing in reversed(kept.timings) if way_of(timing.cell) == REFERENCE}
    ratios = []
    for timing in kept.timings:
        if way_of(timing.cell) == way and timing.what == what and timing.group in references:
            pairs = zip(timing.seconds, references[timing.group].seconds, strict=False)
            ratios.append(median(own / other for own, other in pairs))
    return median(ratios) if ratios else None


def differences(kept: Heritage) -> list[Difference]:
    """A row for each cause, in the order of the file; bounded departures have theirs where agreement is shown."""
    found: dict[str, list[Said]] = {}
    for said in kept.verdicts:
        if said.word not in ("equal", "departs", "skipped"):
            found.setdefault(said.cause or said.where, []).append(said)
    return [_difference(cause, said) for cause, said in found.items()]


def _difference(cause: str, said: list[Said]) -> Difference:
    known = cause if said[0].cause else "Nobody has explained this yet."
    first = said[0].where.partition("; ")[0]  # what departs behind it follows from it
    return Difference(_cells(said), first, known, said[0].programs, judged(said[0]))


def _cells(said: list[Said]) -> str:
    """Every way with its models and precisions: `keras2 on cntk: seed, mlp (float64)`."""
    found: dict[tuple[str, str], list[Said]] = {}
    for item in said:
        found.setdefault(way_of(item.cell), []).append(item)
    parts = []
    for (implementation, backend), items in found.items():
        models, dtypes = (", ".join(dict.fromkeys(getattr(item.cell, name) for item in items)) for name in SHOWN)
        parts.append(f"{formatting.configuration(implementation, backend)}: {models} ({dtypes})")
    return "; ".join(parts)


def threads(kept: Heritage) -> list[int]:
    """Every number of threads that something was timed with."""
    return sorted({timing.threads for timing in kept.timings})


class Context(TypedDict):
    """The names that the template knows; the tables are there where a run is kept."""

    heritage: Heritage | None
    heritage_rows: NotRequired[list[Row]]
    heritage_models: NotRequired[list[str]]
    heritage_whats: NotRequired[tuple[str, ...]]
    heritage_differences: NotRequired[list[Difference]]
    heritage_threads: NotRequired[list[int]]


def shown(kept: Heritage | None) -> Context:
    """What the template shows."""
    if kept is None:
        return {"heritage": None}
    return {
        "heritage": kept,
        "heritage_rows": rows(kept),
        "heritage_models": models(kept),
        "heritage_whats": WHATS,
        "heritage_differences": differences(kept),
        "heritage_threads": threads(kept),
    }
