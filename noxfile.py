"""The commands a person types in a checkout: `nox -l` lists them, `nox -s bench -- --help` shows what they take.

Those of the table in `triptych/__main__.py` run in an environment with every engine, which the first of them fills.
"""

import os
import sys
from pathlib import Path

import nox

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # nox reads this file by its path

from impls import interpreters  # noqa: E402
from triptych import environments  # noqa: E402
from triptych.__main__ import BAD_INPUT, COMMANDS, INTERRUPTED, start  # noqa: E402

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ("3.11", "3.12", "3.13")
LIGHT = {"report": "reports"}  # commands that need no engine, with the group that they need

# These sessions share environments (every framework takes 4 GB and two minutes), which nox's own can't.
shared = nox.session(venv_backend="none")


def environment(folder: str, *groups: str) -> str:
    """The interpreter of `.nox/<folder>`, filled with pip unless it holds exactly these groups already."""
    packages = nox.project.dependency_groups(PROJECT, *groups)
    return environments.fill(HERE / ".nox" / folder, packages, sys.executable, "-m", "virtualenv", "--quiet")


def engines() -> str:
    """The interpreter of the environment with every framework."""
    return environment("engines", "all")


def check(session: nox.Session, *command: str) -> None:
    """Run `command`; the session fails with it, and bad input's status 2 becomes nox's own."""
    session.log(" ".join(command))
    status = start(command)
    if status in (BAD_INPUT, INTERRUPTED):
        sys.exit(status)
    if status:
        session.error(f"exit status {status}")


def add_session(name: str) -> None:
    """A session for one command of `triptych`."""

    def session_of_command(session: nox.Session) -> None:
        python = environment(LIGHT[name], LIGHT[name]) if name in LIGHT else engines()
        check(session, python, "-m", "triptych", name, *session.posargs)

    session_of_command.__doc__ = COMMANDS[name].summary
    nox.session(session_of_command, name=name, venv_backend="none")


for command in COMMANDS:
    if command != "completion":  # of the installed command only
        add_session(command)


@shared
def tests(session: nox.Session) -> None:
    """The quick tests: equivalence of every cell in float64, and the suite's own tests; `-n 0` in one process."""
    side_by_side = ("--numprocesses", "logical", "--maxprocesses", "4", "--dist", "loadscope")
    check(session, engines(), "-m", "pytest", *side_by_side, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, ruff, mypy --strict for all but programs and some of impls, and the schema of the workflow."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/gate.yml")


@nox.session
def package(session: nox.Session) -> None:
    """Build wheel and sdist, and try the wheel in an empty environment of each Python that is here."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "package"))
    dist = Path(session.create_tmp(), "dist").resolve()
    for old in dist.glob("*"):
        old.unlink()
    session.run("python", "-m", "build", "--quiet", "--outdir", str(dist))
    pythons = [python for python in map(interpreters.find_python, PYTHONS) if python]
    # Outside of this tree: pytest would take its conftest.py for that of a stranger's project.
    outside = {"PYTHONPATH": str(HERE), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
    session.run("python", "-m", "triptych.testing.installed", str(dist), *pythons, env=outside)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/: offline, strict, with figures and references made from the tree."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "docs"))
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement of MkDocs's successor, at every build
    session.run("mkdocs", "build", "--quiet", "--config-file", "docs/mkdocs.yml", env=quiet)
    session.log("the site starts at site/index.html")


@nox.session
def matrix(session: nox.Session) -> None:
    """tox: Python 3.11 to 3.13 by framework versions; missing interpreters are skipped by name."""
    session.install("--quiet", "tox>=4.30")
    found = filter(None, map(interpreters.find_python, PYTHONS))
    path = os.pathsep.join([*(str(Path(python).parent) for python in found), os.environ["PATH"]])
    session.run("tox", "run", "--skip-missing-interpreters=true", *session.posargs, env={"PATH": path})
