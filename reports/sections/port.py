"""Ports: published models against each other as their libraries build them, and the checklist of what goes wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports import formatting
from reports.evidence.companion_files import Faults, Planted, Published, PublishedPair
from reports.verdicts import Verdict

PAIRS = {
    "SAME": Verdict("same", "check", "good", 1),
    "SAME UP TO": Verdict("same up to what is named", "diamond", "warn", 2),
    "DIFFERENT": Verdict("different", "cross", "bad", 4),
    "UNDECIDED": Verdict("undecided", "ring", "quiet", 3),
    "REFUSED": Verdict("not compared", "triangle", "warn", 3),
}
NAMED = 3  # differences of a pair that the page names; the record has all

KINDS = {  # of a layer, by what its name starts with in the models
    "hidden": "dense",
    "logits": "dense",
    "conv": "convolution",
    "bn": "normalisation",
    "relu": "activation",
    "pool": "pooling",
    "flatten": "shape",
    "embedding": "embedding",
    "lstm": "recurrent",
}
PHASES = {"data": "input data", "state": "statistics"}


@dataclass(frozen=True)
class Slip:
    """One bug that happens in ports: where it sits, in how many programs it was injected, and in how many found."""

    kind: str
    phase: str
    title: str
    injected: int
    found: int


@dataclass(frozen=True)
class Pair:
    """Two builds of one published model; `named` are its first differences, `more` how many others there are."""

    family: str
    a: str
    b: str
    verdict: Verdict
    named: list[str]
    more: int


def checklist(found: Faults | None) -> list[Slip]:
    """Every bug of the catalogue by the kind of layer it sits in; one that sits in several has a row for each."""
    groups: dict[tuple[str, str, str], list[Planted]] = {}
    for row in found.rows if found else ():
        if row.kind == "fault" and not row.skipped:
            groups.setdefault((kind(row.layer), row.phase, row.title), []).append(row)
    slips = []
    for (of, phase, title), rows in groups.items():
        detected = sum(row.detected for row in rows)
        slips.append(Slip(of, PHASES.get(phase, phase), title, len(rows), detected))
    return sorted(slips, key=lambda slip: (slip.kind, slip.phase, slip.title))


def kind(layer: str) -> str:
    """The kind of a layer of the models; what is no layer (loss, optimizer) is its own."""
    return KINDS.get(layer.rstrip("0123456789"), layer)


def kinds(slips: list[Slip]) -> list[tuple[str, int]]:
    """The kinds of layers with the number of bugs in each."""
    return sorted(Counter(slip.kind for slip in slips).items())


def pairs(found: Published | None) -> list[Pair]:
    """The pairs that were run, those that differ first."""
    made = [_pair(family, item) for family, item in (found.pairs.items() if found else ())]
    return sorted(made, key=lambda pair: (-pair.verdict.rank, pair.family))


def _pair(family: str, item: PublishedPair) -> Pair:
    words = list(dict.fromkeys(finding.words for finding in item.findings))
    named = words[:NAMED] or ([item.error] if item.error else [])
    verdict = PAIRS.get(item.verdict, Verdict(item.verdict.lower(), "ring", "quiet", 3))
    return Pair(family, item.a, item.b, verdict, named, max(0, len(words) - NAMED))


def sentence(found: list[Pair]) -> str:
    """How many of them came to what."""
    counts = Counter(pair.verdict.word for pair in found)
    told = [f"{number} {word}" for word, number in counts.items()]
    return f"{formatting.count(len(found), 'pair')} run: {formatting.listed(told)}."
