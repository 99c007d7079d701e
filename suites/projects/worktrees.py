"""The two trees of a gate run: worktrees of the user's repository, in a temporary folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suites.gate.revisions import WORKING_TREE, RevisionError, commit_of, git

OF_PROJECTS = ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini")


@dataclass(frozen=True)
class Tree:
    """A revision in its worktree; `content` names what it holds, whatever commit that came from.

    The project lies in the folder `inside` of the worktree `top`.
    """

    name: str
    commit: str
    dirty: bool
    top: Path
    inside: str
    content: str

    @property
    def folder(self) -> Path:
        """Where the project is."""
        return self.top / self.inside


def repository_of(place: Path) -> Path:
    """The top of the git repository that a folder lies in. Raises RevisionError."""
    try:
        found = git("rev-parse", "--show-toplevel", repository=place).decode().strip()
    except RevisionError as error:
        raise RevisionError(
            f"{place}: is in no git repository, and the gate compares revisions of one ({error})"
        ) from None
    return Path(found)


def project_in(repository: Path, place: Path) -> str:
    """The folder of the project that `place` belongs to, from the top of its repository: "." for the top itself.

    It is the nearest one that has something that an installer or pytest reads, as in a repository of several projects.
    """
    place, repository = place.resolve(), repository.resolve()
    for folder in (place, *place.parents):
        if folder.is_relative_to(repository) and any((folder / name).is_file() for name in OF_PROJECTS):
            return str(folder.relative_to(repository))
    return "."


def take(repository: Path, revision: str, option: str, folder: Path, inside: str = ".") -> Tree:
    """A worktree of `revision`, or of HEAD with what is changed in the user's folder where it is ""."""
    commit = commit_of(revision or "HEAD", option, repository)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git("worktree", "add", "--detach", "--force", str(folder), commit, repository=repository)
    if (folder / ".gitmodules").is_file():
        git("submodule", "update", "--init", "--recursive", repository=folder)
    content = git("rev-parse", f"{commit}^{{tree}}", repository=repository).decode().strip()
    if revision:
        return Tree(revision, commit, False, folder, inside, content)
    changed = uncommitted(repository)
    digest = hashlib.sha256(content.encode())
    for name in changed:
        digest.update(copy(repository / name, folder / name, name))
    return Tree(WORKING_TREE, commit, bool(changed), folder, inside, digest.hexdigest() if changed else content)


def uncommitted(repository: Path) -> list[str]:
    """Files that differ from HEAD or that git does not know yet, without those that it ignores."""
    changed = git("diff", "--name-only", "--no-renames", "-z", "HEAD", repository=repository)
    new = git("ls-files", "--others", "--exclude-standard", "-z", repository=repository)
    return _names(changed + new)


def copy(source: Path, target: Path, name: str) -> bytes:
    """Make `target` what `source` is, or nothing; what a digest has to know of it."""
    if not source.is_file():
        target.unlink(missing_ok=True)
        return f"\0{name}\0gone".encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    return f"\0{name}\0".encode() + source.read_bytes()


def changed_files(base: Tree, head: Tree, repository: Path) -> list[str]:
    """Every file in which the two trees differ."""
    between = _names(git("diff", "--name-only", "--no-renames", "-z", base.commit, head.commit, repository=repository))
    return sorted({*between, *(uncommitted(repository) if head.name == WORKING_TREE else [])})


def _names(listing: bytes) -> list[str]:
    return sorted({name for name in listing.decode("utf-8", "surrogateescape").split("\0") if name})


def put_benchmarks(source: Path, target: Path, files: Sequence[str]) -> None:
    """Copy these files of one tree into another."""
    for name in files:
        copy(source / name, target / name, name)
