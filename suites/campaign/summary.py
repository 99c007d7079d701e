"""What a campaign came to, from its store: counts, coverage, the distribution of observed over bound, findings."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from suites.campaign.findings import groups
from suites.campaign.known import explain
from suites.campaign.store import Record
from suites.runner.machine import commit

EDGES = (0.0, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
JUDGED = ("ok", "exceeds")


def summarise(records: Iterable[Record], seconds: float = 0.0) -> dict[str, Any]:
    """Everything that is kept, printed and shown."""
    kept = list(records)
    results = [record for record in kept if record["kind"] != "finding"]
    found = [record for record in kept if record["kind"] == "finding"]
    outcomes = [
        (record, name, each) for record in results for name, each in record["results"].items()
    ]  # fmt: skip
    statuses = Counter(status_of(record, name, each) for record, name, each in outcomes)
    examined = {record["about"] for record in found}
    alarms = {name: len(group) for name, group in groups(results).items() if name not in examined}
    return {
        "version": 1,
        "seconds": round(seconds, 1),
        "networks": sum(record["kind"] == "network" for record in results),
        "operations": sum(record["kind"] == "operation" for record in results),
        "without_truth": sum("oracle" in record for record in results),
        "realisations": len(outcomes),
        "judged": sum(each["status"] in JUDGED for _, _, each in outcomes),
        "statuses": dict(statuses),
        "histogram": histogram(each["ratio"] for _, _, each in outcomes if each["status"] == "ok"),
        "coverage": coverage(results),
        "findings": [titled(record) for record in found if record["confirmed"]],
        "unconfirmed": [record["about"] for record in found if not record["confirmed"]],
        "alarms": alarms,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "versions": versions(results),
    }


def versions(results: list[Record]) -> dict[str, str]:
    """The releases of the APIs and engines that were judged, as far as they are installed here."""
    realisations = {name for record in results for name in record["results"]}
    parts = {part for name in realisations for part in name.split("-")[:2]}
    found = {}
    for name in sorted(parts - {"shim"}):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def titled(finding: Record) -> Record:
    """A finding with what is known of it by now, and where upstream speaks of it."""
    layers = [layer["kind"] for layer in finding.get("network", {}).get("layers", [])]
    entry = explain({"layers": layers, **finding}, finding["realisation"], {"ratio": 0.0, **finding})
    return {**finding, "title": entry.why, "link": entry.link} if entry else finding


def status_of(record: Record, realisation: str, outcome: dict[str, Any]) -> str:
    """The status of a realisation; one that is known to differ says so."""
    if outcome["status"] in ("exceeds", "error", "crash", "hang"):
        entry = explain(record, realisation, outcome)
        if entry is not None:
            return entry.kind
    return str(outcome["status"])


def histogram(ratios: Iterable[float | None]) -> list[dict[str, float]]:
    """How many realisations have an observed disagreement of so much of their bound."""
    counts = [0] * (len(EDGES) - 1)
    for ratio in ratios:
        if ratio is not None and not math.isnan(ratio):
            counts[next((at for at, edge in enumerate(EDGES[1:]) if ratio <= edge), len(counts) - 1)] += 1
    return [{"to": edge, "count": count} for edge, count in zip(EDGES[1:], counts, strict=True)]


def coverage(results: list[Record]) -> list[dict[str, Any]]:
    """How often each kind of layer or operation was judged, by API, engine, mode and dtype."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for record in results:
        subjects = set(record["layers"]) if record["kind"] == "network" else {record["operation"]}
        for realisation, each in record["results"].items():
            if each["status"] in JUDGED:
                counts.update((subject, realisation, record["dtype"]) for subject in subjects)
    return [
        {"subject": subject, "realisation": realisation, "dtype": dtype, "count": count}
        for (subject, realisation, dtype), count in sorted(counts.items())
    ]


def text(record: dict[str, Any]) -> str:
    """What is printed at the end."""
    lines = [
        f"{record['networks']} networks and {record['operations']} operations in {record['realisations']} "
        "realisations: " + ", ".join(f"{count} {status}" for status, count in sorted(record["statuses"].items())),
    ]
    if record["without_truth"]:
        lines.append(f"{record['without_truth']} networks were not judged: the oracle gave no truth")
    for finding in record["findings"]:
        lines += ["", f"{finding['about']} ({finding['count']} times): {finding.get('printed', finding['says'])}"]
        lines += [f"    {line}" for line in finding.get("program", "").splitlines()]
    lines += [f"not confirmed: {name}" for name in record["unconfirmed"]]
    lines += [f"not looked into: {name} ({count} times)" for name, count in record["alarms"].items()]
    return "\n".join(lines)
