"""`python -m suites.code.upgrade`: runs the programs unchanged on other releases of their frameworks.

A release is an environment of its own, which `nox -s upgrade` makes, and a copy of `impls` in which every program is
served by `impls.adapters.released`. Each program trains for a few batches from the canonical weights in float64 and
predicts; losses and logits are equal where they agree with the oracle's as a training has to, or, where Keras differs
from the oracle today for a known reason, with its own of today. Where a program fails or differs, the changes in
`releases.toml` are applied to another copy and it runs again.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impls import IMPLEMENTATIONS, MODELS, interpreters
from impls.known_differences import DIFFERENCES
from impls.model_differences import explanation
from impls.worker import patching
from suites.equivalence.compare import AGREEMENT, normwise
from suites.records import run as records
from suites.records import terminal
from suites.records.run import Cell, Upgrade
from suites.runner import plan
from suites.runner.laboratory import new_run
from suites.runner.machine import ROOT
from suites.runner.stages import data, opened
from suites.runner.workers import HERE, Arrays, Pool, Source, WorkerDied, WorkerFailed, WorkerRaised, first_line

RELEASES = Path(__file__).with_name("releases.toml")
KEPT = ROOT / "reports" / "data" / "upgrade.json"
BATCHES, RAGGED, EPOCHS = 4, 5, 2
SERVED_BY_RELEASED = """
IMPLEMENTATIONS.update({name: entry._replace(adapter="released") for name, entry in IMPLEMENTATIONS.items()})
"""
# What programs and shim use of Python 3.9 and 3.10, line by line, and what an older one reads in its place. A name for
# a type is evaluated when a module loads, unlike an annotation; a field that goes by keyword only may have a place.
NEWER = (
    (re.compile(r", strict=(?:True|False)"), ""),
    (re.compile(r", kw_only=True"), ""),
    (re.compile(r"^([A-Z]\w*): TypeAlias = .*$", re.MULTILINE), r"\1 = None"),
    (re.compile(r"^(class \w+\((?:dict|list|tuple))\[.*\]\):$", re.MULTILINE), r"\1):"),
    (re.compile(r"^from typing import TypeAlias\n", re.MULTILINE), ""),
    (re.compile(r"^(from typing import .*), TypeAlias\b", re.MULTILINE), r"\1"),
)


@dataclass(frozen=True)
class Release:
    """A set of packages and the programs that are to run on it."""

    name: str
    title: str
    python: str
    packages: tuple[str, ...]
    backend: str
    ways: tuple[str, ...]


@dataclass(frozen=True)
class Patch:
    """One line of one file that a release needs otherwise."""

    release: str
    file: str
    reason: str
    old: str
    new: str


@dataclass(frozen=True)
class Cause:
    """Why no line makes a program run, or equal: a row of the known differences; `model` empty: any."""

    release: str
    way: str
    model: str
    no_line: str
    difference: str

    @property
    def text(self) -> str:
        return f"no line {self.no_line}: {DIFFERENCES[self.difference].cause}"


@dataclass(frozen=True)
class Ran:
    """What a program did: losses and logits, or why there are none."""

    found: Arrays
    reason: str = ""


def read(path: Path = RELEASES) -> tuple[list[Release], list[Patch], list[Cause]]:
    """The releases, the changes, of which one that names several files is one for each, and the causes."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    releases = []
    for item in content["release"]:
        lists = {name: tuple(item[name]) for name in ("packages", "ways")}
        releases.append(Release(**{**item, **lists}))
    patches = []
    for item in content.get("patch", ()):
        patches += [Patch(item["release"], file, item["reason"], item["old"], item["new"]) for file in item["files"]]
    return releases, patches, [Cause(**item) for item in content.get("cause", ())]


def copied(folder: Path, release: Release, patches: Sequence[Patch] = ()) -> Path:
    """A source root with `impls` as it is, the registry's adapters apart, and `patches` applied."""
    shutil.copytree(ROOT / "impls", folder / "impls", ignore=shutil.ignore_patterns("__pycache__", "test_*", "gadgets"))
    with (folder / "impls" / "__init__.py").open("a", encoding="utf-8") as registry:
        registry.write(SERVED_BY_RELEASED)
    for patch in patches:
        path = folder / patch.file
        path.write_text(patching.patched(path.read_text(encoding="utf-8"), vars(patch)), encoding="utf-8")
    return folder


