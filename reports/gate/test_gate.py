"""The gate's judgement on recorded rounds: what ends with which exit status, and what people get to read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from reports.gate import budgets, judge, output
from reports.gate.__main__ import main
from reports.gate.verdict import Gate
from suites.records import gate as gate_records
from suites.records.cells import Cell
from suites.records.gate import Contest, Count, Difference, Duels, Failure, Side
from suites.records.run import Environment

TORCH = Cell("mlp", "shim", "torch", "eager", "cpu", "float32")
NUMPY = Cell("seed", "shim", "numpy", "eager", "cpu", "float32")
MACHINE = Environment("a processor", 2, 2**33, "Linux", "3.11", {}, "abc", False)
POLICY = budgets.load(budgets.TABLE)


def contest(cell: Cell = NUMPY, slower: float = 0.0, role: Any = "gate", noise: float = 0.01) -> Contest:
    """120 rounds in which head takes so much longer."""
    rng = np.random.default_rng(7)
    drift, errors = rng.normal(0, 0.05, 120), rng.normal(0, noise, (2, 120))
    times = (np.exp(drift + errors[0]).tolist(), ((1 + slower) * np.exp(drift + errors[1])).tolist())
    return Contest(cell, "train_step", role, 20, 20 if role == "gate" else 21, *times, *times, 1.0)


def run(*contests: Contest, **more: Any) -> Duels:
    """A run with its proofs in order."""
    side = Side("v1", "abc", False, "3.11", {"numpy": "2.4"})
    proofs = [contest(role="twin"), contest(slower=0.05, role="canary")]
    content = {"contests": [*contests, *proofs], "compared": [item.cell for item in contests], **more}
    return Duels("now", MACHINE, side, replace(side, revision="working tree"), {}, finished="then", **content)


def judged(*contests: Contest, **more: Any) -> Gate:
    return judge.judged(run(*contests, **more), POLICY)


def kinds(found: Gate, severity: str = "error") -> list[str]:
    return [item.kind for item in found.findings if item.severity == severity]


def test_identical_code_is_clean() -> None:
    found = judged(contest(), contest(TORCH))
    assert (found.exit, found.verdict, kinds(found)) == (0, "clean", [])


def test_a_slower_cell_fails_and_says_which() -> None:
    found = judged(contest(), contest(TORCH, slower=0.05))
    assert (found.exit, kinds(found)) == (1, ["slower"])
    assert found.findings[0].cells == (TORCH,)


def test_too_much_noise_is_inconclusive_and_never_red() -> None:
    found = judged(contest(TORCH, slower=0.02, noise=0.6))
    assert found.exit == 0 and kinds(found, "note") == ["inconclusive"]


@pytest.mark.parametrize("proofs", [{"twin": 0.05, "canary": 0.05}, {"twin": 0.0, "canary": 0.0}, {"twin": 0.0}])
def test_an_unfit_machine_blames_no_code(proofs: dict[str, float]) -> None:
    """A twin that alarms, a canary that does not, or none: whatever else came out slower is not to be trusted."""
    duels = run(contest(TORCH, slower=0.2))
    duels.contests[1:] = [contest(slower=slower, role=role) for role, slower in proofs.items()]
    found = judge.judged(duels, POLICY)
    assert (found.exit, found.verdict, kinds(found)) == (2, "unfit", ["unfit"])
    assert "slower" in kinds(found, "note")


def test_exchanged_names_change_no_verdict() -> None:
    mirror = {"slower": "faster", "faster": "slower"}
    for slower in (0.0, 0.01, 0.05):
        item = contest(slower=slower)
        there, back = judge.compared(item, 1), judge.compared(judge.swapped(item), 1)
        assert back.verdict == mirror.get(there.verdict, there.verdict)
        assert there.ratio and back.ratio == pytest.approx(1 / there.ratio)


def test_what_vanished_failed_or_differs_is_never_silence() -> None:
    gone = judged(contest(), vanished=[TORCH])
    failed = judged(contest(), failures=[Failure(TORCH, "head", "speed", "out of memory")])
    lost = judged(contest(), compared=[NUMPY, TORCH])
    differs = judged(contest(), differences=[Difference(NUMPY, "head", "backward", "gradient/hidden", 1e-3, 1e-14)])
    assert [kinds(item) for item in (gone, failed, lost, differs)] == [
        ["vanished"], ["failed"], ["unfinished"], ["disagreement"]
    ]  # fmt: skip
    assert {item.exit for item in (gone, failed, lost, differs)} == {1}


def test_what_was_wrong_in_base_already_is_not_blamed_on_head() -> None:
    sides: tuple[Any, Any] = ("base", "head")
    old = [Difference(NUMPY, side, "backward", "gradient/hidden", 1e-3, 1e-14) for side in sides]
    assert judged(contest(), differences=old).exit == 0
    assert judged(contest(), failures=[Failure(NUMPY, "base", "counts", "no such operation")]).exit == 0
    repaired = judged(contest(), differences=old[:1], new=[TORCH])
    assert repaired.exit == 0 and kinds(repaired, "note") == ["new", "repaired"]


@pytest.mark.parametrize(
    ("name", "base", "head", "detail", "verdict"),
    [
        ("operations, train_step", 57, 58, "", "fail"),
        ("operations, train_step", 57, 56, "", "fewer"),
        ("operations, train_step", None, 56, "", "ok"),
        ("retraces, predict", 0, 1, "", "fail"),
        ("bytes allocated, predict", 1000, 1040, "", "ok"),
        ("bytes allocated, predict", 1000, 1100, "", "warn"),
        ("imports", 2, 2, "+json -math", "warn"),
        ("logical lines", 25, 25, "", "ok"),
    ],
)
def test_an_exact_count_follows_its_policy(name: str, base: Any, head: int, detail: str, verdict: str) -> None:
    assert budgets.counted(Count(TORCH, name, base, head, detail), POLICY).verdict == verdict


def test_a_budget_is_the_limit_of_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('[policy]\n"logical lines" = "fail"\n[budget.mlp-shim-torch]\n"logical lines" = 30\n')
    table = budgets.load(path)
    grown = [budgets.counted(Count(cell, "logical lines", 25, 30), table).verdict for cell in (TORCH, NUMPY)]
    assert grown == ["ok", "fail"]
    assert budgets.counted(Count(TORCH, "logical lines", 25, 31), table).verdict == "fail"


@pytest.mark.parametrize(
    ("text", "said"),
    [("[polices]", "unknown section"), ('[policy]\nimports = "maybe"', "known are"), ("[policy", "gate.toml")],
)
def test_a_slip_in_the_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(budgets.BudgetError, match=said):
        budgets.load(path)


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Terminal, Markdown, JUnit and JSON come from one list: none may be green where another is red."""
    lines = Count(TORCH, "logical lines", 25, 28)
    gate_records.save(run(contest(), contest(TORCH, slower=0.05), counts=[lines]), tmp_path)
    assert main(["--results", str(tmp_path)]) == 1
    content = json.loads((tmp_path / "gate.json").read_text())
    assert (content["exit"], content["verdict"], len(content["comparisons"])) == (1, "regression", 4)
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert (suite.get("failures"), suite.get("tests")) == ("1", str(len(content["findings"]) + 4))
    for text in (capsys.readouterr().out, (tmp_path / "gate.md").read_text()):
        assert "Head is worse than base" in text and "train_step: slower" in text and "grew from 25 to 28" in text


def test_nothing_recorded_is_a_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_column_is_not_broken_by_its_text() -> None:
    assert output._line(["a|b"]) == "| a\\|b |"
