"""Adds up what `triptych calibrate` counted on a user's benchmarks: alarms on the same program, slowdowns found."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reports.gate.error_rates import most, share
from suites.records import run as records
from suites.records import terminal
from suites.records.run import RecordError

PATTERN = "project-calibration-*.jsonl"
NAME = "project-error-rates.json"
INJECTED = ("1", "2", "5")
WORDS = ("slower", "faster", "same", "inconclusive", "unfit")


def lines(path: Path) -> list[dict[str, Any]]:
    """The header and the comparisons of a file; what an interruption cut off is left out."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            break
    return found


def count(results: Path) -> dict[str, Any]:
    """All files of a folder that were counted by the newest rule, together. Raises RecordError where there is none."""
    files = list(filter(None, map(lines, sorted(results.glob(PATTERN)))))
    if not files:
        raise RecordError(f"{results}: nothing was counted; `triptych calibrate` counts")
    rule = files[-1][0]["rule"]
    files = [found for found in files if found[0]["rule"] == rule]
    rows = [row for found in files for row in found[1:]]
    averages = sorted(row["average"] for row in rows)
    load = averages[len(averages) // 2] if averages else 0.0
    cores = files[-1][0]["environment"]["cores"]
    identical = [row for row in rows if row["percent"] == 0]
    power = {}
    for percent in INJECTED:
        power[percent] = tally([row for row in rows if str(row["percent"]) == percent])
    return {
        "format": "triptych-project-error-rates",
        "version": 1,
        "rule": rule,
        "started": files[0][0]["started"],
        "cpu": files[-1][0]["environment"]["cpu"],
        "comparisons": len(rows),
        "seconds": round(math.fsum(row["seconds"] for row in rows), 1),
        "longest": max((row["seconds"] for row in rows), default=None),
        "load": load,
        "note": f"loaded: {load:.0f} processes wanted {cores} cores" if load > cores else "",
        "identical": tally(identical),
        "power": power,
        "coverage95": share(sum(map(covered, rows)), len(rows)),
        "whatever_the_machine": words(identical, "rule_word"),
    }


def tally(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What comparisons of one kind said; an alarm is "slower"."""
    found = words(rows, "word")
    alarms = found["slower"]
    return {"comparisons": len(rows), "alarms": alarms, "detected": alarms, "upper95": most(alarms, len(rows)), **found}


def words(rows: Iterable[dict[str, Any]], name: str) -> dict[str, int]:
    found = Counter(row[name] for row in rows)
    return {word: found[word] for word in WORDS}


def covered(row: dict[str, Any]) -> bool:
    """Whether the 95 % interval holds the truth."""
    return bool(row["low"] <= math.log1p(row["percent"] / 100) <= row["high"])


def write(results: Path) -> dict[str, Any]:
    """Count, and leave the file that the gate's report reads."""
    found = count(results)
    records.write(results / NAME, json.dumps(found, indent=1) + "\n")
    return found


def table(found: dict[str, Any]) -> str:
    """For a person."""
    rows = [("", "comparisons", *WORDS), _row("same program", found["identical"])]
    rows += [_row(f"+{percent} %", entry) for percent, entry in found["power"].items()]
    shown = terminal.table(rows, right=True)
    coverage = "none" if found["coverage95"] is None else f"{found['coverage95']:.1%}"
    note = f" ({found['note']})" if found["note"] else ""
    last = f"95 % intervals hold the truth in {coverage}; {found['seconds']:.0f} s of measuring{note}"
    return "\n".join([*shown, last])


def _row(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    return (name, str(entry["comparisons"]), *(str(entry[word]) for word in WORDS))
