"""Running statistics: how they start, and what one pass in training mode makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from suites.port import hypotheses
from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.hypotheses.state import StateQuestion
from suites.port.matching.assign import STATISTICS, role
from suites.port.matching.links import Link
from suites.port.recording import Recording


def of_state(c: Comparison, judged: set[str]) -> Iterator[Finding]:
    """Running statistics after one pass in training mode, from each layer's own input."""
    layers: dict[str, dict[str, Link]] = {}
    for link in c.links:
        if role(link.a) in STATISTICS and c.difference(f"state/{link.a.name}") is not None:
            layers.setdefault(link.a.layer, {})
    for link in c.links:
        if link.a.layer in layers and role(link.a) in STATISTICS:
            layers[link.a.layer][role(link.a)] = link
    for layer, links in layers.items():
        difference = next(d for link in links.values() if (d := c.difference(f"state/{link.a.name}")))
        question = state_question(c, layer, links)
        causes = hypotheses.explain_state(question) if question is not None else []
        other = next(iter(links.values())).b.layer
        engine = any(moved_by_engine(side, name) for side, name in ((c.a, layer), (c.b, other)))
        for cause in causes:
            shown = cause if engine or not cause.released else replace(cause, released="")
            yield Finding("state", layer, other, shown, difference)
        if not causes and not judged:  # what differs before may move them
            yield Finding("state", layer, other, None, difference, details="the statistics move in another way")


def of_start(c: Comparison) -> Iterator[Finding]:
    """Averages that one side corrects for their start at zero: compared as of long ago they are the same."""
    norms = {link.a.layer: link.b.layer for link in c.links if role(link.a) in STATISTICS}
    if "training" not in c.modes:
        return
    for layer, other in norms.items():
        cause = hypotheses.explain_start(start_of(c.a, layer), start_of(c.b, other))
        if cause is not None:
            yield Finding("state", layer, other, cause)


def start_of(side: Recording, layer: str) -> str:
    """How a layer's averages start: "" as the numbers that its statistics have at first."""
    calls = (call for call in side.passes["training"].calls if call.name == layer and call.kind == "batchnorm")
    return next((str(call.config.get("start", "")) for call in calls), "")


def moved_by_engine(side: Recording, layer: str) -> bool:
    """Whether an engine's own batch_norm moves the statistics: code of the user's could take the other variance."""
    names = {weight.name for weight in side.weights if weight.layer == layer and role(weight) in STATISTICS}
    ops = side.passes["training"].ops
    kernels = [op for op in ops if op.name == "batch_norm"]
    return not ops or any(op.raw.startswith("Fused") or names.issubset(op.weights) for op in kernels)


def state_question(c: Comparison, layer: str, links: dict[str, Link]) -> StateQuestion | None:
    """None where the layer's own inputs are not known."""
    if set(links) != set(STATISTICS):
        return None
    mean, variance = links["moving_mean"], links["moving_variance"]
    width = mean.a.shape[-1]
    inputs = [input_of(c.a, layer, width), input_of(c.b, mean.b.layer, width)]
    if inputs[0] is None and inputs[1] is None:
        return None
    ours = inputs[0] if inputs[0] is not None else inputs[1]
    theirs = inputs[1] if inputs[1] is not None else inputs[0]
    assert ours is not None and theirs is not None
    before = c.a.start[mean.a.name].ravel(), c.a.start[variance.a.name].ravel()
    after_a = tuple(c.a.arrays[f"state/{link.a.name}"].ravel() for link in (mean, variance))
    after_b = tuple(link.to_a(c.b.arrays[f"state/{link.b.name}"]).ravel() for link in (mean, variance))
    return StateQuestion(ours, theirs, before, after_a, after_b, c.unit)  # type: ignore[arg-type]


def input_of(side: Recording, layer: str, width: int) -> np.ndarray | None:
    """What a normalisation got in training, channels last."""
    seen = side.passes["training"]
    call = next((call for call in seen.calls if call.name == layer and call.inputs), None)
    if call is None:
        return None
    array = seen.values[call.inputs[0]].array
    if array is None:
        return None
    first = side.api == "torch" and array.ndim > 2 and array.shape[1] == width
    return np.moveaxis(array, 1, -1) if first else array
