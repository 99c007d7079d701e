"""A's operations that only move numbers, with another order of axes, another part, other repetitions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.program import REDUCTIONS, Program, Step
from suites.port.hypotheses.question import Cause, Question

Array = np.ndarray
Change = tuple[dict[int, Array], dict[int, Step], Cause | Callable[[], Cause]]
"""Other values, other steps, and the cause; or what makes it, where the words take longer than the trial."""
MOST_AXES = 5  # of what is split further: there are too many orders of more
GROUPED = {True: "repeats each", False: "tiles all of them"}


def floats(program: Program) -> Iterator[tuple[Step, Array]]:
    for step in program.steps:
        array = program.values[step.at]
        if array.dtype.kind == "f" and array.size:
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
                yield {step.at: other}, {}, partial(moved_words, source, wanted, other, words)


def pixel_shuffles(question: Question, program: Program) -> Iterator[Change]:
    """Blocks of places that go to channels or come from them, in one operation or by hand."""
    for step in program.steps:
        moving = [each for each in program.before(step.at)[::-1][:4] if each.moves and len(each.ids) == 1]
        for start in (each.ids[0] for each in moving if step.moves):
            if program.values[start].size == program.values[step.at].size:
                yield from other_blocks(step, program.values[start], program.values[step.at])


def other_blocks(step: Step, source: Array, wanted: Array) -> Iterator[Change]:
    """A pixel shuffle, or its inverse, that reads the channels in the other order."""
    for large, small, inverse in ((wanted, source, False), (source, wanted, True)):
        if large.ndim != 4 or small.ndim != 4:
            continue
        for channels in (1, 3):
            size = block_size(small, large, channels)
            ways = shuffles(source, size, channels, inverse) if size > 1 else {}
            own = next((words for words, array in ways.items() if np.array_equal(array, wanted)), None)
            for words, array in ways.items():
                if own is not None and words != own:
                    name = "space to depth" if inverse else "pixel shuffle"
                    yield {step.at: array}, {}, cause("pixel_shuffle", f"channels of the {name}", own, words)


def block_size(small: Array, large: Array, channels: int) -> int:
    """r where places of `large` are r times as many along both axes, and its channels r * r times as few; else 0."""
    rows, columns = (2, 3) if channels == 1 else (1, 2)
    size = large.shape[rows] // max(small.shape[rows], 1)
    grown = list(small.shape)
    grown[rows], grown[columns] = size * grown[rows], size * grown[columns]
    grown[channels] //= max(size * size, 1)
    return size if tuple(grown) == large.shape else 0


BLOCKS = "as (r, r, C), as tf.nn.depth_to_space does", "as (C, r, r), as nn.PixelShuffle does"


def shuffles(source: Array, size: int, channels: int, inverse: bool) -> dict[str, Array]:
    """Both ways between channels and blocks of places, in the layout of `source`."""
    x = source if channels == 1 else np.moveaxis(source, -1, 1)
    n, c, h, w = x.shape
    if inverse:
        blocks = x.reshape(n, c, h // size, size, w // size, size)  # (N, C, H, r, W, r)
        found = [blocks.transpose(axes).reshape(n, -1, h // size, w // size) for axes in INTO_CHANNELS]
    else:
        c //= size * size
        parts = x.reshape(n, size, size, c, h, w), x.reshape(n, c, size, size, h, w)
        turned = zip(parts, OUT_OF_CHANNELS, strict=True)
        found = [part.transpose(axes).reshape(n, c, h * size, w * size) for part, axes in turned]
    moved = found if channels == 1 else [np.moveaxis(array, 1, -1) for array in found]
    return dict(zip(BLOCKS, moved, strict=True))


INTO_CHANNELS = (0, 3, 5, 1, 2, 4), (0, 1, 3, 5, 2, 4)
OUT_OF_CHANNELS = (0, 3, 4, 1, 5, 2), (0, 1, 4, 2, 5, 3)


def rearranged(source: Array, wanted: Array) -> Iterator[tuple[Array, str]]:
    """Every way to read the numbers of `source` in the shape of `wanted` that people write, with words for it."""
    yield source.reshape(wanted.shape), "reshapes without a transposition"
    for axis, size in enumerate(source.shape):
        if source.ndim >= MOST_AXES and axis:
            return
        for parts in _factors(size) if source.ndim < MOST_AXES else [(size,)]:
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
