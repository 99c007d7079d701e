"""Weights that lie loose in a module: whose layers they are, beside a side that has layers for them."""

from __future__ import annotations

from suites.port.loose_weights import apart, of_several
from suites.port.matching.links import Link
from suites.port.recording import Weight


def weight(name: str, layer: str, kind: str) -> Weight:
    return Weight(name, layer, kind, name.rpartition("/")[2], True, (4,))


CONV, CLASS, HEAD = (
    weight("conv/kernel", "conv", "conv2d"),
    weight("cls", "", "module"),
    weight("head/kernel", "head", "dense"),
)
PATCH, LOOSE, OTHER = weight("patch", "", "module"), weight("cls", "", "module"), weight("head/kernel", "head", "dense")


def test_a_module_that_stands_for_several_layers_is_taken_apart() -> None:
    links = [Link(CONV, PATCH), Link(CLASS, LOOSE), Link(HEAD, OTHER)]
    pairs = [("conv", ""), ("", ""), ("head", "head")]
    owners, found = apart(([CONV, CLASS, HEAD], [PATCH, LOOSE, OTHER]), links, pairs)
    assert set(found) == {("conv", "patch"), ("cls", "cls"), ("head", "head")}
    assert owners[1] == {"patch": "patch", "cls": "cls", "head/kernel": "head"}


def test_layers_that_are_one_to_one_stay_whole() -> None:
    links = [Link(CLASS, LOOSE), Link(HEAD, OTHER)]
    owners, found = apart(([CLASS, HEAD], [LOOSE, OTHER]), links, [("", ""), ("head", "head")])
    assert found == [("", ""), ("head", "head")] and owners[0]["cls"] == ""


def test_a_fused_layer_of_a_known_kind_is_not_taken_apart() -> None:
    fused = weight("qkv/kernel", "qkv", "dense")
    parts = [weight(f"{name}/kernel", name, "dense") for name in "qkv"]
    pairs = [("qkv", name) for name in "qkv"]
    owners, found = apart(([fused], parts), [Link(fused, part) for part in parts], pairs)
    assert found == pairs and owners[0] == {"qkv/kernel": "qkv"}
    assert of_several(pairs) == ({"qkv"}, {"q", "k", "v"})
