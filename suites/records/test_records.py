"""Result files: what is saved is what is loaded, and what is no result file is refused by name with the reason."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from reports.testing import small_runs
from suites.records import run as records


def test_saved_is_loaded(tmp_path: Path) -> None:
    """Every field, NaN and infinity included."""
    run = small_runs.bad()
    loaded = records.load(records.save(run, tmp_path))
    assert repr(loaded) == repr(run)  # NaN is not equal to itself, but is written the same
    assert math.isnan(loaded.trainings[-2].value)


def document(**changes: Any) -> str:
    return json.dumps({**json.loads(records.document(small_runs.good())), **changes})


NEWER = ("controls", "latencies", "sweeps", "cold_starts", "flops")
NEWER_OF_TIMINGS = ("first_calls", "warm_after", "idle_seconds", "idle_cpu_seconds")


def test_files_from_before_the_speed_laboratory_are_loaded(tmp_path: Path) -> None:
    """What was measured before a field existed stays readable; the field is empty."""
    run = json.loads(document())["run"]
    for name in NEWER:
        del run[name]
    for timing in run["timings"]:
        for name in NEWER_OF_TIMINGS:
            del timing[name]
    path = tmp_path / "old.json"
    path.write_text(document(run=run))
    loaded = records.load(path)
    assert loaded.timings and loaded.timings[0].warm_after is None and not loaded.timings[0].first_calls
    assert not any(getattr(loaded, name) for name in NEWER)


BROKEN = {
    "truncated": (document()[:-100], "truncated"),
    "empty file": ("", "truncated"),
    "foreign": ('{"benchmarks": []}', "not a result file"),
    "a list": ("[1, 2]", "not a result file"),
    "future": (document(version=records.KIND.version + 1), f"reads version {records.KIND.version}"),
    "no run": (document(run=None), "run"),
    "unknown field": (document(run={**json.loads(document())["run"], "surprise": 1}), "surprise"),
    "wrong type": (document(run={**json.loads(document())["run"], "started": 5}), "started"),
    "wrong word": (
        document(run={**json.loads(document())["run"], "outcomes": [{"cell": {}, "stage": "x", "status": "ok"}]}),
        "outcomes.0",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_result_file_is_refused(name: str, tmp_path: Path) -> None:
    text, reason = BROKEN[name]
    path = tmp_path / "some run.json"
    path.write_text(text)
    with pytest.raises(records.RecordError, match=reason) as failure:
        records.load(path)
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)


def test_binary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(records.RecordError, match="can't be read"):
        records.load(path)


def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads during a save, or after a crash in one, sees the whole old file and no leftovers."""
    run = small_runs.good()
    path = records.save(run, tmp_path)
    before = path.read_bytes()
    run.outcomes.clear()

    def crash(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="disk full"):
        records.save(run, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_latest_is_the_newest_run(tmp_path: Path) -> None:
    with pytest.raises(records.RecordError, match="no result file"):
        records.latest(tmp_path / "nowhere")
    run = small_runs.empty()
    old = records.save(run, tmp_path)
    os.utime(old, (1, 1))
    run.id = "0-sorts-first"
    new = records.save(run, tmp_path)
    (tmp_path / "faults.json").write_text("{}")  # other results lie in the same folder
    assert records.latest(tmp_path) == new
