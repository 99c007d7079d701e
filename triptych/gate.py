"""`triptych gate`: did a change make benchmarks slower? In any git repository whose tests use pytest-benchmark.

The tests run as they are, in live pytest sessions of both revisions that are measured in turn. In Triptych's own
checkout, and with --own, its own cells are compared instead. Exit status 0: nothing got slower, or that is undecided;
1: head is worse; 2: the machine or the input is unfit; 130: interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych import gate_setup, tree
from triptych.messages import complain, guarded

BAD_INPUT, INTERRUPTED = 2, 130
EPILOG = """
Words after these options go to pytest: places of tests, -k, -m. `[tool.triptych.gate]` in pyproject.toml has policies
and budgets by globs of tests, and how environments are made.
"""


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(words):
        print(whole_help())
        return 0
    if "--own" in words or is_own(Path.cwd()):
        return own([word for word in words if word != "--own"])
    return of_project(words)


def whole_help() -> str:
    """The options for any project, and those for Triptych's own cells."""
    from suites.gate import measure

    return f"{parser().format_help()}\nIn Triptych's own checkout, or with --own:\n\n{measure.parser().format_help()}"


def is_own(place: Path) -> bool:
    """Whether a folder is in Triptych's own checkout."""
    from suites.runner import machine

    return not tree.INSTALLED and place.resolve().is_relative_to(tree.ROOT) and bool(machine.commit())


def own(words: Sequence[str]) -> int:
    """Compare Triptych's own cells."""
    from reports.gate import __main__ as report
    from suites.gate import measure

    status = measure.main(words)
    return status or report.main(words)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="triptych gate",
        allow_abbrev=False,
        description=(__doc__ or "").partition("\n\n")[0] + "\n\n" + (__doc__ or "").partition("\n\n")[2],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--base", metavar="REV", help="the revision to compare with, as git names it")
    found.add_argument("--head", default="", metavar="REV", help="the revision to judge (default: the working tree)")
    found.add_argument("--python", default=sys.executable, help="the interpreter to make environments of")
    found.add_argument("--base-env", default="", metavar="PYTHON", help="an interpreter for base, used as it is")
    found.add_argument("--head-env", default="", metavar="PYTHON", help="an interpreter for head, used as it is")
    found.add_argument(
        "--extras", default="", metavar="NAMES", help="extras of the project to install, comma-separated"
    )
    found.add_argument("--groups", default="", metavar="NAMES", help="dependency groups to install, comma-separated")
    found.add_argument(
        "--with", dest="packages", action="append", default=[], metavar="PACKAGE", help="install this too"
    )
    found.add_argument("--pin-from", choices=("head",), help="both sides get the dependencies of head")
    found.add_argument("--benchmarks-from", choices=("head",), help="both sides run the benchmarks of head")
    found.add_argument("--patience", type=float, metavar="S", help="seconds to wait in all for a calm machine")
    found.add_argument("--measure-anyway", action="store_true", help="also where nothing importable changed")
    found.add_argument("--unfit-ok", action="store_true", help="exit status 0 where the machine was unfit")
    found.add_argument("--results", default="results", type=Path, metavar="FOLDER")
    found.add_argument("--init", action="store_true", help="write the workflow for GitHub and the table of settings")
    found.add_argument("--history", nargs="+", metavar="PATH", help="show the gate.json files in these places, by time")
    return found


def add_building(parser: argparse.ArgumentParser) -> None:
    """The options that say what else an environment needs."""
    parser.add_argument("--extras", default="", metavar="NAMES", help="extras to install, comma-separated")
    parser.add_argument("--groups", default="", metavar="NAMES", help="dependency groups to install, comma-separated")
    parser.add_argument(
        "--with", dest="packages", action="append", default=[], metavar="PACKAGE", help="a package to install too"
    )


