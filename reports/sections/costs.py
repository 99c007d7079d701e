"""What a call costs beside its steady time: a cold start, latencies, work done and peak reached, memory, the machine.

Nothing here is judged but the machine itself: a control that varies, and workers that were busy while they waited.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

import numpy as np

from reports import formatting
from reports.drawing import plots
from reports.evidence.load import Evidence
from reports.statistics import cost_model
from reports.statistics.cost_model import Estimate, Law
from suites.records.run import Cell, ColdStart, Control, Flops, Latency, Run, Timing

PERCENTILES = (0.5, 0.9, 0.99)
BEYOND = 5  # calls that have to lie beyond a percentile for it to be told
DRAWS = 100
UNSTEADY = 1.2  # times the fastest group's control: more, and the machine has changed during the run
FEW_TICKS = 4  # beside a table of five columns there is little room
BUSY = 0.05  # of a core used while waiting: more, and the other arms were disturbed


@dataclass(frozen=True)
class Percentiles:
    """Of single predictions at one batch size; None where too few lie beyond. Intervals by drawing rounds again."""

    calls: int
    values: tuple[Estimate | None, ...]


@dataclass(frozen=True)
class Row:
    """Everything known of one cell besides its ratios. `step` is its train step, `wide` the same on more threads."""

    cell: Cell
    cold: ColdStart | None
    one: Percentiles | None
    batch: Percentiles | None
    flops: Flops | None
    step: Timing | None
    wide: Timing | None
    rate: float | None
    share: float | None

    @staticmethod
    def median(timing: Timing) -> float:
        """Seconds a call."""
        return seconds(timing)


@dataclass(frozen=True)
class Figure:
    """The laws of one model: all overheads on one axis, one way of each panel over the batch, and what to see."""

    model: str
    sentence: str
    conditions: list[str]
    axis: plots.Axis
    laws: list[Law]
    plot: plots.Batches


@dataclass(frozen=True)
class Report:
    rows: list[Row]
    figures: list[Figure]
    machine: list[str]
    counters: list[str]

    @property
    def wider(self) -> str:
        """How many threads the steps had that were also timed with more than one."""
        several = {row.wide.threads for row in self.rows if row.wide}
        return " or ".join(formatting.count(threads, "thread") for threads in sorted(several)) or "more threads"

    def having(self, what: str) -> list[Row]:
        """The rows that know of `what`."""
        return [row for row in self.rows if getattr(row, what) is not None]


def report(evidence: Evidence) -> Report:
    """Everything of all runs; of several runs of a cell the newest counts."""
    rows = {row.cell: row for run in evidence.runs for row in _rows(run)}
    laws = {item.cell: item for run in evidence.runs for item in run.sweeps}
    fitted = [cost_model.law(laws[cell]) for cell in sorted(laws, key=evidence.order)]
    figures = []
    for model in evidence.models():
        figures.append(_figure([one for one in fitted if one and one.sweep.cell.model == model]))
    ordered = sorted(rows.values(), key=lambda row: (evidence.models().index(row.cell.model), evidence.order(row.cell)))
    told = [text for run in evidence.runs for text in _machine(run)]
    return Report(ordered, [figure for figure in figures if figure], told, _counters(ordered))


def _counters(found: Sequence[Row]) -> list[str]:
    """What each engine's counter says of the specified work, from the smallest to the largest ratio."""
    ratios: dict[str, list[float]] = {}
    for row in found:
        if row.flops and row.flops.counted is not None:
            ratios.setdefault(row.flops.counter, []).append(row.flops.counted / row.flops.specified)
    told = []
    for name, some in sorted(ratios.items()):
        extent = f"{formatting.ratio(min(some))} to {formatting.ratio(max(some))}"
        told.append(f"{name} {extent} in {formatting.count(len(some), 'cell')}")
    return told


def _rows(run: Run) -> Iterator[Row]:
    cold = {item.cell: item for item in run.cold_starts}
    flops = {item.cell: item for item in run.flops if item.what == "train_step"}
    latencies: dict[Cell, list[Latency]] = {}
    for item in run.latencies:
        latencies.setdefault(item.cell, []).append(item)
    steps: dict[Cell, list[Timing]] = {}
    for timing in run.timings:
        if timing.what == "train_step" and timing.seconds:
            steps.setdefault(timing.cell, []).append(timing)
    for cell in dict.fromkeys([*cold, *flops, *latencies, *steps]):
        own = sorted(steps.get(cell, []), key=lambda timing: timing.threads)
        several = sorted(latencies.get(cell, []), key=lambda item: item.batch_size)
        one = percentiles(several[0]) if len(several) > 1 else None
        batch = percentiles(several[-1]) if several else None
        step, wide = (own[0] if own else None), (own[-1] if len(own) > 1 else None)
        rate, share = _rate(run.controls, flops.get(cell), step)
        yield Row(cell, cold.get(cell), one, batch, flops.get(cell), step, wide, rate, share)


def _rate(controls: Sequence[Control], flops: Flops | None, step: Timing | None) -> tuple[float | None, float | None]:
    """FLOPs a second by the specification, and the share of the largest product's rate in the same rounds.

    That product runs on the processor: of a GPU's peak no share is known.
    """
    if not flops or not step:
        return None, None
    rate = flops.specified / seconds(step)
    if step.cell.device != "cpu":
        return rate, None
    peaks = [peak(item) for item in controls if item.what == "matmul" and item.group == step.group and item.seconds]
    return rate, rate / max(peaks) if peaks else None


def seconds(timing: Timing | Control) -> float:
    """The median of a call."""
    return median(timing.seconds) / timing.iterations


