"""One side of a port in a lower type: its error at every value beside what rounding to that type may do.

The side's float64 pass on the same numbers is the truth; the same pass with errors, several times, gives the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from impls.floating_types import FLOATING
from suites.port.bounds import scaled
from suites.port.captures import Captured
from suites.port.errors import PortError
from suites.port.low.alignment import CASTS, Aligned, align
from suites.port.low.types import unit_of
from suites.port.low.units import units
from suites.port.recording import MODES, Op, Pass
from suites.port.side import Rounding, Side
from suites.runner.workers import Arrays, Pool

MODE = MODES[0]
ENGINES = ("torch", "jax", "tensorflow")  # whose operations take errors
SAMPLES, FEW = 16, 6  # passes with errors; few for a large model
LARGE = 20_000_000  # numbers in its weights
SKETCH = 1024  # numbers that stand for a value


@dataclass(frozen=True)
class Tap:
    """A value of one side: how far it is from the truth in the lower type, and how far rounding may take it, relative.

    `types`: what it is held in, the operation's result first. `missing`: numbers that are none where the truth has
    some.
    """

    at: int
    op: Op
    error: float
    bound: float
    types: tuple[str, ...]
    missing: int = 0

    @property
    def place(self) -> str:
        """The layer, for a person."""
        return self.op.layer or "the model itself"

    @property
    def leaves(self) -> bool:
        """Whether it is farther off than rounding can take it."""
        return self.error > self.bound or self.missing > 0

    @property
    def ratio(self) -> float:
        if not self.bound:
            return math.inf if self.error else 0.0
        return self.error / self.bound


@dataclass(frozen=True)
class Output:
    """One output of a side in the lower type, with the truth and the distance that rounding may make."""

    path: str
    truth: np.ndarray
    found: np.ndarray
    error: float
    bound: float

    @property
    def missing(self) -> int:
        """How many numbers are none where the truth has some."""
        return int((np.isfinite(self.truth) & ~np.isfinite(self.found)).sum())

    @property
    def leaves(self) -> bool:
        return self.error > self.bound or self.missing > 0


@dataclass
class LowSide:
    """What is known of a side in the lower type; `refused` says why there is nothing, not even `aligned`."""

    letter: str
    title: str
    refused: str = ""
    aligned: Aligned = field(init=False, repr=False, compare=False)
    taps: list[Tap] = field(default_factory=list)
    outputs: dict[str, Output] = field(default_factory=dict)

    def at(self, value: int) -> Tap | None:
        return next((tap for tap in self.taps if tap.at == value), None)


def run_side(letter: str, side: Side, dtype: str, pool: Pool) -> LowSide:
    """Run one side in the lower type, and its float64 pass with errors."""
    found = LowSide(letter, side.recording.title)
    if isinstance(side.worker, Captured) or not hasattr(side.worker, "role"):
        found.refused = f"{side.file.path}: only a side that is a file can run in another type"
        return found
    if side.recording.backend not in ENGINES:
        found.refused = (
            f"{side.file.path}: what rounding may do in {side.recording.backend} is not known: its operations take no "
            f"errors as those of {', '.join(ENGINES)} do"
        )
        return found
    try:
        low, outputs = low_pass(side, dtype, pool)
        measure(found, side, low, outputs, dtype)
    except PortError as error:
        found.refused = str(error)
    return found


def low_pass(side: Side, dtype: str, pool: Pool) -> tuple[Pass, Arrays]:
    """The pass of the same model, with the same weights, in a worker of the lower type. Raises PortError."""
    file = side.file._replace(layout="channels_first" if side.recording.turned else "as_is")
    other = Side(file, pool.serving(side.worker.role._replace(dtype=dtype)))  # type: ignore[union-attr]
    other.open(side.data)
    known = {weight.name for weight in other.recording.weights}
    lost = [weight.name for weight in side.recording.weights if weight.name not in known]
    if lost:
        raise PortError(f"{file.path}: in {dtype} the model has no weight {lost[0]}")
    for weight in side.recording.weights:
        array = side.recording.start.get(weight.name)
        other.ask("take", {weight.name: side.read([weight.name])[weight.name] if array is None else array})
    return other.watch(MODE, keep=0, sketched=SKETCH, limit=FLOATING[dtype].largest)


def measure(found: LowSide, side: Side, low: Pass, outputs: Arrays, dtype: str) -> None:
    """Errors and bounds of all values."""
    truth, exact = side.watch(MODE, keep=0, sketched=SKETCH, limit=FLOATING[dtype].largest)
    found.aligned = aligned = align(truth, low)
    shapes = {weight.name: weight.shape for weight in side.recording.weights}
    unit, sums = units(aligned, shapes, dtype)
    samples = FEW if sum(weight.size for weight in side.recording.weights) > LARGE else SAMPLES
    spread = Spread(truth, exact)
    for seed in range(samples):
        spread.add(
            *side.watch(
                MODE, keep=0, sketched=SKETCH, limit=FLOATING[dtype].largest, rounding=Rounding(unit, sums, seed)
            )
        )
    found.taps = list(taps(aligned, spread))
    for path, array in exact.items():
        if path in outputs:
            found.outputs[path] = output_of(path, array, outputs[path], spread, dtype)


class Spread:
    """The errors of passes with errors, by value and by output."""

    def __init__(self, truth: Pass, exact: Arrays):
        self.truth = truth
        self.exact = exact
        self.values: dict[int, list[np.ndarray]] = {}
        self.outputs: dict[str, list[np.ndarray]] = {}

    def add(self, seen: Pass, outputs: Arrays) -> None:
        """One more pass."""
        for value, clean in zip(seen.values, self.truth.values, strict=False):
            if value.array is not None and clean.array is not None and value.array.shape == clean.array.shape:
                self.values.setdefault(value.id, []).append(value.array - clean.array)
        for path, array in outputs.items():
            self.outputs.setdefault(path, []).append(difference(array, self.exact[path]))

    def bound(self, at: int) -> float:
        return reached(self.values.get(at, []))

    def bound_of_output(self, path: str) -> float:
        return reached(self.outputs.get(path, []))


def reached(errors: list[np.ndarray]) -> float:
    """The norm that an error stays below, from samples of it."""
    if not errors:
        return 0.0
    rows = np.stack(errors)
    return scaled(rows @ rows.T)


def taps(aligned: Aligned, spread: Spread) -> Iterable[Tap]:
    """Every value that both passes have, in the order of the float64 one."""
    for op in aligned.truth.ops:
        for at in op.outputs if op.name not in CASTS else ():
            value = aligned.truth.values[at]
            lows = [aligned.low.values[low] for low in aligned.lows.get(at, ())]
            lows = [low for low in lows if low.array is not None and value.array is not None]
            if not lows or not unit_of(value.dtype) or value.array is None:
                continue
            types = tuple(aligned.types(at))
            norm = float(np.linalg.norm(value.array))
            error = max(distance(low.array, value.array) for low in lows)
            floor = max((FLOATING[name].unit for name in types), default=0.0) * norm
            missing = max(missing_in(low.print) - missing_in(value.print) for low in lows)
            scale = norm or 1.0
            yield Tap(at, op, error / scale, (floor + spread.bound(at)) / scale, types, max(missing, 0))


def missing_in(prints: np.ndarray | None) -> int:
    """How many numbers of a value are none; see `impls.port.recorder.prints`."""
    return 0 if prints is None else int(prints[-1])


def distance(found: np.ndarray | None, truth: np.ndarray) -> float:
    if found is None or found.shape != truth.shape:
        return math.inf
    with np.errstate(all="ignore"):
        away = float(np.linalg.norm(found - truth))
    return away if math.isfinite(away) else math.inf


def difference(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Flat, with zeros where the truth is no number; infinite shapes apart are not compared."""
    with np.errstate(all="ignore"):
        away = found.astype(np.float64) - truth
    return np.where(np.isfinite(truth) & np.isfinite(away), away, 0.0).ravel()


def output_of(path: str, truth: np.ndarray, found: np.ndarray, spread: Spread, dtype: str) -> Output:
    """One output in the lower type beside the truth."""
    finite = np.where(np.isfinite(truth), truth, 0.0)
    norm = float(np.linalg.norm(finite)) or 1.0
    if found.shape != truth.shape or truth.dtype.kind != "f":
        same = np.array_equal(found, truth)
        return Output(path, truth, found, 0.0 if same else math.inf, math.inf if same else 0.0)
    error = float(np.linalg.norm(difference(found, truth)))
    floor = FLOATING[dtype].unit * norm
    return Output(path, truth, found, error / norm, (floor + spread.bound_of_output(path)) / norm)
