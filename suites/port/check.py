"""Runs both models in their workers and compares all phases."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from suites.equivalence.bounds import reach
from suites.equivalence.localise import worst
from suites.port import files, match
from suites.port.align import Match, Tap, align, like, nearest
from suites.port.files import File, PortError
from suites.runner.workers import Arrays, Pool, Worker, WorkerFailed

SAMPLES = 16  # runs of A with rounding errors, for the bounds
NO_TABLE = match.Table()
MODES = ("inference", "training")


@dataclass(frozen=True)
class Difference:
    """One tensor that differs by more than rounding can: its worst element, and both norms relative to A's."""

    tensor: str
    index: tuple[int, ...] | None
    a: float
    b: float
    disagreement: float
    bound: float
    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def words(self) -> str:
        if self.index is None:
            return f"{self.tensor} has shape {self.shapes[0]} in A and {self.shapes[1]} in B"
        place = f"{self.tensor}[{', '.join(map(str, self.index))}]" if self.index else self.tensor
        size = f"the tensor differs by {self.disagreement:.1e} of its norm, rounding allows {self.bound:.1e}"
        return f"{place} is {self.a:.17g} in A and {self.b:.17g} in B ({size})"


@dataclass
class Side:
    """One model and all that its worker told of it."""

    file: File
    worker: Worker
    parameters: list[match.Parameter] = field(default_factory=list)
    unit: float = 2.0**-53
    arrays: Arrays = field(default_factory=dict)
    taps: dict[str, list[Tap]] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    switched_off: list[str] = field(default_factory=list)
    own: Arrays = field(default_factory=dict)
    turned: bool = False

    def ask(self, op: str, arrays: Arrays, **arguments: Any) -> tuple[dict[str, Any], Arrays]:
        """One operation; what the user's code raised is a PortError."""
        try:
            result, found = self.worker.call(op, arrays, **arguments)
        except WorkerFailed as error:
            raise PortError(f"{self.file.path}: its worker failed: {error.reason}") from error
        if "user_error" in result:
            raise PortError(result["user_error"])
        return result, found

    def open(self, x: np.ndarray) -> None:
        file = self.file
        result, self.own = self.ask("file", {"x": x}, path=os.path.abspath(file.path), api=file.api, layout=file.layout)
        self.parameters = [match.Parameter.of(weight) for weight in result["weights"]]
        self.unit, self.turned = result["unit"], result["turned"]

    def measure(self, start: Arrays, data: Arrays, samples: int, unit: float) -> None:
        named = {f"start/{name}": array for name, array in start.items()}
        result, self.arrays = self.ask("measure", {**named, **data}, samples=samples, unit=unit, seed=0)
        self.taps = {mode: Tap.of(records) for mode, records in result["records"].items()}
        self.optimizer, self.switched_off = result["optimizer"], result["switched_off"]

    def tap(self, mode: str, tap: Tap, side: str) -> np.ndarray:
        return self.arrays[f"{mode}/{tap.at}/{side}"]


@dataclass
class Comparison:
    """Both sides of one port, run from the same weights on the same data."""

    a: Side
    b: Side
    pairs: list[match.Pair]
    start: Arrays
    data: Arrays
    matches: dict[str, list[Match]]
    compared: int = 0
    worst: float = 0.0  # the largest share of its bound that an agreeing tensor takes

    @property
    def unit(self) -> float:
        return max(self.a.unit, self.b.unit)

    def bound(self, tensor: str) -> float:
        """How far rounding on both sides can take a tensor of A, absolute; one rounding on each side at least."""
        products = self.a.arrays.get(f"products/{tensor}")
        floor = 2 * self.unit * float(np.linalg.norm(np.ravel(self.a.arrays[tensor])))
        return floor + (0.0 if products is None else math.sqrt(2) * reach(products))

    def difference(
        self, tensor: str, theirs: np.ndarray, spoken: str = "", part: np.ndarray | None = None
    ) -> Difference | None:
        """A's tensor, or a part of it, against B's array; None where they agree."""
        ours, spoken = self.a.arrays[tensor] if part is None else part, spoken or tensor
        self.compared += 1
        if ours.shape != theirs.shape:
            return Difference(spoken, None, math.nan, math.nan, math.inf, 0.0, (ours.shape, theirs.shape))
        distance = float(np.linalg.norm(np.ravel(ours.astype(float) - theirs)))
        bound, scale = self.bound(tensor), float(np.linalg.norm(np.ravel(ours))) or 1.0
        if distance <= bound or np.array_equal(ours, theirs, equal_nan=True):
            self.worst = max(self.worst, distance / bound if bound else 0.0)
            return None
        index = worst(ours, theirs) if ours.ndim else ()
        values = float(ours[index]), float(theirs[index])
        return Difference(spoken, index, *values, distance / scale, bound / scale, (ours.shape, theirs.shape))

    def theirs(self, mode: str, tap: Tap, side: str, wanted: np.ndarray) -> np.ndarray:
        """An array of B in the layout of A's `wanted`; flattened images in A's order where the mapping file says so."""
        array = like(self.b.tap(mode, tap, side), wanted)
        for rows in {pair.rows for pair in self.pairs if pair.rows}:
            if array.ndim == 2 and array.shape == wanted.shape and array.shape[1] == math.prod(rows):
                return nearest([array, match.channels_last(array, rows, 1)], wanted)
        return array

    def outputs(self, mode: str, matched: Match) -> Difference | None:
        """The outputs of two taps."""
        name = f"{mode}/{matched.a.at}/out"
        ours = self.a.arrays[name]
        theirs = self.theirs(mode, matched.b, "out", ours)
        last = ours[:, -1] if theirs.ndim == ours.ndim - 1 == 2 else ours  # B gives the last step only
        return self.difference(name, theirs, f"output of {matched.a.title}", last)

    def parameter(self, group: str, pair: match.Pair) -> Difference | None:
        """A gradient, or a parameter after a step."""
        theirs = pair.back(self.b.arrays[f"{group}/{pair.b.name}"])
        return self.difference(f"{group}/{pair.a.name}", theirs, f"{SPOKEN.get(group, group)} of {pair.a.name}")


SPOKEN = {"gradient": "gradient", "state": "value after one training pass", "step0": "value after one step"}


def compare(
    a: File, b: File, data: Arrays, pool: Pool, table: match.Table = NO_TABLE, own_weights: bool = False,
    seed: int = 0, progress: Callable[[str], None] = lambda text: None,
) -> Comparison:  # fmt: skip
    """Start both workers, carry A's weights over, run all phases. Raises PortError."""
    roles = files.roles(a, b)
    progress("loading the frameworks")
    pool.start(roles)
    sides = [Side(file, pool.serving(role)) for file, role in zip((a, b), roles, strict=True)]
    for side in sides:
        side.open(data["x"])
    pairs = match.match(sides[0].parameters, sides[1].parameters, table)
    start = sides[0].own if own_weights else match.draw(pairs, seed)
    unit = max(side.unit for side in sides)
    progress("running A, and A with rounding errors")
    sides[0].measure(start, data, SAMPLES, unit)
    progress("running B")
    sides[1].measure({pair.b.name: pair.carry(start[pair.a.name]) for pair in pairs}, data, 0, unit)
    names = {pair.a.name: pair.b.name for pair in pairs}
    matches = {mode: align(sides[0].taps[mode], sides[1].taps[mode], names) for mode in MODES}
    return Comparison(sides[0], sides[1], pairs, start, data, matches)
