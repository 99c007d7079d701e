"""Formulas against the frameworks' own layers, and each convention named where a framework has the other one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from suites.port.hypotheses.case import Case
from suites.port.hypotheses.convolution_and_images import PLAIN, RESIZES
from suites.port.hypotheses.layers import SIGNATURES, explain
from suites.port.hypotheses.question import Entry, Part, Question
from suites.port.hypotheses.regions import started

Arrays = Mapping[str, np.ndarray]
UNIT = 2.0**-53
RANKS = (1, 2, 3)


def case(kind: str, config: Mapping[str, Any], weights: Arrays, x: np.ndarray, y: np.ndarray) -> Case:
    return Case(kind, config, weights, x, y, False, UNIT)


def window(rank: int, size: int, stride: int, padding: Any, **more: Any) -> dict[str, Any]:
    return {"window": [size] * rank, "strides": [stride] * rank, "padding": padding, **more}


def said(one: Case) -> list[str]:
    return [cause.words() for cause in explain(one)]


@pytest.mark.full
@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.one_in(3)
def test_keras_same_and_valid_are_computed(of_keras: Arrays, rank: int) -> None:
    """A wrong formula of A finds causes in ports that are right."""
    x = of_keras[f"layers/{rank}/x"]
    for stride in (1, 2, 3):
        name = f"layers/{rank}/conv same {stride}"
        weights = {"kernel": of_keras[f"{name}/kernel"]}
        assert case(f"conv{rank}d", window(rank, 3, stride, "same"), weights, x, of_keras[name]).agrees(), name
    for padding, (size, stride) in itertools.product(("same", "valid"), ((3, 2), (4, 2), (2, 2), (2, 3), (5, 2))):
        name = f"layers/{rank}/up {padding} {size} {stride}"
        weights = {"kernel": of_keras[f"{name}/kernel"]}
        config = window(rank, size, stride, padding)
        assert case(f"conv{rank}d_transpose", config, weights, x, of_keras[name]).agrees(), name
    if rank < 3:
        y = of_keras[f"layers/{rank}/avgpool same"]
        assert case(f"avgpool{rank}d", window(rank, 3, 2, "same"), {}, x, y).agrees()


CONVENTIONS = {  # torch's layer: (kind, A's settings, which kernel, what has to be said of it)
    "pad 1": ("conv", (3, 2, "valid", {}), "kernel", "pads (0, 0) (VALID), B pads (1, 1)"),
    "dilated": ("conv", (3, 1, "same", {}), "kernel", "dilation: A 1, B 2"),
    "flipped": ("conv", (3, 2, [1, 1, 1], {}), "kernel", "kernel: A uses it as it is, B flipped"),
    "groups": ("conv", (3, 1, "same", {"groups": 2, "interleaved": True}), "grouped", "convolution sees"),
    "reflect": ("conv", (3, 1, "same", {}), "kernel", "padding: A pads with zeros, B reflects"),
    "transposed": ("up", (3, 2, "same", {}), "up", "crops (0, 1) (SAME), B crops (1, 0): shifted by 1 place"),
    "maxpool ceil": ("maxpool", (3, 2, [0, 0, 0], {}), "", "padding (before, behind): A pads (0, 0), B pads"),
    "maxpool zeros": ("maxpool", (3, 2, [1, 1, 1], {}), "", "A pads with minus infinity, B pads with 0"),
    "avgpool": ("avgpool", (3, 2, [1, 1, 1], {}), "", "A leaves the padding out of the mean, B counts it"),
}
KINDS = {"conv": "conv{}d", "up": "conv{}d_transpose", "maxpool": "maxpool{}d", "avgpool": "avgpool{}d"}


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("name", CONVENTIONS)
def test_another_convention_of_a_window_is_named(of_torch: Arrays, rank: int, name: str) -> None:
    kind, (size, stride, padding, more), kernel, words = CONVENTIONS[name]
    padding = padding[:rank] if isinstance(padding, list) else padding
    x, y = of_torch[f"layers/{rank}/x"], of_torch[f"layers/{rank}/{name}"]
    x = -np.abs(x) if name == "maxpool zeros" else x
    weights = {"kernel": of_torch[f"layers/{rank}/{kernel}"]} if kernel else {}
    if name == "groups":  # it sees neighbours: what is planted is A's
        one = case(f"conv{rank}d", window(rank, size, stride, padding, groups=2), weights, x, y)
        assert one.agrees()
        return
    one = case(KINDS[kind].format(rank), window(rank, size, stride, padding, **more), weights, x, y)
    assert not one.agrees()
    assert words in said(one)[0], said(one)


TORCH_RESIZES = {
    "nearest": "nearest, by the floor of the place",
    "nearest-exact": "nearest, of half pixels",
    "bilinear": "bilinear, of half pixels",
    "bilinear corners": "bilinear, corners aligned",
    "bilinear antialias": "bilinear, antialiased",
    "bicubic": "bicubic (a = -0.75)",
    "bicubic corners": "bicubic (a = -0.75), corners aligned",
    "bicubic antialias": "bicubic (a = -0.5), antialiased",
}


@pytest.mark.parametrize("size", [(18, 16), (5, 6), (11, 13)], ids=str)
def test_every_way_of_resizing_is_told_from_every_other(of_torch: Arrays, size: tuple[int, int]) -> None:
    """Corners, half pixels, antialiasing: what `interpolate` leaves to its caller."""
    x = of_torch["layers/2/x"]
    for name, ours in itertools.product(TORCH_RESIZES, repeat=2):
        config = {"size": list(size), **RESIZES[TORCH_RESIZES[ours]]}
        one = case("resize", config, {}, x, of_torch[f"layers/resize/{name}/{size[0]}x{size[1]}"])
        if one.agrees():
            continue
        assert name != ours
        (words,) = said(one)
        named = words.partition(", B ")[2]
        assert words.startswith("resizing: A ") and one.given({**PLAIN, **RESIZES[named]}).agrees(), (name, ours)


def test_the_step_that_is_taken_of_a_bidirectional_layer(of_torch: Arrays) -> None:
    """`out[:, -1]` has the backward direction's first step, not its final state."""
    roles = [f"{way}/{role}" for way in ("forward", "backward") for role in ("kernel", "recurrent_kernel", "bias")]
    weights = {role: of_torch[f"sequences/{role}"] for role in roles}
    x, config = of_torch["sequences/x"], {"cell": "lstm", "merge": "concat"}
    sequences = case("bidirectional", {**config, "return_sequences": True}, weights, x, of_torch["sequences/sequence"])
    assert sequences.agrees()
    assert case("bidirectional", config, weights, x, of_torch["sequences/final"]).agrees()
    last = case("bidirectional", config, weights, x, of_torch["sequences/last step"])
    assert said(last) == ["backward direction: A takes its final state, B takes it at the last step (its first)"]


