"""Layers and weights of two sides are matched by what they do: other names, exchanged ones, shared ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.port.testing.nets import ROWS, compared, linears, program
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

OTHER_ORDERS = (1, 2, 0, 3, 4, 5), (2, 1, 0, 5, 4, 3)  # orders of six layers, tried in a full run
GATED = linears("gate_proj up_proj", "F.silu(self.gate_proj(x)) * self.up_proj(x)")
CROSSED = linears("gate_proj up_proj", "self.gate_proj(x) * F.silu(self.up_proj(x))")

BRANCHES = """
self.FILTERS = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
self.GATES = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
"""
SUMMED = """
for first, second in zip(self.FILTERS, self.GATES):
    x = x + torch.FIRST(first(x)) * torch.SECOND(second(x))
return x
"""
LISTED = program(BRANCHES, SUMMED)


def listed(names: str, functions: str = "tanh sigmoid") -> str:
    text = LISTED
    for word, name in zip(["FILTERS", "GATES", "FIRST", "SECOND"], f"{names} {functions}".split(), strict=True):
        text = text.replace(word, name)
    return text


EXCHANGED = {
    "gate and up": (GATED, CROSSED),
    "first and second": (
        linears("first second", "self.second(self.first(x))"),
        linears("first second", "self.first(self.second(x))"),
    ),
    "three in a circle": (
        linears("q k v", "(self.q(x) @ self.k(x).T).softmax(-1) @ self.v(x)"),
        linears("q k v", "(self.k(x) @ self.v(x).T).softmax(-1) @ self.q(x)"),
    ),
    "filter and gate in lists of other names": (
        listed("filters gates"),
        listed("filters_list gates_list", "sigmoid tanh"),
    ),
}


@pytest.mark.parametrize("case", EXCHANGED)
def test_layers_that_are_exchanged_under_their_names_are_a_bug(pool: Pool, tmp_path: Path, case: str) -> None:
    """Weights are carried from A to B by their names: two layers that have changed places give other outputs then."""
    found = compared(pool, tmp_path, *EXCHANGED[case], ROWS)
    assert found.verdict is Verdict.DIFFERENT, found.text()


def test_weights_that_are_exchanged_are_called_so(pool: Pool, tmp_path: Path) -> None:
    """And whoever means it says so in a mapping file."""
    found = compared(pool, tmp_path, GATED, CROSSED, ROWS)
    assert found.findings[0].signature == "exchanged"
    assert "gate_proj of A does what up_proj of B does" in found.findings[0].words()
    names = {"gate_proj": "up_proj", "up_proj": "gate_proj"}
    table = tmp_path / "map.toml"
    table.write_text("".join(f'"{a}.{w}" = "{b}.{w}"\n' for a, b in names.items() for w in ("weight", "bias")))
    assert compared(pool, tmp_path, GATED, CROSSED, ROWS, map=table).verdict is Verdict.SAME


OWN_WEIGHTS = """
import torch
from torch import nn

class Highway(nn.Module):
    def __init__(self):
        super().__init__()
        self.transform = nn.Parameter(torch.randn(4, 4)); self.shift = nn.Parameter(torch.randn(4))
        self.carry = nn.Parameter(torch.randn(4, 4)); self.lift = nn.Parameter(torch.randn(4))

    def forward(self, x):
        gate = torch.sigmoid(x @ self.carry + self.lift)
        return gate * torch.tanh(x @ self.transform + self.shift) + (1 - gate) * x

def build():
    return nn.Sequential(Highway(), Highway())
"""
AS_LAYERS = """
import torch
from torch import nn

