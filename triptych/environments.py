"""Environments that a command fills once and uses again: `python -m triptych.environments heritage|published|upgrade`.

The noxfile makes its own here too, so nothing but the standard library is imported.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from triptych import tree
from triptych.messages import complain, guarded


def fill(place: Path, packages: Iterable[str], *create: str, first: Iterable[str] = ()) -> str:
    """The interpreter of the environment at `place`, made by `create` and filled with `packages` after those `first`.

    It is left alone where it holds exactly these already. Raises subprocess.CalledProcessError.
    """
    interpreter, stamp = place / "bin" / "python", place / "installed.txt"
    steps = [list(step) for step in (first, packages) if step]
    wanted = "\n".join(package for step in steps for package in step)
    if stamp.exists() and stamp.read_text() == wanted:
        return str(interpreter)
    subprocess.run([*create, str(place)], check=True)
    print(f"filling {place}: the first time this takes a few minutes", flush=True)
    for step in steps:
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step]
        subprocess.run(command, check=True)
    stamp.write_text(wanted)
    return str(interpreter)


def make_heritage(folder: Path) -> Iterator[str]:
    """Make every environment of the engines that came before; why one can't be made, as it turns out."""
    for item in _table("suites/runner/environments.toml")["environment"]:
        reason = _make_one(folder / f"heritage-{item['name']}", item)
        if reason:
            yield reason


def _make_one(place: Path, item: dict[str, Any]) -> str:
    """Make one environment of the heritage; why there is none, or nothing."""
    known = item["python"]
    here = not known or "{}.{}".format(*sys.version_info) in known
    python = sys.executable if here else _first_python(known)
    if python is None:
        variable = f"TRIPTYCH_PYTHON{known[0].replace('.', '')}"
        return f"{item['title']}: left out, there is no Python {' or '.join(known)}; {variable} names one"
    try:
        fill(place, item["packages"], python, "-m", "venv", first=item["first"])
    except subprocess.CalledProcessError as error:
        shutil.rmtree(place, ignore_errors=True)  # half an environment would fail cell by cell
        return f"{item['title']}: left out, its packages could not be installed (exit status {error.returncode})"
    return ""


def _first_python(versions: Sequence[str]) -> str | None:
    found = map(tree.interpreters().find_python, versions)
    return next((python for python in found if python), None)


def make_upgrade(folder: Path) -> Iterator[str]:
    """Make an environment for every older release; why one can't be made, as it turns out."""
    for release in _table("suites/code/releases.toml")["release"]:
        python = tree.interpreters().find_python(release["python"])
        if python:
            fill(folder / f"upgrade-{release['name']}", release["packages"], python, "-m", "venv")
        else:
            yield f"{release['title']} is left out: there is no Python {release['python']}"


def make_published(folder: Path) -> Iterator[str]:
    """Make the environment of the libraries of published models; why it can't be made."""
    packages = _table("suites/port/published/pairs.toml")["packages"]
    place = folder / "published"
    try:
        fill(place, packages, sys.executable, "-m", "venv")
    except subprocess.CalledProcessError as error:
        shutil.rmtree(place, ignore_errors=True)
        yield f"the libraries of published models could not be installed (exit status {error.returncode})"


def make_against(folder: Path, release: str) -> Iterator[str]:
    """Make the environment of one release of an engine, for a campaign against it; why it can't be made."""
    place = folder / f"campaign-{release}"
    try:
        fill(place, [release, "numpy", "keras"], sys.executable, "-m", "venv")
    except subprocess.CalledProcessError as error:
        shutil.rmtree(place, ignore_errors=True)
        yield f"{release} could not be installed (exit status {error.returncode})"


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((tree.ROOT / name).read_text(encoding="utf-8"))


MAKERS = {"heritage": make_heritage, "published": make_published, "upgrade": make_upgrade}


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Make the environments that a command needs; what is left out is said, and the command goes on without it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) == 2 and words[0] == "against":
        return _say(make_against(tree.interpreters().environments(), words[1]))
    if len(words) != 1 or words[0] not in MAKERS:
        return complain(f"say which environments to make: {' or '.join(MAKERS)}")
    return _say(MAKERS[words[0]](tree.interpreters().environments()))


def _say(reasons: Iterable[str]) -> int:
    for reason in reasons:
        print(f"warning: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
