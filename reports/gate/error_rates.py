"""`python -m reports.gate.error_rates`: counts what the gate's own comparison said on this machine, and adds it up.

Each file of `suites.gate.calibrate` is one run. Its tallies join those that are kept in `reports/data`, run by run
with the machine of each, if they were made by the same code; the shares and the table of targets follow from them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scipy.special import betaincinv

from suites.records import run as records
from suites.records import terminal

KEPT = Path(__file__).parents[1] / "data" / "calibration.json"
RESULTS = Path("results")
NAME = "calibration.json"
BIN = 1e-4  # half-widths and log ratios are kept in bins of this width
LOADS = {"natural": "aa_natural", "bursts": "aa_bursts"}
INJECTED = ("1", "2", "5", "10")
Run = dict[str, Any]


def read(path: Path) -> Run | None:
    """The tallies of one file; None where it holds no comparison. A line cut off by an interruption is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    rows = [line for line in lines if "percent" in line]
    if not rows:
        return None
    header, machine = lines[0], lines[0]["environment"]
    groups: dict[str, dict[str, list[Any]]] = {}
    for row in rows:
        groups.setdefault(row["load"], {}).setdefault(str(row["percent"]), []).append(row)
    return {
        "id": path.stem,
        "rule": header["rule"],
        "started": header["started"],
        "machine": {name: machine[name] for name in ("cpu", "cores", "system", "python")},
        "load": [rows[0]["average"], rows[-1]["average"]],
        "comparisons": len(rows),
        "seconds": round(math.fsum(row["seconds"] for row in rows), 1),
        "tallies": {load: {key: tally(group) for key, group in found.items()} for load, found in groups.items()},
        "cells": cells(rows),
    }


def tally(rows: Sequence[Any]) -> dict[str, Any]:
    """What comparisons of one kind said, in numbers that can be added."""
    truth = math.log1p(rows[0]["percent"] / 100)
    alarms = [name for row in rows for name, alarm in row["rivals"].items() if alarm]
    return {
        "comparisons": len(rows),
        "words": Counter(row["word"] for row in rows),
        "covered": sum(row["low"] <= truth <= row["high"] for row in rows),
        "seconds": round(math.fsum(row["seconds"] for row in rows), 1),
        "longest": max(row["seconds"] for row in rows),
        "half_widths": Counter(str(round((row["high"] - row["low"]) / 2 / BIN)) for row in rows),
        "values": Counter(str(round(row["value"] / BIN)) for row in rows),
        "rivals": Counter(alarms),
    }


def cells(rows: Iterable[Any]) -> dict[str, Any]:
    """Identical work by cell: comparisons, alarms, and the log ratios."""
    found: dict[str, Any] = {}
    for row in rows:
        if row["percent"] == 0:
            entry = found.setdefault(f"{row['contest']} {row['what']}", {"comparisons": 0, "alarms": 0, "values": {}})
            entry["comparisons"] += 1
            entry["alarms"] += row["word"] == "slower"
            key = str(round(row["value"] / BIN))
            entry["values"][key] = entry["values"].get(key, 0) + 1
    return found


def added(first: Any, second: Any, name: str = "") -> Any:
    """Two tallies as one: numbers add up, of `longest` the larger one stays."""
    if isinstance(first, dict):
        total = {**second, **first}
        for key in first.keys() & second.keys():
            total[key] = added(first[key], second[key], key)
        return {key: total[key] for key in dict.fromkeys([*first, *second])}
    return max(first, second) if name == "longest" else first + second


def middle(bins: dict[str, int]) -> float | None:
    """The median of what the bins hold."""
    values = sorted((int(key), count) for key, count in bins.items())
    total, seen = sum(bins.values()), 0
    for value, count in values:
        seen += count
        if 2 * seen >= total:
            return value * BIN
    return None


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def most(alarms: int, comparisons: int) -> float | None:
    """The largest chance of an alarm, at 95 % confidence, that fits so few alarms (Clopper and Pearson 1934)."""
    if not comparisons:
        return None
    return 1.0 if alarms == comparisons else float(betaincinv(alarms + 1, comparisons - alarms, 0.95))


def summarised(runs: Sequence[Run]) -> dict[str, Any]:
    """The file: shares of all runs together, and the runs."""
    tallies: Any = {load: {} for load in LOADS}
    by_cell: Any = {}
    for run in runs:
        tallies, by_cell = added(tallies, run["tallies"]), added(by_cell, run["cells"])
    content = {
        "format": "triptych-calibration",
        "version": 1,
        "rule": runs[-1]["rule"] if runs else "",
        **{name: _identical(tallies[load]) for load, name in LOADS.items()},
        "power": _power(tallies["natural"]),
        "power_bursts": _power(tallies["bursts"]),
        "power_counts": _detected(tallies["natural"]),
        "power_bursts_counts": _detected(tallies["bursts"]),
        **_pooled(tallies),
        "inconclusive": _inconclusive(tallies["natural"]),
        "inconclusive_bursts": _inconclusive(tallies["bursts"]),
        "rivals": _rivals(tallies),
        "by_cell": [_cell(name, entry) for name, entry in sorted(by_cell.items())],
    }
    return {**content, "targets": targets(content), "runs": list(runs)}


def _pooled(tallies: Any) -> dict[str, Any]:
    """What is counted over several kinds of comparisons: cost and width over those with natural load."""
    natural = list(tallies["natural"].values())
    every = [*natural, *tallies["bursts"].values()]
    typical: Any = {}
    for item in natural:
        typical = added(typical, item)
    identical = added(tallies["natural"].get("0", {}), tallies["bursts"].get("0", {}))
    comparisons, covered = (sum(item[name] for item in every) for name in ("comparisons", "covered"))
    return {
        "coverage95": share(covered, comparisons),
        "coverage_comparisons": comparisons,
        "half_width_median": middle(typical.get("half_widths", {})),
        "seconds_per_comparison": share(typical.get("seconds", 0), typical.get("comparisons", 0)),
        "seconds_largest": max((item["longest"] for item in every), default=None),
        "position_bias": middle(identical.get("values", {})),
    }


