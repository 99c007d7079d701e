"""`python -m suites.speed.gpu_check`: everything that has to be seen on a GPU, in one run of a few minutes.

Float64 equivalence and float32 bounds of every model and implementation that is there, with TF32 off; the same step
with TF32 and bfloat16 on, judged three ways; interleaved times of a step, one prediction and an epoch; the GPU's own
peaks; launches, copies, time on the device, memory and power. What is not installed is left out and named. The shim's
own tests on a GPU run last (`impls/shim/test_gpu.py`). The file it writes is shown on the page.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from impls import MODELS
from suites.records import gpu as records
from suites.records import terminal
from suites.records.gpu import GpuCheck, Measured
from suites.records.run import Cell
from suites.runner import machine
from suites.runner.availability import availability, gpu_here
from suites.runner.remote_model import RemoteModel
from suites.speed.gpu_equivalence import STAGES_OF, STARTED, Equivalence, prepare
from suites.speed.gpu_speed import Power, Speed, Way

BAD_INPUT = 2
KEPT = machine.ROOT / "reports" / "data" / "gpu.json"
SECONDS = 420.0
SIZES = ("small", "large")

# Implementation, backend and mode, in the order in which they are opened: what is not open in time is not measured.
WAYS = (
    ("shim", "jax", "jit"),
    ("raw_jax", "jax", "jit"),
    ("shim", "torch", "graph"),
    ("torch_native", "torch", "eager"),
    ("raw_torch", "torch", "eager"),
    ("tf_keras", "torch", "eager"),
    ("shim", "torch", "eager"),
    ("torch_native", "torch", "reduce-overhead"),
    ("tf_keras", "jax", "jit"),
)
OPENED_LAST = WAYS[-2:]  # after the coarser products of the others
SLOW_TO_COMPILE = (("torch_native", "torch", "reduce-overhead"),)  # its float64 would take longer than all the rest
COARSE = {  # which ways are also run with coarser products
    "tf32": (
        ("shim", "torch", "graph"),
        ("shim", "jax", "jit"),
        ("raw_torch", "torch", "eager"),
        ("raw_jax", "jax", "jit"),
    ),
    "bfloat16": (("shim", "torch", "graph"), ("shim", "jax", "jit")),
}


def cell(model: str, way: tuple[str, str, str], device: str, dtype: str, size: str = "small") -> Cell:
    return Cell(model, *way, device, dtype, size)


class Check:
    """One run."""

    def __init__(self, device: str, models: tuple[str, ...], seconds: float, output: Path, truths: Path | None) -> None:
        self.device, self.models, self.seconds = device, models, seconds
        self.output, self.truths = output, truths
        self.began = time.monotonic()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.missing: dict[str, str] = {}
        self.phases: dict[str, float] = {}
        self.facts: dict[str, Any] = {"peaks": {}, "power": {}, "versions": {}}
        self.ways = [way for way in WAYS if self._there(way)]

    def until(self, share: float) -> float:
        """The moment when that share of the time is over."""
        return self.began + share * self.seconds

    def _there(self, way: tuple[str, str, str]) -> bool:
        implementation, backend, mode = way
        if reason := availability(implementation, backend, self.device, mode):
            self.missing[" ".join(way)] = reason
        return not reason

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the run, and say that it begins."""
        start = time.monotonic()
        terminal.LOG.info(f"{start - self.began:6.1f} s  {name}")
        yield
        self.phases[name] = time.monotonic() - start

    def run(self, parts: tuple[str, ...]) -> GpuCheck:
        """The named parts, times first, while nothing else runs; saved after each of them."""
        executor = ThreadPoolExecutor(3 * (os.cpu_count() or 1) // 2 or 1)  # loading waits for the disk now and then
        try:
            if "speed" in parts:
                self._speeds(executor)
                self._save()
            tests = executor.submit(self._tests) if "tests" in parts else None
            if "equivalence" in parts:
                self._equivalence(executor)
                self._save()
            if tests:
                with self.phase("the shim's own tests"):
                    tests.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in STARTED:
                worker.stop()
        return self._save()

    def _speeds(self, executor: ThreadPoolExecutor) -> None:
        speed = Speed(executor, self._timed())
        with self.phase("opening and compiling"):
            speed.wait(self.until(0.43))
        with self.phase("peaks"), Power() as idle:
            self._describe(speed)
        with self.phase("rounds"), Power() as power:
            rows = speed.measure(self.until(0.66))
        self.facts.update(measured=rows, power={**idle.told("peaks"), **power.told("rounds")})
        self._save()
        if self.device == "gpu":
            with self.phase("profiles"):
                self.facts["measured"] = speed.profile(rows, self.until(0.74))
        speed.close()

    def _describe(self, speed: Speed) -> None:
        """Versions of what runs, and what the GPU can do at most."""
        asked: set[str] = set()
        for way in speed.ways:
            backend = next(iter(way.cells.values())).backend
            if way.worker is None or not way.worker.alive or f"{backend} {way.math}" in asked:
                continue
            asked.add(f"{backend} {way.math}")
            model = RemoteModel(way.worker)
            hello = model.hello()
            told = {f"{backend}: {name}": str(value) for name, value in hello["engine"].items()}
            self.facts["versions"] = {**told, **hello["versions"], **self.facts["versions"]}  # the first, TF32 off
            if backend == "torch" and self.device == "gpu":
                self.facts["peaks"] = {**model.gpu_peaks(), **self.facts["peaks"]}

    def _equivalence(self, executor: ThreadPoolExecutor) -> None:
        with self.phase("equivalence"):
            equivalence = Equivalence(executor, self.models, self.truths, self.until(0.97))
            self._ask(equivalence)
            self.facts.update(verdicts=equivalence.verdicts(), precisions=equivalence.precisions())

    def _tests(self) -> None:
        """With pytest-xdist, where it is there, on all cores; what failed is kept by name."""
        command = [sys.executable, "-m", "pytest", "impls/shim/test_gpu.py", "-q", "-p", "no:cacheprovider"]
        with contextlib.suppress(ImportError):
            import xdist  # noqa: F401

            command += ["-n", str(min(os.cpu_count() or 1, 14))]
        wide = {**os.environ, "COLUMNS": "400"}  # else the summary leaves out what failed
        done = subprocess.run(command, capture_output=True, text=True, cwd=machine.ROOT, env=wide, check=False)
        lines = done.stdout.splitlines()
        for line in lines:
            if line.startswith(("FAILED", "ERROR")):
                self.missing[line[:350]] = "failed"
        self.missing["impls/shim/test_gpu.py"] = lines[-1] if lines else done.stderr[-200:]

    def _timed(self) -> list[Way]:
        timed = (("shim", "torch", "graph"),)
        first = [way for way in self.ways if way not in OPENED_LAST]
        last = [way for way in self.ways if way in OPENED_LAST]
        return [*self._plain(first), *self._coarse(timed), *self._plain(last)]

    def _plain(self, ways: list[tuple[str, str, str]]) -> list[Way]:
        """Every model in each of the ways, at both sizes."""
        found = []
        for way, model in itertools.product(ways, self.models):
            found.append(Way({size: cell(model, way, self.device, "float32", size) for size in SIZES}))
        return found

    def _coarse(self, timed: tuple[tuple[str, str, str], ...]) -> list[Way]:
        """Every model, large, in arithmetic of fewer digits."""
        found = []
        for arithmetic, ways in COARSE.items():
            chosen = [way for way in ways if way in self.ways and way in timed]
            for way, model in itertools.product(chosen, self.models):
                found.append(Way({"large": cell(model, way, self.device, "float32", "large")}, arithmetic))
        return found

    def _ask(self, equivalence: Equivalence) -> None:
        """The shim's first, what compiles longest before the rest, Keras's last."""
        order = sorted(self.ways, key=lambda way: (way[0] != "shim", way[1] != "jax", way[0] == "tf_keras"))
        for way in order:
            for model in self.models:
                if way not in SLOW_TO_COMPILE:
                    equivalence.ask(cell(model, way, self.device, "float64"))
                equivalence.ask(cell(model, way, self.device, "float32"))
                for arithmetic, ways in COARSE.items():
                    if way in ways and self.device == "gpu":
                        equivalence.ask(cell(model, way, self.device, "float32"), arithmetic)

    def _save(self) -> GpuCheck:
        here = machine.environment()
        gpu, _, driver = here.gpu.partition(", ")
        found = GpuCheck(
            started=self.started, gpu=gpu or "none", driver=driver, cpu=here.cpu, cores=here.cores, python=here.python,
            commit=here.commit, math="TF32 off where nothing else is said", seconds=time.monotonic() - self.began,
            phases=self.phases, missing=self.missing, **self.facts,
        )  # fmt: skip
        records.save(found, self.output)
        return found


def summary(check: GpuCheck) -> str:
    """For a terminal: what is outside of its bound or failed, and the median times in microseconds."""
    lines = [f"{check.gpu}, {check.seconds:.0f} s: " + ", ".join(f"{n} {s:.0f} s" for n, s in check.phases.items())]
    lines += [f"  {name}: {reason}"[:300] for name, reason in check.missing.items()]
    lines.append("peaks: " + ", ".join(f"{name} {rate / 1e12:.3g} T/s" for name, rate in check.peaks.items()))
    lines.append("power: " + ", ".join(f"{name} {value:.0f}" for name, value in check.power.items()))
    good = [v for v in check.verdicts if not v.outside and not v.reason]
    lines.append(f"{len(good)} of {len(check.verdicts)} comparisons within their bounds")
    for verdict in check.verdicts:
        if verdict.outside or verdict.reason:
            said = (
                verdict.reason or f"{verdict.outside} of {verdict.tensors} outside, {verdict.place} {verdict.worst:.3g}"
            )
            lines.append(f"  {verdict.cell.id} {verdict.stage}: {said}"[:400])
    for row in check.precisions:
        said = row.reason or f"{row.observed:.1e} of {row.allowed:.1e} in {row.tensor}, {row.outside} outside"
        lines.append(f"  {row.cell.model} {row.cell.implementation} {row.cell.backend} {row.math}: {said}"[:300])
    return "\n".join([*lines, *_times(check.measured)])


def _times(rows: list[Measured]) -> list[str]:
    lines = []
    for row in rows:
        name = (
            f"{row.cell.model} {row.cell.size} {row.what} {row.cell.implementation}/{row.cell.backend}/{row.cell.mode}"
        )
        more = "" if row.math == "float32" else f" {row.math}"
        time_of = f"{1e6 * median(row.seconds):9.1f}" if row.seconds else row.reason[:200]
        asked = [row.event_seconds, row.kernel_seconds, row.kernels, row.launches, row.copies_from_host, row.peak_bytes]
        told = ""
        if row.kernels is not None:
            told = " ".join("-" if value is None else f"{value:.3g}" for value in asked)
        reason = f" ({row.reason[:100]})" if row.seconds and row.reason else ""
        lines.append(f"{name}{more} {time_of} {told}{reason}")
    return lines


PARTS = ("tests", "equivalence", "speed")


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m suites.speed.gpu_check", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--output", type=Path, default=KEPT, help="the file to write (default: %(default)s)")
    parser.add_argument("--model", action="append", choices=tuple(MODELS), help="only this one (may be given again)")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (may be given again)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="in which it ends (default: %(default)s)")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU: to test this command where no GPU is")
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help="leave the oracle's side there; needs no GPU")
    parser.add_argument("--truths", type=Path, metavar="FOLDER", help="where --prepare left it; else computed here")
    options = parser.parse_args(arguments)
    if not (options.rehearse or options.prepare) and not gpu_here():
        return terminal.refuse("no GPU found on this machine: --rehearse runs the check on the CPU")
    if options.rehearse and options.output == KEPT:
        parser.error("--rehearse needs --output FILE: what a CPU says is not kept as a GPU's")
    models = tuple(options.model or MODELS)
    if options.prepare:
        for stage in dict.fromkeys(stage for stages in STAGES_OF.values() for stage in stages):
            for model in models:
                prepare(model, stage, options.prepare)
        return 0
    device = "cpu" if options.rehearse else "gpu"
    found = Check(device, models, options.seconds, options.output, options.truths).run(tuple(options.part or PARTS))
    print(summary(found))
    return int(any(verdict.outside or (verdict.reason and not verdict.known) for verdict in found.verdicts))


if __name__ == "__main__":
    sys.exit(main())
