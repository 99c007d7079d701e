"""`triptych calibrate`: count how often the gate errs on this machine, on a project's own benchmarks.

Base is the working tree; head is the same program in another folder, with remarks, moved functions and other names of
variables. The counts go into the gate's report. In Triptych's own checkout, and with --own, its own cells are counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from triptych import gate, tree
from triptych.messages import complain, guarded


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(words):
        print(whole_help())
        return 0
    if "--own" in words or gate.is_own(Path.cwd()):
        return own([word for word in words if word != "--own"])
    return of_project(words)


def whole_help() -> str:
    """The options for any project, and those for Triptych's own cells."""
    from suites.gate import calibrate

    return f"{parser().format_help()}\nIn Triptych's own checkout, or with --own:\n\n{calibrate.parser().format_help()}"


def own(words: Sequence[str]) -> int:
    """Count on Triptych's own cells."""
    from reports.gate import error_rates
    from suites.gate import calibrate

    status = calibrate.main([word for word in words if word != "--keep"])
    return status or error_rates.main(words)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="triptych calibrate",
        allow_abbrev=False,
        description=__doc__,
        epilog="Words after these options go to pytest: places of tests, -k, -m.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--seconds", type=float, default=600.0, help="how long to count (default: 600)")
    found.add_argument("--seed", type=int, default=int(time.time()), help="of orders and names (default: the time)")
    found.add_argument("--revision", default="", metavar="REV", help="what to count on (default: the working tree)")
    found.add_argument("--env", default="", metavar="PYTHON", help="an interpreter that is used as it is")
    found.add_argument("--python", default=sys.executable, help="the interpreter to make an environment of")
    found.add_argument(
        "--extras", default="", metavar="NAMES", help="extras of the project to install, comma-separated"
    )
    found.add_argument("--groups", default="", metavar="NAMES", help="dependency groups to install, comma-separated")
    found.add_argument(
        "--with", dest="packages", action="append", default=[], metavar="PACKAGE", help="install this too"
    )
    found.add_argument("--results", default="results", type=Path, metavar="FOLDER")
    return found


def of_project(words: Sequence[str]) -> int:
    """Count on the benchmarks of the repository that this is run in; the exit status."""
    from suites.gate.revisions import RevisionError
    from suites.projects.sessions import SessionFailed
    from suites.projects.table import TableError
    from suites.projects.wheels import BuildError
    from suites.records.run import RecordError

    options, rest = parser().parse_known_args(words)
    try:
        count(options, tuple(word for word in rest if word != "--"))
    except (RevisionError, TableError, BuildError, SessionFailed, RecordError) as error:
        return complain(error)
    except KeyboardInterrupt:
        return gate.INTERRUPTED
    return 0


def count(options: argparse.Namespace, arguments: tuple[str, ...]) -> None:
    """Count, clear away, add up. An interruption leaves what was counted."""
    from reports.projects import error_rates
    from suites.projects import janitor, table
    from suites.projects.calibrate import Plan
    from suites.projects.measure import Measurement, Request

    results = options.results.resolve()
    gate.make_results(results)
    python = gate.interpreter("--env", options.env)
    repository, project = gate.project_here()
    request = Request(
        repository=repository,
        project=project,
        base=options.revision,
        head=options.revision,
        base_python=python,
        head_python=python,
        arguments=(),
        results=results,
        cache=tree.user_folder() / "gate",
    )
    try:
        with janitor.Janitor() as janitor_of_run:
            measurement = Measurement(request, gate.wishes(options, table.Table()), janitor_of_run)
            settings = table.load(measurement.head.folder)
            measurement.wishes = gate.wishes(options, settings)
            measurement.calibrate(settings, Plan(options.seconds, results, options.seed, arguments))
    finally:
        print(error_rates.table(error_rates.write(results)))


if __name__ == "__main__":
    sys.exit(main())