RNG = np.random.default_rng(0)
IMAGE, ROWS = RNG.normal(size=(3, 5, 4, 6)), RNG.normal(size=(4, 6))
SEQUENCE, IDS = RNG.normal(size=(3, 5, 4)), RNG.integers(0, 7, (3, 5))
VECTORS = {"gamma": RNG.normal(size=6), "beta": RNG.normal(size=6)}
STATISTICS = {"moving_mean": RNG.normal(size=6), "moving_variance": RNG.uniform(0.5, 1.5, 6)}
GATES = {n: {"kernel": RNG.normal(size=(4, 3 * n)), "recurrent_kernel": RNG.normal(size=(3, 3 * n))} for n in (3, 4)}
BIASES = {3: {"bias": RNG.normal(size=(2, 9))}, 4: {"bias": RNG.normal(size=12)}}
PLANTED: list[tuple[str, dict[str, Any], Any, np.ndarray, dict[str, Any], str]] = [
    ("activation", {"name": "gelu"}, {}, ROWS, {"name": "quick_gelu"}, "GELU by erf, B the quick GELU"),
    ("activation", {"name": "leaky_relu", "slope": 0.3}, {}, ROWS, {"slope": 0.17}, "slope 0.3, B 0.17"),
    ("activation", {"name": "elu"}, {}, ROWS, {"alpha": 0.7}, "alpha of ELU: A 1, B 0.7"),
    ("activation", {"name": "softmax"}, {}, IMAGE, {"axis": 1}, "softmax: A over axis 3, B over axis 1"),
    ("activation", {"name": "relu"}, {}, ROWS, {"name": "hard_silu"}, "activation: A relu, B hard_silu"),
    ("batchnorm", {"epsilon": 1e-3}, {**VECTORS, **STATISTICS}, IMAGE, {"epsilon": 3e-5}, "A 0.001, B 3e-05"),
    ("groupnorm", {"epsilon": 1e-3, "groups": 3}, VECTORS, IMAGE, {"epsilon": 1e-5}, "GroupNorm: A 0.001, B 1e-05"),
    ("groupnorm", {"epsilon": 1e-3, "groups": 3}, VECTORS, IMAGE, {"groups": 2}, "groups of GroupNorm: A 3, B 2"),
    ("groupnorm", {"epsilon": 1e-3, "groups": 3}, VECTORS, IMAGE, {"interleaved": True}, "every n-th channel"),
    ("instancenorm", {"epsilon": 1e-3}, VECTORS, IMAGE, {"groups": 1}, "groups of InstanceNorm: A 6, B 1"),
    ("layernorm", {"epsilon": 1e-12}, VECTORS, ROWS, {"epsilon": 1e-6}, "LayerNorm: A 1e-12, B 1e-06"),
    ("layernorm", {"epsilon": 1e-6}, VECTORS, ROWS, {"unbiased": True}, "the biased one, B n/(n-1) times that"),
    ("layernorm", {"epsilon": 1e-6}, VECTORS, ROWS, {"kind": "rmsnorm"}, "A LayerNorm, B RMSNorm"),
    ("rmsnorm", {"epsilon": 1e-6}, VECTORS, ROWS, {"one_plus": True}, "scale of RMSNorm: A x * w, B x * (1 + w)"),
    ("rmsnorm", {"epsilon": 1e-2}, VECTORS, ROWS, {"outside": True}, "B 0.01, added outside the root"),
    ("rmsnorm", {"epsilon": 1e-6}, VECTORS, ROWS, {"centred": True}, "B takes the mean off first"),
    ("embedding", {}, {"embeddings": RNG.normal(size=(9, 4))}, IDS, {"shift": 2}, "A as they are, B +2"),
    ("embedding", {}, {"embeddings": RNG.normal(size=(9, 4))}, IDS, {"zero_row": 0}, "B takes zeros (padding_idx)"),
    ("dense", {}, {"kernel": RNG.normal(size=(6, 6))}, ROWS, {"transposed": True}, "kernel: A uses it as it is"),
    ("flatten", {}, {}, IMAGE, {"order": "CHW"}, "B channels first (C, H, W)"),
    ("lstm", {}, {**GATES[4], **BIASES[4]}, SEQUENCE, {"order": (0, 1, 3, 2)}, "A takes the blocks as i, f, c, o"),
    ("lstm", {}, {**GATES[4], **BIASES[4]}, SEQUENCE, {"forget_bias": 1.0}, "B adds 1 to it"),
    ("lstm", {}, {**GATES[4], **BIASES[4]}, SEQUENCE, {"take": "mean"}, "A takes the final state, B takes the mean"),
    ("lstm", {}, {**GATES[4], **BIASES[4]}, SEQUENCE, {"take": "cell"}, "A takes the hidden state, B the cell state"),
    ("conv1d", {**window(1, 3, 1, "valid"), "dilation": [2]}, {"kernel": RNG.normal(size=(3, 4, 5))}, SEQUENCE,
     {"dilation": [1], "strides": [2]}, "convolution: A takes 2 for a dilation, B takes 2 for a stride"),
    ("gru", {"reset_after": True}, {**GATES[3], **BIASES[3]}, SEQUENCE, {"z_inverted": True}, "B keeps (1 - z)"),
    ("gru", {"reset_after": True}, {**GATES[3], **BIASES[3]}, SEQUENCE, {"folded": True}, "B outside, as a part"),
    ("gru", {"reset_after": True}, {**GATES[3], **BIASES[3]}, SEQUENCE, {"go_backwards": True}, "B from the last to"),
]  # fmt: skip


