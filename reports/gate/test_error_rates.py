"""Counted error rates: runs add up, runs of other code are left out, and nothing uncounted looks like a success."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from reports.gate import error_rates

HEADER = {"environment": {"cpu": "a", "cores": 2, "system": "Linux", "python": "3.11"}, "rule": "r1", "started": "now"}


def line(percent: int, word: str, load: str = "natural", value: float = 0.0) -> dict[str, Any]:
    middle = math.log1p(percent / 100) + value
    known = {"load": load, "average": 1.0, "contest": "seed-shim-numpy-eager", "what": "predict", "percent": percent}
    times = {"value": middle, "low": middle - 0.004, "high": middle + 0.004, "rounds": 40, "seconds": 0.5}
    return {**known, "word": word, "by_whole": False, **times, "rivals": {"asv": percent == 10}}


def counted(folder: Path, name: str, lines: list[dict[str, Any]], rule: str = "r1") -> Path:
    path = folder / f"calibration-{name}.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in [{**HEADER, "rule": rule}, *lines]))
    return path


def test_runs_add_up_and_each_counts_once(tmp_path: Path) -> None:
    first = counted(tmp_path, "1", [line(0, "same")] * 30 + [line(5, "slower")] * 9 + [line(5, "same")])
    second = counted(tmp_path, "2", [line(0, "slower", value=0.02)] + [line(0, "same", "bursts")] * 5)
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(error_rates.merged(tmp_path / "none", [first])))
    found = error_rates.merged(kept, [first, second])
    assert found["aa_natural"]["comparisons"] == 31 and found["aa_natural"]["alarms"] == 1
    assert found["aa_bursts"]["comparisons"] == 5 and found["power"]["5"] == 0.9
    assert found["coverage95"] == pytest.approx(45 / 46) and found["half_width_median"] == pytest.approx(0.004)
    assert len(found["runs"]) == 2 and found["seconds_per_comparison"] == 0.5


def test_counts_of_other_code_are_left_out(tmp_path: Path) -> None:
    """The code that counts has to be the code that gates."""
    old = counted(tmp_path, "1", [line(0, "slower")] * 30, "r0")
    new = counted(tmp_path, "2", [line(0, "same")])
    assert error_rates.merged(tmp_path / "none", [old, new])["aa_natural"]["alarms"] == 0


def test_what_was_not_counted_is_not_met(tmp_path: Path) -> None:
    found = error_rates.merged(tmp_path / "none", [counted(tmp_path, "1", [line(0, "same")])])
    met = {row["name"]: row["met"] for row in found["targets"]}
    assert met["power at +1 %"] is None and met["comparisons of identical code, natural load"] is False
    assert found["power"]["1"] is None and found["aa_bursts"]["upper95"] is None


def test_a_line_that_was_cut_off_loses_nothing_else(tmp_path: Path) -> None:
    path = counted(tmp_path, "1", [line(0, "same")] * 3)
    path.write_text(path.read_text() + '{"percent": 0, "wor')
    run = error_rates.read(path)
    assert run is not None and run["comparisons"] == 3


def test_no_alarm_in_so_many_bounds_the_rate() -> None:
    """The rule of three, which is what 0 of 3,000 is worth."""
    assert error_rates.most(0, 3000) == pytest.approx(3 / 3000, rel=0.01)
    assert error_rates.most(2, 2) == pytest.approx(1.0) and error_rates.most(0, 0) is None
