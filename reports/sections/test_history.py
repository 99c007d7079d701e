"""Change points are found where they are and nowhere else; runs that can't be compared are not, and say why."""

from __future__ import annotations

import random
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.evidence import companion_files
from reports.evidence.load import Evidence, gather
from reports.page import render
from reports.page.minify import compact
from reports.sections import history, two_runs
from reports.statistics import change_points
from reports.testing import small_runs
from suites.records.run import RecordError, Run


def levels(seed: int, *parts: tuple[int, float]) -> list[float]:
    rng = random.Random(seed)
    return [level * rng.lognormvariate(0, 0.02) for count, level in parts for _ in range(count)]


def test_a_change_point_is_found_where_it_is() -> None:
    for seed in range(20):
        found = [at for at, _ in change_points.changes(levels(seed, (30, 1.0), (40, 1.2), (30, 0.9)))]
        assert len(found) == 2 and abs(found[0] - 30) <= 2 and abs(found[1] - 70) <= 2


@pytest.mark.parametrize(("factor", "first"), [(1.3, 30), (1.3, 50), (1.3, 55), (1.3, 57), (0.7, 57), (2.0, 56)])
def test_a_step_among_the_newest_runs_is_found(factor: float, first: int) -> None:
    """A maintainer looks for what the last commits did: of 50 histories of 60 runs, at most one hides it in noise."""
    hidden = 0
    for seed in range(50):
        noise = random.Random(seed)
        values = [(factor if run >= first else 1.0) * noise.lognormvariate(0, 0.03) for run in range(60)]
        hidden += not any(abs(at - first) <= 1 for at, _ in change_points.changes(values))
    assert hidden <= 1


def test_noise_has_no_change_points() -> None:
    """Of 400 histories of nothing but noise at most two may be said to have changed, which is ten times the rate."""
    rng = random.Random(1)
    histories = [[rng.lognormvariate(0, 0.1) for _ in range(rng.randint(15, 60))] for _ in range(400)]
    assert sum(bool(change_points.changes(values)) for values in histories) <= 2


@pytest.mark.parametrize(
    "values",
    [[1.0] * 40, levels(0, (20, 1.0), (20, 1.01)), levels(0, (6, 1.0), (6, 5.0)), [1.0, 2.0], [1.0]],
    ids=["constant", "too small to matter", "too few to know", "two", "one"],
)
def test_what_is_no_change_point(values: list[float]) -> None:
    assert change_points.changes(values) == []


def stored(*changes: dict[str, object]) -> Evidence:
    runs = []
    for day, change in enumerate(changes, 1):
        run = small_runs.good()
        run.id, run.started = f"2026010{day}T000000-1", f"2026-01-0{day}T00:00:00+00:00"
        run.environment = replace(run.environment, **change)  # type: ignore[arg-type]
        runs.append(run)
    return gather(runs)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"cpu": "B"}, "processor A CPU and B"), ({"packages": {"numpy": "1.0"}}, "numpy 2.4.6 and 1.0"), ({}, "")],
)
def test_other_machines_and_versions_are_not_compared(change: dict[str, object], reason: str) -> None:
    evidence = stored({}, change)
    found = history.ratios(evidence)
    past = history.history(evidence, found)
    pair = two_runs.default(evidence, two_runs.facts(evidence, found))
    assert pair and pair.reasons == ([reason] if reason else [])
    assert len(past.settings) == (not reason) and [why for _, why in past.alone] == ([reason] if reason else [])
    assert all(row.kind != "speed" for row in pair.rows)
    assert (f"for the runs differ in {reason}" in render.page(evidence).rpartition("<script>")[0]) == bool(reason)


def test_what_is_not_shown_to_have_changed_says_what_could_have_been() -> None:
    """A move within the noise is listed with its size; the change that would have been shown is larger than it."""
    first, second = small_runs.good(), small_runs.good()
    second.id, second.started = "20260109T000000-1", "2026-01-09T00:00:00+00:00"
    rng = random.Random(0)
    for item in second.timings:
        if item.cell.backend == "torch" and item.cell.implementation == "shim" and item.what == "predict":
            item.seconds[:] = [1.3 * seconds * rng.lognormvariate(0, 1) for seconds in item.seconds]
    evidence = gather([first, second])
    pair = two_runs.default(evidence, two_runs.facts(evidence, history.ratios(evidence)))
    assert pair and not pair.rows
    moved = [item for item in pair.unshown if "shim on PyTorch" in item.name and "predict" in item.name]
    assert {item.name for item in pair.unshown[:2]} == {item.name for item in moved}
    assert all(item.needed > max(item.change, 1 / item.change) for item in pair.unshown)
    assert max(item.needed for item in moved) > 1.5 > min(item.needed for item in pair.unshown)
    assert "are not shown to have changed" in pair.sentence and moved[0].name in pair.sentence


def test_the_newest_record_of_a_cell_is_shown_once() -> None:
    """A second run of the same setting replaces the first; a part of a run leaves the rest as it was."""
    evidence = stored({}, {})
    assert evidence.runs == evidence.stored[-1:] and len(evidence.comparisons) == len(small_runs.good().comparisons)
    part: Run = small_runs.good()
    part.id, part.started = "20260109T000000-1", "2026-01-09T00:00:00+00:00"
    part.comparisons = [item for item in part.comparisons if item.cell.implementation == "shim"]
    part.trainings, part.timings = [], []
    both = gather([small_runs.good(), part])
    assert len(both.comparisons) == len(evidence.comparisons) and len(both.runs) == 2
    assert len(both.timings) == len(evidence.timings)


class Words(HTMLParser):
    """The text of a document, without what stands between its tables' cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.found += data.split()


def test_compacting_changes_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of hostile names, and in code, where every blank counts."""
    evidence = gather([small_runs.bad()])
    short = render.page(evidence)
    monkeypatch.setattr(render, "compact", lambda text: text)
    long = render.page(evidence)
    body = [
        text.partition("<main>")[2].rpartition("<script>")[0].partition('<script type="text/plain"')[0]
        for text in (short, long)
    ]
    assert "".join(Words(body[0]).found) == "".join(Words(body[1]).found)
    assert len(short) < 0.95 * len(long)
    assert compact('<td class="num" data-v="1">a b="c"</td>') == '<td class=num data-v=1>a b="c"'


@pytest.mark.parametrize("name", ["gate", "calibration", "faults", "controls", "agreement"])
@pytest.mark.parametrize("text", ['{"rows": [', "[]", '{"comparisons": "<script>"}', ""])
def test_a_broken_file_beside_the_runs_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / f"{name}.json").write_text(text)
    if name == "calibration" and text.endswith("}"):
        return  # everything in it may be absent
    with pytest.raises(RecordError, match=rf"{name}\.json: .+") as error:
        companion_files.proofs(tmp_path, tmp_path)
    assert "\n" not in str(error.value)