def lowered(root: Path) -> Path:
    """Write otherwise what only Python 3.10 has, for an older one."""
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for newer, older in NEWER:
            text = newer.sub(older, text)
        path.write_text(text, encoding="utf-8")
    return root


def newer_lines(root: Path, files: Sequence[str]) -> int:
    """How many lines of `files` that changes."""
    lines = [line for file in files for line in (root / file).read_text(encoding="utf-8").splitlines(keepends=True)]
    return sum(any(newer.search(line) for newer, _ in NEWER) for line in lines)


def interpreter(release: Release, environments: Path) -> Path:
    """The Python of a release's environment."""
    return environments / f"upgrade-{release.name}" / "bin" / "python"


def run(pool: Pool, source: Source, way: str, backend: str, model: str) -> Ran:
    """Train `model` for a few batches and predict, through a worker of `source`."""
    cell = Cell(model, way, backend, IMPLEMENTATIONS[way].backends[backend][0], "cpu", "float64")
    worker = pool.worker(way, backend, cell.mode, source=source)
    split, batch = data(plan.dataset(cell)), plan.batch_size(cell)
    x, y = (array[: BATCHES * batch + RAGGED] for array in (split.x, split.y))
    try:
        remote = opened(worker, cell)
        losses = remote.fit(x, y, EPOCHS, batch)["losses"]
        return Ran({"losses": losses, "logits": remote.predict(x)})
    except WorkerFailed as failure:
        return Ran({}, reason(failure))


# A package that loads its names late raises in its own `__getattr__`, and the place is where the name was asked for.
PLACE = re.compile(r'File ".*?/(impls/(?!adapters/|worker)[^"]+)", line (\d+), in (?!__getattr__)')


def reason(failure: WorkerFailed) -> str:
    """The exception with the last place in a program or the shim, in one line."""
    details = failure.details if isinstance(failure, WorkerRaised | WorkerDied) else ""
    places = PLACE.findall(details)
    said = (
        failure.reason if not isinstance(failure, WorkerRaised) else f"{failure.error}: {first_line(failure.message)}"
    )
    return f"{':'.join(places[-1])}: {said}" if places else said


def apart(found: Arrays, truth: Arrays) -> float:
    """The largest normwise disagreement."""
    return max((normwise(found[name], truth[name]) for name in truth), default=float("inf"))


@dataclass(frozen=True)
class Truth:
    """What a program is held against: the oracle, within `bound`, or the same program on today's release."""

    oracle: Arrays
    today: Arrays
    bound: float

    def status(self, ran: Ran) -> tuple[Any, float | None]:
        """Equal, different or fails, and the disagreement with the oracle."""
        if ran.reason:
            return "fails", None
        distance = apart(ran.found, self.oracle)
        equal = distance <= self.bound or apart(ran.found, self.today) <= AGREEMENT
        return ("equal" if equal else "different"), distance


def truth(pool: Pool, way: str, backend: str, model: str) -> Truth:
    """What the oracle and today's release say; a known departure has a bound of its own."""
    known = explanation(way, backend, model, "trajectory", EPOCHS * (BATCHES + 1))
    oracle, today = run(pool, HERE, "shim", "numpy", model), run(pool, HERE, way, backend, model)
    return Truth(oracle.found, today.found, max(AGREEMENT, known.bound or 0.0) if known else AGREEMENT)


def upgrades(release: Release, patches: Sequence[Patch], environments: Path, pool: Pool) -> Iterator[Upgrade]:
    """Every program on one release, as it is and with what it needs."""
    python = str(interpreter(release, environments))
    own = [patch for patch in patches if patch.release == release.name]
    with tempfile.TemporaryDirectory(prefix="triptych-upgrade-") as folder:
        plain = copied(Path(folder, "plain"), release)
        changed = copied(Path(folder, "changed"), release, own)
        if old(release):
            lowered(changed)
        sources = [Source(python, root) for root in (plain, changed)]
        for way in release.ways:
            for model in MODELS:
                yield _one(pool, release, own, sources, way, model)


def old(release: Release) -> bool:
    """Whether its Python lacks what these programs use of Python itself."""
    return tuple(map(int, release.python.split("."))) < (3, 10)


