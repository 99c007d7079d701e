"""Each of the 28 questions and claims is answered on every page, from data, with a link to what shows it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from reports import claims, popular, questions
from reports.claims import Claim
from reports.evidence import keep
from reports.evidence.load import completed, gather
from reports.page import render
from reports.sections import heritage
from reports.testing import small_runs
from reports.testing.small_runs import WAYS, cell
from suites.records import run as records
from suites.records.run import Comparison, Gadget, Operations, Run

IDS = [*(f"Q{at}" for at in range(1, 14)), *(f"C{at}" for at in range(1, 16))]


def answers(run: Run) -> dict[str, questions.Answer]:
    found = claims.compute(gather([run]))
    kept = heritage.load()
    said = claims.claims(found) + popular.popular(found, kept)
    return {it.id: it for it in questions.answers(found, said, kept)}


def said(run: Run) -> dict[str, Claim]:
    return {it.id: it for it in popular.popular(claims.compute(gather([run])), heritage.load())}


@pytest.mark.parametrize("name", small_runs.RUNS)
def test_all_of_them_are_answered(name: str, written: dict[str, str]) -> None:
    text = written[name]
    for id_ in IDS:
        (row,) = re.findall(rf"<tr class=row id={id_}>(.*?)(?=<tr|</table)", text, re.S)
        answer, link = row.rsplit("<td>", 1)[1], re.search(r'href="?#([\w-]+)', row)
        assert len(re.sub(r"<[^>]*>", "", answer).split()) >= 4, id_
        assert link and re.search(rf'id="?{link[1]}[ >"]', text), id_


def test_an_answer_follows_its_data() -> None:
    """Another count of lines, another operation, another verdict."""
    run = small_runs.good()
    assert "8 lines of Title of tf_keras for 20 of Title of raw_tf" in answers(run)["Q2"].said
    assert "2.0\N{MULTIPLICATION SIGN} for a train step" in answers(run)["Q2"].said.replace("1.99", "2.0")
    run.programs = [replace(it, logical_lines=2 * it.logical_lines) for it in run.programs]
    assert "16 lines of Title of tf_keras for 40 of" in answers(run)["Q2"].said
    at = cell("seed", WAYS[1], "float32")
    run.operations.append(Operations(at, "predict", {"MatMul": 2, "Identity": 9, "Relu": 1}, 3))
    assert "a prediction of seed is 2 MatMul, 1 Relu." in answers(run)["Q7"].said
    assert answers(run)["Q13"].verdict == claims.HOLDS
    run.operations.append(Operations(at, "train_step", {"KerasMatMul": 1}, 1, ["KerasMatMul"]))
    assert answers(run)["Q13"].verdict == claims.REFUTED and "KerasMatMul" in answers(run)["C8"].said


@pytest.mark.parametrize(("apart", "word"), [(9e-8, "holds"), (2e-7, "holds in part"), (math.nan, "holds in part")])
def test_identical_up_to_what_is_said(apart: float, word: str) -> None:
    run = small_runs.good()
    run.comparisons.append(Comparison(cell("mlp", WAYS[2]), cell(), "forward", "activation/logits", apart, 1e-6))
    found = said(run)["identical"]
    assert found.verdict.word == word
    assert f"{len(KERAS) + (apart < 1e-7)} of {len(KERAS) + 1} tensors" in found.sentence


KERAS = [it for it in small_runs.good().comparisons if it.cell.implementation == "tf_keras"]


def test_the_backends_speed_is_that_of_one_group() -> None:
    """Keras on torch takes 3, on TensorFlow 2: half as much again."""
    found = said(small_runs.good())["backend-speed"]
    assert found.verdict == claims.HOLDS
    assert found.sentence.count("TensorFlow over PyTorch by") == 2 and re.search(r"by (49|50|51) %", found.sentence)
    run = small_runs.good()
    for item in run.timings:
        if item.cell.backend == "torch" and item.cell.implementation == "tf_keras":
            item.seconds[:] = [10 * seconds for seconds in item.seconds]
    assert said(run)["backend-speed"].verdict == claims.REFUTED


def gadget(name: str, implementation: str, written: int) -> Gadget:
    source = "x = 1\n"
    path = f"impls/gadgets/{name}/{implementation}.py"
    counts = (written, 0, 0, 9, [1], "losses", 0.0, True)
    return Gadget(name, name, implementation, "tensorflow", path, source, *counts)


def test_what_a_full_run_measured_fills_a_quick_one_with_its_date(tmp_path: Path) -> None:
    """And nothing is said of a date where the run has its own."""
    full, quick = small_runs.good(), small_runs.good()
    full.gadgets = [gadget("early_stopping", "raw_tf", 9), gadget("early_stopping", "tf_keras", 2)]
    full.operations = [Operations(cell("seed", WAYS[1], "float32"), "predict", {"MatMul": 2}, 2)]
    saved = records.save(full, tmp_path / "runs")
    assert keep.main([str(saved)], tmp_path / "measured.json") == 0
    filled = completed(gather([quick]), tmp_path)
    found = claims.compute(filled)
    brought = popular.popular(found, None)[2]
    assert brought.verdict == claims.HOLDS and "2 lines in all for 9" in brought.sentence
    assert brought.sentence.endswith("Measured on 1 Jan 2026, 00:00 UTC, A CPU.")
    assert "Measured on" in render.page(filled)
    quick.gadgets = full.gadgets
    own = completed(gather([quick]), tmp_path)
    assert "Measured on" not in popular.popular(claims.compute(own), None)[2].sentence


def test_a_run_with_nothing_to_keep_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = records.save(small_runs.good(), tmp_path)
    assert keep.main([str(saved)], tmp_path / "measured.json") == 2
    assert keep.main([str(tmp_path / "absent.json")], tmp_path / "measured.json") == 2
    other = small_runs.good()
    other.id, other.environment = "20260109T000000-1", replace(other.environment, cpu="Another CPU")
    assert keep.main([str(saved), str(records.save(other, tmp_path))], tmp_path / "measured.json") == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 3
        and "several machines" in error
        and "no gadgets and no operations" in error
        and "absent.json" in error
    )
    assert not (tmp_path / "measured.json").exists()


def test_a_full_page_has_room_for_all_answers(full_page: str) -> None:
    assert len(full_page.encode()) <= 400_000
    assert all(f"<tr class=row id={id_}>" in full_page for id_ in IDS)
