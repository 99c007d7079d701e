"""The gadgets: what each adds to a program, implementation beside implementation, and whether they behave alike."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports import formatting, verdicts
from reports.evidence.load import Evidence
from reports.sections.code import highlighted
from reports.verdicts import Verdict
from suites.records.run import Gadget


@dataclass(frozen=True)
class Side:
    """One program of a gadget: its changed lines in runs that stand together, and the note of its docstring."""

    gadget: Gadget
    panel: str
    verdict: Verdict
    written: int
    note: str
    runs: list[list[Markup]]

    @property
    def counted(self) -> str:
        """What it costs against the base program, and how far it is from the others."""
        it = self.gadget
        kinds = {"added": it.added, "changed": it.changed, "removed": it.removed}
        lines = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number) or "no line"
        apart = "" if it.disagreement is None else f", {formatting.small(it.disagreement)} apart"
        return f"{lines}, {it.tokens:+d} tokens{apart}"


@dataclass(frozen=True)
class Row:
    """One gadget: `sides` has a place for each implementation, None where it has no such program."""

    title: str
    observed: str
    sides: list[Side | None]
    verdict: Verdict

    def shown(self) -> list[Side]:
        """The sides that there are."""
        return [side for side in self.sides if side is not None]

    @property
    def saved(self) -> str:
        """The lines of each, and how many more or fewer that is than the first one needs."""
        first, *others = self.shown()
        lines = [
            f"{side.gadget.implementation} {side.written} ({_signed(side.written - first.written)})" for side in others
        ]
        return ", ".join([f"{first.gadget.implementation} {first.written}", *lines])


@dataclass(frozen=True)
class Gadgets:
    """All of them; `totals` are the lines that each implementation needs for the gadgets that all have."""

    implementations: list[str]
    rows: list[Row]
    totals: list[int]
    titles: dict[str, str]

    def written(self, row: Row, implementation: str) -> int | None:
        """The lines that one implementation needs for a feature; None where it has no such program."""
        own = [side.written for side in row.shown() if side.gadget.implementation == implementation]
        return own[0] if own else None

    @property
    def sentence(self) -> str:
        """What a reader should take with them."""
        equal = sum(row.verdict == verdicts.SAME for row in self.rows)
        names = [self.titles.get(name, name) for name in self.implementations]
        lines = [f"{total} with {name}" for name, total in zip(names, self.totals, strict=True)]
        shared = f"Logical lines to write or change for all of them: {formatting.listed(lines)}."
        features = formatting.count(len(self.rows), "feature")
        return f"{equal} of {features} behave the same in every implementation. {shared}"


def gadgets(evidence: Evidence) -> Gadgets:
    """Every recorded gadget, in the order of the record."""
    implementations = evidence.ordered({gadget.implementation for gadget in evidence.gadgets})
    names = dict.fromkeys(gadget.name for gadget in evidence.gadgets)
    rows = [_row([item for item in evidence.gadgets if item.name == name], implementations) for name in names]
    complete = [row.shown() for row in rows if None not in row.sides]
    columns = zip(*complete, strict=True) if complete else [()] * len(implementations)
    totals = [sum(side.written for side in column) for column in columns]
    return Gadgets(implementations, rows, totals, {name: evidence.title(name) for name in implementations})


def _row(found: Sequence[Gadget], implementations: Sequence[str]) -> Row:
    own = {gadget.implementation: _side(gadget) for gadget in found}
    sides = [own.get(name) for name in implementations]
    worst = max((side.verdict for side in own.values()), key=lambda verdict: verdict.rank)
    return Row(found[0].title, found[0].observed, sides, verdicts.NONE if None in sides else worst)


def _side(gadget: Gadget) -> Side:
    written = gadget.added + gadget.changed
    panel = formatting.panel(gadget.implementation)
    return Side(gadget, panel, verdict(gadget), written, _note(gadget.source), _runs(gadget))


def verdict(gadget: Gadget) -> Verdict:
    """Equal, different, failed, or not run; the reason is in the record."""
    if gadget.equal is None:
        return verdicts.FAILED if gadget.reason.startswith("failed") else verdicts.SKIPPED
    return verdicts.SAME if gadget.equal else verdicts.DIFFERS


def _signed(number: int) -> str:
    return f"{number:+d}".replace("-", "\N{MINUS SIGN}")


def _note(source: str) -> str:
    """What a program's docstring says after its first line."""
    text = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(text.partition("\n")[2].split())


def _runs(gadget: Gadget) -> list[list[Markup]]:
    """The changed lines, those that follow each other together."""
    lines = highlighted(gadget.source)
    runs: list[list[Markup]] = []
    before = None
    for number in gadget.changed_lines:
        if before is None or number != before + 1:
            runs.append([])
        runs[-1].append(lines[number - 1])
        before = number
    return runs
