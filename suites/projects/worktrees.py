"""The two trees of a gate run: worktrees of the user's repository, in a temporary folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suites.gate.revisions import WORKING_TREE, RevisionError, commit_of, git


@dataclass(frozen=True)
class Tree:
    """A revision in its worktree; `content` names what it holds, whatever commit that came from."""

    name: str
    commit: str
    dirty: bool
    folder: Path
    content: str


def repository_of(place: Path) -> Path:
    """The top of the git repository that a folder lies in. Raises RevisionError."""
    try:
        found = git("rev-parse", "--show-toplevel", repository=place).decode().strip()
    except RevisionError as error:
        raise RevisionError(
            f"{place}: is in no git repository, and the gate compares revisions of one ({error})"
        ) from None
    return Path(found)


def take(repository: Path, revision: str, option: str, folder: Path) -> Tree:
    """A worktree of `revision`, or of HEAD with what is changed in the user's folder where it is ""."""
    commit = commit_of(revision or "HEAD", option, repository)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git("worktree", "add", "--detach", "--force", str(folder), commit, repository=repository)
    if (folder / ".gitmodules").is_file():
        git("submodule", "update", "--init", "--recursive", repository=folder)
    content = git("rev-parse", f"{commit}^{{tree}}", repository=repository).decode().strip()
    if revision:
        return Tree(revision, commit, False, folder, content)
    changed = uncommitted(repository)
    digest = hashlib.sha256(content.encode())
    for name in changed:
        digest.update(copy(repository / name, folder / name, name))
    return Tree(WORKING_TREE, commit, bool(changed), folder, digest.hexdigest() if changed else content)


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