def _one(pool: Pool, release: Release, patches: Sequence[Patch], sources: Any, way: str, model: str) -> Upgrade:
    backend = release.backend
    expected = truth(pool, way, backend, model)
    as_is = run(pool, sources[0], way, backend, model)
    status, distance = expected.status(as_is)
    lines = needed(release, patches, way, model) if status != "equal" else {}
    patched: Any = ""
    if lines:
        patched, again = expected.status(changed := run(pool, sources[1], way, backend, model))
        distance = again if distance is None else distance
        as_is = Ran({}, " / with changes: ".join(filter(None, (as_is.reason, changed.reason))))
    return Upgrade(
        release=release.title,
        python=release.python,
        versions=dict(item.split("==") for item in release.packages if "==" in item),
        model=model,
        implementation=way,
        backend=backend,
        status=status,
        reason=as_is.reason,
        lines=lines,
        patched=patched,
        disagreement=distance,
        bound=expected.bound,
    )


def cause_of(found: Upgrade, release: Release, causes: Sequence[Cause]) -> str:
    """What is known of a program whose numbers are other ones."""
    key = release.name, found.implementation
    known = [cause for cause in causes if (cause.release, cause.way) == key and cause.model in ("", found.model)]
    return known[0].text if known else ""


def needed(release: Release, patches: Sequence[Patch], way: str, model: str) -> dict[str, int]:
    """Lines that have to change by reason, in the program and, as "shim: reason", in the shim itself."""
    program = f"impls/{model}/{way}.py"
    files = (ROOT / "impls/shim").rglob("*.py") if way == "shim" else []
    library = sorted(str(path.relative_to(ROOT)) for path in files)
    counts = Counter(patch.reason for patch in patches if patch.file == program)
    counts.update(f"shim: {patch.reason}" for patch in patches if patch.file in library)
    if old(release):
        counts["python"] += newer_lines(ROOT, [program])
        counts["shim: python"] += newer_lines(ROOT, [file for file in library if "/test_" not in file])
    return {name: number for name, number in sorted(counts.items()) if number}


ABOUT = "Run the programs unchanged on other releases of their frameworks, and say what breaks."


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych upgrade", description=ABOUT)
    folder = interpreters.environments()
    parser.add_argument("--environments", type=Path, default=folder, help="where upgrade-<release>/ is")
    parser.add_argument("--results", type=Path, default=Path("results"), help=f"where {KEPT.name} is written")
    parser.add_argument("--keep", action="store_true", help="also write the file that is committed")
    parser.add_argument(
        "--implementation", "--way", dest="way", action="append", help="only this implementation; may be given again"
    )
    parser.add_argument("--release", action="append", help="only this release; may be given again")
    return parser.parse_args(arguments)


def with_ways(release: Release, ways: Sequence[str]) -> Release:
    """The release with those of its ways that were asked for."""
    return replace(release, ways=tuple(way for way in release.ways if way in ways))


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is installed, print a line for each program, and write the record. 2: a release has no environment."""
    options = parse(arguments)
    releases, patches, causes = read()
    chosen = [item for item in releases if not options.release or item.name in options.release]
    if options.way:
        chosen = [with_ways(item, options.way) for item in chosen]
    missing = [item.name for item in chosen if not interpreter(item, options.environments).exists()]
    if missing:
        terminal.refuse(f"no environment for {', '.join(missing)}: `triptych upgrade` makes them")
    if missing and (options.release or len(missing) == len(chosen)):
        return 2
    chosen = [item for item in chosen if item.name not in missing]
    run = new_run({"release": ",".join(item.name for item in chosen)})
    with Pool(keep=4) as pool:  # oracle, today, as it is, with changes
        for release in chosen:
            for found in upgrades(release, patches, options.environments, pool):
                run.upgrades.append(replace(found, cause=cause_of(found, release, causes)))
                changes = f"{found.lines} -> {found.patched}" if found.lines else ""
                print(release.name, found.implementation, found.model, found.status, found.disagreement, changes,
                      found.reason, flush=True)  # fmt: skip
    run.finished = new_run({}).started
    for path in [options.results / KEPT.name, *([KEPT] if options.keep else [])]:
        records.write(path, records.document(run) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
