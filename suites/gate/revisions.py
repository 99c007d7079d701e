"""The two source trees of a gate run, each in a folder of its own whose path is as long as the other's."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites.runner import machine
from suites.runner.machine import ROOT

WORKING_TREE = "working tree"
DESCRIBE = """
import json
from impls import IMPLEMENTATIONS, MODELS
found = {name: {key: list(modes) for key, modes in entry.backends.items()
    if not getattr(entry, "environments", {}).get(key)} for name, entry in IMPLEMENTATIONS.items()}
print(json.dumps({"models": list(MODELS), "implementations": found}))
"""


class RevisionError(ValueError):
    """A revision that is not there or can't be taken out; the message is one line."""


@dataclass(frozen=True)
class Revision:
    """A tree to measure: what the user called it, its commit, whether it has changes of its own, its interpreter."""

    name: str
    commit: str
    dirty: bool
    root: Path
    python: str
    registry: dict[str, Any] = field(default_factory=dict)


def git(*arguments: str, repository: Path = ROOT) -> bytes:
    """What git prints. Raises RevisionError where it fails."""
    command = ["git", "-C", str(repository), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise RevisionError("git is not installed, and the gate takes revisions from it") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RevisionError(lines[-1] if lines else f"git {arguments[0]} failed") from None


def commit_of(revision: str, option: str, repository: Path = ROOT) -> str:
    """The commit that the user's word means."""
    try:
        found = git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", repository=repository
        )
    except RevisionError:
        raise RevisionError(f"{option} {revision}: git knows no such revision in {repository}") from None
    return found.decode().strip()


def take(revision: str, option: str, folder: Path, python: str, repository: Path = ROOT) -> Revision:
    """Unpack `revision`, or the working tree with what git does not ignore where it is "", into `folder`."""
    if repository == ROOT and not machine.commit():
        raise RevisionError(f"the gate compares revisions of a checkout, and {ROOT} is none: clone Triptych, go there")
    folder.mkdir(parents=True)
    if revision:
        commit = commit_of(revision, option, repository)
        archive = git("archive", "--format=tar", commit, repository=repository)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        dirty = False
    else:
        commit = commit_of("HEAD", option, repository)
        dirty = bool(git("status", "--porcelain", repository=repository))
        _copy(repository, folder)
    if not any((folder / "impls" / place).is_file() for place in ("worker/__main__.py", "worker.py")):
        raise RevisionError(f"{option} {revision}: has no impls/worker: nothing there can be measured")
    return Revision(revision or WORKING_TREE, commit, dirty, folder, python, registry(folder, python, option))


def _copy(repository: Path, folder: Path) -> None:
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", repository=repository).decode()
    for name in filter(None, names.split("\0")):
        source, target = repository / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def registry(root: Path, python: str, option: str) -> dict[str, Any]:
    """The models and implementations that a tree has, read with its own interpreter."""
    command = [python, "-c", DESCRIBE]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise RevisionError(f"{option}: the registry in impls/__init__.py can't be read: {said[-1]}") from None
    result: dict[str, Any] = json.loads(found.stdout)
    return result
