"""kill -9 between two checkpoints, as soon as some are written."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

from suites.runner.workers import Worker


def kill_after(worker: Worker, path: Path, times: int = 3) -> None:
    """kill -9 once `path`, the last file of a checkpoint, has been written so many times and is whole.

    A program that writes over its files has nothing to go on from while it does. So the worker is stopped first, and
    goes on where it was stopped amid a checkpoint.
    """
    seen: set[int] = set()
    while worker.alive:
        with suppress(FileNotFoundError):
            seen.add(path.stat().st_mtime_ns)
        if len(seen) >= times:
            stop(worker.pid)
            if whole(path):
                break
            os.kill(worker.pid, signal.SIGCONT)
        time.sleep(0.0005)
    os.kill(worker.pid, signal.SIGKILL)


def stop(pid: int) -> None:
    """Stop a process and wait until it stands."""
    os.kill(pid, signal.SIGSTOP)
    while psutil.Process(pid).status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
        time.sleep(0.0005)


def whole(path: Path) -> bool:
    """Whether a checkpoint that ends with `path` is written: the file has content, and none beside it is newer."""
    with suppress(FileNotFoundError):
        own = path.stat()
        return own.st_size > 0 and all(it.stat().st_mtime_ns <= own.st_mtime_ns for it in path.parent.iterdir())
    return False
