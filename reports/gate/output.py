"""A judged gate for people and machines: a table for the terminal, Markdown for a pull request, JUnit XML, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from reports import formatting
from reports.evidence.gate_file import Compared
from reports.gate.verdict import Gate
from suites.records import terminal

HEADINGS = ("verdict", "cell", "call", "head / base", "95 % interval", "time in base", "rounds")
SIGNS = {"slower": "✗", "same": "✓", "faster": "✓", "inconclusive": "?"}
SENTENCES = {
    "clean": "Nothing got worse.",
    "regression": "Head is worse than base.",
    "unfit": "Machine unfit: this run says nothing about the code.",
}


def write(gate: Gate, document: dict[str, Any], folder: Path) -> None:
    """`gate.json`, `gate.md` and `gate.xml` in `folder`."""
    (folder / "gate.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (folder / "gate.md").write_text(markdown(gate), encoding="utf-8")
    junit(gate).write(folder / "gate.xml", encoding="utf-8", xml_declaration=True)


def row(item: Compared) -> tuple[str, ...]:
    """The columns of HEADINGS."""
    role = "" if item.role == "gate" else f" ({formatting.ROLES[item.role]})"
    return (
        f"{SIGNS[item.verdict]} {item.verdict}",
        formatting.name(item.cell) + role,
        item.what,
        f"{item.ratio:.4f}",
        f"{item.low:.4f} to {item.high:.4f}",
        formatting.seconds(item.base_seconds or 0.0),
        str(item.rounds),
    )


def table(gate: Gate) -> str:
    """What the terminal shows: every comparison, every finding, one last sentence."""
    rows = [HEADINGS, *map(row, gate.comparisons)] if gate.comparisons else []
    lines = terminal.table(rows)
    lines += [f"{finding.severity}: {finding.title}. {finding.detail}" for finding in gate.findings]
    return "\n".join([*lines, summary(gate)])


def summary(gate: Gate) -> str:
    """One sentence with the cost and the odds."""
    duels, rule = gate.duels, gate.rule
    if not gate.comparisons:
        return f"{SENTENCES[gate.verdict]} {duels.head.revision} against {duels.base.revision}, without a clock."
    seconds = sum(item.seconds for item in gate.comparisons)
    sides = f"{duels.head.revision} against {duels.base.revision}"
    odds = f"an error chance of {formatting.percent(rule.familywise)} for all together"
    measured = (
        f"{formatting.count(len(gate.comparisons), 'comparison')} in {formatting.seconds(seconds)} of measuring, {odds}"
    )
    return f"{SENTENCES[gate.verdict]} {sides}: {measured}."


def markdown(gate: Gate) -> str:
    """For a pull request: the sentence, the findings, and the comparisons folded away."""
    lines = [f"## {SENTENCES[gate.verdict]}", "", summary(gate), ""]
    lines += [f"- **{finding.severity}**: {finding.title}. {finding.detail}" for finding in gate.findings]
    if gate.comparisons:
        lines += ["", "<details><summary>Every comparison</summary>", "", _line(HEADINGS)]
        lines += [_line(["---"] * len(HEADINGS)), *(_line(row(item)) for item in gate.comparisons), "", "</details>"]
    return "\n".join([*lines, ""])


def _line(columns: Any) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in columns) + " |"


def junit(gate: Gate) -> ElementTree.ElementTree[ElementTree.Element]:
    """One test case a comparison and one for each finding of another kind; errors among the findings fail."""
    suite = ElementTree.Element("testsuite", name="gate", errors="0")
    for item in gate.comparisons:
        name = f"{item.what} {formatting.ROLES[item.role]}"
        case = ElementTree.SubElement(suite, "testcase", classname=item.cell.id, name=name, time=f"{item.seconds:.3f}")
        ElementTree.SubElement(case, "system-out").text = " ".join(row(item))
    for finding in gate.findings:
        case = ElementTree.SubElement(suite, "testcase", classname="findings", name=finding.title)
        if finding.severity == "error":
            ElementTree.SubElement(case, "failure", message=finding.title, type=finding.kind).text = finding.detail
        else:
            ElementTree.SubElement(case, "system-out").text = f"{finding.severity}: {finding.detail}"
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    return ElementTree.ElementTree(suite)
