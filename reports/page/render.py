"""The page as one self-contained text: what the templates are given, and as much data as fits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import answer, claims, formatting, popular, questions, verdicts
from reports.evidence.load import Evidence
from reports.findings import SEVERITIES, Severity, findings
from reports.formats import tables
from reports.page import embedded_data
from reports.page.context import Content, Found, Priced, Trusted, Words, Written
from reports.page.minify import compact
from reports.sections import (
    campaign,
    code,
    costs,
    crossover,
    engines,
    gadgets,
    gpu,
    heritage,
    port,
    run,
    speed,
    training,
    trust,
    two_runs,
)
from reports.sections import history as past
from reports.statistics import change_points
from reports.statistics import ratios as stats

TEMPLATES = Path(__file__).parent / "templates"
CLIPPED = 600  # characters of a reason that the page shows: a traceback must not push the rest out of it

DATA = Markup("<!--data-->")  # where the packs go
ROOMS = (40_000, 12_000, 0)  # bytes for the facts of stored runs; those of two are always there
LARGEST = 399_000  # bytes of a page; what is left over holds the data, as far as it fits

SECTIONS = {
    "answer": "Answer",
    "code": "Code",
    "speed": "Speed",
    "gadgets": "Features",
    "engines": "Engines",
    "equivalence": "Equivalence",
    "port": "Ports",
    "training": "Training",
    "findings": "Findings",
    "heritage": "Then and now",
    "gpu": "GPU",
    "campaign": "Campaign",
    "changes": "Changes",
    "trust": "Trust",
    "run": "Run",
}
TERMS = {  # where a word of the field is first used
    "bound": "the most that rounding can do there, derived from the operations and the operands",
    "cell": "one model in one configuration: an implementation on a backend in a mode, a device and a number type",
    "control": "the same code twice: whoever calls it slower is wrong",
    "disagreement": "the size of the difference of two tensors, as a share of the reference's size",
    "interval": "where the true median lies in so many of a hundred measurements",
    "logical": "statements of the syntax tree, so that layout does not count",
    "positive": "code that does more work: whoever does not call it slower is blind",
    "rounds": "all programs are timed in turn, over and over, so that a busy machine is busy for each of them",
}
KEPT = ("gpu", "campaign")  # sections that are there where their file is
SEVERITY_SHAPES: dict[Severity, verdicts.Verdict] = {
    "error": verdicts.FAILED,
    "warning": verdicts.EXPLAINED,
    "note": verdicts.SHOWN,
}
LEGEND = (verdicts.SAME, verdicts.EXPLAINED, verdicts.SHOWN, verdicts.DIFFERS, verdicts.FAILED, verdicts.SKIPPED)


def page(evidence: Evidence, reference: speed.Reference = speed.DEFAULT) -> str:
    """The whole page as HTML. The same evidence gives the same text.

    As much of the data as fits into LARGEST goes with it: all records, else all results, else those that the script
    needs and everything else but single tensors and epochs. Of many stored runs fewer can then be compared, and of what
    a GPU said there is the summary.
    """
    computed = claims.compute(evidence, reference)
    ratios = past.ratios(evidence, reference) if len(evidence.stored) > 1 else {}
    facts = two_runs.facts(evidence, ratios)
    values, template = content(computed, reference, ratios, facts), environment().get_template("page.html")
    downloads = Downloads(computed)

    def made(room: int, shown: gpu.Shown | None) -> Iterator[str]:
        values["gpu"] = shown
        runs, pack = two_runs.compared(evidence, facts, values["pair"], room, embedded_data.packed)
        values["comparable"] = runs
        text, listings = embedded_data.listings(compact(template.render(values)))
        always = {name: found for name, found in (("listings", listings), ("facts", pack)) if found}
        return (filled(text, evidence, {**always, **choice}) for choice in downloads.choices())

    whole = values["gpu"]
    rooms = ROOMS[: len(evidence.stored)]
    choices = [(room, whole) for room in rooms]
    if whole:
        choices += [(room, gpu.brief(whole)) for room in rooms]
    texts = itertools.chain.from_iterable(made(room, shown) for room, shown in choices)
    return embedded_data.smallest(texts, LARGEST)


@dataclass(frozen=True)
class Downloads:
    """The data that goes with a page, packed when it is first asked for."""

    computed: claims.Computed

    def choices(self) -> Iterator[dict[str, str]]:
        """What can go with a page, the most first."""
        yield {"table": self.table, "records": self.records}
        yield {"table": self.table}
        yield {"coarse": "", "table": self.coarse}

    @cached_property
    def records(self) -> str:
        return embedded_data.packed(tables.raw(self.computed.evidence))

    @cached_property
    def table(self) -> str:
        return embedded_data.packed(tables.columns(self._rows))

    @cached_property
    def coarse(self) -> str:
        return embedded_data.packed(tables.columns(self._rows, coarse=True))

    @cached_property
    def _rows(self) -> list[tables.Row]:
        return list(tables.rows(self.computed))


def filled(text: str, evidence: Evidence, choice: dict[str, str]) -> str:
    """The page with its footer and `choice` of packs."""
    footer = environment().get_template("data.html").render(runs=evidence.runs, packs=choice)
    packed = {name: pack for name, pack in choice.items() if pack}
    return text.replace(DATA, compact(footer) + embedded_data.scripts(packed), 1)


def content(
    computed: claims.Computed, reference: speed.Reference, ratios: past.Ratios, facts: two_runs.Facts
) -> Content:
    """Everything that the templates show; `ratios` and `facts` are those of all stored runs."""
    evidence = computed.evidence
    story = heritage.load()
    said = claims.claims(computed) + popular.popular(computed, story)
    return {
        "evidence": evidence,
        "runs": evidence.runs,
        "sections": [item for item in SECTIONS.items() if item[0] not in KEPT or getattr(evidence.proofs, item[0])],
        "claims": said,
        "answer": answer.reasons(computed, said),
        "banner": answer.banner(computed),
        "asked": questions.answers(computed, said, story),
        "panels": answer.panels(computed, said),
        "findings": [(run, finding) for run in evidence.runs for finding in findings(run)],
        "matrix": computed.matrix,
        "training": computed.training,
        "speed": computed.speed,
        "past": past.history(evidence, ratios, reference) if ratios else None,
        "workers": run.workers(computed.speed.services),
        "pair": two_runs.default(evidence, facts),
        "ways": ways(computed.speed),
        "comparable": [],
        **_words(),
        **_priced(evidence),
        **_written(evidence),
        **heritage.shown(story),
        **_trusted(evidence),
    }


def _words() -> Words:
    """What is the same on every page."""
    return {
        "history": answer.HISTORY,
        "severities": SEVERITY_SHAPES,
        "legend": LEGEND,
        "batches": crossover.BATCHES,
        "whats": formatting.WHATS,
        "confidence": stats.CONFIDENCE,
        "pair_verdicts": two_runs.VERDICTS,
        "terms": TERMS,
        "again": formatting.AGAIN,
        "usual": formatting.OPTIONS,
        "options_of": {word: name for name, word in (formatting.IMPLEMENTATIONS | formatting.BACKENDS).items()},
        "same_line": training.SAME_LINE,
        "shifts": change_points,
        "moves": two_runs.MOVES,
        "least_shift": change_points.SHIFT - 1,
        "data": DATA,
    }


def _priced(evidence: Evidence) -> Priced:
    """What a call costs by the size of its batch."""
    cost = costs.report(evidence)
    crossed = crossover.crossover({figure.model: figure.laws for figure in cost.figures})
    return {"costs": cost, "crossover": crossed, "largest_batch": crossover.largest(crossed)}


def _written(evidence: Evidence) -> Written:
    """The programs, and what they ask of an engine."""
    models = code.models(evidence)
    return {
        "code": models,
        "knowledge": code.knowledge(evidence),
        "gadgets": gadgets.gadgets(evidence),
        "operations": engines.counts(evidence),
        "counted": engines.counted(evidence),
        "ports": engines.ports(evidence),
        "releases": engines.alike(evidence),
        "section_names": list(dict.fromkeys(name for model in models for name in model.sections)),
        "most": max((model.most for model in models), default=1) or 1,
    }


def ways(report: speed.Report) -> list[speed.Reference]:
    """Every way that was timed, and can be the reference; nothing where no way was."""
    cells = [row.timing.cell for row in report.rows]
    found = dict.fromkeys(speed.Reference(cell.implementation, cell.backend) for cell in cells)
    return list(dict.fromkeys([report.reference, *found])) if found else []


def _trusted(evidence: Evidence) -> Trusted:
    """The gate, its error rates, planted faults and controls."""
    proofs = evidence.proofs
    return {
        "proofs": proofs,
        "gpu": gpu.shown(proofs.gpu),
        "campaign": campaign.shown(proofs.campaign),
        "gate": trust.worst_first(proofs.gate),
        "gate_verdicts": trust.GATE,
        "changed": trust.changed(proofs.gate),
        "found_verdict": trust.FOUND,
        "board": trust.scoreboard(proofs.faults),
        "published": port.pairs(proofs.published),
        "slips": port.checklist(proofs.faults),
        "control": trust.control(proofs.controls),
        "agreement": trust.trajectories(proofs.agreement),
        "failed_verdict": verdicts.FAILED,
        "none_verdict": verdicts.NONE,
        "target_verdicts": trust.TARGETS,
    }


@cache
def environment() -> Environment:
    """Templates that escape everything and stop at an unknown name; compiled once a process."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(_filters())
    return made


