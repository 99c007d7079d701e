"""Images read between their pixels: torch's grid_sample and affine_grid, with the conventions that ports mix up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.moves import Change
from suites.port.hypotheses.program import Array, Function, Program, close
from suites.port.hypotheses.question import Question
from suites.port.recording import Op

LARGEST = 200_000  # elements


@dataclass(frozen=True)
class Sampling:
    """How a grid (N, h, w, 2) of x and y in [-1, 1] is read in an image (N, C, H, W)."""

    corners: bool = False  # whether -1 and 1 are the middles of the outer pixels, not their outer edges
    outside: str = "zeros"
    between: str = "bilinear"
    order: str = "x, y"  # of the grid's two numbers; which may be exchanged before or behind their way to pixels

    def words(self, other: Sampling) -> tuple[str, str, str]:
        """What differs from another way, and how both have it."""
        for name, subject, told in DIFFERENCES:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                return subject, told.get(ours, str(ours)), told.get(theirs, str(theirs))
        return "sampling", "as it is", "in another way"


DIFFERENCES: tuple[tuple[str, str, dict[object, str]], ...] = (
    ("order", "order of a grid's two numbers", {}),
    ("corners", "-1 and 1 in a grid", {
        True: "middles of the outer pixels (align_corners=True)",
        False: "outer edges of the pixels (align_corners=False)",
    }),
    ("outside", "outside of the image", {"zeros": "zeros", "border": "its border", "reflection": "its mirror image"}),
    ("between", "between pixels", {}),
)  # fmt: skip


def sampled(how: Sampling, image: Array, grid: Array) -> Array:
    """(N, C, h, w)."""
    sizes = image.shape[3], image.shape[2]
    places = [
        to_pixels(grid[..., i], n, how.corners)
        for i, n in zip((1, 0) if how.order == ORDERS[1] else (0, 1), sizes, strict=True)
    ]
    if how.order == ORDERS[2]:
        places = places[::-1]
    if how.outside != "zeros":
        places = [inside(place, n, how) for place, n in zip(places, sizes, strict=True)]
    x, y = places
    if how.between == "nearest":
        return pixels(image, np.rint(y), np.rint(x))
    found: Array = np.zeros((*image.shape[:2], *x.shape[1:]))
    for up, right in itertools.product((0, 1), (0, 1)):
        row, column = np.floor(y) + up, np.floor(x) + right
        weight = (1 - np.abs(y - row)) * (1 - np.abs(x - column))
        found = found + pixels(image, row, column) * weight[:, None]
    return found


def to_pixels(place: Array, count: int, corners: bool) -> Array:
    return (place + 1) / 2 * (count - 1) if corners else ((place + 1) * count - 1) / 2


def inside(place: Array, count: int, how: Sampling) -> Array:
    if how.outside == "reflection":
        low, span = (0.0, count - 1.0) if how.corners else (-0.5, float(count))
        turned = np.abs(place - low) % (2 * span)
        place = np.minimum(turned, 2 * span - turned) + low
    return np.asarray(np.clip(place, 0, count - 1))


def pixels(image: Array, row: Array, column: Array) -> Array:
    """Whole pixels (N, C, h, w), zeros where there are none."""
    height, width = image.shape[2:]
    here = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    at = np.clip(row, 0, height - 1).astype(int), np.clip(column, 0, width - 1).astype(int)
    examples = np.arange(len(image))[:, None, None]
    return np.where(here[:, None], np.moveaxis(image[examples, :, at[0], at[1]], -1, 1), 0.0)


ORDERS = ("x, y", "y, x", "y, x (exchanged as pixels, by the other side's size)")


def ways() -> Iterator[Sampling]:
    for order, corners, outside, between in itertools.product(
        ORDERS, (True, False), ("zeros", "border", "reflection"), ("bilinear", "nearest")
    ):
        yield Sampling(corners, outside, between, order)


def other_sampling(question: Question, program: Program) -> Iterator[Change]:
    """grid_sample with another convention; affine_grid with its other corners."""
    for op in question.a.ops:
        given = [program.values[at] for at in op.values if at in program.values]
        y = program.values.get(op.outputs[0]) if op.outputs else None
        if y is None or y.size > LARGEST:
            continue
        if op.name in ("grid_sample", "grid_sampler") and len(given) == 2 and given[0].ndim == 4:
            yield from sampled_otherwise(op, given[0], given[1], y)
        elif op.name in ("affine_grid", "affine_grid_generator") and given and y.ndim == 4:
            yield from gridded_otherwise(op, given[0], y)


def sampled_otherwise(op: Op, image: Array, grid: Array, y: Array) -> Iterator[Change]:
    own = next((how for how in ways() if close(sampled(how, image, grid), y)), None)
    if own is None:
        return

    def differences(how: Sampling) -> int:
        return sum(getattr(how, name) != getattr(own, name) for name, _, _ in DIFFERENCES)

    for how in sorted(ways(), key=differences)[1:]:
        subject, a, b = own.words(how)
        yield {op.outputs[0]: sampled(how, image, grid)}, {}, cause("grid_sample", f"{subject}{line_of(op)}", a, b)


def read_again(
    arrays: Sequence[Array], wanted: Array
) -> Iterator[tuple[str, tuple[int, ...], Function, tuple[int, ...]]]:
    """The way in which an image is read by a grid, so that what the grid is made of can be changed."""
    if len(arrays) > 1 and arrays[0].ndim == arrays[1].ndim == 4 and wanted.size <= LARGEST:
        for how in ways():
            yield "grid_sample", (0, 1), partial(reading, how), ()


def reading(how: Sampling, arrays: Sequence[Array]) -> Array:
    return sampled(how, arrays[0], arrays[1])


def gridded_otherwise(op: Op, theta: Array, y: Array) -> Iterator[Change]:
    grids = {corners: affine_grid(theta, y.shape[1:3], corners) for corners in (True, False)}
    own = next((corners for corners, grid in grids.items() if close(grid, y)), None)
    if own is not None:
        how = Sampling(corners=own)
        subject, a, b = how.words(replace(how, corners=not own))
        yield {op.outputs[0]: grids[not own]}, {}, cause("grid_sample", f"{subject}{line_of(op)}", a, b)


def affine_grid(theta: Array, shape: tuple[int, ...], corners: bool) -> Array:
    """(N, h, w, 2) of maps (N, 2, 3)."""
    ends = [np.linspace(-1, 1, n) * (1 if corners else (n - 1) / n) for n in shape]
    rows, columns = np.meshgrid(*ends, indexing="ij")
    return np.asarray(np.einsum("hwk,nik->nhwi", np.stack([columns, rows, np.ones_like(rows)], -1), theta))


def line_of(op: Op) -> str:
    return f" ({op.line})" if op.line else ""
