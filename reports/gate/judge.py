"""Judges what two revisions recorded, by the rule that also ended their rounds.

One list of findings makes the exit status and everything that is written: 0 clean, 1 head is worse, 2 the machine or
the input is unfit. A machine is unfit where the A/A control, the same code twice, alarms, or the positive control, with
exactly 5 % more calls, does not: then no slower cell is blamed on the code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from statistics import median
from typing import Any

from reports import formatting
from reports.evidence.gate_file import Compared, Counted
from reports.findings import SEVERITIES, Finding
from reports.gate import budgets
from reports.gate.verdict import Gate
from suites.records import gate as gate_records
from suites.records import stopping_rule
from suites.records.cells import Cell
from suites.records.gate import Contest, Difference, Duels
from suites.records.stopping_rule import Decision, Rule


def judged(duels: Duels, policy: budgets.Policy) -> Gate:
    """What a recorded run says."""
    of_head = [item for item in duels.contests if item.role == "gate"]
    comparisons = [compared(item, len(of_head)) for item in duels.contests]
    counts = [budgets.counted(item, policy) for item in duels.counts]
    unfit = list(_unfit(comparisons))
    found = [
        *unfit,
        *_slower(comparisons, bool(unfit)),
        *_missing(duels),
        *_failed(duels),
        *_different(duels.differences),
        *_counts(counts),
    ]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Gate(duels, Rule(comparisons=max(Rule.comparisons, len(of_head))), comparisons, counts, found)


def compared(item: Contest, comparisons: int) -> Compared:
    """One comparison, judged by the rule that ended it."""
    found = decision(item, Rule.of(item.cell.backend, comparisons))
    low, high = found.found.interval(0.025)
    return Compared(
        cell=item.cell,
        what=item.what,
        role=item.role,
        verdict=found.word,
        ratio=math.exp(found.found.value),
        low=math.exp(low),
        high=math.exp(high),
        strict_low=math.exp(found.strict[0]),
        strict_high=math.exp(found.strict[1]),
        seconds=item.seconds,
        rounds=len(item.base),
        base_seconds=median(item.base) / 2 / item.base_calls,
        head_seconds=median(item.head) / 2 / item.head_calls,
        reason="some of its calls only" if found.by_whole else "",
    )


def decision(item: Contest, rule: Rule) -> Decision:
    """What the rounds say; they are over, so this is their last look."""
    rounds = (item.base, item.head, item.base_whole, item.head_whole)
    found = stopping_rule.decide(*rounds, rule, ended=item.seconds >= rule.cap_seconds)
    return found if found.word else stopping_rule.decide(*rounds, rule, ended=True)


def _unfit(comparisons: Iterable[Compared]) -> Iterator[Finding]:
    proofs = {item.role: item for item in comparisons if item.role != "gate"}
    for role, wrong in (("twin", ("slower", "faster")), ("canary", ("same", "faster", "inconclusive"))):
        if role in proofs and proofs[role].verdict in wrong:
            item = proofs[role]
            title = (
                f"machine unfit: the {formatting.ROLES[role]} on {formatting.name(item.cell)} came out {item.verdict}"
            )
            yield Finding(
                "error", "unfit", title, (item.cell,), f"{shown(item)}. Nothing slower is blamed on the code."
            )
    if comparisons and set(proofs) != {"twin", "canary"}:
        yield Finding(
            "error",
            "unfit",
            "machine unfit: the run carries no controls",
            (),
            "Its A/A control or positive control did not end.",
        )


def _slower(comparisons: Iterable[Compared], unfit: bool) -> Iterator[Finding]:
    severities: dict[str, Any] = {"slower": "note" if unfit else "error", "inconclusive": "note", "faster": "note"}
    for item in comparisons:
        if item.role == "gate" and item.verdict in severities:
            title = f"{formatting.name(item.cell)}, {item.what}: {item.verdict}"
            yield Finding(severities[item.verdict], item.verdict, title, (item.cell,), shown(item))


def shown(item: Compared) -> str:
    """`head / base 1.052, 1.047 to 1.057 (95 %), 1.04 to 1.06 decides, 80 rounds`."""
    interval = f"{item.low:.4f} to {item.high:.4f} (95 %), {item.strict_low:.4f} to {item.strict_high:.4f} decides"
    text = f"head / base {item.ratio:.4f}, {interval}, {formatting.count(item.rounds, 'round')}"
    return f"{text}; {item.reason}" if item.reason else text


def _missing(duels: Duels) -> Iterator[Finding]:
    if duels.vanished:
        names = formatting.listed([formatting.name(cell) for cell in duels.vanished])
        title = f"{formatting.count(len(duels.vanished), 'cell')} of base vanished"
        yield Finding("error", "vanished", title, tuple(duels.vanished), f"Base has them, head does not: {names}.")
    if duels.new:
        names = formatting.listed([formatting.name(cell) for cell in duels.new])
        title = f"{formatting.count(len(duels.new), 'new cell')}"
        yield Finding("note", "new", title, tuple(duels.new), f"Head has them, base does not: {names}.")
    for reason, cells in duels.skipped.items():
        title = f"{formatting.count(len(cells), 'cell')} skipped"
        yield Finding("note", "skipped", title, tuple(cells), reason)
    timed = {item.cell for item in duels.contests} or set(duels.compared)
    lost = [cell for cell in duels.compared if cell not in timed | {item.cell for item in duels.failures}]
    if lost or not duels.finished:
        yield Finding("error", "unfinished", "The run did not end", tuple(lost), "What follows is a part.")


def _failed(duels: Duels) -> Iterator[Finding]:
    """A cell that fails in base alone is no fault of head; the proof that fails makes the machine unfit."""
    also = {(item.cell, item.stage) for item in duels.failures if item.side == "head"}
    for item in duels.failures:
        harmless = item.side == "base" and (item.cell, item.stage) not in also
        title = f"{formatting.name(item.cell)}: {item.stage} failed in {item.side}"
        yield Finding("warning" if harmless else "error", "failed", title, (item.cell,), item.reason)


def _different(differences: Iterable[Difference]) -> Iterator[Finding]:
    """Tensors beyond their bound in head that were within it in base, and the other way round."""
    sides: dict[Cell, dict[str, dict[str, Difference]]] = {}
    for item in differences:
        sides.setdefault(item.cell, {"base": {}, "head": {}})[item.side][item.tensor] = item
    for cell, found in sides.items():
        if worse := [item for name, item in found["head"].items() if name not in found["base"]]:
            place = f"{formatting.phase(worse[0].phase)}: {worse[0].tensor}"
            title = f"{formatting.name(cell)} no longer computes the same, first in {place}"
            largest = max(worse, key=lambda item: item.disagreement)
            off = formatting.small(largest.disagreement)
            detail = f"{formatting.count(len(worse), 'tensor')}; {largest.tensor} is off by {off} of its norm,"
            detail = f"{detail} rounding allows {formatting.small(largest.bound)}."
            yield Finding("error", "disagreement", title, (cell,), detail)
        elif set(found["base"]) - set(found["head"]):
            yield Finding("note", "repaired", f"{formatting.name(cell)} agrees with the oracle again", (cell,), "")


def _counts(counts: Iterable[Counted]) -> Iterator[Finding]:
    severities: dict[str, Any] = {"fail": "error", "warn": "warning"}
    for item in counts:
        if item.verdict in severities:
            title = f"{formatting.name(item.cell)}: {item.name} grew from {item.base} to {item.head}"
            detail = " ".join(filter(None, (item.detail, f"budget {item.budget}" if item.budget is not None else "")))
            yield Finding(severities[item.verdict], "count", title, (item.cell,), detail)


def document(gate: Gate) -> dict[str, Any]:
    """What `results/gate.json` holds."""
    duels, rule = gate.duels, asdict(gate.rule)
    load = dict(zip(("start", "end"), duels.load[:1] + duels.load[-1:], strict=False))
    return {
        "format": "triptych-gate",
        "version": 1,
        "started": duels.started,
        "finished": duels.finished,
        "exit": gate.exit,
        "verdict": gate.verdict,
        "base": asdict(duels.base),
        "head": asdict(duels.head),
        "environment": asdict(duels.environment),
        "load": load,
        "settings": {**rule, "fixed_addresses": duels.fixed_addresses},
        "comparisons": [asdict(item) for item in [*gate.comparisons, *map(_lost, duels.failures)]],
        "counts": [asdict(item) for item in gate.counts],
        "findings": [asdict(item) for item in gate.findings],
    }


def _lost(item: gate_records.Failure) -> Compared:
    numbers = dict.fromkeys(("ratio", "low", "high", "strict_low", "strict_high", "base_seconds", "head_seconds"))
    return Compared(item.cell, item.stage, "gate", "failed", seconds=0.0, rounds=0, reason=item.reason, **numbers)


def swapped(item: Contest) -> Contest:
    """The same rounds with the names of base and head exchanged."""
    return replace(
        item,
        base=item.head,
        head=item.base,
        base_whole=item.head_whole,
        head_whole=item.base_whole,
        base_calls=item.head_calls,
        head_calls=item.base_calls,
    )
