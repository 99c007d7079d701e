"""A judged run for people and machines: terminal, Markdown for one comment, JUnit XML, JSON, annotations of GitHub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from reports import formatting
from reports.projects.judge import ROLES, Judged, ProjectGate, document
from suites.records import run as records
from suites.records import terminal

HEADINGS = ("verdict", "benchmark", "head / base", "95 % interval", "time in base", "rounds")
SIGNS = {"slower": "✗", "same": "✓", "faster": "✓", "inconclusive": "?", "unfit": "?"}
SENTENCES = {
    "clean": "No benchmark got slower.",
    "regression": "Head is worse than base.",
    "unfit": "Machine unfit: this run says nothing about the code.",
    "n/a": "Nothing could be compared.",
}
COMMENT = "<!-- triptych-gate -->"  # by which the workflow finds its own comment again
LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
MOST_ANNOTATIONS = 10  # of each kind, which is what GitHub shows


def write(gate: ProjectGate, folder: Path, rates: dict[str, Any] | None) -> None:
    """`gate.json`, `gate.md` and `gate.xml` in `folder`."""
    records.write(folder / "gate.json", json.dumps(document(gate, rates), indent=1) + "\n")
    records.write(folder / "gate.md", markdown(gate, rates))
    xml = ElementTree.tostring(junit(gate), encoding="unicode", xml_declaration=False)
    records.write(folder / "gate.xml", f"<?xml version='1.0' encoding='utf-8'?>\n{xml}\n")


def row(item: Judged) -> tuple[str, ...]:
    """The columns of HEADINGS."""
    return (
        f"{SIGNS[item.verdict]} {item.verdict}",
        item.test + ROLES[item.role],
        f"{item.ratio:.4f}",
        f"{item.low:.4f} to {item.high:.4f}",
        formatting.seconds(item.base_seconds),
        str(item.rounds),
    )


def table(gate: ProjectGate, rates: dict[str, Any] | None = None) -> str:
    """What the terminal shows: every comparison, every finding, the sentences."""
    rows = [HEADINGS, *map(row, gate.comparisons)] if gate.comparisons else []
    lines = terminal.table(rows)
    lines += [finding_line(item.severity, item.title, item.detail) for item in gate.findings]
    return "\n".join([*lines, summary(gate), *rate_lines(rates)])


def finding_line(severity: str, title: str, detail: str) -> str:
    return f"{severity}: {title}. {detail}".rstrip() if detail else f"{severity}: {title}."


def summary(gate: ProjectGate) -> str:
    """One or two sentences: what came out, of how many, at which odds."""
    run = gate.run
    sides = f"{run.head.revision} against {run.base.revision}"
    if run.green:
        return f"No benchmark can have changed: {run.green} ({sides}). Nothing was measured."
    compared = [item for item in gate.comparisons if item.role == "gate"]
    planned = len(run.tests)
    words = [f"{sum(item.verdict == word for item in compared)} {word}" for word in SIGNS]
    words = [text for text in words if not text.startswith("0 ")]
    left = planned - len(compared)
    words += [f"{left} not compared"] if left else []
    counted = f"{formatting.count(planned, 'benchmark')}: {', '.join(words)}" if planned else "no benchmark"
    return f"{SENTENCES[gate.verdict]} {sides}: {counted}."


def rate_lines(rates: dict[str, Any] | None) -> list[str]:
    """What `triptych calibrate` counted on this machine and this suite."""
    if not rates:
        return []
    identical = rates["identical"]
    text = f"Error rates counted here on {rates['started'][:10]}: {identical['alarms']} alarms in "
    text += f"{identical['comparisons']} comparisons of trees that differ in nothing that runs"
    if identical["upper95"] is not None:
        text += f" (at most {identical['upper95']:.2%} at 95 % confidence)"
    found = [
        f"+{percent} % found in {entry['detected']} of {entry['comparisons']}"
        for percent, entry in rates["power"].items()
        if entry["comparisons"]
    ]
    note = f"; {rates['note']}" if rates.get("note") else ""
    return [f"{'; '.join([text, *found])}{note}."]


def markdown(gate: ProjectGate, rates: dict[str, Any] | None = None) -> str:
    """For a pull request: the sentence, what matters, and the rest folded away."""
    lines = [
        COMMENT,
        f"## {'No benchmark can have changed.' if gate.run.green else SENTENCES[gate.verdict]}",
        "",
        summary(gate),
        "",
    ]
    loud = [item for item in gate.findings if item.severity != "note" or item.kind in ("slower", "faster")]
    lines += [f"- **{item.severity}**: {escape(finding_line('', item.title, item.detail)[2:])}" for item in loud]
    quiet = [item for item in gate.findings if item not in loud]
    if quiet:
        lines += ["", f"<details><summary>{formatting.count(len(quiet), 'note')}</summary>", ""]
        lines += [f"- {escape(finding_line('', item.title, item.detail)[2:])}" for item in quiet] + ["", "</details>"]
    if gate.comparisons:
        lines += ["", "<details><summary>Every comparison</summary>", "", _line(HEADINGS)]
        lines += [_line(["---"] * len(HEADINGS)), *(_line(row(item)) for item in gate.comparisons), "", "</details>"]
    return "\n".join([*lines, "", *rate_lines(rates), ""])


def escape(text: str) -> str:
    """Text of a user's tests as text: no markup of theirs gets into the comment."""
    return text.replace("<", "&lt;").replace("@", "@\u200b").replace("\n", " ")


def _line(columns: Sequence[str]) -> str:
    return "| " + " | ".join(escape(text).replace("|", "\\|") for text in columns) + " |"


def junit(gate: ProjectGate) -> ElementTree.Element:
    """One test case a comparison and one for each finding of another kind; errors among the findings fail."""
    suite = ElementTree.Element("testsuite", name="gate", errors="0")
    for item in gate.comparisons:
        place, _, name = item.test.partition("::")
        case = ElementTree.SubElement(
            suite, "testcase", classname=place, name=name + ROLES[item.role], time=f"{item.seconds:.3f}"
        )
        ElementTree.SubElement(case, "system-out").text = clean(" ".join(row(item)))
    for finding in gate.findings:
        case = ElementTree.SubElement(suite, "testcase", classname="findings", name=clean(finding.title))
        text = clean(finding.detail)
        if finding.severity == "error":
            ElementTree.SubElement(case, "failure", message=clean(finding.title), type=finding.kind).text = text
        elif finding.kind in ("skipped", "new", "vanished", "n/a"):
            ElementTree.SubElement(case, "skipped", message=text)
        else:
            ElementTree.SubElement(case, "system-out").text = f"{finding.severity}: {text}"
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return suite


def clean(text: str) -> str:
    """Text without what XML can't hold."""
    return "".join(letter for letter in text if letter in "\t\n" or letter >= " ")


def github_lines(gate: ProjectGate) -> list[str]:
    """Lines that GitHub shows beside the code."""
    lines: list[str] = []
    for severity, level in LEVELS.items():
        found = [item for item in gate.findings if item.severity == severity and item.kind != "note"]
        for item in found[:MOST_ANNOTATIONS]:
            place = item.title.partition("::")[0] if "::" in item.title else ""
            where = f" file={_property(place)},title=triptych gate" if place else " title=triptych gate"
            lines.append(f"::{level}{where}::{_message(finding_line('', item.title, item.detail)[2:])}")
    return lines


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