def _identical(tallies: Any) -> dict[str, Any]:
    found = tallies.get("0", {"comparisons": 0, "words": {}})
    number, words = found["comparisons"], found["words"]
    alarms = words.get("slower", 0)
    counts = {"comparisons": number, "alarms": alarms, "faster": words.get("faster", 0)}
    return {**counts, "inconclusive": words.get("inconclusive", 0), "upper95": most(alarms, number)}


def _detected(tallies: Any) -> dict[str, Any]:
    return {
        key: {"comparisons": tallies[key]["comparisons"], "detected": tallies[key]["words"].get("slower", 0)}
        for key in INJECTED
        if key in tallies
    }


def _power(tallies: Any) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(INJECTED)
    for key, counts in _detected(tallies).items():
        found[key] = share(counts["detected"], counts["comparisons"])
    return found


def _inconclusive(tallies: Any) -> float | None:
    items = tallies.values()
    return share(
        sum(item["words"].get("inconclusive", 0) for item in items), sum(item["comparisons"] for item in items)
    )


def _rivals(tallies: Any) -> dict[str, Any]:
    """What each rule would have said of the same rounds, under the same keys as the gate's own numbers."""
    items = [item for found in tallies.values() for item in found.values()]
    names = dict.fromkeys(name for item in items for name in item["rivals"])
    return {name: {**_alarms(tallies, name), **_caught(tallies, name)} for name in names}


def _alarms(tallies: Any, name: str) -> dict[str, Any]:
    found = {key: tallies[load].get("0", {"comparisons": 0, "rivals": {}}) for load, key in LOADS.items()}
    return {
        key: {"comparisons": item["comparisons"], "alarms": item["rivals"].get(name, 0)} for key, item in found.items()
    }


def _caught(tallies: Any, name: str) -> dict[str, Any]:
    found = {}
    for load, key in (("natural", "power"), ("bursts", "power_bursts")):
        slowed = {percent: item for percent, item in tallies[load].items() if percent != "0"}
        found[key] = {
            percent: share(item["rivals"].get(name, 0), item["comparisons"]) for percent, item in slowed.items()
        }
    return found


def _cell(name: str, entry: Any) -> dict[str, Any]:
    cell, _, what = name.partition(" ")
    counts = {"comparisons": entry["comparisons"], "alarms": entry["alarms"]}
    return {"cell": cell, "what": what, **counts, "bias": middle(entry["values"])}


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What was promised, what was counted, and whether that is met; None: not counted yet."""
    rows = []
    for load, title in (("aa_natural", "natural load"), ("aa_bursts", "bursts")):
        alarms, number = found[load]["alarms"], found[load]["comparisons"]
        rows.append(_target(f"false alarms, {title}", "0", alarms if number else None, 0, 0))
        rows.append(_target(f"comparisons of identical code, {title}", "at least 3,000", number, 3000))
    for percent, least in (("5", 0.99), ("2", 0.90), ("1", 0.50)):
        rows.append(_target(f"power at +{percent} %", f"at least {least:.0%}", found["power"][percent], least))
    return [
        *rows,
        _target("power at +5 %, bursts", "at least 97%", found["power_bursts"]["5"], 0.97),
        _target("coverage of 95 % intervals", "93% to 97%", found["coverage95"], 0.93, 0.97),
        _target("median half-width", "at most 1%", found["half_width_median"], 0, 0.01),
        _target("seconds a comparison", "at most 2", found["seconds_per_comparison"], 0, 2),
        _target("longest comparison, s", "at most 8", found["seconds_largest"], 0, 8),
        _target("position bias", "within 0.1%", found["position_bias"], -0.001, 0.001),
        _target("inconclusive", "at most 2%", found["inconclusive"], 0, 0.02),
        _target("inconclusive, bursts", "at most 10%", found["inconclusive_bursts"], 0, 0.10),
    ]


def _target(name: str, text: str, value: float | None, least: float, most: float = math.inf) -> dict[str, Any]:
    return {"name": name, "target": text, "value": value, "met": None if value is None else least <= value <= most}


def merged(kept: Path, files: Iterable[Path]) -> dict[str, Any]:
    """What is kept and what is new, of the newest rule only, each run once."""
    known = json.loads(kept.read_text(encoding="utf-8"))["runs"] if kept.is_file() else []
    new = [run for run in map(read, sorted(files)) if run]
    runs = list({run["id"]: run for run in [*known, *new]}.values())
    rule = (new or known or [{"rule": ""}])[-1]["rule"]
    return summarised([run for run in runs if run["rule"] == rule])


def table(found: dict[str, Any]) -> str:
    """For a person: targets and what was counted."""
    signs = {True: "met", False: "missed", None: "not counted"}
    rows = [("", "target", "counted", "")]
    rows += [(row["name"], row["target"], _number(row["value"]), signs[row["met"]]) for row in found["targets"]]
    return "\n".join(terminal.table(rows))


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m reports.gate.error_rates", description="Count what the gate said.")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--keep", action="store_true", help="also write the file that is committed")
    options = parser.parse_known_args(arguments)[0]
    found = merged(KEPT, options.results.glob("calibration-*.jsonl"))
    if not found["runs"]:
        return terminal.refuse(f"{options.results}: nothing was counted; `triptych calibrate` counts")
    for path in [options.results / NAME, *([KEPT] if options.keep else [])]:
        records.write(path, json.dumps(found, separators=(",", ":")) + "\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
