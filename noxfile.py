"""The commands a person types: `nox -l` lists them, `nox -s bench -- --help` shows what they take."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
MATRIX = ("3.10", "3.11", "3.12", "3.13")
BAD_INPUT = 2
INTERRUPTED = 130
HELP = {"-h", "--help", "--collect-only", "--co"}

# These sessions share environments (every framework takes 4 GB and two minutes), which nox's own can't.
shared = nox.session(venv_backend="none")


def environment(folder: str, *groups: str) -> str:
    """The interpreter of `.nox/<folder>`, filled with pip unless it holds exactly these groups already."""
    return filled(
        folder, nox.project.dependency_groups(PROJECT, *groups), sys.executable, "-m", "virtualenv", "--quiet"
    )


def filled(folder: str, packages: Iterable[str], *create: str, first: Iterable[str] = ()) -> str:
    """The interpreter of `.nox/<folder>`, made by `create` and filled with `packages`, after those that are `first`."""
    place = Path(".nox", folder).absolute()
    interpreter, stamp = place / "bin" / "python", place / "installed.txt"
    steps = [list(step) for step in (first, packages) if step]
    wanted = "\n".join(package for step in steps for package in step)
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([*create, str(place)], check=True)
        print(f"filling {place}: the first time this takes a few minutes", flush=True)
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for step in steps:
            subprocess.run([*command, *step], check=True)
        stamp.write_text(wanted)
    return str(interpreter)


def engines() -> str:
    """The interpreter of the environment with every framework."""
    return environment("engines", "all")


def run(session: nox.Session, *command: str) -> int:
    """The exit status of `command`; a bad input's status 2 becomes nox's own."""
    session.log(" ".join(command))
    process = subprocess.Popen(command)
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


def check(session: nox.Session, *command: str) -> None:
    """Run `command`; the session fails with it."""
    if status := run(session, *command):
        session.error(f"exit status {status}")


@shared
def bench(session: nox.Session) -> None:
    """Prove, train, measure and count everything on this machine, then write the page."""
    results = results_folder(session.posargs)
    saved = ("--benchmark-autosave", f"--benchmark-storage=file://{results}/benchmarks")
    status = run(session, engines(), "-m", "pytest", "suites", "--bench", *saved, *session.posargs)
    if not HELP & set(session.posargs):
        check(session, engines(), "-m", "reports.page", "--results", results, "--summary")
    if status:
        session.error("not everything passed: the page says what and why")


def results_folder(arguments: list[str]) -> str:
    """What `--results` says in the words of a command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--results", default="results")
    return str(parser.parse_known_args(arguments)[0].results)


@shared
def tests(session: nox.Session) -> None:
    """The quick tests: equivalence of every cell in float64, and the suite's own tests."""
    check(session, engines(), "-m", "pytest", *session.posargs)


@shared
def controls(session: nox.Session) -> None:
    """Negative controls: clean cells against their derived bounds over seeds, shapes, threads and modes."""
    check(session, engines(), "-m", "suites.equivalence.controls", *session.posargs)


@shared
def agreement(session: nox.Session) -> None:
    """Forward, gradients and 1,000 steps under seven optimizers in float64: how closely all implementations agree."""
    check(session, engines(), "-m", "suites.equivalence.agreement", *session.posargs)


@shared
def faults(session: nox.Session) -> None:
    """Plant every fault of the catalogue, or of `--file FILE`; results/faults.json says which were found."""
    check(session, engines(), "-m", "suites.faults.scoreboard", *session.posargs)


@shared
def port(session: nox.Session) -> None:
    """Is a model the same in another framework? `-- A.py B.py --data x.npz`: where it differs, and what that is."""
    status = run(session, engines(), "-m", "suites.port", *session.posargs)
    if status:
        session.error("B is not the same model as A")


@shared
def gate(session: nox.Session) -> None:
    """Is head slower than base, or worse otherwise? `-- --base REV [--head REV]`; exit status 1: it is, 2: unfit."""
    check(session, engines(), "-m", "suites.gate.measure", *session.posargs)
    if not HELP & set(session.posargs):
        check(session, engines(), "-m", "reports.gate", *session.posargs)


