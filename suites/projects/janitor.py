"""A process that clears away what a gate run made, however the run ends.

The controller writes a line for each thing that has to go: the group of a session, the worktrees of a repository, a
folder. When the controller's end of the pipe closes, after the last line of its program or by `kill -9`, the janitor
removes them all. Of a controller that did not say goodbye it also judges what was saved.
Run as a program it needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Janitor:
    """The controller's side: a context at whose end everything is gone."""

    def __init__(self, afterwards: Sequence[str] = ()) -> None:
        """`afterwards` is run where the controller is killed."""
        command = [sys.executable, str(Path(__file__).resolve())]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, text=True)
        self._tell(kind="afterwards", command=list(afterwards))

    def __enter__(self) -> Janitor:
        return self

    def __exit__(self, *error: object) -> None:
        self._tell(kind="goodbye")
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()

    def watch_group(self, pid: int) -> None:
        self._tell(kind="group", pid=pid)

    def watch_worktrees(self, repository: Path, folder: Path) -> None:
        """`folder` and those worktrees of `repository` that lie in it."""
        self._tell(kind="worktrees", repository=str(repository), folder=str(folder))

    def watch_unfinished(self, folder: Path, marker: str) -> None:
        """A folder that stays only if it holds the file `marker`."""
        self._tell(kind="unfinished", folder=str(folder), marker=marker)

    def _tell(self, **line: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(json.dumps(line) + "\n")
            self.process.stdin.flush()


def main() -> int:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    lines = [json.loads(text) for text in sys.stdin if text.endswith("\n")]
    for line in lines:
        if line["kind"] == "group":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(line["pid"], signal.SIGKILL)
    for line in lines:
        if line["kind"] == "worktrees":
            remove_worktrees(line["repository"], Path(line["folder"]))
        if line["kind"] == "unfinished" and not Path(line["folder"], line["marker"]).exists():
            shutil.rmtree(line["folder"], ignore_errors=True)
    if lines and lines[-1]["kind"] != "goodbye":
        afterwards = [line["command"] for line in lines if line["kind"] == "afterwards"]
        if afterwards and afterwards[0]:
            subprocess.run(afterwards[0], check=False)
    return 0


def remove_worktrees(repository: str, folder: Path) -> None:
    """Remove the folder, and what git knows of the worktrees in it."""
    for tree in sorted(folder.glob("*/")):
        if (tree / ".git").is_file():
            command = ["git", "-C", repository, "worktree", "remove", "--force", "--force", str(tree)]
            subprocess.run(command, capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "-C", repository, "worktree", "prune"], capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