@pytest.mark.parametrize(
    "kind, config, weights, x, planted, words", PLANTED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_planted_setting_is_named(
    kind: str, config: dict[str, Any], weights: Arrays, x: np.ndarray, planted: dict[str, Any], words: str
) -> None:
    """And nothing else is said; A's own setting needs no name."""
    ours = case(kind, config, weights, x, x)
    y = ours.given(planted).computed()
    assert y is not None
    found = said(case(kind, config, weights, x, y))
    assert len(found) == 1 and words in found[0], found
    own = ours.computed()
    assert own is not None and case(kind, config, weights, x, own).agrees()


@pytest.mark.parametrize("kind, states", [("lstm", 2), ("gru", 1)])
def test_a_decoder_that_starts_from_zeros_is_named(kind: str, states: int) -> None:
    """B leaves the encoder's last state out: it is one of the values that come into A's part of the region."""
    gates, config = {"lstm": 4, "gru": 3}[kind], {"reset_after": True, "return_sequences": True}
    cell = case(kind, config, {**GATES[gates], **BIASES[gates]}, SEQUENCE, SEQUENCE)
    start = RNG.normal(size=(states, 3, 3))
    warm = replace(cell, others={"start": start}).given({"started": True}).computed()
    assert warm is not None
    nothing = np.zeros(0)
    a = Part((), tuple(Entry(at, state, None) for at, state in enumerate(start)), 9, warm, {})
    b = Part((), (), 9, nothing, {})
    given = [explain(each) for each in started(Question("inference", "layer", b, a, UNIT), replace(cell, y=warm))]
    (found,) = [causes for causes in given if causes]
    assert found[0].words() == "first state: A zeros, B a state that it is given"


def test_two_settings_at_once_are_both_named() -> None:
    one = case("layernorm", {"epsilon": 1e-3}, VECTORS, ROWS, ROWS)
    y = one.given({"epsilon": 1e-5, "unbiased": True}).computed()
    assert y is not None
    found = said(case("layernorm", {"epsilon": 1e-3}, VECTORS, ROWS, y))
    assert len(found) == 2 and {"epsilon", "variance"} == {words.split()[0] for words in found}


def test_what_fits_nothing_gets_no_name() -> None:
    """A wrong name costs more time than none."""
    for kind in SIGNATURES:
        config = {**window(2, 3, 1, "same"), "epsilon": 1e-3, "name": "relu", "groups": 3, "reset_after": True}
        config.update(method="bilinear", size=[5, 4], pads=[(0, 0), (0, 0)], cell="lstm")
        assert said(case(kind, config, {**VECTORS, **STATISTICS}, IMAGE, RNG.normal(size=IMAGE.shape))) == [], kind


@pytest.mark.parametrize("kind", ["batchnorm", "layernorm"])
def test_a_large_norm_is_tried_on_a_part_and_named_for_the_whole(kind: str) -> None:
    """Two settings at once took minutes; what only one channel or row does otherwise is none of them."""
    x = RNG.normal(size=(10, 10, 10, 6))
    weights = {**VECTORS, **STATISTICS} if kind == "batchnorm" else dict(VECTORS)
    ours = case(kind, {"epsilon": 1e-3}, weights, x, x)
    theirs = ours.given({"epsilon": 3e-5, "unbiased": kind == "layernorm"}).computed()
    assert theirs is not None
    words = "; ".join(cause.words() for cause in explain(replace(ours, y=theirs)))
    assert "A 0.001, B 3e-05" in words and ("n/(n-1)" in words) == (kind == "layernorm")
    spoilt = theirs.copy()
    spoilt[-1, -1, -2, -1] += 1.0
    assert explain(replace(ours, y=spoilt)) == []
