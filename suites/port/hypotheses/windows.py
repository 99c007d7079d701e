"""Pools, pads, resizes and flattens that are called as functions: which one A applies is found by trying, then B's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from suites.port.hypotheses.case import Case
from suites.port.hypotheses.convolution_and_images import PLAIN, RESIZES
from suites.port.hypotheses.interpreter import Program
from suites.port.hypotheses.layers import SIGNATURES
from suites.port.hypotheses.question import Cause, Question

Array = np.ndarray
ROUGHLY = 1e-6  # what TensorFlow's resize, in float32, may be off
LARGEST = 100_000  # elements


@dataclass(frozen=True)
class Applied:
    """A window of A: the value it gives, its case in the canonical layout, whether that had to be turned."""

    at: int
    case: Case
    turned: bool

    def back(self, y: Array) -> Array:
        return np.moveaxis(y, -1, 1) if self.turned else y


def other_windows(question: Question, program: Program) -> Iterator[tuple[int, Array, Cause]]:
    """(value, another one, the words) for every pool, pad, resize and flatten of A."""
    for applied in found_in(question, program):
        for signature in SIGNATURES[applied.case.kind]:
            for proposal in signature(applied.case):
                y = applied.case.given(proposal.changes).computed()
                if y is not None and y.shape == applied.case.y.shape:
                    yield applied.at, applied.back(y), proposal.cause


def found_in(question: Question, program: Program) -> Iterator[Applied]:
    steps = [(step.at, step.ids) for step in program.steps]
    known = [(question.a.exit_id, [entry.id for entry in question.a.entries])]
    opaque = [(at, op.values) for op in question.a.ops for at in op.outputs if program.producer(at) is None]
    for at, sources in [*steps, *opaque, *known]:
        y = program.values.get(at)
        for source in sources:
            x = program.values.get(source)
            if x is None or y is None or x.ndim < 3 or x.dtype.kind != "f" or x.size > LARGEST or y.size > LARGEST:
                continue
            found = _applied(at, x, y, question)
            if found is not None:
                yield found


def _applied(at: int, x: Array, y: Array, question: Question) -> Applied | None:
    for turned in (False, True):
        given, output = (np.moveaxis(each, 1, -1) if turned and each.ndim > 2 else each for each in (x, y))
        for kind, config in _settings(given, output):
            case = Case(kind, config, {}, given, output, question.training, question.unit)
            if case.agrees() or (kind == "resize" and case.error() < ROUGHLY):
                return Applied(at, case, turned)
    return None


def _settings(x: Array, y: Array) -> Iterator[tuple[str, dict[str, object]]]:
    """Every pool, pad, resize and flatten that gives this shape."""
    if y.ndim == 2 and len(y) == len(x):
        yield "flatten", {}
        yield "flatten", {"order": "CHW"}
        for take in ("mean", "max", "sum"):
            yield "adaptive_pool", {"take": take}
    if x.ndim != y.ndim or x.shape[0] != y.shape[0] or x.shape[-1] != y.shape[-1] or x.shape == y.shape:
        return
    sizes, outs = x.shape[1:-1], y.shape[1:-1]
    rank = len(sizes)
    if all(out <= size for size, out in zip(sizes, outs, strict=True)):
        yield from _pools(rank)
    growth = [out - size for size, out in zip(sizes, outs, strict=True)]
    if all(0 <= more <= 8 for more in growth):
        for mode in ("constant", "reflect", "replicate", "circular", "symmetric"):
            for ends in itertools.product(*([(b, more - b) for b in range(more + 1)] for more in growth)):
                yield "pad", {"pads": ends, "mode": mode}
    if rank == 2:
        for settings in RESIZES.values():
            yield "resize", {**PLAIN, **settings, "size": list(outs)}


def _pools(rank: int) -> Iterator[tuple[str, dict[str, object]]]:
    paddings: list[object] = ["valid", "same", [1] * rank, [2] * rank]
    for kind, window, stride, padding in itertools.product(("maxpool", "avgpool"), (2, 3, 4, 5), (1, 2, 3), paddings):
        config: dict[str, object] = {"window": [window] * rank, "strides": [stride] * rank, "padding": padding}
        yield f"{kind}{rank}d", config
        if kind == "avgpool" and padding != "valid":
            yield f"{kind}{rank}d", {**config, "count_padding": True}