def of_project(words: Sequence[str]) -> int:
    """Compare the benchmarks of the repository that this is run in."""
    from suites.gate.revisions import RevisionError
    from suites.projects.table import TableError
    from suites.projects.wheels import BuildError

    options, rest = parser().parse_known_args(words)
    try:
        if options.history:
            return show_history(options.history)
        if options.init:
            return gate_setup.init(*project_here())
        if not options.base:
            return complain("say what to compare with: --base REV, for instance --base main")
        return compare(options, rest)
    except (RevisionError, TableError) as error:
        return complain(str(error))
    except BuildError as error:
        return complain(f"head can't be measured: {error}")
    except OSError as error:
        return complain(f"{error.filename or ''}: {error.strerror or error}")
    except KeyboardInterrupt:
        return INTERRUPTED


def show_history(places: Sequence[str]) -> int:
    """Print what earlier runs said; the exit status."""
    from reports.projects import history
    from suites.records.run import RecordError

    try:
        print(history.table(history.read(places)))
    except RecordError as error:
        return complain(str(error))
    return 0


def project_here() -> tuple[Path, str]:
    """The git repository that this is run in, and the folder of the project in it. Raises RevisionError."""
    from suites.projects import worktrees

    repository = worktrees.repository_of(Path.cwd())
    return repository, worktrees.project_in(repository, Path.cwd())


def compare(options: argparse.Namespace, rest: Sequence[str]) -> int:
    """Measure, judge, clear away; the exit status."""
    from reports.projects import __main__ as report
    from suites.projects import janitor, table
    from suites.projects.measure import Measurement
    from suites.records import projects

    results = options.results.resolve()
    request = requested(options, rest, results)
    make_results(results)
    judge = [sys.executable, "-P", "-m", "reports.projects", f"--results={results}"]
    with janitor.Janitor(judge) as janitor_of_run:
        measurement = Measurement(request, wishes(options, table.Table()), janitor_of_run)
        settings = table.load(measurement.head.folder)
        if options.patience is not None:
            settings = replace(settings, patience=options.patience)
        measurement.wishes = wishes(options, settings)
        run = measurement.measure(settings)
    status = report.judge(results)
    if projects.INTERRUPTED in run.notes:
        return INTERRUPTED
    return 0 if options.unfit_ok and status == BAD_INPUT else status


def make_results(folder: Path) -> None:
    """The folder of results, which git does not take for a part of the user's project."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def requested(options: argparse.Namespace, rest: Sequence[str], results: Path) -> Any:
    """What the command line asks for. Raises RevisionError outside of a repository and for a bad interpreter."""
    from suites.projects.measure import Request

    repository, project = project_here()
    return Request(
        repository=repository,
        project=project,
        base=options.base,
        head=options.head,
        base_python=interpreter("--base-env", options.base_env or options.head_env),
        head_python=interpreter("--head-env", options.head_env or options.base_env),
        arguments=tuple(from_project(word, repository / project) for word in rest if word != "--"),
        results=results,
        cache=tree.user_folder() / "gate",
        pin_head=options.pin_from == "head",
        benchmarks_from_head=options.benchmarks_from == "head",
        measure_anyway=options.measure_anyway,
    )


def from_project(word: str, project: Path) -> str:
    """A word for pytest; a path from the folder that this is run in as one from the project's."""
    path, mark, name = word.partition("::")
    if not path or path.startswith("-") or not Path(path).exists():
        return word
    return os.path.relpath(path, project) + mark + name


def interpreter(option: str, path: str) -> str:
    """An interpreter of the user, by its whole path. Raises RevisionError where it can't be started."""
    from suites.gate.revisions import RevisionError

    if path and (not os.access(path, os.X_OK) or Path(path).is_dir()):
        raise RevisionError(f"{option} {path}: is no interpreter that can be started")
    return os.path.abspath(path) if path else ""


def wishes(options: argparse.Namespace, settings: Any) -> Any:
    """What environments are made of."""
    from suites.projects.environments import Wishes

    return Wishes(
        python=os.path.abspath(options.python),
        extras=listed(options.extras) or settings.extras,
        groups=listed(options.groups) or settings.groups,
        requirements=settings.requirements,
        packages=(*settings.packages, *options.packages),
    )


def listed(text: str) -> tuple[str, ...]:
    """`a, b` as two names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


if __name__ == "__main__":
    sys.exit(main())
