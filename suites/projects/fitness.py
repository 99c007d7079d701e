"""Whether the machine is fit to be timed on, from what the system counts: before a comparison and while it runs.

Linux tells how many processes want a core, what a hypervisor took, and (asked in the sessions, block by block) how long
a process was ready and had no core. On a machine that tells nothing, nothing is held against it, and the controls
alone decide.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
GLANCE_SECONDS = 0.25
BUSY_RUNNING = 1.0  # processes beside ours that run or want to, for each core, from which on it is not calm
STOLEN = 0.05  # share of the time that a hypervisor took, from which on it is not calm
TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Counters:
    """Seconds since the start of the machine: of the clock, and those of its cores that a hypervisor took."""

    clock: float
    stolen: float | None


def read() -> Counters:
    """What the system counts now."""
    return Counters(time.monotonic(), _stolen())


def stolen_between(before: Counters, after: Counters) -> float | None:
    """The share of the cores' time that a hypervisor took between two readings; None: that is not told."""
    seconds = (after.clock - before.clock) * _cores()
    if before.stolen is None or after.stolen is None or seconds <= 0:
        return None
    return min(1.0, max(0.0, (after.stolen - before.stolen) / seconds))


def _cores() -> int:
    return os.cpu_count() or 1


def _stolen() -> float | None:
    """Seconds of all cores that a hypervisor gave to others."""
    try:
        words = (PROC / "stat").read_text().split("\n", 1)[0].split()
        return int(words[8]) / TICK
    except (OSError, ValueError, IndexError):
        return None


def running() -> int | None:
    """Processes that run or want to, this one not counted."""
    try:
        return int((PROC / "loadavg").read_text().split()[3].split("/")[0]) - 1
    except (OSError, ValueError, IndexError):
        return None


def trouble() -> str:
    """What makes the machine unfit at this moment, or nothing. It looks for a quarter of a second."""
    before, seen = read(), []
    end = time.monotonic() + GLANCE_SECONDS
    while time.monotonic() < end:
        seen.append(running())
        time.sleep(0.02)
    counted = sorted(number for number in seen if number is not None)
    if counted and counted[len(counted) // 2] >= BUSY_RUNNING * _cores():
        return f"{counted[len(counted) // 2]} other processes want its {_cores()} cores"
    stolen = stolen_between(before, read())
    if stolen is not None and stolen > STOLEN:
        return f"the hypervisor takes {stolen:.0%} of its time"
    return ""


class Patience:
    """Waits for a calm moment, for so many seconds in the whole run."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.waited = 0.0

    def wait(self) -> str:
        """Return when the machine is calm, or when patience is over: then what troubles it."""
        while reason := trouble():
            if self.left <= 0:
                return reason
            start = time.monotonic()
            time.sleep(min(1.0, self.left))
            spent = time.monotonic() - start + GLANCE_SECONDS
            self.left -= spent
            self.waited += spent
        return ""
