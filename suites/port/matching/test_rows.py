"""Layers that one side has stacked in one weight, and gates that a port by hand has in another order."""

from __future__ import annotations

import numpy as np

from suites.port.matching.assign import alternatives, match
from suites.port.matching.gates import Gates, in_native_order
from suites.port.matching.layers import Layer
from suites.port.matching.links import carry
from suites.port.matching.table import Table
from suites.port.recording import Weight

Array = np.ndarray


def layer(path: str, kind: str, order: int, **shapes: tuple[int, ...]) -> Layer:
    weights = [Weight(f"{path}.{role}", path, kind, role, True, shape) for role, shape in shapes.items()]
    return Layer(path, weights, order)


def numbers(layers: list[Layer]) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {weight.name: rng.normal(size=weight.shape) for each in layers for weight in each.weights}


def test_layers_of_a_scan_are_rows_of_one_weight() -> None:
    """Both ways; ten layers are taken in the order of their numbers."""
    ours = [layer(f"layers.{n}.up", "dense", n, kernel=(4, 6), bias=(6,)) for n in range(11)]
    theirs = [layer("layers/up", "dense", 0, kernel=(11, 4, 6), bias=(11, 6))]
    start = numbers(ours)
    there = carry(match(ours, theirs, Table()).links, start)
    kernels = np.stack([start[f"layers.{n}.up.kernel"] for n in range(11)])
    np.testing.assert_array_equal(there["layers/up.kernel"], kernels)
    back = carry(match(theirs, ours, Table()).links, there)
    assert all(np.array_equal(back[name], array) for name, array in start.items())


def test_a_gru_by_hand_has_torchs_gates_and_two_biases() -> None:
    """Its blocks are r, z, n, where the canonical ones are z, r, h; Keras's order is among those that are tried."""
    ours = [layer("gru", "gru", 0, kernel=(2, 9), recurrent_kernel=(3, 9), bias=(2, 9))]
    theirs = [layer("gru", "custom", 0, weight_ih=(9, 2), weight_hh=(9, 3), bias_hh=(9,), bias_ih=(9,))]
    found = match(ours, theirs, Table())
    found.links = in_native_order(found.links, ("torch", "functions"))
    start = numbers(ours)
    there = carry(found.links, start)
    z, r, h = np.split(start["gru.kernel"], 3, -1)
    np.testing.assert_array_equal(there["gru.weight_ih"], np.concatenate([r, z, h], -1).T)
    z, r, h = np.split(start["gru.bias"][1], 3)
    np.testing.assert_array_equal(there["gru.bias_hh"], np.concatenate([r, z, h]))
    for link in found.links:
        np.testing.assert_array_equal(link.to_a(there[link.b.name]), link.pick_a(start[link.a.name]))
    others = list(alternatives(found, ours, theirs))
    kept = next(
        each for each in others if np.array_equal(carry(each.links, start)["gru.weight_ih"], start["gru.kernel"].T)
    )
    assert kept.gates is not None
    assert kept.gates.words() == ("z, r, h", "z, r, h")


def test_the_two_biases_of_a_gru_may_be_those_of_two_layers() -> None:
    """nn.Linear of the input and of the state: it was refused."""
    ours = [layer("gru", "gru", 0, kernel=(2, 9), recurrent_kernel=(3, 9), bias=(2, 9))]
    theirs = [layer("x2h", "dense", 0, kernel=(2, 9), bias=(9,)), layer("h2h", "dense", 1, kernel=(3, 9), bias=(9,))]
    start = numbers(ours)
    there = carry(match(ours, theirs, Table()).links, start)
    np.testing.assert_array_equal(there["x2h.bias"], start["gru.bias"][0])
    np.testing.assert_array_equal(there["h2h.bias"], start["gru.bias"][1])


def test_gates_in_an_order_that_no_library_has_are_a_bug() -> None:
    """An order that a library of the side's own backend has is a layout; any other one is a slip of the port."""
    swapped = (0, 2, 1, 3)
    assert Gates(("lstm", "cell"), swapped, "a").customary(("torch", "jax"))  # as Haiku's
    assert not Gates(("lstm", "cell"), swapped, "a").customary(("jax", "torch"))
    assert not Gates(("cell", "lstm"), swapped, "b").customary(("torch", "jax"))
    assert not Gates(("cell", "cell"), swapped).customary(("torch", "torch"))
    assert Gates(("gru", "cell"), (1, 0, 2), "a").customary(("tensorflow", "torch"))
    assert Gates(("lstm", "cell"), (0, 1, 3, 2), "a").words() == ("i, f, c, o", "i, f, o, c")
