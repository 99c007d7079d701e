"""What the check of a GPU found (`python -m suites.speed.gpu_check`): targets, times, precision, shares of the peak."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median

from reports import formatting, verdicts
from reports.verdicts import Verdict
from suites.records.gpu import GpuCheck, Measured, Precision
from suites.records.gpu import Verdict as Compared

Key = tuple[str, str, str]  # implementation, backend, mode
GRAPH, JAX = ("shim", "torch", "graph"), ("shim", "jax", "jit")
NATIVE = (("raw_torch", "torch", "eager"), ("torch_native", "torch", "eager"))
REDUCED = ("torch_native", "torch", "reduce-overhead")
RAW_JAX = ("raw_jax", "jax", "jit")
KERAS = {"torch": ("tf_keras", "torch", "eager"), "jax": ("tf_keras", "jax", "jit")}
SHARED = (GRAPH, JAX, NATIVE[0], RAW_JAX)
STEP, FIT, ONE = "train_step", "fit", "predict_one"
WITHIN = Verdict("within", "check", "good", 1)
KNOWN = Verdict("known difference", "diamond", "warn", 3)
OUTSIDE = Verdict("outside", "cross", "bad", 6)
MET, UNMET = Verdict("met", "check", "good", 1), Verdict("missed", "cross", "bad", 6)


@dataclass(frozen=True)
class Target:
    """A ratio that the shim has to reach, and the ratio of every model; `verdict` is of the worst of them."""

    name: str
    most: float
    ratios: dict[str, float]
    verdict: Verdict


@dataclass(frozen=True)
class Line:
    """The times of one call of one model in every way."""

    model: str
    size: str
    what: str
    seconds: dict[Key, float]


@dataclass(frozen=True)
class Share:
    """What a training step makes of the GPU: `running` is the share of its time in which a kernel runs."""

    row: Measured
    seconds: float
    rate: float
    peak: float | None
    running: float | None


@dataclass(frozen=True)
class Shown:
    """All of the section. `left` is outside of its bound or known to differ, `unseen` was not compared, by reason."""

    check: GpuCheck
    targets: list[Target]
    keys: list[Key]
    lines: list[Line]
    shares: list[Share]
    precisions: list[tuple[Precision, float | None]]
    within: int
    left: list[tuple[Compared, Verdict]]
    unseen: dict[str, list[str]]


def shown(check: GpuCheck | None) -> Shown | None:
    """The section, or nothing where no GPU was checked."""
    if check is None:
        return None
    medians = {_place(row): median(row.seconds) for row in check.measured if row.seconds and row.math == "float32"}
    keys = list(dict.fromkeys(_key(row) for row in check.measured if row.math == "float32"))
    judged = [(item, _judged(item)) for item in check.verdicts]
    left = [(item, verdict) for item, verdict in judged if verdict not in (WITHIN, verdicts.FAILED)]
    unseen: dict[str, list[str]] = {}
    for item, verdict in judged:
        if verdict is verdicts.FAILED:
            unseen.setdefault(item.reason, []).append(
                f"{item.cell.model} {formatting.way(item.cell)} {item.cell.dtype}"
            )
    return Shown(
        check, _targets(medians), keys, _lines(check.measured, medians), list(_shares(check)),
        [(item, _gain(item, check.measured)) for item in check.precisions if item.math != "float32"],
        sum(verdict is WITHIN for _, verdict in judged), left, unseen,
    )  # fmt: skip


def brief(whole: Shown | None) -> Shown | None:
    """The summary alone, for a page that has no room for more."""
    if whole is None:
        return None
    check = replace(whole.check, missing={})
    return replace(whole, check=check, targets=[], lines=[], shares=[], precisions=[], left=[], unseen={})


Place = tuple[str, str, str, Key]  # model, size, what and the way


def _key(row: Measured) -> Key:
    return row.cell.implementation, row.cell.backend, row.cell.mode


def _place(row: Measured) -> Place:
    return row.cell.model, row.cell.size, row.what, _key(row)


def _judged(item: Compared) -> Verdict:
    if item.reason:
        return KNOWN if item.known else verdicts.FAILED
    if item.outside:
        return OUTSIDE
    return KNOWN if item.known else WITHIN


def _targets(medians: dict[Place, float]) -> list[Target]:
    """The targets that the project has set itself, each against the best way that people write."""
    found = []
    for name, size, what, own, others, most in TARGETS:
        ratios = {}
        for model in dict.fromkeys(place[0] for place in medians):
            mine = medians.get((model, size, what, own))
            theirs = [medians[model, size, what, key] for key in others if (model, size, what, key) in medians]
            if mine is not None and theirs:
                ratios[model] = mine / min(theirs)
        if ratios:
            found.append(Target(f"{name}, {size}", most, ratios, MET if max(ratios.values()) <= most else UNMET))
    return found


TARGETS: tuple[tuple[str, str, str, Key, tuple[Key, ...], float], ...] = (
    ("torch, train step / eager", "small", STEP, GRAPH, NATIVE, 0.2),
    ("torch, train step / eager", "large", STEP, GRAPH, NATIVE, 0.5),
    ("torch, train step / reduce-overhead", "small", STEP, GRAPH, (REDUCED,), 1.0),
    ("torch, train step / reduce-overhead", "large", STEP, GRAPH, (REDUCED,), 1.0),
    ("JAX, train step / raw JAX", "small", STEP, JAX, (RAW_JAX,), 1.0),
    ("JAX, train step / raw JAX", "large", STEP, JAX, (RAW_JAX,), 1.0),
    ("JAX, fit / raw JAX's loop", "small", FIT, JAX, (RAW_JAX,), 0.3),
    ("JAX, fit / raw JAX's loop", "large", FIT, JAX, (RAW_JAX,), 0.3),
    ("torch, fit / Keras 3 on torch", "small", FIT, GRAPH, (KERAS["torch"],), 0.05),
    ("torch, fit / Keras 3 on torch", "large", FIT, GRAPH, (KERAS["torch"],), 0.3),
    ("JAX, fit / Keras 3 on JAX", "small", FIT, JAX, (KERAS["jax"],), 0.1),
    ("JAX, fit / Keras 3 on JAX", "large", FIT, JAX, (KERAS["jax"],), 0.5),
    ("torch, one prediction / eager", "small", ONE, GRAPH, NATIVE, 0.5),
    ("torch, one prediction / eager", "large", ONE, GRAPH, NATIVE, 0.5),
)


def _lines(rows: Iterable[Measured], medians: dict[Place, float]) -> list[Line]:
    found = []
    for model, size, what in dict.fromkeys((row.cell.model, row.cell.size, row.what) for row in rows):
        seconds = {key: value for (m, s, w, key), value in medians.items() if (m, s, w) == (model, size, what)}
        if seconds:
            found.append(Line(model, size, what, seconds))
    return found


def _shares(check: GpuCheck) -> Iterable[Share]:
    """Of the large training steps of the shim and of what is written by hand."""
    for row in check.measured:
        shown = row.cell.size == "large" and _key(row) in SHARED
        if not shown or row.kernels is None or not row.seconds or row.flops is None:
            continue
        seconds, peak = median(row.seconds), check.peaks.get(row.math, 0.0)
        rate = row.flops / seconds
        running = None if row.kernel_seconds is None else min(1.0, row.kernel_seconds / seconds)
        yield Share(row, seconds, rate, rate / peak if peak else None, running)


def _gain(item: Precision, rows: Iterable[Measured]) -> float | None:
    """The time of a large training step with these products, relative to that with float32's."""
    key = item.cell.implementation, item.cell.backend, item.cell.mode
    found = {}
    for row in rows:
        wanted = row.what == STEP and row.cell.model == item.cell.model and row.cell.size == "large"
        if wanted and row.seconds and _key(row) == key:
            found[row.math] = median(row.seconds)
    return found[item.math] / found["float32"] if item.math in found and "float32" in found else None
