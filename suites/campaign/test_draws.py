"""What a campaign draws: the same for ever, everything that there is, written as programs, and made small."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np

from suites.campaign import generator, shapes, shrink, values
from suites.campaign.cases import Case, draw_case, realisations
from suites.campaign.operations import OPERATIONS
from suites.campaign.writers import NotWritten, jax, keras, torch


def test_a_seed_gives_the_same_network_for_ever() -> None:
    """A finding is reported by its seed: a draw that changes without a new VERSION would send a reader elsewhere."""
    text = json.dumps([generator.draw(seed).as_dict() for seed in range(200)])
    assert generator.VERSION == 3
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DRAWN


DRAWN = "0b62cc8ee34da6fc"


def test_every_network_fits_together_and_everything_is_drawn() -> None:
    """Layers that no draw has are layers that nobody tests."""
    networks = [generator.draw(seed) for seed in range(400)]
    for network in networks:
        shapes.shapes(network)  # raises for one that does not fit
    kinds = {layer["kind"] for network in networks for layer in network.layers}
    assert kinds >= {*generator.TRAINED, "MaxPool2D", "AveragePool2D", "Dropout", "Add", "Concatenate", "Reshape"}
    assert {network.loss for network in networks} == set(generator.LOSSES)
    assert {network.optimizer[0] for network in networks} == {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad"}
    assert {len(network.inputs) for network in networks} == {1, 2}


def test_no_norm_is_drawn_over_one_number() -> None:
    """What one number differs from its mean by is rounding: every engine would be another, and none of them wrong."""
    seen = set()
    for network in map(generator.draw, range(400)):
        extents = shapes.shapes(network)
        for layer in network.layers:
            *places, channels = extents[layer["from"][0]]
            size = math.prod(places) * channels
            over = {"BatchNorm": network.batch * size // channels, "LayerNorm": channels}
            if layer["kind"] == "GroupNorm":
                over["GroupNorm"] = size // layer["groups"]
            if layer["kind"] in over:
                seen.add(layer["kind"])
                assert over[layer["kind"]] > 1, (network.seed, layer)
    assert seen == {"BatchNorm", "LayerNorm", "GroupNorm"}


def test_networks_are_written_as_programs() -> None:
    """What a writer can't say it refuses by name; all else is Python."""
    written = 0
    for seed in range(60):
        network = generator.draw(seed)
        for writer in (keras, torch, jax):
            try:
                text = writer.write(network)
            except NotWritten as reason:
                assert str(reason)
                continue
            compile(text, "<network>", "exec")
            written += 1
    assert written > 100


def test_every_operation_draws_what_its_truth_and_bound_take() -> None:
    """An operation whose reference fails would be judged by nobody."""
    seen = set()
    for seed in range(900):
        case = draw_case(seed)
        if case.operation in seen:
            continue
        seen.add(case.operation)
        truth = case.truth()
        assert case.bound(truth).shape == truth.shape, case.operation
        assert realisations(case)
    assert len(seen) > 0.9 * len(OPERATIONS)


def test_a_network_shrinks_to_the_layer_that_fails() -> None:
    """A report of twelve layers is read by nobody."""
    network = next(n for n in map(generator.draw, range(200)) if len(n.layers) > 8 and has_layer(n, "LayerNorm"))
    small = shrink.shrink(network, shrink.smaller_networks, lambda candidate: has_layer(candidate, "LayerNorm"))
    assert len(small.layers) == 1
    assert small.batch == 1
    shapes.shapes(small)


def has_layer(network: generator.Network, kind: str) -> bool:
    return any(layer["kind"] == kind for layer in network.layers)


def test_a_case_shrinks_to_few_numbers() -> None:
    """Of a thousand numbers one is wrong: that one is left."""
    x = np.ones(1000)
    x[617] = -3.25
    case = Case(0, "relu", "float32", {"x": x}, {})
    small = shrink.shrink(case, shrink.smaller_cases, lambda candidate: bool((candidate.arrays["x"] < 0).any()))
    assert small.arrays["x"].tolist() == [-3.0]
    small = shrink.shrink(case, shrink.smaller_cases, lambda candidate: candidate.arrays["x"].size > 512)
    assert small.arrays["x"].size == 513


def test_values_are_numbers_that_float32_has() -> None:
    """Float32 and float64 realisations have to see the same inputs."""
    for kind in generator.FILLS:
        x = values.fill(np.random.default_rng(1), kind, (50,))
        assert (x == x.astype(np.float32)).all()
