"""Both sides of a port, run from the same weights on the same data, and every tensor that they give compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from suites.port.bounds import Difference, Outcome, compare
from suites.port.common_values import common
from suites.port.files import Data
from suites.port.held import Held
from suites.port.layouts import fit
from suites.port.loose_weights import Owners, Pairs, apart
from suites.port.matching.assign import Matching
from suites.port.matching.links import Link
from suites.port.parted import Parted
from suites.port.recording import Pass, Recording
from suites.port.side import Side

LOSS = "loss"  # the mode of a pass that is a user's loss alone, of what the model gives
INJECTED = 1e-6  # the size of the injected bug, relative to each number of a weight: far below what anyone would see


@dataclass(frozen=True)
class Proof:
    """Whether A is the same as A, watching changed no bit, and an injected bug was found in its layer.

    `injected` names the weight; "" where no change of a weight reaches an output.
    """

    same: bool
    neutral: bool
    injected: str
    found: bool
    located: bool

    @property
    def holds(self) -> bool:
        return self.same and self.neutral and (self.found or not self.injected)

    def words(self) -> str:
        """What was shown, or what failed, for a person."""
        if not self.same:
            return "A does not give the same numbers twice: something in it is random or depends on what ran before"
        if not self.neutral:
            return "watching the models changed what they compute"
        if not self.injected:
            return "A is the same as A; no weight reaches an output, so no bug could be injected"
        if not self.found:
            return f"a bug that was injected into {self.injected} was not found"
        where = "" if self.located else ", though not in its layer"
        return (
            f"A is the same as A, and a relative error of {INJECTED:.0e} injected into {self.injected} is found{where}"
        )


@dataclass
class Comparison:
    """Both sides of one port, run from the same weights on the same data, and every tensor compared."""

    side_a: Side
    side_b: Side
    data: Data
    matching: Matching
    modes: tuple[str, ...]
    outcomes: list[Outcome] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)  # of outputs, by their paths
    unpaired: list[tuple[str, str]] = field(default_factory=list)  # (side, path)
    proof: Proof | None = None
    held: Held | None = None  # None where the sides' own numbers are not asked for
    notes: list[str] = field(default_factory=list)

    @property
    def a(self) -> Recording:
        return self.side_a.recording

    @property
    def b(self) -> Recording:
        return self.side_b.recording

    @property
    def links(self) -> list[Link]:
        return self.matching.links

    @property
    def unit(self) -> float:
        return max(self.a.unit, self.b.unit)

    @property
    def differences(self) -> list[Difference]:
        return [outcome.difference for outcome in self.outcomes if outcome.difference is not None]

    def difference(self, prefix: str) -> Difference | None:
        """The first tensor that differs among those whose names start so."""
        return next((found for found in self.differences if found.tensor.startswith(prefix)), None)

    def pairs_of(self, mode: str) -> list[tuple[str, str]]:
        """Outputs of a pass in one mode, by their paths; of the pass of the losses, these."""
        return [("loss", "loss")] if mode == LOSS else self.pairs

    def difference_of(self, mode: str) -> Difference | None:
        """The first output that differs in one mode."""
        return self.difference("loss" if mode == LOSS else f"output/{mode}/")

    def parted(self, mode: str, b: Pass | None = None, a: Pass | None = None, coarse: float = 0.0) -> Parted:
        """The passes of one mode laid on each other; values that are `coarse` apart, relative, are the same."""
        ours, theirs = a or self.a.passes[mode], b or self.b.passes[mode]
        found = common(ours, theirs, max(coarse, self.resolution(mode)))
        return Parted(ours, theirs, found, *self.layers())

    def layers(self) -> tuple[Owners, Pairs]:
        """The layer of each weight on both sides, and the pairs of layers."""
        return apart((self.a.weights, self.b.weights), self.links, self.matching.pairs)

    def resolution(self, mode: str) -> float:
        """How near values are that are the same: half way, in orders of magnitude, from rounding to the difference."""
        found = self.difference_of(mode)
        coarsest = math.sqrt(self.unit)
        if found is None or not np.isfinite(found.relative) or not found.relative:
            return coarsest
        finest = 64 * self.unit
        return min(coarsest, max(finest, math.sqrt(found.relative * max(found.bound, finest))))

    def compare_outputs(self, mode: str) -> Iterator[Outcome]:
        """Each output of one mode."""
        ours, theirs = (side.group(f"output/{mode}/") for side in (self.a, self.b))
        turned = self.a.turned != self.b.turned
        for path_a, path_b in self.pairs:
            array = fit(theirs[path_b], ours[path_a], turned)
            name = f"output/{mode}/{path_a}"
            spreads = self.a.spread.get(name), self.b.spread.get(f"output/{mode}/{path_b}")
            yield compare(name, ours[path_a], array, spreads, self.unit)

    def compare_weights(self, group: str) -> Iterator[Outcome]:
        """Gradients, statistics or weights after a step, link by link, in A's layout."""
        for link in self.links:
            ours = self.a.arrays.get(f"{group}/{link.a.name}")
            theirs = self.b.arrays.get(f"{group}/{link.b.name}")
            if ours is None or theirs is None:
                continue
            name = f"{group}/{link.a.name}"
            spreads = self.a.spread.get(name), self.b.spread.get(f"{group}/{link.b.name}")
            if ours.size != link.a.size or theirs.size != link.b.size:  # sketches of large tensors, see `impls.port`
                yield compare(name, ours, theirs, spreads, self.unit)
            else:
                yield compare(name, link.pick_a(ours), link.to_a(theirs), spreads, self.unit)

    def compare_number(self, name: str) -> Iterator[Outcome]:
        ours, theirs = self.a.arrays.get(name), self.b.arrays.get(name)
        if ours is not None and theirs is not None:
            yield compare(name, ours, theirs, (self.a.spread.get(name), self.b.spread.get(name)), self.unit)

    def everything(self) -> Iterator[Outcome]:
        """All that both sides give, in the order in which a mistake travels."""
        for mode in self.modes:
            yield from self.compare_outputs(mode)
        yield from self.compare_weights("state")
        yield from self.compare_number("loss")
        yield from self.compare_weights("gradient")
        for step in range(min(self.a.steps, self.b.steps)):
            yield from self.compare_weights(f"step/{step}")
