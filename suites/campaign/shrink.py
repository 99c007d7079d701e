"""Make a failing case small: greedily, by whatever makes it simpler and lets it fail still."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from suites.campaign import shapes
from suites.campaign.cases import Case
from suites.campaign.generator import Network
from suites.campaign.operations import typed
from suites.runner.workers import Arrays

MOST_TRIES = 400
Subject = TypeVar("Subject", Case, Network)


def shrink(
    subject: Subject, candidates: Callable[[Subject], Iterator[Subject]], fails: Callable[[Subject], bool]
) -> Subject:
    """The smallest that still fails, of what `candidates` offers again and again; at most MOST_TRIES are tried."""
    tries = 0
    progress = True
    while progress and tries < MOST_TRIES:
        progress = False
        for candidate in candidates(subject):
            tries += 1
            if tries > MOST_TRIES:
                break
            if fails(candidate):
                subject, progress = candidate, True
                break
    return subject


def smaller_cases(case: Case) -> Iterator[Case]:
    """The same operation on fewer and simpler numbers: halves along each axis, one row less, then rounder values."""
    if "pads" not in case.options:  # the padding of a convolution follows from its sizes
        yield from _fewer(case)
    for name, value in case.arrays.items():
        if value.dtype.kind == "f":
            for digits in (0, 1, 2):
                with np.errstate(all="ignore"):
                    rounder = typed(np.round(value, digits), case.dtype)
                if not np.array_equal(rounder, value, equal_nan=True):
                    yield _with(case, {**case.arrays, name: rounder})
    for name, option in case.options.items():
        if isinstance(option, int) and not isinstance(option, bool) and option > 1 and name not in ("axis", "terms"):
            yield Case(case.seed, case.operation, case.dtype, case.arrays, {**case.options, name: option - 1})


def _fewer(case: Case) -> Iterator[Case]:
    for name, value in case.arrays.items():
        for axis in range(value.ndim):
            n = value.shape[axis]
            less = n // 2
            while less:  # first a half, then a quarter, ... less: a size at which it begins to fail is found by halving
                for part in (slice(0, n - less), slice(less, n)):
                    yield _with(case, _cut(case.arrays, name, axis, n, part))
                less //= 2


def _cut(arrays: Arrays, name: str, axis: int, extent: int, part: slice) -> Arrays:
    """All arrays cut along an axis where they have the same extent and the same rank as the named one."""
    rank = arrays[name].ndim
    found = {}
    for other, value in arrays.items():
        fits = value.ndim == rank and value.shape[axis] == extent
        follows = other != name and axis == 0 and other == "i" and len(value) == extent
        cut = (*[slice(None)] * axis, part)
        found[other] = value[cut] if fits or follows else value
    return found


def _with(case: Case, arrays: Arrays) -> Case:
    return Case(case.seed, case.operation, case.dtype, arrays, case.options)


def smaller_networks(network: Network) -> Iterator[Network]:
    """The same network with a layer less, fewer examples, smaller extents, plainer options."""
    for at in range(len(network.layers)):
        yield from _without(network, at)
    for batch in (1, 2, network.batch // 2):
        if 0 < batch < network.batch:
            yield _changed(network, batch=batch)
    if network.steps > 1:
        yield _changed(network, steps=1)
    for at, each in enumerate(network.inputs):
        for axis, extent in enumerate(each["shape"]):
            for smaller in (1, extent // 2, extent - 1):
                if 0 < smaller < extent:
                    inputs = copy.deepcopy(network.inputs)
                    inputs[at]["shape"][axis] = smaller
                    yield from _fitting(_changed(network, inputs=inputs))
        if each["fill"] not in ("normal", "ids"):
            inputs = copy.deepcopy(network.inputs)
            inputs[at]["fill"] = "normal"
            yield _changed(network, inputs=inputs)
    yield from _plainer(network)


def _changed(network: Network, **parts: Any) -> Network:
    described = {**copy.deepcopy(network.as_dict()), **parts}
    return Network(**described)


def _fitting(network: Network) -> Iterator[Network]:
    """The network, if its layers still fit one another."""
    try:
        shapes.shapes(network)
    except (shapes.DoesNotFit, IndexError):
        return
    yield network


def _without(network: Network, at: int) -> Iterator[Network]:
    """One layer left out: what read it reads its first source; and the network cut off after it."""
    if len(network.layers) < 2:
        return
    first = len(network.inputs)
    value, source = first + at, network.layers[at]["from"][0]
    layers = []
    for layer in network.layers[:at] + network.layers[at + 1 :]:
        sources = [source if v == value else v for v in layer["from"]]
        layers.append({**copy.deepcopy(layer), "from": [v - (v > value) for v in sources]})
    yield from _live(_changed(network, layers=layers))
    if at + 1 < len(network.layers):
        yield from _live(_changed(network, layers=copy.deepcopy(network.layers[: at + 1])))


def _live(network: Network) -> Iterator[Network]:
    """Without the layers and the inputs that do not lead to the output."""
    first = len(network.inputs)
    needed = {first + len(network.layers) - 1}
    for at in reversed(range(len(network.layers))):
        if first + at in needed:
            needed.update(network.layers[at]["from"])
    kept = sorted(needed)
    inputs = [each for at, each in enumerate(network.inputs) if at in needed]
    if not inputs:
        return
    place = {value: at for at, value in enumerate(kept)}
    layers = []
    for at, layer in enumerate(network.layers):
        if first + at in needed:
            layers.append({**layer, "from": [place[v] for v in layer["from"]]})
    yield from _fitting(_changed(network, inputs=inputs, layers=layers))


def _plainer(network: Network) -> Iterator[Network]:
    """Options that go, units that become fewer."""
    for at, layer in enumerate(network.layers):
        for name, plain in (("activation", None), ("use_bias", False), ("go_backwards", False), ("dilation_rate", 1)):
            if layer.get(name, plain) != plain and layer["kind"] != "Activation":
                yield from _option(network, at, name, plain)
        for name in ("units", "filters", "depth_multiplier"):
            if layer.get(name, 1) > 1:
                yield from _option(network, at, name, 1)
                yield from _option(network, at, name, layer[name] // 2)
    if network.optimizer[0] != "SGD":
        yield _changed(network, optimizer=["SGD", {"learning_rate": 0.1}])
    if network.loss != "mean_squared_error":
        yield _changed(network, loss="mean_squared_error")
    if network.weights != "normal":
        yield _changed(network, weights="normal")


def _option(network: Network, at: int, name: str, value: Any) -> Iterator[Network]:
    layers = copy.deepcopy(network.layers)
    layers[at][name] = value
    yield from _fitting(_changed(network, layers=layers))
