"""Fourier transforms: which one an operation is, found by its numbers, and with what other conventions it is tried.

A short-time transform is taken apart into what it consists of: padding, frames, window, transform.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.image_formulas import PAD_MODES
from suites.port.hypotheses.moves import Change
from suites.port.hypotheses.placing import around
from suites.port.hypotheses.program import Array, Function, Program, Step, right
from suites.port.hypotheses.question import Part, Question
from suites.port.hypotheses.wording import line_of
from suites.port.recording import Op

Named = tuple[str, tuple[int, ...], Function, tuple[int, ...]]
NORMS = {"backward": "no factor forward, 1/n back", "ortho": "1/sqrt(n) both ways", "forward": "1/n forward"}
FORWARD, BACK = ("rfft", "fft"), ("irfft", "ifft")
MOST_AXES = 3  # of one transform
LARGEST = 100_000  # elements
PADDED = {"constant": "constant", **PAD_MODES}


def transforms(arrays: Sequence[Array], wanted: Array) -> Iterator[Named]:
    """Every transform of one of these that may give `wanted`."""
    for at, x in enumerate(arrays):
        names = names_for(x, wanted)
        if not names or x.ndim != wanted.ndim or max(x.size, wanted.size) > LARGEST:
            continue
        for count in range(1, min(MOST_AXES, x.ndim) + 1):
            for axes in itertools.permutations(range(x.ndim), count):
                if all(n == m for i, (n, m) in enumerate(zip(x.shape, wanted.shape, strict=True)) if i not in axes):
                    for name, norm in itertools.product(names, NORMS):
                        yield f"{name}, {norm}", (at,), transform(name, norm, axes, wanted.shape), axes


def names_for(x: Array, wanted: Array) -> tuple[str, ...]:
    """The transforms from numbers of this kind to numbers of that."""
    kinds = x.dtype.kind == "c", wanted.dtype.kind == "c"
    return {(False, True): ("rfft", "fft"), (True, True): ("fft", "ifft"), (True, False): ("irfft",)}.get(kinds, ())


def transform(name: str, norm: str, axes: Sequence[int], shape: Sequence[int]) -> Function:
    """Over some axes, the last of which is halved in a real transform; back to as many places as `shape` has."""

    def function(a: Sequence[Array]) -> Array:
        sizes = {"s": [shape[axis] for axis in axes]} if name == "irfft" else {}
        return np.asarray(getattr(np.fft, f"{name}n")(a[0], axes=axes, norm=norm, **sizes))

    return function


def other_transforms(question: Question, program: Program) -> Iterator[Change]:
    """Of each transform another factor, the other direction, the conjugate, or other axes."""
    for step in program.steps:
        name, _, norm = step.name.partition(", ")
        if name not in (*FORWARD, *BACK) or not step.ids:
            continue
        x, y = program.values[step.ids[0]], program.values[step.at]
        for other in NORMS:
            if other != norm:
                named = cause("fft_norm", f"factor of the {name}{line_of(step)}", NORMS[norm], NORMS[other])
                yield {step.at: transform(name, other, step.axis, y.shape)([x])}, {}, named
        turned = np.conj(y) if y.dtype.kind == "c" else transform(name, norm, step.axis, y.shape)([np.conj(x)])
        yield (
            {step.at: turned},
            {},
            cause("fft_sign", f"sign of the exponent of the {name}{line_of(step)}", "as it is", "the other"),
        )
        for axes in itertools.permutations(range(x.ndim), len(step.axis)):
            if axes != step.axis:
                found = transform(name, norm, axes, y.shape)([x])
                words = (f"over axes {tuple(each)} of {x.shape}" for each in (step.axis, axes))
                if found.shape == y.shape:
                    yield {step.at: found}, {}, cause("fft_axes", f"axes of the {name}{line_of(step)}", *words)


def conjugated(question: Question, program: Program) -> Iterator[Change]:
    """A complex value that B has conjugated: a kernel of frequencies, a filter."""
    for at, array in program.values.items():
        if array.dtype.kind == "c" and array.imag.any():
            step = program.producer(at)
            line = f" of {step.name} ({step.op.line})" if step is not None and step.op is not None else ""
            yield {at: np.conj(array)}, {}, cause("conjugate", f"complex numbers{line}", "as they are", "conjugated")


def short_time_steps(op: Op, part: Part, values: Mapping[int, Array], fresh: Iterator[int]) -> list[Step]:
    """torch.stft of (N, L) or (L,): padding, frames, window, transform, and its axes turned."""
    size = op.attributes.get("argument1")
    if not op.values or op.values[0] not in values or not isinstance(size, int) or op.outputs[0] not in values:
        return []
    x = op.values[0]
    hop = op.attributes.get("hop_length") or size // 4
    window: int | Array = op.values[1] if len(op.values) > 1 else np.ones(size)
    mode = PADDED.get(str(op.attributes.get("pad_mode", "reflect")), "reflect")
    normal = "ortho" if op.attributes.get("normalized") else "backward"
    padded, framed, weighed, changed = (next(fresh) for _ in range(4))
    edge = size // 2 if op.attributes.get("center", True) else 0
    length = values[x].shape[-1] + 2 * edge
    count = (length - size) // int(hop) + 1
    places = np.arange(count)[:, None] * int(hop) + np.arange(size)
    spread = (*values[x].shape[:-1], count, size // 2 + 1)
    steps = [
        Step("pad", (x,), padded, padding(edge, mode), op, moves=True),
        Step("frames", (padded,), framed, lambda a: a[0][..., places], op, moves=True),
        Step("multiply", (framed, window), weighed, lambda a: a[0] * a[1], op),
        Step(
            f"rfft, {normal}",
            (weighed,),
            changed,
            transform("rfft", normal, (len(spread) - 1,), spread),
            op,
            (len(spread) - 1,),
        ),
        Step("transpose", (changed,), op.outputs[0], lambda a: a[0].swapaxes(-1, -2), op, moves=True),
    ]
    return steps if right(steps, values) else []


def padding(edge: int, mode: str) -> Function:
    return lambda a: np.pad(a[0], [(0, 0)] * (a[0].ndim - 1) + [(edge, edge)], mode=mode)  # type: ignore[call-overload]


def other_edges(question: Question, program: Program) -> Iterator[Change]:
    """What is put around a value along its last axis, or around an image: zeros, its mirror image, its edge."""
    for step in program.steps:
        if not step.moves or len(step.ids) != 1:
            continue
        x, y = program.values[step.ids[0]], program.values[step.at]
        if x.ndim != y.ndim or x.dtype.kind != "f" or y.size <= x.size or y.size > LARGEST:
            continue
        widths = around(x, y)
        ways = dict(bordered(x, widths)) if widths is not None else {}
        own = next((mode for mode, array in ways.items() if np.array_equal(array, y)), None)
        for mode, array in ways.items():
            if own is not None and mode != own:
                yield {step.at: array}, {}, cause("pad_mode", f"padding{line_of(step)}", MODES[own], MODES[mode])


MODES = {
    "constant": "zeros", "reflect": "mirrors it without its edge", "symmetric": "mirrors it with its edge",
    "edge": "repeats its edge", "wrap": "goes on cyclically",
}  # fmt: skip


def bordered(x: Array, widths: Sequence[tuple[int, int]]) -> Iterator[tuple[str, Array]]:
    for mode in MODES:
        try:
            yield mode, np.pad(x, widths, mode=mode)  # type: ignore[call-overload]
        except ValueError:
            continue


Changing = Callable[[Question, Program], Iterator[Change]]
CHANGES: tuple[Changing, ...] = (other_transforms, conjugated, other_edges)