@shared
def calibrate(session: nox.Session) -> None:
    """Count how often the gate errs on this machine; `-- --seconds 3600 --keep` adds that to the committed counts."""
    keep = [word for word in session.posargs if word == "--keep"]
    words = [word for word in session.posargs if word != "--keep"]
    check(session, engines(), "-m", "suites.gate.calibrate", *words)
    if not HELP & set(session.posargs):
        check(session, engines(), "-m", "reports.gate.error_rates", "--results", results_folder(words), *keep)


@shared
def report(session: nox.Session) -> None:
    """Write the page anew from saved results (default: the newest)."""
    check(session, environment("reports", "reports"), "-m", "reports.page", *session.posargs)


@shared
def upgrade(session: nox.Session) -> None:
    """Run the programs unchanged on older releases, each in an environment of its own; about 5 GB the first time."""
    made = []
    for release in nox.project.load_toml("suites/code/releases.toml")["release"]:
        if python := interpreter(release["python"]):
            filled(f"upgrade-{release['name']}", release["packages"], python, "-m", "venv")
            made.append(f"--release={release['name']}")
        else:
            session.warn(f"{release['title']} is left out: there is no Python {release['python']}")
    check(session, engines(), "-m", "suites.code.upgrade", *made, *session.posargs)


@shared
def heritage(session: nox.Session) -> None:
    """The engines that came before, each in an environment of its own, against the same oracle; about 3 GB."""
    with ThreadPoolExecutor(2) as executor:  # unpacking takes a core
        first = executor.submit(engines)
        reasons = executor.map(made, nox.project.load_toml("suites/runner/environments.toml")["environment"])
    for reason in filter(None, reasons):
        session.warn(reason)
    check(session, first.result(), "-m", "suites.heritage", *session.posargs)


def made(item: dict[str, Any]) -> str:
    """Make an environment of the heritage; why there is none, or nothing."""
    folder, known = f"heritage-{item['name']}", item["python"]
    here = not known or "{}.{}".format(*sys.version_info) in known
    python = sys.executable if here else next(filter(None, map(interpreter, known)), None)
    if python is None:
        variable = f"TRIPTYCH_PYTHON{known[0].replace('.', '')}"
        return f"{item['title']}: left out, there is no Python {' or '.join(known)}; {variable} names one"
    create = (python, "-m", *(("virtualenv", "--quiet") if here else ("venv",)))
    try:
        filled(folder, item["packages"], *create, first=item["first"])
    except subprocess.CalledProcessError as error:
        shutil.rmtree(Path(".nox", folder), ignore_errors=True)  # half an environment would fail cell by cell
        return f"{item['title']}: left out, its packages could not be installed (exit status {error.returncode})"
    return ""


def interpreter(version: str) -> str | None:
    """A Python of that version: named by TRIPTYCH_PYTHON36 and the like, on PATH (which may have an inactive shim of
    pyenv), or among pyenv's own."""
    found = [os.environ.get(f"TRIPTYCH_PYTHON{version.replace('.', '')}"), shutil.which(f"python{version}")]
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout.strip()
        found += sorted(map(str, Path(root, "versions").glob(f"{version}.*/bin/python")))
    works = (
        python for python in found if python and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    )
    return next(works, None)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, ruff, mypy --strict for shim, suites and reports, and the schema of the workflow."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/gate.yml")


@nox.session
def matrix(session: nox.Session) -> None:
    """tox: Python 3.10 to 3.13 by framework versions; missing interpreters are skipped by name."""
    session.install("--quiet", "tox>=4.30")
    found = filter(None, map(interpreter, MATRIX))
    path = os.pathsep.join([*(str(Path(python).parent) for python in found), os.environ["PATH"]])
    session.run("tox", "run", "--skip-missing-interpreters=true", *session.posargs, env={"PATH": path})
