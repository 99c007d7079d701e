"""`python -m reports.page [run.json ...]`: one self-contained page, or Markdown, CSV or JSON, from saved results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import (
    answer,
    claims,
    code,
    compare,
    costs,
    engines,
    export,
    gadgets,
    heritage,
    packs,
    run,
    shifts,
    speed,
    stats,
    summary,
    training,
    trust,
    verdicts,
    words,
)
from reports import history as past
from reports.compact import compact
from reports.findings import SEVERITIES, Finding, Severity, failing, findings
from reports.load import RESULTS, Evidence, kept, load
from suites.records.run import RecordError, Run

TEMPLATES = Path(__file__).parent / "templates"
OUTPUT = Path("report")
BAD_INPUT = 2
CLIPPED = 600  # characters of a reason that the page shows: a traceback must not push the rest out of it

DATA = Markup("<!--data-->")  # where the packs go
ROOMS = (40_000, 12_000, 0)  # bytes for the facts of stored runs; those of two are always there
LARGEST = 399_000  # bytes of a page; what is left over holds the data, as far as it fits

SECTIONS = {
    "answer": "Answer",
    "findings": "Findings",
    "equivalence": "Equivalence",
    "training": "Training",
    "speed": "Speed",
    "code": "Code",
    "gadgets": "Gadgets",
    "engines": "Engines",
    "heritage": "Then and now",
    "changes": "Changes",
    "trust": "Trust",
    "run": "Run",
}
SEVERITY_SHAPES = {"error": verdicts.FAILED, "warning": verdicts.EXPLAINED, "note": verdicts.SHOWN}
LEGEND = (verdicts.SAME, verdicts.EXPLAINED, verdicts.SHOWN, verdicts.DIFFERS, verdicts.FAILED, verdicts.SKIPPED)

Found = list[tuple[Run, Finding]]


def page(evidence: Evidence, reference: speed.Reference = speed.DEFAULT) -> str:
    """The whole page as HTML. The same evidence gives the same text.

    As much of the data as fits into LARGEST goes with it: all records, else all results, else those that the script
    needs and everything else but single tensors and epochs. Of many stored runs fewer can then be compared.
    """
    values, template = content(evidence, reference), environment().get_template("page.html")
    pair, facts = values["pair"], values.pop("facts")
    choices = tuple(data(evidence, reference))

    def made(room: int) -> Iterator[str]:
        runs, pack = compare.compared(evidence, facts, pair, room)
        text, listings = packs.listings(compact(template.render(data=DATA, comparable=runs, **values)))
        always = {name: found for name, found in (("listings", listings), ("facts", pack)) if found}
        return (filled(text, evidence, {**always, **choice}) for choice in choices)

    return packs.smallest((text for room in ROOMS[: len(evidence.stored)] for text in made(room)), LARGEST)


def data(evidence: Evidence, reference: speed.Reference) -> Iterator[dict[str, str]]:
    """What can go with a page, the most first."""
    results = {"table": packs.packed(export.columns(evidence, reference))}
    yield {**results, "records": packs.packed(export.raw(evidence))}
    yield results
    yield {"coarse": "", "table": packs.packed(export.columns(evidence, reference, coarse=True))}


def filled(text: str, evidence: Evidence, choice: dict[str, str]) -> str:
    """The page with its footer and `choice` of packs."""
    footer = environment().get_template("data.html").render(runs=evidence.runs, packs=choice)
    packed = {name: pack for name, pack in choice.items() if pack}
    return text.replace(DATA, compact(footer) + packs.scripts(packed), 1)


def content(evidence: Evidence, reference: speed.Reference) -> dict[str, Any]:
    """Everything that the templates show."""
    computed = claims.compute(evidence, reference)
    ratios = past.ratios(evidence, reference) if len(evidence.stored) > 1 else {}
    facts = compare.facts(evidence, ratios)
    pair = compare.default(evidence, facts)
    said, models = claims.claims(computed), code.models(evidence)
    return {
        "evidence": evidence,
        "runs": evidence.runs,
        "sections": SECTIONS.items(),
        "claims": said,
        "history": answer.HISTORY,
        "answer": answer.sentence(computed),
        "panels": answer.panels(computed, said),
        "findings": [(run, finding) for run in evidence.runs for finding in findings(run)],
        "severities": SEVERITY_SHAPES,
        "legend": LEGEND,
        "matrix": computed.matrix,
        "training": computed.training,
        "speed": computed.speed,
        "costs": costs.report(evidence),
        "whats": words.WHATS,
        "confidence": stats.CONFIDENCE,
        "code": models,
        "knowledge": code.knowledge(evidence),
        "gadgets": gadgets.gadgets(evidence),
        "operations": engines.counts(evidence),
        "counted": engines.counted(evidence),
        "ports": engines.ports(evidence),
        "releases": engines.alike(evidence),
        "section_names": list(dict.fromkeys(name for model in models for name in model.sections)),
        "most": max((model.most for model in models), default=1) or 1,
        "past": past.history(evidence, ratios, reference) if ratios else None,
        "workers": run.workers(computed.speed.services),
        "pair": pair,
        "facts": facts,
        "pair_verdicts": compare.VERDICTS,
        "again": words.AGAIN,
        "usual": words.OPTIONS,
        "same_line": training.SAME_LINE,
        "shifts": shifts,
        "least_shift": shifts.SHIFT - 1,
        "ways": ways(computed.speed, reference),
        **heritage.shown(heritage.load()),
        **_trusted(evidence),
    }


def ways(report: speed.Report, reference: speed.Reference) -> list[speed.Reference]:
    """Every way that was timed, and can be the reference; nothing where no way was."""
    cells = [row.timing.cell for row in report.rows]
    found = dict.fromkeys(speed.Reference(cell.implementation, cell.backend) for cell in cells)
    return list(dict.fromkeys([reference, *found])) if found else []


def _trusted(evidence: Evidence) -> dict[str, Any]:
    """The gate, its error rates, planted faults and controls."""
    proofs = evidence.proofs
    return {
        "proofs": proofs,
        "gate": trust.worst_first(proofs.gate),
        "gate_verdicts": trust.GATE,
        "changed": trust.changed(proofs.gate),
        "found_verdict": trust.FOUND,
        "board": trust.scoreboard(proofs.faults),
        "control": trust.control(proofs.controls),
        "agreement": trust.trajectories(proofs.agreement),
        "failed_verdict": verdicts.FAILED,
        "none_verdict": verdicts.NONE,
        "target_verdicts": trust.TARGETS,
    }


def environment() -> Environment:
    """Templates that escape everything and stop at an unknown name."""
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
        "listed",
        "metric",
        "name",
        "number",
        "options",
        "panel",
        "percent",
        "rate",
        "ratio",
        "seconds",
        "size",
        "small",
        "v",
    )
    filters: dict[str, Any] = {name: getattr(words, name) for name in same_name}
    filters |= {"count": words.count, "clip": clip, "groupby_severity": by_severity}
    filters |= {"track": trust.track, "band": trust.band}
    filters |= {"what": words.WHATS.__getitem__, "metric_name": words.METRICS.__getitem__}
    return filters


def by_severity(found: Found) -> list[tuple[Severity, Found]]:
    """The findings of each severity that has any, errors first."""
    groups = [(severity, [item for item in found if item[1].severity == severity]) for severity in SEVERITIES]
    return [(severity, items) for severity, items in groups if items]


def clip(text: str) -> str:
    """`text`, its middle left out where it is long."""
    half = CLIPPED // 2
    return text if len(text) <= CLIPPED else f"{text[:half]} … {text[-half:]}"


FORMATS = {"html": page, "md": export.markdown, "csv": export.table, "json": export.json_text}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reports.page", description=(__doc__ or "").split("`: ")[-1])
    parser.add_argument("runs", nargs="*", type=Path, metavar="run.json", help="result files (default: the newest)")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"where the newest is looked for ({RESULTS}/)")
    parser.add_argument("--output", help=f"the file to write, - for the terminal ({OUTPUT}/triptych.<format>)")
    parser.add_argument("--format", choices=FORMATS, default="html", help="default: html")
    parser.add_argument("--reference", default="/".join(speed.DEFAULT), metavar="IMPLEMENTATION/BACKEND")
    parser.add_argument("--summary", action="store_true", help="also print the results in short")
    parser.add_argument("--check", action="store_true", help="exit status 1 where a finding is an error")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and say where it is. 2: a file can't be read or written, or the reference is unknown."""
    options = parse(arguments)
    try:
        evidence = load(options.runs, options.results)
        reference = chosen(options.reference, evidence)
        text = FORMATS[options.format](evidence, reference)
        place = write(text, options)
    except (RecordError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    if options.summary:
        print("\n\n".join(summary.text(run, kept()) for run in evidence.runs))
    if place:
        print(f"wrote {place} ({len(text.encode()) / 1e3:.0f} kB)")
    return int(options.check and any(failing(findings(run)) for run in evidence.runs))


class OutputError(ValueError):
    """Something asked for that can't be; the message says what can."""


def chosen(text: str, evidence: Evidence) -> speed.Reference:
    """The reference named `implementation/backend`. Raises OutputError where nothing was timed under that name."""
    reference = speed.Reference(*text.split("/")) if text.count("/") == 1 else None
    known = dict.fromkeys(speed.Reference(item.cell.implementation, item.cell.backend) for item in evidence.timings)
    if reference == speed.DEFAULT or reference in known:
        return reference or speed.DEFAULT
    raise OutputError(f"unknown reference {text!r}: timed are {', '.join('/'.join(item) for item in known) or 'none'}")


def write(text: str, options: argparse.Namespace) -> Path | None:
    """Write `text` where the options say; None where that is the terminal."""
    if options.output == "-":
        sys.stdout.write(text)
        return None
    path = Path(options.output) if options.output else OUTPUT / f"triptych.{options.format}"
    if path.resolve().is_relative_to(options.results.resolve()):
        raise OutputError(f"{path}: {options.results}/ holds raw results, a report is never written there")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error}") from error
    return path


if __name__ == "__main__":
    sys.exit(main())
