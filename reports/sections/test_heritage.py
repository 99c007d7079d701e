"""The kept file of the older engines: shown with its date and machine, and what differs is never shown as the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports import formatting, verdicts
from reports.page import render
from reports.sections import heritage
from suites.records.run import RecordError


def cell(implementation: str, backend: str, dtype: str) -> dict[str, str]:
    names = {"model": "seed", "implementation": implementation, "backend": backend, "dtype": dtype}
    return {**names, "mode": "graph", "device": "cpu", "size": "small"}


def said(implementation: str, backend: str, dtype: str, word: str, **more: Any) -> dict[str, Any]:
    where = {"where": "", "cause": "", "known": True, "programs": {}, **more}
    return {"cell": cell(implementation, backend, dtype), "stage": "gradients", "word": word, **where}


def timed(implementation: str, backend: str, seconds: list[float]) -> dict[str, Any]:
    group = {"group": "seed-train_step", "batch_size": 32, "threads": 1}
    return {"cell": cell(implementation, backend, "float32"), "what": "train_step", "seconds": seconds, **group}


@pytest.fixture
def kept(tmp_path: Path) -> heritage.Heritage:
    content = {
        "format": "triptych-heritage",
        "version": 1,
        "started": "2026-11-22T16:00:00+00:00",
        "finished": "",
        "machine": {"cpu": "a processor", "cores": 2, "system": "Linux", "commit": "abc"},
        "verdicts": [
            said("raw_tf", "tensorflow", "float64", "equal"),
            said("keras2", "theano", "float64", "different", cause="turned <around>", programs={"flip": "4, 5, 0"}),
            said("keras2", "cntk", "float64", "absent", cause="no float64"),
            said("keras2", "cntk", "float32", "equal"),
            said("keras2", "mxnet", "float32", "different", where="hidden, forward", known=False),
        ],
        "stories": [
            {
                "story": "Standing alone",
                "title": "no engine",
                "environment": "alone",
                "program": "alone",
                "ended": True,
                "lines": ["No module named <tensorflow>", "second line"],
            }
        ],
        "timings": [timed("raw_tf", "tensorflow", [1.0, 2.0, 4.0]), timed("keras2", "theano", [3.0, 6.0, 12.0])],
        "engines": [{"implementation": "keras2", "backend": "cntk", "python": "3.6.15", "versions": {"cntk": "2.7"}}],
        "programs": [{"model": "seed", "implementation": "keras2", "lines": 20}],
    }
    path = tmp_path / "heritage.json"
    path.write_text(json.dumps(content))
    found = heritage.load(path)
    assert found is not None
    return found


def test_an_engine_without_a_precision_is_judged_by_the_other(kept: heritage.Heritage) -> None:
    """CNTK has no float64 in Keras: that is told apart from numbers that differ, and those from each other."""
    found = {row.backend: row.verdicts[0] for row in heritage.rows(kept)}
    assert found["cntk"] == verdicts.SAME and found["theano"] == heritage.KNOWN and found["mxnet"] == verdicts.DIFFERS


def test_ratios_are_those_within_a_round(kept: heritage.Heritage) -> None:
    """A machine that slows down from round to round changes no ratio."""
    found = {row.backend: row.ratios[0] for row in heritage.rows(kept)}
    assert found == {"tensorflow": 1.0, "theano": 3.0, "cntk": None, "mxnet": None}


def test_the_section_names_date_machine_and_causes(kept: heritage.Heritage) -> None:
    template = render.environment().get_template("heritage.html")
    text = template.render(whats=formatting.WHATS, **heritage.shown(kept))
    for part in (
        "22 Nov 2026",
        "a processor",
        "turned &lt;around&gt;",
        "4, 5, 0",
        "Nobody has explained this yet",
        "with 1 thread",
    ):
        assert part in text
    assert "No module named &lt;tensorflow&gt;<br>second line" in text and "Not so any more" not in text
    assert "nox -s heritage" in template.render(**heritage.shown(None))


def test_a_story_that_is_not_true_any_more_says_so(kept: heritage.Heritage) -> None:
    """A release that mends what the page complains of must not go on being accused."""
    other = replace(kept, stories=[replace(kept.stories[0], ended=False)])
    template = render.environment().get_template("heritage.html")
    assert "Not so any more" in template.render(whats=formatting.WHATS, **heritage.shown(other))


def test_a_cause_lists_its_cells_once(kept: heritage.Heritage) -> None:
    """Three stages of one cell are one finding."""
    twice = replace(kept, verdicts=[*kept.verdicts, *kept.verdicts])
    assert "Keras 2 on Theano: seed (float64)" in {row.cells for row in heritage.differences(twice)}


def test_a_file_that_is_not_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "heritage.json").write_text("{}")
    with pytest.raises(RecordError, match=r"heritage\.json"):
        heritage.load(tmp_path / "heritage.json")
    assert heritage.load(tmp_path / "missing.json") is None


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("keras", "2.21.0", "tf-keras"),
        ("keras", "2.15.0", "keras"),
        ("keras", "2.3.1", "keras"),
        ("keras", "3.15.1", "keras"),
        ("tensorflow", "2.21.0", "tensorflow"),
    ],
)
def test_a_release_is_named_by_its_package(name: str, version: str, expected: str) -> None:
    """There is no Keras 2.21: it is tf-keras."""
    assert heritage.package(name, version) == expected
