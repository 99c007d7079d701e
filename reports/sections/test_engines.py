"""Operations, ports and releases on the page: one foreign operation or one changed line turns a verdict over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reports import claims, verdicts
from reports.evidence import load
from reports.page import render
from reports.sections import engines
from reports.testing import small_runs
from suites.records.run import Change, Operations, Run, Upgrade

WAYS = {way[0]: small_runs.cell("mlp", way, "float32") for way in small_runs.WAYS if way[1] == "tensorflow"}
COUNTS = {
    "raw_tf": {"MatMul": 5, "AddV2": 7},
    "tf_keras": {"MatMul": 5, "BiasAdd": 13},
    "shim": {"MatMul": 5, "AddV2": 1},
}
DONE = Upgrade("Engine 1", "3.8", {"engine": "1"}, "mlp", "raw_tf", "tensorflow", "equal", "", {}, "", 1e-16, 1e-12)
EDITED = replace(DONE, status="fails", reason="mlp.py:3: no", lines={"framework": 2}, patched="equal")


def run(**lists: Any) -> Run:
    made = small_runs.good()
    vars(made).update(lists)
    return made


def counted(**foreign: list[str]) -> list[Operations]:
    return [
        Operations(cell, "train_step", COUNTS[way], sum(COUNTS[way].values()), foreign.get(way, []))
        for way, cell in WAYS.items()
    ]


def claim(name: str, made: Run) -> claims.Claim:
    return next(item for item in claims.claims(claims.compute(load.gather([made]))) if item.id == name)


def test_one_operation_of_its_own_is_an_engine() -> None:
    holds, refuted = (
        claim("own-engine", run(operations=counted(**own))) for own in ({}, {"tf_keras": ["KerasMatMul"]})
    )
    assert (holds.verdict.word, refuted.verdict.word) == ("holds", "does not hold")
    assert "KerasMatMul" in refuted.sentence
    assert "1 kind that Title of raw_tf" in holds.sentence and "1.5" in holds.sentence and "0.5" in holds.sentence


@pytest.mark.parametrize(
    ("raw", "keras", "expected"),
    [
        (EDITED, DONE, "holds"),
        (DONE, DONE, "does not hold"),
        (DONE, EDITED, "does not hold"),
        (EDITED, EDITED, "holds in part"),
        (replace(EDITED, lines={"python": 2}), DONE, "does not hold"),
    ],
)
def test_who_has_to_change_for_another_release(raw: Upgrade, keras: Upgrade, expected: str) -> None:
    """Lines that an old Python wants are no change of the framework."""
    assert claim("upgrades", run(upgrades=[raw, replace(keras, implementation="tf_keras")])).verdict.word == expected


@pytest.mark.parametrize(
    ("status", "patched", "expected"),
    [
        ("equal", "", engines.FREE),
        ("fails", "equal", engines.EDITED),
        ("different", "equal", engines.EDITED),
        ("different", "", engines.OTHER),
        ("fails", "different", engines.OTHER),
        ("different", "fails", engines.OTHER),
        ("fails", "", engines.BROKEN),
        ("fails", "fails", engines.BROKEN),
    ],
)
def test_other_numbers_are_no_success(status: Any, patched: Any, expected: verdicts.Verdict) -> None:
    assert engines.on_release(replace(DONE, status=status, patched=patched)) == expected


def test_a_port_is_judged_by_the_program_that_then_runs() -> None:
    changes = [
        Change("mlp", "shim", "shim", "torch", 9, 9, 0, "TRIPTYCH_BACKEND"),
        Change("mlp", "a", "b", "torch", 9, 1, 5),
    ]
    good, unknown = engines.ports(load.gather([run(changes=changes)]))
    assert good.verdict == verdicts.SAME and good.share == 1
    assert unknown.verdict == verdicts.NONE and unknown.disagreement is None
    bad = small_runs.bad()
    bad.changes = changes
    assert engines.ports(load.gather([bad]))[0].verdict == verdicts.DIFFERS


def test_the_page_shows_them_and_hostile_words_stay_text() -> None:
    hostile = replace(EDITED, release=small_runs.HOSTILE, reason=small_runs.HOSTILE, cause=small_runs.HOSTILE)
    made = run(
        operations=counted(shim=[small_runs.HOSTILE]),
        upgrades=[hostile],
        changes=[Change("mlp", "a", "b", "c", 0, 0, 0)],
    )
    shown = render.page(load.gather([made])).partition("id=engines ")[2].partition("</section>")[0]
    assert "after changes" in shown and "framework 2" in shown
    assert "<script>alert" not in shown and "<img" not in shown


def test_kept_results_serve_a_run_that_has_none() -> None:
    kept = run(upgrades=[EDITED])
    assert load.gather([small_runs.good()], kept).upgrades == (EDITED,)
    own = load.gather([run(upgrades=[DONE])], kept)
    assert own.upgrades == (DONE,) and own.upgraded.startswith("2026-01-01")
