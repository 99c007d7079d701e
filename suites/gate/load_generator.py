"""A generator of bursts: processes that now and then take a core for themselves, as neighbours on shared cores do."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType

CODE = """
import os, random, sys, time
rng, parent = random.Random(int(sys.argv[1])), os.getppid()
block = bytearray(1 << 22)
while os.getppid() == parent:
    end = time.perf_counter() + rng.uniform(0.005, 0.3)
    while time.perf_counter() < end:
        block[::64] = bytes(len(block) // 64)  # takes the shared cache as well as the core
    time.sleep(rng.uniform(0.005, 0.3))
"""


class Bursts:
    """One such process a core for as long as the context lasts, busy half of the time."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Bursts:
        count = os.cpu_count() or 1
        seeds = range(self.seed * count, (self.seed + 1) * count)
        self.processes = [subprocess.Popen([sys.executable, "-c", CODE, str(seed)]) for seed in seeds]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
