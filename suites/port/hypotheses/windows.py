"""Pools, pads, resizes and flattens that are called as functions: which one A applies is found by trying, then B's."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suites.port.hypotheses.case import Case
from suites.port.hypotheses.convolution_and_images import PLAIN, RESIZES
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.layers import SIGNATURES
from suites.port.hypotheses.program import Program, Step
from suites.port.hypotheses.question import Cause, Part, Question, Same

Array = np.ndarray
ROUGHLY = 1e-6  # what TensorFlow's resize, in float32, may be off
LARGEST = 100_000  # elements


@dataclass(frozen=True)
class Applied:
    """A window of A: the value it gives, its case in the canonical layout, whether that had to be turned."""

    at: int
    source: int
    case: Case
    turned: bool

    def again(self, given: Sequence[Array]) -> Array:
        """The same window on other numbers. Raises ValueError where it does not fit them."""
        x = np.moveaxis(given[0], 1, -1) if self.turned else given[0]
        y = replace(self.case, x=x).computed()
        if y is None:
            raise ValueError(f"{self.case.kind} does not fit {x.shape}")
        return self.back(y)

    def back(self, y: Array) -> Array:
        return np.moveaxis(y, -1, 1) if self.turned else y


def other_windows(question: Question, program: Program) -> Iterator[tuple[int, Array, Cause]]:
    """(value, another one, the words) for every pool, pad, resize and flatten of A."""
    for applied in found_in(question):
        last = applied.at == program.exit_id  # what nothing is made of may have another shape
        for case in (applied.case, *(of_exit(applied.case, question) if last else ())):
            for signature in SIGNATURES[case.kind]:
                for proposal in signature(case):
                    y = case.given(proposal.changes).computed()
                    if y is not None and (last or y.shape == case.y.shape):
                        yield applied.at, applied.back(y), proposal.cause


def of_exit(case: Case, question: Question) -> Iterator[Case]:
    """The window as B has it, where that gives another size."""
    theirs = question.b.exit
    for y in (theirs, np.moveaxis(theirs, 1, -1) if theirs.ndim > 2 else theirs):
        if y.ndim == case.y.ndim and y.shape != case.y.shape and y.shape[-1] == case.y.shape[-1]:
            yield replace(case, y=y)


def found_in(question: Question) -> tuple[Applied, ...]:
    """Of the last few sides that were asked for, as it was found."""
    return _found_in(Same(question.a), question.training, question.unit)


@functools.lru_cache(maxsize=8)
def _found_in(side: Same, training: bool, unit: float) -> tuple[Applied, ...]:
    return tuple(_searched(side.part, understand(side.part), training, unit))


def _searched(part: Part, program: Program, training: bool, unit: float) -> Iterator[Applied]:
    steps = [(step.at, step.ids) for step in program.steps]
    known = [(part.exit_id, [entry.id for entry in part.entries])]
    opaque = [(at, op.values) for op in part.ops for at in op.outputs if program.producer(at) is None]
    for at, sources in [*steps, *opaque, *known]:
        y = program.values.get(at)
        for source in sources:
            x = program.values.get(source)
            if x is None or y is None or x.ndim < 3 or x.dtype.kind != "f" or x.size > LARGEST or y.size > LARGEST:
                continue
            step = program.producer(at)
            if x.shape == y.shape and step is not None and "pool" not in step.name:
                continue  # an operation that is understood, of one number after the other
            found = _applied(at, source, x, y, training, unit)
            if found is not None:
                yield found


def completed(question: Question, program: Program) -> Program:
    """With the pools, pads and resizes as steps, so that what lies before them can be changed."""
    own = {at: op for op in question.a.ops for at in op.outputs}
    known = {step.at for step in program.steps}
    made = []
    for applied in found_in(question):
        if applied.at not in known and applied.at in own and applied.source in own[applied.at].values:
            known.add(applied.at)
            op = own[applied.at]
            made.append(Step(op.name, (applied.source,), applied.at, applied.again, op))
    if not made:
        return program

    def place(step: Step) -> int:
        if step.at in own:
            return own[step.at].at
        return step.op.at if step.op else 0

    return replace(program, steps=tuple(sorted([*program.steps, *made], key=place)))


def _applied(at: int, source: int, x: Array, y: Array, training: bool, unit: float) -> Applied | None:
    for turned in (False, True):
        given, output = (np.moveaxis(each, 1, -1) if turned and each.ndim > 2 else each for each in (x, y))
        for kind, config in _settings(given, output):
            case = Case(kind, config, {}, given, output, training, unit)
            if case.agrees() or (kind == "resize" and case.error() < ROUGHLY):
                return Applied(at, source, case, turned)
    return None


def _settings(x: Array, y: Array) -> Iterator[tuple[str, dict[str, object]]]:
    """Every pool, pad, resize and flatten that gives this shape."""
    if y.ndim == 2 and len(y) == len(x):
        yield "flatten", {}
        yield "flatten", {"order": "CHW"}
        for take in ("mean", "max", "sum"):
            yield "adaptive_pool", {"take": take}
    if x.ndim != y.ndim or x.shape[0] != y.shape[0] or x.shape[-1] != y.shape[-1]:
        return
    if x.shape == y.shape:
        yield from (pool for pool in _pools(x.ndim - 2) if max(pool[1]["strides"]) == 1)  # type: ignore[call-overload]
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
