"""Where a worker runs and lies in memory, made the same for both arms of a comparison.

Two processes of the same code differ by half a percent for as long as they live: by the addresses that the system drew
for them, by the seed of Python's string hashes, by the core that one of them happened to get. Both workers of a pair
get the same here, where the system allows it, and each pair something else: the code of two trees lies differently in
memory, and in pairs that lay alike what that does would look like a difference, the same one in all of them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

FIXED = {"JAX_CPU_ENABLE_ASYNC_DISPATCH": "false"}  # a thread less to wait for in each call
PADDING = 1040  # bytes by which the stacks of two pairs are apart: no whole number of pages or cache lines


def environment(pair: int) -> dict[str, str]:
    """What both workers of a pair are started with: the seed of string hashes, and where the stack begins."""
    return {**FIXED, "PYTHONHASHSEED": str(pair), "TRIPTYCH_PADDING": "x" * (PADDING * pair)}


@functools.cache
def fixed_addresses() -> tuple[str, ...]:
    """The words that start a command without random addresses; none where the system does not allow it."""
    words = ("setarch", "-R")
    if not shutil.which(words[0]):
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, timeout=20, check=False)
    return words if tried.returncode == 0 else ()


def launcher(python: str, folder: Path, name: str) -> str:
    """A program in `folder` that is `python` with fixed addresses; `python` itself where they can't be fixed."""
    if not fixed_addresses():
        return python
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec {" ".join(fixed_addresses())} "{python}" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def cores() -> list[int]:
    """The cores that this process may use; none where a process can't be bound to one."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def bind(pids: Iterable[int], core: int) -> None:
    """Bind every thread of these processes to one core."""
    for pid in pids:
        with contextlib.suppress(OSError):  # it is gone: its next call says so
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
                    os.sched_setaffinity(int(task), {core})