class Highway(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(4, 4)
        self.h = nn.Linear(4, 4)
        self.t = nn.Linear(4, 4)

    def forward(self, x):
        gate = torch.sigmoid(self.t(x))
        spare = self.unused(x)
        return gate * torch.tanh(self.h(x)) + (1 - gate) * x

def build():
    return nn.Sequential(Highway(), Highway())
"""


def test_weights_of_a_layer_of_the_users_are_matched_with_layers(pool: Pool, tmp_path: Path) -> None:
    """Declared in another order than they are used; what a layer computes for no output has no counterpart."""
    found = compared(pool, tmp_path, OWN_WEIGHTS, AS_LAYERS, ROWS)
    assert found.verdict is Verdict.SAME, found.text()


@pytest.mark.parametrize("names", ["up_proj other", pytest.param("linear1 linear0", marks=pytest.mark.full)])
def test_layers_with_other_names_are_matched_by_what_they_give(pool: Pool, tmp_path: Path, names: str) -> None:
    """A port names its layers as it likes: only where both sides use the same names do these count."""
    one, other = names.split()
    port = linears(names, f"F.silu(self.{one}(x)) * self.{other}(x)")
    found = compared(pool, tmp_path, GATED, port, ROWS)
    assert found.verdict is Verdict.SAME, found.text()


LINES = program(
    """
for name in "NAMES".split():
    setattr(self, name, nn.Linear(4, 4))
""",
    """
FIRST
x = x + (p0 @ p1.T).softmax(-1) @ p2
SECOND
return x + (p3 @ p4.T).softmax(-1) @ p5
""",
)


@pytest.mark.parametrize(
    "order", [(1, 2, 0, 4, 5, 3), *(pytest.param(order, marks=pytest.mark.full) for order in OTHER_ORDERS)]
)
def test_several_layers_in_another_order_are_found_one_by_one(
    pool: Pool, tmp_path: Path, order: tuple[int, ...]
) -> None:
    """A query, a key and a value that the port calls otherwise and computes in another order, in two blocks."""
    names = [f"p{at}" for at in range(6)]
    lines = "; ".join(f"{name} = self.{name}(x)" for name in (names[at] for at in order[:3]))
    second = "; ".join(f"{name} = self.{name}(x)" for name in (names[at] for at in order[3:]))
    port = LINES.replace("FIRST", lines).replace("SECOND", second)
    right = LINES.replace("FIRST", "p0 = self.q0(x); p1 = self.k0(x); p2 = self.v0(x)")
    right = right.replace("SECOND", "p3 = self.q1(x); p4 = self.k1(x); p5 = self.v1(x)")
    right = right.replace("NAMES", "q0 k0 v0 q1 k1 v1")
    found = compared(pool, tmp_path, right, port.replace("NAMES", " ".join(names)), ROWS)
    assert found.verdict is Verdict.SAME, found.text()


def test_layers_that_do_the_same_stay_with_their_names(pool: Pool, tmp_path: Path) -> None:
    """Where it is all one which of two is which, nothing is said of it."""
    a, b = linears("left right", "self.left(x) + self.right(x)"), linears("left right", "self.right(x) + self.left(x)")
    found = compared(pool, tmp_path, a, b, ROWS)
    assert found.verdict is Verdict.SAME and not any("matched" in note for note in found.comparison.notes)


SHARED = program(
    """
self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(COUNT)])
self.gamma_1 = nn.Parameter(torch.ones(4))
self.gamma_2 = nn.Parameter(torch.ones(4)) if GAMMAS == 2 else 1.0
""",
    """
for at in range(3):
    x = x + self.gamma_1 * torch.tanh(self.layers[at % COUNT](x))
return self.gamma_2 * x
""",
)


def shared(count: int, gammas: int = 2) -> str:
    return SHARED.replace("COUNT", str(count)).replace("GAMMAS", str(gammas))


def test_a_layer_that_is_shared_and_a_weight_that_is_missing_are_named(pool: Pool, tmp_path: Path) -> None:
    """Both were refused: weights were left over."""
    found = compared(pool, tmp_path, shared(1), shared(3), ROWS)
    assert [finding.signature for finding in found.findings] == ["shared"], found.text()
    assert "layers.0: A uses one layer 3 times, B has 3 layers with weights of their own" in found.findings[0].words()
    found = compared(pool, tmp_path, shared(1), shared(1, gammas=1), ROWS)
    assert found.findings[0].words().startswith("gamma_2 of gamma_2: A has gamma_2, B has none"), found.text()
