"""Before a verdict counts, the checker is checked in the same run: A against itself, and with an injected bug."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suites.port import precision
from suites.port.bounds import Difference, compare
from suites.port.common_values import common
from suites.port.comparison import INJECTED, Comparison, Proof
from suites.port.parted import Parted
from suites.port.recording import Pass, Recording, Weight
from suites.runner.workers import Arrays

TRIES = 4  # weights, where a change of one does not reach an output


def prove(c: Comparison) -> Proof:
    """Run A once more, and once with a bug."""
    again, outputs = c.side_a.watch("inference", keep=0)
    same = all(rounds_elsewhere(again, difference) for difference in differing(c, outputs).values())
    passes = [(side, seen) for side in (c.a, c.b) for seen in side.passes.values()]
    neutral = all(unmoved(side, seen, c.unit) for side, seen in [*passes, (c.a, again)])
    for weight in middle(c):
        array = c.a.start[weight.name].astype(np.float64)
        rng = np.random.default_rng(0)
        changed, outputs = c.side_a.watch(
            "inference", changes={weight.name: array * (1 + INJECTED * rng.standard_normal(array.shape))}
        )
        wrong = differing(c, outputs)
        if wrong:
            return Proof(same, neutral, weight.name, True, locates(c, weight, changed, next(iter(wrong))))
        before = {path: c.a.arrays[f"output/inference/{path}"] for path in outputs}
        if any(not np.array_equal(outputs[path], before[path], equal_nan=True) for path in outputs):
            return Proof(same, neutral, weight.name, False, False)
    return Proof(same, neutral, "", False, False)


def unmoved(side: Recording, seen: Pass, unit: float) -> bool:
    """Whether watching changed no bit; or, where an engine may add in another order, no more than rounding does."""
    for path, (plain, watched) in seen.moved.items():
        name = f"output/{seen.mode}/{path}"
        difference = compare(name, plain, watched, (side.spread.get(name), None), unit).difference
        if difference is not None and not rounds_elsewhere(seen, difference):
            return False
    return seen.neutral


def rounds_elsewhere(seen: Pass, difference: Difference) -> bool:
    """Whether float32 inside the model makes a difference: a compiled pass need not round where a watched one does."""
    return bool(precision.evidence(seen.ops, seen)) and precision.explained(difference)


def middle(c: Comparison) -> Iterator[Weight]:
    """Kernels to put a bug into, from the middle of the model outwards."""
    kernels = [w for w in c.a.weights if len(w.shape) > 1 and w.kind != "buffer"] or c.a.weights
    order = sorted(range(len(kernels)), key=lambda at: abs(at - len(kernels) // 2))
    for at in order[:TRIES]:
        yield kernels[at]


def differing(c: Comparison, outputs: Arrays) -> dict[str, Difference]:
    """The outputs that are not A's, up to rounding."""
    found = {}
    for path, array in outputs.items():
        name = f"output/inference/{path}"
        spreads = c.a.spread.get(name), None
        difference = compare(name, c.a.arrays[name], array, spreads, c.unit).difference
        if difference is not None:
            found[path] = difference
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
