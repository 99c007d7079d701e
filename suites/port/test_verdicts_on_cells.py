"""Recurrent cells that users write by hand: their gates, their two biases, one kernel or two, which state goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.port.testing.nets import SEQUENCES, compared, program
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

FINAL = program(
    "self.lstm, self.fc = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)",
    """
_, (h, c) = self.lstm(x)
return self.fc(STATE[0])
""",
)


@pytest.mark.full
def test_one_of_several_results_is_healed(pool: Pool, tmp_path: Path) -> None:
    """What followed a wrong state of an LSTM was told as well."""
    found = compared(pool, tmp_path, FINAL.replace("STATE", "h"), FINAL.replace("STATE", "c"), {"x": SEQUENCES["x"]})
    (state,) = found.findings
    assert state.words().endswith("A takes the hidden state, B the cell state"), found.text()


CELL = program(
    "LAYERS",
    """
h = c = torch.zeros(len(x), 3)
for t in range(x.shape[1]):
    GATES = (SUM).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
return h
""",
)


def cell(layers: str, gates: str, sum_: str) -> str:
    return CELL.replace("LAYERS", layers).replace("GATES", gates).replace("SUM", sum_)


@pytest.mark.full
def test_a_cell_over_what_is_joined_is_two_kernels_in_the_same_order_of_gates(pool: Pool, tmp_path: Path) -> None:
    """[h, x] through one matrix, as ConvLSTM and the cells of 2016 have it. Other gates were called SAME."""
    two = "self.x2h = nn.Linear(4, 12); self.h2h = nn.Linear(3, 12, bias=False)"
    ours = cell(two, "i, f, g, o", "self.x2h(x[:, t]) + self.h2h(h)")
    joined = "self.gates = nn.Linear(7, 12)", "self.gates(torch.cat([h, x[:, t]], -1))"
    theirs, other = (cell(joined[0], gates, joined[1]) for gates in ("i, f, g, o", "f, i, o, g"))
    data = {"x": SEQUENCES["x"]}
    for pair in ((ours, theirs), (theirs, ours)):
        found = compared(pool, tmp_path, pair[0], pair[1], data)
        assert found.verdict is Verdict.SAME, found.text()
    found = compared(pool, tmp_path, ours, other, data)
    assert found.verdict is Verdict.DIFFERENT, found.text()
    assert "gate order: A takes the blocks as 1, 2, 3, 4, B as 2, 1, 4, 3" in found.text()


@pytest.mark.full
def test_a_cell_by_hand_of_two_layers_is_an_lstm_in_its_own_order_of_gates(pool: Pool, tmp_path: Path) -> None:
    """Its two biases, of which only the sum counts, were a false alarm; other gates had no name."""
    ours = program("self.lstm = nn.LSTM(4, 3, batch_first=True)", "_, (h, c) = self.lstm(x)\nreturn h[0]")
    two = "self.x2h = nn.Linear(4, 12); self.h2h = nn.Linear(3, 12)"
    sides = [cell(two, gates, "self.x2h(x[:, t]) + self.h2h(h)") for gates in ("i, f, g, o", "i, f, o, g")]
    found = compared(pool, tmp_path, ours, sides[0], {"x": SEQUENCES["x"]})
    assert found.verdict is Verdict.SAME, found.text()
    found = compared(pool, tmp_path, sides[1], ours, {"x": SEQUENCES["x"]})
    assert found.findings[0].words() == "gate order: A takes the blocks as i, f, o, c, B as i, f, c, o", found.text()
