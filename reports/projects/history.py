"""`triptych gate --history`: many runs' gate.json, as artifacts keep them, one line a benchmark."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from suites.records.run import RecordError

FORMAT = "triptych-project-gate"
LETTERS = {"slower": "S", "faster": "F", "same": ".", "inconclusive": "?", "unfit": "u"}
LEGEND = "one letter a run, oldest first: . same, S slower, F faster, ? inconclusive, u unfit, space: not compared"


def read(places: Iterable[str]) -> list[dict[str, Any]]:
    """Every gate.json of a project under these places, oldest first, each run once. Raises RecordError."""
    files: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise RecordError(f"{place}: is not there")
        files += sorted(place.rglob("*.json")) if place.is_dir() else [place]
    runs = {}
    for path in files:
        content = _content(path)
        if isinstance(content, dict) and content.get("format") == FORMAT:
            runs[content["started"], content["head"]["commit"], content["base"]["commit"]] = content
    if not runs:
        raise RecordError(f"{', '.join(map(str, places))}: hold no gate.json of a project's benchmarks")
    return [runs[key] for key in sorted(runs)]


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def table(runs: Sequence[dict[str, Any]]) -> str:
    """The runs, then each benchmark: a letter a run, and the product of the ratios that were decided."""
    lines = [f"{_time(run)}  {run['base']['revision']} -> {_head(run)}: {run['verdict']}" for run in runs]
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for index, run in enumerate(runs):
        for item in run["comparisons"]:
            if item["role"] == "gate":
                found.setdefault(item["test"], {})[index] = item
    width = max(map(len, found), default=0)
    rows = [_row(test, items, len(runs), width) for test, items in sorted(found.items())]
    return "\n".join([*lines, "", *rows, "", LEGEND])


def _row(test: str, items: dict[int, dict[str, Any]], runs: int, width: int) -> str:
    verdicts = [items[index]["verdict"] if index in items else "" for index in range(runs)]
    letters = "".join(LETTERS.get(verdict, "?") if verdict else " " for verdict in verdicts)
    decided = [item["ratio"] for item in items.values() if item["verdict"] in ("slower", "faster")]
    total = f"  x {math.prod(decided):.3f} in all that was decided" if decided else ""
    return f"{test.ljust(width)}  {letters}{total}"


def _time(run: dict[str, Any]) -> str:
    return str(run["started"])[:16].replace("T", " ")


def _head(run: dict[str, Any]) -> str:
    head = run["head"]
    return f"{head['revision']} ({head['commit'][:10]}{', changed' if head['dirty'] else ''})"
