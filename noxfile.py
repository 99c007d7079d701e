"""The commands a person types: `nox -l` lists them, `nox -s bench -- --help` shows what they take."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
ENGINES = ".nox/engines"  # one environment with every framework, shared by the sessions that need it
BAD_INPUT = 2
INTERRUPTED = 130


def install(session: nox.Session, *groups: str) -> None:
    """Fill the environment with pip, unless it holds exactly this already."""
    wanted = "\n".join(nox.project.dependency_groups(PROJECT, *groups))
    stamp = Path(session.virtualenv.location, "installed.txt")
    if not stamp.exists() or stamp.read_text() != wanted:
        session.install("--quiet", *wanted.splitlines())
        stamp.write_text(wanted)


def python(session: nox.Session, *arguments: str) -> int:
    """The exit status of Python with `arguments`; a bad input's status 2 becomes nox's own."""
    session.log("python " + " ".join(arguments))
    environment = {name: value for name, value in {**os.environ, **session.env}.items() if value is not None}
    process = subprocess.Popen([str(Path(session.bin, "python")), *arguments], env=environment)
    interrupted = False
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:  # it got the signal too, and is saving what it measured
            interrupted = True
    if status == BAD_INPUT and not interrupted:
        sys.exit(BAD_INPUT)
    return INTERRUPTED if interrupted else status


def check(session: nox.Session, *arguments: str) -> None:
    if status := python(session, *arguments):
        session.error(f"exit status {status}")


@nox.session(venv_location=ENGINES)
def bench(session: nox.Session) -> None:
    """Prove, train, measure and count everything on this machine, then write the page."""
    install(session, "all")
    results = results_folder(session.posargs)
    saved = ("--benchmark-autosave", f"--benchmark-storage=file://{results}/benchmarks")
    status = python(session, "-m", "pytest", "suites", "--bench", *saved, *session.posargs)
    if not {"-h", "--help", "--collect-only", "--co"} & set(session.posargs):
        check(session, "-m", "reports.page", "--results", results, "--summary")
    if status:
        session.error("not everything passed: the page says what and why")


def results_folder(arguments: list[str]) -> str:
    """What `--results` says in the words of a command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--results", default="results")
    return str(parser.parse_known_args(arguments)[0].results)


@nox.session(venv_location=ENGINES)
def tests(session: nox.Session) -> None:
    """The quick tests: equivalence of every cell in float64, and the suite's own tests."""
    install(session, "all")
    check(session, "-m", "pytest", *session.posargs)


@nox.session(venv_location=ENGINES)
def controls(session: nox.Session) -> None:
    """Negative controls: clean cells against their derived bounds over seeds, shapes, threads and modes."""
    install(session, "all")
    check(session, "-m", "suites.equivalence.controls", *session.posargs)


@nox.session(venv_location=ENGINES)
def faults(session: nox.Session) -> None:
    """Plant every fault of the catalogue, or of `--file FILE`; results/faults.json says which were found."""
    install(session, "all")
    check(session, "-m", "suites.equivalence.scoreboard", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Write the page anew from saved results (default: the newest)."""
    install(session, "reports")
    check(session, "-m", "reports.page", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, ruff, and mypy --strict for shim, suites and reports."""
    install(session, "lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")


@nox.session
def matrix(session: nox.Session) -> None:
    """tox: Python 3.10 to 3.13 by framework versions; missing interpreters are skipped by name."""
    session.install("--quiet", "tox>=4.30")
    session.run("tox", "run", "--skip-missing-interpreters=true", *session.posargs)
