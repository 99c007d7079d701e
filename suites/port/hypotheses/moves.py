"""A's operations that only move numbers, with another order of axes, another part, other repetitions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.interpreter import REDUCTIONS, Program, Step
from suites.port.hypotheses.question import Cause, Question

Array = np.ndarray
Change = tuple[dict[int, Array], dict[int, Step], Cause]
GROUPED = {True: "repeats each", False: "tiles all of them"}


def floats(program: Program) -> Iterator[tuple[Step, Array]]:
    for step in program.steps:
        array = program.values[step.at]
        if array.dtype.kind == "f":
            yield step, array


def other_moves(question: Question, program: Program) -> Iterator[Change]:
    """A reshape or a transposition that reads the axes in another order."""
    for step in program.steps:
        if not step.moves or len(step.ids) != 1:
            continue
        for start in (each.ids[0] for each in [*program.before(step.at)[::-1]][:4] if each.moves and each.ids):
            source, wanted = program.values[start], program.values[step.at]
            if source.size != wanted.size:
                continue
            for other, words in rearranged(source, wanted):
                yield {step.at: other}, {}, moved_words(source, wanted, other, words)


def rearranged(source: Array, wanted: Array) -> Iterator[tuple[Array, str]]:
    """Every way to read the numbers of `source` in the shape of `wanted` that people write, with words for it."""
    yield source.reshape(wanted.shape), "reshapes without a transposition"
    for axis, size in enumerate(source.shape):
        for parts in _factors(size):
            split = source.reshape(*source.shape[:axis], *parts, *source.shape[axis + 1 :])
            for axes in itertools.permutations(range(split.ndim)):
                turned = split.transpose(axes)
                if turned.size == wanted.size and axes[0] == 0:
                    splits = f"splits axis {axis} into {parts} and " if len(parts) > 1 else ""
                    words = f"{splits}takes the axes in the order {axes}"
                    yield turned.reshape(wanted.shape), words


def _factors(size: int) -> Iterator[tuple[int, ...]]:
    yield (size,)
    for first in range(2, size):
        if size % first == 0:
            yield first, size // first


def own_move(source: Array, wanted: Array) -> str:
    """How one value is made of another one that holds the same numbers."""
    for other, words in rearranged(source, wanted):
        if np.allclose(other, wanted, rtol=1e-9, atol=1e-12):
            return words
    return "in another way"


def repeats(array: Array, axis: int) -> bool:
    """Whether the first two along an axis are equal."""
    if array.shape[axis] < 2:
        return False
    return bool(np.allclose(array.take(0, axis), array.take(1, axis), rtol=1e-9, atol=1e-12))


def moved_words(source: Array, wanted: Array, other: Array, words: str) -> Cause:
    """Grouped heads by their name, any other move by its axes."""
    for axis in range(1, wanted.ndim):
        own = repeats(wanted, axis), repeats(other, axis)
        if own[0] != own[1]:
            forms = [GROUPED[each] for each in own]
            return cause("grouped_queries", "heads of keys and values", *forms)
    return cause("reshape", f"from {source.shape} to {wanted.shape}", own_move(source, wanted), words)


def other_slices(question: Question, program: Program) -> Iterator[Change]:
    """Another step, another part, or a mean in place of one."""
    for step in program.steps:
        if not step.moves or len(step.ids) != 1:
            continue
        source, wanted = program.values[step.ids[0]], program.values[step.at]
        for axis in range(source.ndim):
            if source.size == wanted.size * source.shape[axis]:
                yield from _other_step(step, source, wanted, axis)
        yield from _other_window(step, source, wanted)


def _other_step(step: Step, source: Array, wanted: Array, axis: int) -> Iterator[Change]:
    taken = [source.take(index, axis) for index in range(source.shape[axis])]
    fitting = [array.reshape(wanted.shape) for array in taken]
    own = next((index for index, array in enumerate(fitting) if np.array_equal(array, wanted)), None)
    if own is None:
        return
    subject = f"of axis {axis} of {source.shape}"
    for index, array in enumerate(fitting):
        if index != own:
            yield {step.at: array}, {}, cause("taken_step", subject, f"takes place {own}", f"takes place {index}")
    for name in ("mean", "max", "sum"):
        other = REDUCTIONS[name](source, axis=axis).reshape(wanted.shape)
        yield {step.at: other}, {}, cause("taken_step", subject, f"takes place {own}", f"takes the {name}")


def _other_window(step: Step, source: Array, wanted: Array) -> Iterator[Change]:
    """A slice along one axis that starts elsewhere."""
    if source.ndim != wanted.ndim:
        return
    differing = [axis for axis in range(source.ndim) if source.shape[axis] != wanted.shape[axis]]
    if len(differing) != 1:
        return
    axis, length = differing[0], wanted.shape[differing[0]]
    if length > source.shape[axis]:
        return
    starts = range(source.shape[axis] - length + 1)
    options = {start: source.take(np.arange(start, start + length), axis) for start in starts}
    own = next((start for start, array in options.items() if np.array_equal(array, wanted)), None)
    for start, array in options.items():
        if own is not None and start != own:
            subject = f"slice of {length} along axis {axis} of {source.shape}"
            yield {step.at: array}, {}, cause("slice", subject, f"from {own}", f"from {start}")


def repeated(question: Question, program: Program) -> Iterator[Change]:
    """Keys and values of grouped queries: each repeated, or all of them tiled."""
    for step, y in floats(program):
        for at in {each for earlier in program.before(step.at)[-4:] for each in earlier.ids}:
            x = program.values[at]
            for axis in range(min(x.ndim, y.ndim)):
                if x.ndim != y.ndim or x.size >= y.size or y.shape[axis] % x.shape[axis]:
                    continue
                times = y.shape[axis] // x.shape[axis]
                reps = [times if i == axis else 1 for i in range(x.ndim)]
                options = {"repeats each": np.repeat(x, times, axis), "tiles all of them": np.tile(x, reps)}
                own = next((n for n, a in options.items() if a.shape == y.shape and np.array_equal(a, y)), None)
                for name, array in options.items():
                    if own is not None and name != own:
                        yield {step.at: array}, {}, cause("grouped_queries", "heads of keys and values", own, name)
