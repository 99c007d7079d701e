"""Runs both models in their workers from the same weights on the same data, and compares all that they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from suites.port import leaves
from suites.port.bounds import Difference, Outcome, compare
from suites.port.draws import draw
from suites.port.files import Data, File, roles
from suites.port.graph import Common, Parted, common
from suites.port.layouts import fit, near
from suites.port.matching.assign import Matching, alternatives, match
from suites.port.matching.layers import Layer, layers_of
from suites.port.matching.links import Link, carry
from suites.port.matching.names import words
from suites.port.matching.table import Table
from suites.port.proof import Proof, prove
from suites.port.recording import MODES, Pass, Recording
from suites.port.side import Side
from suites.runner.workers import Arrays, Pool

SAMPLES, FEW = 6, 4  # runs with rounding errors, for the bounds; few for a large model
LARGE = 20_000_000  # numbers in the weights of a large model
ROUGH = 1e-5  # of its norm: an output that is nearer comes of no other order of weights
TRIALS = 60  # matchings that are tried where the first one does not give A's outputs
NO_TABLE = Table()
Progress = Callable[[str], None]


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
    commons: dict[str, Common] = field(default_factory=dict)
    proof: Proof | None = None
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

    def owners(self) -> tuple[dict[str, str], dict[str, str]]:
        """The layer of each weight, on both sides."""
        return tuple({w.name: w.layer for w in side.weights} for side in (self.a, self.b))  # type: ignore[return-value]

    def parted(self, mode: str, b: Pass | None = None, a: Pass | None = None) -> Parted:
        """The passes of one mode laid on each other."""
        ours, theirs = a or self.a.passes[mode], b or self.b.passes[mode]
        found = common(ours, theirs, self.resolution(mode))
        return Parted(ours, theirs, found, self.owners(), self.matching.pairs)

    def resolution(self, mode: str) -> float:
        """How near values are that are the same: half way, in orders of magnitude, from rounding to the difference."""
        found = self.difference(f"output/{mode}/")
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


def run(
    a: File, b: File, data: Data, pool: Pool, table: Table = NO_TABLE, own_weights: bool = False,
    seed: int = 0, progress: Progress = lambda text: None, device: str = "cpu",
) -> Comparison:  # fmt: skip
    """Start both workers, carry A's weights over, run all phases. Raises PortError."""
    progress("loading the frameworks")
    wanted = roles(a, b, device)
    pool.start(wanted)
    sides = [Side(file, pool.serving(role)) for file, role in zip((a, b), wanted, strict=True)]
    for side in sides:
        side.open(data)
    progress("matching the weights")
    layers = [layers_of(side.recording.weights, side.watch("inference", keep=0)[0]) for side in sides]
    found = match(layers[0], layers[1], table)
    c = Comparison(sides[0], sides[1], data, found, modes_of(sides[0], sides[1]))
    settle(c, layers, own_weights, seed, progress)
    progress("watching both, and checking that watching changes nothing")
    for mode in c.modes:
        for side in sides:
            side.recording.passes[mode], _ = side.watch(mode)
    progress("running both, and with rounding errors")
    size = sum(weight.size for weight in c.a.weights)
    for side in sides:
        side.measure(c.modes, FEW if size > LARGE else SAMPLES, c.unit)
    c.pairs, c.unpaired = leaves.pair(*(side.recording.group("output/inference/") for side in sides))
    c.outcomes = list(c.everything())
    progress("proving that a bug would be found")
    c.proof = prove(c)
    c.notes += crossed(c.links)
    return c


def crossed(links: Sequence[Link]) -> list[str]:
    """Layers that bear each other's names: what gives the same numbers is carried over, but never silently."""
    names_a, names_b = {words(link.a.layer) for link in links}, {words(link.b.layer) for link in links}
    pairs = dict.fromkeys((link.a.layer, link.b.layer) for link in links)
    odd = [(a, b) for a, b in pairs if words(a) != words(b) and words(a) in names_b and words(b) in names_a]
    if not odd:
        return []
    told = ", ".join(f"{a} of A is {b} of B" for a, b in odd[:4])
    return [f"names cross: by their place in the model {told}; a mapping file (--map) says otherwise"]


def modes_of(a: Side, b: Side) -> tuple[str, ...]:
    """Both modes, where both sides have them."""
    return MODES if a.recording.training_mode and b.recording.training_mode else MODES[:1]


def settle(c: Comparison, layers: Sequence[Sequence[Layer]], own_weights: bool, seed: int, progress: Progress) -> None:
    """Weights on both sides, and the matching that gives A's outputs where several are possible."""
    start = {link.a.name: c.a.start[link.a.name] for link in c.links} if own_weights else draw(c.links, c.a.start, seed)
    c.side_a.take(start)
    _, wanted = c.side_a.watch("inference")
    if reproduces(c, start, wanted):
        return
    progress("trying other matchings of the weights")
    named = c.matching
    for count, other in enumerate(alternatives(named, *layers)):
        if count == TRIALS:
            break
        c.matching = other
        if reproduces(c, start, wanted):
            c.notes.append(described(named, other))
            return
    c.matching = named
    c.side_b.take(carried(c, start))


def carried(c: Comparison, start: Arrays) -> Arrays:
    """B's weights; buffers that are no statistics are a part of a model and stay as they are."""
    return carry([link for link in c.links if link.a.name in start], start)


def reproduces(c: Comparison, start: Arrays, wanted: Arrays) -> bool:
    """Whether B, with the weights that the matching carries to it, gives what A gives, roughly."""
    c.side_b.take(carried(c, start))
    _, found = c.side_b.watch("inference", keep=0)
    pairs, _ = leaves.pair(wanted, found)
    turned = c.a.turned != c.b.turned
    return bool(pairs) and all(
        near(fit(found[other], wanted[path], turned), wanted[path], ROUGH) for path, other in pairs
    )


def described(before: Matching, after: Matching) -> str:
    """What a reader has to know where names or order say something else than what gives the same outputs."""
    old = {link.a.name: (link.b.name, link.part_b) for link in before.links}
    moved = [link for link in after.links if old.get(link.a.name) != (link.b.name, link.part_b)]
    pairs = ", ".join(f"{link.a.name} is {link.b.name}" for link in moved[:4])
    more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
    return f"weights are matched by what gives A's outputs, not by names and order: {pairs}{more}"
