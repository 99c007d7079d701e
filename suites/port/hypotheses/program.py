"""The steps of a side as they are computed again, and what tells whether they are understood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from suites.port.recording import Op

Array = np.ndarray
Function = Callable[[Sequence[Array]], Array]
MASKED = -1e8  # scores below this are masked
CLOSE = 1e-9  # of the norm: a meaning is right or wrong, rounding is far below
CLOSE_SINGLE = 1e-5  # of what an engine computes in float32
NOT_COMPUTABLE = (ValueError, IndexError, TypeError)  # of a step, on values that do not fit it
REDUCTIONS: dict[str, Callable[..., Array]] = {
    "max": np.max, "mean": np.mean, "min": np.min, "sum": np.sum, "variance": np.var,
    "unbiased variance": lambda x, axis, keepdims: np.asarray(np.var(x, axis=axis, keepdims=keepdims, ddof=1)),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One operation that is understood: `function` gives its output `at` from its inputs, in order.

    An input is a value's id, or an array that is constant here. `axis` is that of a softmax or a reduction.
    """

    name: str
    inputs: tuple[int | Array, ...]
    at: int
    function: Function = field(compare=False)
    op: Op | None = None
    axis: tuple[int, ...] = ()
    moves: bool = False

    def run(self, values: Mapping[int, Array]) -> Array:
        return np.asarray(self.function([values[each] if isinstance(each, int) else each for each in self.inputs]))

    @property
    def ids(self) -> list[int]:
        return [each for each in self.inputs if isinstance(each, int)]


@dataclass(frozen=True)
class Program:
    """The steps of a side, in order, with the recorded values."""

    steps: tuple[Step, ...]
    values: Mapping[int, Array]
    exit_id: int

    def result(self, changed: Mapping[int, Array], steps: Mapping[int, Step] | None = None) -> Array | None:
        """The exit where these values are others, and these steps (by the id that they give); None: not computable."""
        fresh = dict(changed)
        try:
            fresh.update(self.follow(changed, steps))
        except NOT_COMPUTABLE:
            return None
        return fresh.get(self.exit_id)

    def follow(
        self, changed: Mapping[int, Array], steps: Mapping[int, Step] | None = None
    ) -> Iterator[tuple[int, Array]]:
        """(id, value) of all that is others with these, in order. Raises NOT_COMPUTABLE where one does not fit."""
        values, fresh = {**self.values, **changed}, set(changed)
        for step in self.steps:
            if step.at in changed:
                continue
            other = steps.get(step.at) if steps else None
            if other is None and not fresh.intersection(step.ids):
                continue
            values[step.at] = (other or step).run(values)
            fresh.add(step.at)
            yield step.at, values[step.at]

    def producer(self, at: int) -> Step | None:
        return next((step for step in self.steps if step.at == at), None)

    def readers(self, at: int) -> list[Step]:
        return [step for step in self.steps if at in step.ids]

    def before(self, at: int) -> list[Step]:
        """The steps that a value depends on, in order."""
        wanted, found = {at}, []
        for step in reversed(self.steps):
            if step.at in wanted:
                wanted.update(step.ids)
                found.append(step)
        return found[::-1]


def close(found: Array, wanted: Array) -> bool:
    if found.shape != wanted.shape:
        return False
    if "c" in (found.dtype.kind, wanted.dtype.kind):
        return found.dtype.kind == wanted.dtype.kind and _close_complex(found, wanted)
    ours, theirs = found.astype(float), wanted.astype(float)
    same = np.array_equal(np.isfinite(ours), np.isfinite(theirs))
    finite = np.isfinite(theirs)
    norm = float(np.linalg.norm(theirs[finite]))
    return same and float(np.linalg.norm(ours[finite] - theirs[finite])) <= limit_of(wanted) * norm


def limit_of(wanted: Array) -> float:
    """How far from recorded numbers the right ones are at most, as a share of the norm."""
    return CLOSE_SINGLE if wanted.dtype == np.float32 else CLOSE


def _close_complex(found: Array, wanted: Array) -> bool:
    allowed = CLOSE_SINGLE if wanted.dtype == np.complex64 else CLOSE
    return bool(np.linalg.norm(np.ravel(found - wanted)) <= allowed * np.linalg.norm(np.ravel(wanted)))


def right(steps: Sequence[Step], values: Mapping[int, Array]) -> bool:
    """Whether the last step gives what was recorded."""
    known = dict(values)
    with np.errstate(all="ignore"):
        for step in steps[:-1]:
            known[step.at] = step.run(known)
        return close(steps[-1].run(known), values[steps[-1].at])


def over(function: Callable[[Array, int], Array], axis: int) -> Function:
    return lambda a: function(a[0], axis)


def reducing(name: str, axes: tuple[int, ...], keep: bool) -> Function:
    return lambda a: REDUCTIONS[name](a[0], axis=axes, keepdims=keep)
