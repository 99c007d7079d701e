"""Before a verdict counts, the checker is checked in the same run: A against itself, and with an injected bug."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from suites.port.bounds import compare
from suites.port.graph import Parted, common
from suites.port.recording import Pass, Weight
from suites.runner.workers import Arrays

if TYPE_CHECKING:
    from suites.port.check import Comparison

SIZE = 1e-6  # of the injected bug, relative to each number of a weight: far below what anyone would see
TRIES = 4  # weights, where a change of one does not reach an output


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
        return f"A is the same as A, and a relative error of {SIZE:.0e} injected into {self.injected} is found{where}"


def prove(c: Comparison) -> Proof:
    """Run A once more, and once with a bug."""
    again, outputs = c.side_a.watch("inference", keep=0)
    same = not differing(c, outputs)
    neutral = all(seen.neutral for side in (c.a, c.b) for seen in side.passes.values()) and again.neutral
    for weight in middle(c):
        array = c.a.start[weight.name].astype(np.float64)
        rng = np.random.default_rng(0)
        changed, outputs = c.side_a.watch(
            "inference", changes={weight.name: array * (1 + SIZE * rng.standard_normal(array.shape))}
        )
        wrong = differing(c, outputs)
        if wrong:
            return Proof(same, neutral, weight.name, True, locates(c, weight, changed, wrong[0]))
        if any(not np.array_equal(outputs[path], c.a.arrays[f"output/inference/{path}"]) for path in outputs):
            return Proof(same, neutral, weight.name, False, False)
    return Proof(same, neutral, "", False, False)


def middle(c: Comparison) -> Iterator[Weight]:
    """Kernels to put a bug into, from the middle of the model outwards."""
    kernels = [w for w in c.a.weights if len(w.shape) > 1 and w.kind != "buffer"] or c.a.weights
    order = sorted(range(len(kernels)), key=lambda at: abs(at - len(kernels) // 2))
    for at in order[:TRIES]:
        yield kernels[at]


def differing(c: Comparison, outputs: Arrays) -> list[str]:
    """The outputs that are not A's, up to rounding."""
    found = []
    for path, array in outputs.items():
        name = f"output/inference/{path}"
        spreads = c.a.spread.get(name), None
        if compare(name, c.a.arrays[name], array, spreads, c.unit).difference is not None:
            found.append(path)
    return found


def locates(c: Comparison, weight: Weight, changed: Pass, path: str) -> bool:
    """Whether the region where the two parted ends at the layer of the weight."""
    clean = c.a.passes["inference"]
    owner = {w.name: w.layer for w in c.a.weights}
    layers = list(dict.fromkeys(owner.values()))
    found = common(clean, changed, 64 * c.unit)
    parted = Parted(clean, changed, found, (owner, owner), [(layer, layer) for layer in layers])
    ours, theirs = clean.outputs[path], changed.outputs[path]
    if ours is None or theirs is None:
        return False
    region = parted.first((ours, theirs))
    return region.layer is not None and region.layer[0] == weight.layer
