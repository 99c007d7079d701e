"""Both pipes of a worker as one stream whose every wait ends: for data, a deadline, a limit or an exit."""

from __future__ import annotations

import math
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil


class OverLimit(Exception):
    """The worker holds more memory than it may."""


class Pipes:
    """Both pipes of a worker as one stream for `protocol`: every wait ends at the deadline, or when it is gone."""

    def __init__(self, process: subprocess.Popen[bytes], memory: int | None):
        assert process.stdin is not None and process.stdout is not None
        self.process, self.memory = process, memory
        self.requests, self.replies = process.stdin.fileno(), process.stdout.fileno()
        self.deadline = 0.0
        self.most_processor = math.inf  # seconds of processor time, since its start
        for pipe in (self.requests, self.replies):
            os.set_blocking(pipe, False)

    def ready(self, pipe: int, seconds: float) -> bool:
        """Whether `pipe` can be read or written, or was closed, within `seconds`."""
        poll = select.poll()
        poll.register(pipe, select.POLLIN if pipe == self.replies else select.POLLOUT)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _wait(self, pipe: int) -> None:
        tick = 1.0 if self.memory is None else 0.05
        while not self.ready(pipe, min(tick, self.deadline - time.monotonic())):
            if self.memory is not None and resident_bytes(self.process.pid) > self.memory:
                raise OverLimit
            if self.process.poll() is not None and not self.ready(pipe, 0.0):
                raise EOFError  # a grandchild may hold the pipe open
            if time.monotonic() >= self.deadline:
                raise TimeoutError
            if self.most_processor < math.inf and processor_seconds(self.process.pid) > self.most_processor:
                raise TimeoutError

    def readinto(self, view: memoryview) -> int:
        while True:
            try:
                return os.readv(self.replies, [view])
            except BlockingIOError:
                self._wait(self.replies)

    def write(self, buffer: Any) -> None:
        rest = memoryview(buffer)
        while rest:
            try:
                rest = rest[os.write(self.requests, rest) :]
            except BlockingIOError:
                self._wait(self.requests)

    def flush(self) -> None:
        """Nothing is buffered here."""


def processor_seconds(pid: int) -> float:
    """Processor time of a process and of its children that have ended; 0 if it is gone."""
    try:
        return float(sum(psutil.Process(pid).cpu_times()[:4]))
    except psutil.Error:
        return 0.0


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (FileNotFoundError, ProcessLookupError):
        found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return int(found.stdout.strip() or 0) * 1024
