"""The verdict on a project's benchmarks: what is red, what never is, and that all that is written says the same."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from reports.projects import error_rates, history, output
from reports.projects.__main__ import judge
from reports.projects.judge import ProjectGate, judged
from suites.records import project_rule, projects
from suites.records.projects import Contest, Outcome, ProjectRun, Side
from suites.records.run import Environment, RecordError

MACHINE = Environment("a processor", 2, 2**33, "Linux", "3.12", {}, "abc", False)
TEST = "tests/test_a.py::test_parse[x-1]"


def contest(slower: float = 0.0, test: str = TEST, role: Any = "gate", apart: float = 0.0, **strain: Any) -> Contest:
    """120 rounds in which head takes so much longer, by `apart` more in the first pair and less in the third."""
    rng = np.random.default_rng(7)
    drift, errors = rng.normal(0, 0.03, 120), rng.normal(0, 0.008, (2, 120))
    pairs = np.exp(np.resize([apart, 0.0, -apart], 120))
    times = (np.exp(drift + errors[0]).tolist(), ((1 + slower) * pairs * np.exp(drift + errors[1])).tolist())
    calls = (20, 21) if role == "canary" else (20, 20)
    return Contest(test, role, 1, *calls, *times, *times, seconds=1.0, **strain)


def repeated(item: Contest, **strain: Any) -> list[Contest]:
    """The same once more in two other crews of processes."""
    return [replace(item, role="repeat", **strain)] * 2


def run(*contests: Contest, controls: bool = True, repeats: list[Contest] | None = None, **more: Any) -> ProjectRun:
    side = Side("main", "abc", False, "3.12", {})
    proofs = [contest(role="twin"), contest(0.05, role="canary")] if controls else []
    tests = [Outcome(item.test, "measured") for item in contests]
    if repeats is None:
        repeats = [other for item in contests for other in repeated(item)]
    content = {"contests": [*contests, *repeats, *proofs], "tests": tests, "finished": "then", **more}
    return ProjectRun(
        "2026-01-01T00:00:00", MACHINE, "/a", side, Side("working tree", "abc", True, "3.12", {}), **content
    )


def kinds(found: ProjectGate, severity: str = "error") -> list[str]:
    return [item.kind for item in found.findings if item.severity == severity]


def test_a_slower_benchmark_is_red_and_the_same_one_is_not() -> None:
    assert (judged(run(contest())).exit, judged(run(contest(0.05))).exit) == (0, 1)
    assert kinds(judged(run(contest(0.05)))) == ["slower"]


@pytest.mark.parametrize(
    ("item", "word"),
    [
        (contest(0.3, waited=0.6), "unfit"),
        (contest(0.3, stolen=0.6), "unfit"),
        (contest(0.3, noise=0.5), "unfit"),
        (contest(0.03, apart=0.024), "inconclusive"),
    ],
)
def test_what_the_machine_may_have_done_is_never_red(item: Contest, word: str) -> None:
    """Processes that waited, a hypervisor, blocks that do not repeat, pairs that disagree: none blames the code."""
    found = judged(run(item))
    assert found.exit == 0 and found.comparisons[0].verdict == word and found.comparisons[0].reason


@pytest.mark.parametrize(
    ("repeats", "said"),
    [
        ([], "was not repeated"),
        (repeated(contest(0.0)), "elsewhere in memory"),
        (repeated(contest(-0.05)), "elsewhere in memory"),
        (repeated(contest(0.05))[:1], "elsewhere in memory"),
        (repeated(contest(0.05), waited=0.6), "when it was repeated, its processes waited"),
    ],
)
def test_what_other_processes_do_not_confirm_is_never_red(repeats: list[Contest], said: str) -> None:
    found = judged(run(contest(0.05), repeats=repeats))
    assert (found.exit, found.comparisons[0].verdict) == (0, "inconclusive") and said in found.comparisons[0].reason


def test_how_code_happens_to_lie_in_memory_does_not_alarm() -> None:
    """Head is base; each pair of processes is some percent apart for as long as it lives."""
    rng = np.random.default_rng(3)

    def drawn(role: Any) -> Contest:
        lies, errors = np.resize(rng.normal(0, 0.012, 3), 24), rng.normal(0, 0.006, (2, 24))
        times = (np.exp(errors[0]).tolist(), np.exp(lies + errors[1]).tolist())
        return Contest(TEST, role, 1, 20, 20, *times, *times, seconds=0.5)

    words: Counter[tuple[str, str]] = Counter()
    for _ in range(400):
        first, others = drawn("gate"), [drawn("repeat"), drawn("repeat")]
        words[project_rule.judge_once(first, 1).word, project_rule.judge(first, 1, others).word] += 1
    alarms = {pair: number for pair, number in words.items() if pair[0] in project_rule.DECIDED}
    assert sum(alarms.values()) > 4 and set(alarms) <= {("slower", "inconclusive"), ("faster", "inconclusive")}, words


def test_controls_that_fail_or_lack_make_the_run_unfit() -> None:
    alarm = run(contest(0.3), contest(0.05, role="twin"), contest(0.05, role="canary"), controls=False)
    deaf = run(contest(0.3), contest(role="twin"), contest(role="canary"), controls=False)
    strained = run(contest(0.3), contest(role="twin", waited=0.9), contest(0.05, role="canary"), controls=False)
    for item in (alarm, deaf, strained, run(contest(0.3), controls=False)):
        found = judged(item)
        assert (found.exit, found.verdict) == (2, "unfit") and "slower" not in kinds(found)


@pytest.mark.parametrize(
    ("table", "status", "severity"),
    [
        ({}, 1, "error"),
        ({"policy": {"tests/*": "warn"}}, 0, "warning"),
        ({"policy": {"*": "fail", "*::test_parse[x-1]": "off"}}, 0, "note"),
        ({"default": "warn", "policy": {"other/*": "fail"}}, 0, "warning"),
        ({"budget": {"*parse*": 0.10}}, 0, "note"),
        ({"budget": {"*parse*": 0.01}}, 1, "error"),
    ],
)
def test_policies_and_budgets_go_by_globs_of_tests(table: dict[str, Any], status: int, severity: str) -> None:
    found = judged(run(contest(0.05), table=table))
    assert found.exit == status and kinds(found, severity) == ["slower"]


def test_tests_that_were_not_compared_are_named_and_only_a_broken_head_is_red() -> None:
    """Everything planned is in the count; a base that lacks something is no fault of head."""
    others = [
        Outcome("a::new", "new", "base has no such test", "base"), Outcome("a::gone", "vanished", "x", "head"),
        Outcome("a::base", "failed", "boom", "base"), Outcome("a::skip", "skipped", "no GPU", "base"),
        Outcome("a::late", "unfinished"), Outcome("a::later", "unfinished"),
    ]  # fmt: skip
    green = judged(run(contest(), tests=[Outcome(TEST, "measured"), *others]))
    assert green.exit == 0 and "7 benchmarks: 1 same, 6 not compared" in output.summary(green)
    assert [item.title for item in green.findings if item.kind == "unfinished"] == [
        "2 benchmarks not reached, the first one is a::late"
    ]
    red = judged(run(contest(), tests=[Outcome("a::head", "failed", "boom", "head")]))
    assert red.exit == 1 and kinds(red) == ["failed"]
    absent = judged(run(absent="base can't be built: no compiler", controls=False))
    assert (absent.exit, absent.verdict) == (0, "n/a") and "no compiler" in output.table(absent)


def test_files_terminal_and_annotations_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    projects.save(run(contest(0.05), contest(test="tests/test_a.py::test_<b>|@c")), tmp_path)
    assert judge(tmp_path) == 1
    said = capsys.readouterr().out
    content = json.loads((tmp_path / "gate.json").read_text())
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    comment = (tmp_path / "gate.md").read_text()
    assert (content["exit"], content["verdict"], suite.get("failures")) == (1, "regression", "1")
    assert comment.startswith(output.COMMENT) and "slower by 5" in comment and "slower by 5" in said
    assert "test_&lt;b>\\|@\u200bc" in comment  # a name of a test is no markup and calls nobody
    assert "::error file=tests/test_a.py,title=triptych gate::" in said


def test_history_has_a_letter_a_run(tmp_path: Path) -> None:
    for number, slower in enumerate([0.0, 0.05, 0.0]):
        item = run(contest(slower))
        item.started = f"2026-01-0{3 - number}T00:00:00"
        projects.save(item, tmp_path / str(number))
        judge(tmp_path / str(number))
    found = history.table(history.read([str(tmp_path)]))
    assert f"{TEST}  .S.  x 1.05" in found and found.index("2026-01-01") < found.index("2026-01-03")
    with pytest.raises(RecordError, match=r"no gate\.json"):
        history.read([str(tmp_path / "0" / "gate.md")])


def test_counted_errors_get_into_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = {"environment": {"cpu": "x", "cores": 2}, "rule": "r", "started": "2026-01-01T00:00:00"}

    def row(percent: int, word: str) -> dict[str, Any]:
        value = math.log1p(percent / 100)
        about = {"low": value - 0.01, "high": value + 0.01, "seconds": 0.5, "average": 0.3}
        return {"percent": percent, "word": word, "rule_word": word, **about}

    rows = [row(0, "same")] * 29 + [row(0, "slower")] + [row(2, "slower")] * 9 + [row(2, "unfit")]
    text = "".join(json.dumps(item) + "\n" for item in [header, *rows])
    (tmp_path / "project-calibration-1.jsonl").write_text(f'{text}{{"percent": 0, "wo')
    found = error_rates.write(tmp_path)
    assert (found["identical"]["comparisons"], found["identical"]["alarms"], found["note"]) == (30, 1, "")
    projects.save(run(contest()), tmp_path)
    judge(tmp_path)
    said = capsys.readouterr().out
    assert "1 alarms in 30 comparisons" in said and "+2 % found in 9 of 10" in said
    assert json.loads((tmp_path / "gate.json").read_text())["error_rates"]["coverage95"] == 1.0