def _filters() -> dict[str, Any]:
    same_name = (
        "batch",
        "between",
        "details",
        "factor",
        "listed",
        "metric",
        "name",
        "number",
        "options",
        "panel",
        "percent",
        "rate",
        "ratio",
        "rounded",
        "seconds",
        "size",
        "small",
        "v",
        "when",
    )
    filters: dict[str, Any] = {name: getattr(formatting, name) for name in same_name}
    filters |= {"count": formatting.count, "clip": clip, "groupby_severity": by_severity}
    filters |= {"role": formatting.ROLES.__getitem__, "configuration": formatting.way, "phase": formatting.phase}
    filters |= {"pairs_sentence": port.sentence, "slip_kinds": port.kinds}
    filters |= {"depth": code.depth, "track": trust.track, "band": trust.band}
    filters |= {"what": formatting.WHATS.__getitem__, "metric_name": formatting.METRICS.__getitem__}
    return filters


def by_severity(found: Found) -> list[tuple[Severity, Found]]:
    """The findings of each severity that has any, errors first."""
    groups = [(severity, [item for item in found if item[1].severity == severity]) for severity in SEVERITIES]
    return [(severity, items) for severity, items in groups if items]


def clip(text: str) -> str:
    """`text`, its middle left out where it is long."""
    half = CLIPPED // 2
    return text if len(text) <= CLIPPED else f"{text[:half]} … {text[-half:]}"
