"""The results of a run in short, for the terminal."""

from __future__ import annotations

import textwrap

from reports import claims, formatting
from reports.evidence.load import gather
from reports.findings import SEVERITIES, Finding, findings
from suites.records.run import Run

WIDTH = 100
SHOWN = 8  # findings of one severity; the page has them all


def text(run: Run, kept: Run | None = None) -> str:
    """Verdicts and findings of `run` in a screenful."""
    computed = claims.compute(gather([run], kept))
    lines = [f"Triptych run {run.id} on {run.environment.cpu}, {formatting.count(run.environment.cores, 'core')}", ""]
    for claim in claims.claims(computed):
        lines.append(f"{claim.statement}: {claim.verdict.word.upper()}")
        lines += textwrap.wrap(claim.sentence, WIDTH, initial_indent="  ", subsequent_indent="  ")
    found = findings(run)
    for severity in SEVERITIES:
        lines += _findings(severity, [item for item in found if item.severity == severity])
    return "\n".join(_printable(line) for line in lines)


def _findings(severity: str, found: list[Finding]) -> list[str]:
    if not found:
        return []
    lines = ["", formatting.count(len(found), severity)]
    for item in found[:SHOWN]:
        lines += textwrap.wrap(f"{item.title}. {item.detail}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines + ([f"  and {len(found) - SHOWN} more on the page"] if len(found) > SHOWN else [])


def _printable(line: str) -> str:
    """`line` without control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in line)