def peak(control: Control) -> float:
    """FLOPs a second of the fastest round."""
    return control.flops * control.iterations / min(control.seconds)


def percentiles(item: Latency, seed: int = 0) -> Percentiles:
    """Of all calls; the intervals hold although calls of one round are alike, for whole rounds are drawn again."""
    return _percentiles(tuple(map(tuple, item.seconds)), seed)


@cache
def _percentiles(rounds: tuple[tuple[float, ...], ...], seed: int) -> Percentiles:
    rng, count = random.Random(seed), sum(map(len, rounds))
    known = [share for share in PERCENTILES if count * (1 - share) >= BEYOND]
    pooled = np.sort(np.concatenate(rounds)) if known else np.empty(0)
    each = [np.array(calls) for calls in rounds]
    drawn = []
    for _ in range(DRAWS if known else 0):
        again = rng.choices(each, k=len(each))
        drawn.append(np.sort(np.concatenate(again)))
    found = {}
    for share in known:
        found[share] = _estimate(_quantile(pooled, share), [_quantile(one, share) for one in drawn])
    return Percentiles(count, tuple(found.get(share) for share in PERCENTILES))


def _quantile(ordered: np.ndarray, share: float) -> float:
    return float(ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))])


def _estimate(value: float, drawn: list[float]) -> Estimate:
    ordered, tail = sorted(drawn), max(1, round(0.025 * len(drawn)))
    return Estimate(value, min(value, ordered[tail - 1]), max(value, ordered[-tail]))


def steady(run: Run) -> dict[str, float]:
    """The control's median seconds a call by group."""
    return {item.group: seconds(item) for item in run.controls if item.what == "control" and item.seconds}


def drift(run: Run) -> float | None:
    """How many times as long the control took in its slowest group as in its fastest; None without two groups."""
    by_threads: dict[int, list[float]] = {}
    for item in run.controls:
        if item.what == "control" and item.seconds:
            by_threads.setdefault(item.threads, []).append(seconds(item))
    ratios = [max(found) / min(found) for found in by_threads.values() if len(found) > 1]
    return max(ratios, default=None)


def busy(run: Run) -> dict[Cell, float]:
    """The share of a core that a cell's worker used while other arms ran, the largest of its timings."""
    shares: dict[Cell, float] = {}
    for timing in run.timings:
        if timing.idle_seconds > 0:
            share = timing.idle_cpu_seconds / timing.idle_seconds
            shares[timing.cell] = max(share, shares.get(timing.cell, 0.0))
    return shares


def _machine(run: Run) -> Iterator[str]:
    """Sentences about the machine of one run."""
    ratio, shares = drift(run), busy(run)
    if ratio:
        times = steady(run).values()
        said = f"The control, plain NumPy in the same rounds, took {formatting.seconds(min(times))} to"
        yield f"{said} {formatting.seconds(max(times))} a call in {formatting.count(len(times), 'group')} of rounds."
    peaks = [item for item in run.controls if item.what == "matmul" and item.seconds]
    best: dict[int, float] = {}
    for item in peaks:
        best[item.threads] = max(peak(item), best.get(item.threads, 0.0))
    for threads, rate in sorted(best.items()):
        threads_here = formatting.count(threads, "thread")
        yield f"The machine's own peak with {threads_here} is {formatting.rate(rate)} in a product."
    if shares:
        worst = max(shares, key=lambda cell: shares[cell])
        said = f"While others ran, a waiting worker used at most {formatting.percent(shares[worst])} of a core"
        yield f"{said} ({formatting.name(worst)})."


def _figure(laws: list[Law]) -> Figure | None:
    if not laws:
        return None
    ends = [1e6 * end for one in laws for end in (one.overhead.low, one.overhead.value, one.overhead.high) if end > 0]
    cell = laws[0].sweep.cell
    conditions = [*formatting.conditions(cell), formatting.count(laws[0].sweep.threads, "thread")]
    conditions.append(f"{laws[0].sweep.clock} time")
    conditions.append(formatting.count(min(map(len, laws[0].sweep.seconds)), "round"))
    axis = plots.axis(ends or [1.0], include=ends[0] if ends else 1.0, most=FEW_TICKS)
    ordered = sorted(laws, key=lambda one: one.overhead.value)
    return Figure(cell.model, sentence(laws), conditions, axis, ordered, plots.batches(_shown(laws)))


def _shown(laws: list[Law]) -> list[plots.Curve]:
    """The way of each panel with the smallest overhead, as a curve."""
    best: dict[str, Law] = {}
    for one in laws:
        panel = formatting.panel(one.sweep.cell.implementation)
        if panel not in best or one.overhead.value < best[panel].overhead.value:
            best[panel] = one
    return [
        plots.Curve(formatting.way(one.sweep.cell), panel, one.points(), one.seconds) for panel, one in best.items()
    ]


def sentence(laws: Sequence[Law]) -> str:
    """What to see: who pays how much for a call, and from which batch on it no longer matters."""
    ordered = sorted(laws, key=lambda one: one.overhead.value)
    ends = [("least", ordered[0]), ("most", ordered[-1])] if len(laws) > 1 else [("", laws[0])]
    paid = [f"{formatting.seconds(one.overhead.value)} with {formatting.way(one.sweep.cell)}" for _, one in ends]
    named = [f"{text} (the {word})" if word else text for text, (word, _) in zip(paid, ends, strict=True)]
    batches = formatting.listed([formatting.batch(one.enough.value) for _, one in ends])
    share = formatting.percent(cost_model.SHARE)
    said = f"Whatever its size, a step costs {formatting.listed(named)}"
    return f"{said}; that is less than {share} of the step from a batch of {batches} on."
