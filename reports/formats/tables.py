"""The results for those who want no page: one tidy table as CSV or JSON, and Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from reports import claims, formatting, verdicts
from reports.claims import Computed
from reports.evidence.load import Evidence
from reports.findings import findings
from reports.sections import code, costs, engines, gadgets, speed, trust
from reports.sections.equivalence import Judged
from reports.statistics import cost_model
from suites.records import run as records
from suites.records.run import Cell, Program

CELL = ("model", "implementation", "backend", "mode", "device", "dtype", "size")
COLUMNS = ("quantity", *CELL, "detail", "value", "low", "high", "unit", "verdict", "rounds")
FINE = ("disagreement", "training loss", "operations", "function ", "latency ")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a text that starts with one of these

Row = dict[str, Any]


def raw(evidence: Evidence) -> str:
    """The records as they were loaded: one result file's document a line."""
    return "".join(records.document(run) + "\n" for run in evidence.runs)


def rows(found: Computed) -> Iterator[Row]:
    """Every result, one row a number."""
    yield from _comparisons(found)
    yield from _trainings(found)
    yield from _timings(found)
    yield from _costs(found)
    yield from _programs(found)
    yield from _operations(found)
    yield from _gadgets(found)
    yield from _engines(found)


def table(evidence: Evidence, reference: speed.Reference = speed.DEFAULT) -> str:
    """`rows` as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows(claims.compute(evidence, reference)):
        writer.writerow([_written(row.get(column)) for column in COLUMNS])
    return text.getvalue()


def columns(results: Iterable[Row], coarse: bool = False) -> str:
    """`rows` as JSON, column by column, for the page: it deflates to half of what the table does.

    `coarse` leaves single tensors, epochs, operations and functions out.
    """
    found = [row for row in results if not (coarse and row["quantity"].startswith(FINE))]
    written = {name: [_text(row.get(name)) for row in found] for name in COLUMNS}
    return json.dumps(written, ensure_ascii=False, separators=(",", ":"))


def json_text(evidence: Evidence, reference: speed.Reference = speed.DEFAULT) -> str:
    """Claims, findings and `rows` as JSON; NaN and infinities are strings, for JSON has no such numbers."""
    computed = claims.compute(evidence, reference)
    content = {
        "runs": [run.id for run in evidence.runs],
        "reference": str(reference),
        "claims": [{**asdict(claim), "verdict": claim.verdict.word} for claim in claims.claims(computed)],
        "findings": [{"run": run.id, **asdict(finding)} for run in evidence.runs for finding in findings(run)],
        "results": list(rows(computed)),
    }
    return json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"


def markdown(evidence: Evidence, reference: speed.Reference = speed.DEFAULT) -> str:
    """Claims, findings and the tables of the page as Markdown."""
    computed = claims.compute(evidence, reference)
    said = [(claim.statement, claim.verdict.word, claim.sentence) for claim in claims.claims(computed)]
    found = [(item.severity, item.title, item.detail) for run in evidence.runs for item in findings(run)]
    blocks = [
        _block("Triptych", ("Claim", "Verdict", "In this run"), said, level=1),
        _block("Findings", ("Severity", "Finding", "Detail"), found),
        _block("Equivalence", ("Configuration", *computed.matrix.models), _matrix(computed)),
        _block("Training", ("Model", "Configuration", "Value", "Target", "Verdict"), _trained(computed)),
        _block(
            "Speed",
            ("Model", "Call", "Configuration", "Median", f"Ratio to {reference}", "Interval", "Rounds"),
            _timed(computed),
        ),
        _block("Code", ("Model", "Program", "Logical lines", "Tokens", "Complexity"), _counted(evidence)),
        *_rest(evidence),
    ]
    return "\n".join(blocks)


def _rest(evidence: Evidence) -> Iterator[str]:
    """Gadgets, engines, releases, and how far all of it can be trusted."""
    comforts = gadgets.gadgets(evidence)
    features = []
    for row in comforts.rows:
        written = [str(side.written) if side else "" for side in row.sides]
        features.append((row.title, row.verdict.word, *written))
    yield _block("Features", ("Feature", "Verdict", *comforts.implementations), features)
    counts = []
    for found in engines.counts(evidence):
        counts.append((found.backend, found.implementation, *map(_or_none, found.totals)))
    heads = [f"{model} {what}" for model in engines.counted(evidence) for what in ("step", "predict")]
    yield _block("Operations", ("Engine", "Configuration", *heads), counts)
    ports = [(port.change, port.verdict.word) for port in engines.ports(evidence)]
    moved = [(c.model, c.before, f"{c.after} on {c.engine}", str(c.lines), str(c.written), word) for c, word in ports]
    yield _block("Another engine", ("Model", "From", "To", "Lines", "To write", "Equivalence"), moved)
    released = [(i.release, i.model, i.implementation, v.word, text) for i, v, text in engines.on_releases(evidence)]
    yield _block("Other releases", ("Release", "Model", "Configuration", "Verdict", "Lines to change"), released)
    yield from _proofs(evidence)


def _proofs(evidence: Evidence) -> Iterator[str]:
    """Verdicts of the gate, its error rates, planted faults and controls."""
    gate, calibration = evidence.proofs.gate, evidence.proofs.calibration
    judged = []
    for item, verdict in trust.worst_first(gate):
        numbers = map(_or_none, (item.ratio, item.low, item.high))
        judged.append((formatting.name(item.cell), item.what, item.role, verdict.word, *numbers))
    yield _block("Gate", ("Cell", "Call", "Role", "Verdict", "Ratio", "Low", "High"), judged)
    reached = [(i.name, i.target, _or_none(i.value)) for i in (calibration.targets if calibration else ())]
    yield _block("The gate's error rates", ("Rate", "Target", "Counted"), reached)
    board = trust.scoreboard(evidence.proofs.faults)
    faults = [
        (i.id, i.title, str(i.planted), str(i.found), str(i.placed), i.verdict.word)
        for i in (board.faults if board else ())
    ]
    yield _block("Injected bugs", ("Bug", "What", "Injected", "Found", "In place", "Verdict"), faults)
    runs = evidence.proofs.controls.runs if evidence.proofs.controls else ()
    controls = [(run.started, str(run.comparisons), str(run.tensors), str(run.false_alarms)) for run in runs]
    yield _block("Negative controls", ("Started", "Comparisons", "Tensors", "False alarms"), controls)
    agreement = trust.trajectories(evidence.proofs.agreement)
    whats, rows = (agreement.whats, agreement.rows) if agreement else ([], [])
    agreeing = []
    for first, kinds in rows:
        texts = [f"{it.verdict.word} {formatting.small(it.worst.disagreement)}" if it else "" for it in kinds]
        agreeing.append((formatting.configuration(first.implementation, first.backend), *texts))
    yield _block("Agreement over many steps", ("Configuration", *whats), agreeing)


def _or_none(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _of(cell: Cell, quantity: str, detail: str, value: float, **rest: Any) -> Row:
    return {
        "quantity": quantity,
        **{name: getattr(cell, name) for name in CELL},
        "detail": detail,
        "value": value,
        **rest,
    }


def _comparisons(found: Computed) -> Iterator[Row]:
    for item in found.evidence.comparisons:
        rest = {"high": item.bound, "verdict": verdicts.of(item).word}
        yield _of(item.cell, f"disagreement {item.phase}", item.tensor, item.disagreement, **rest)


def _trainings(found: Computed) -> Iterator[Row]:
    for row in found.training.rows:
        item, side = row.training, "low" if row.training.metric == "accuracy" else "high"
        yield _of(item.cell, item.metric, "held-out", item.value, verdict=row.verdict.word, **{side: item.target})
        for epoch, loss in enumerate(item.losses, 1):
            yield _of(item.cell, "training loss", f"epoch {epoch}", loss)


def _timings(found: Computed) -> Iterator[Row]:
    for row in found.speed.rows:
        cell, what = row.timing.cell, row.timing.what
        yield _of(cell, what, "median and quartiles", row.median, low=row.low, high=row.high, unit="s")
        yield _of(cell, what, "first call", row.timing.first_call_seconds, unit="s")
        rounds, group = speed.per_call(row.timing), f"{row.timing.group}, batch {row.timing.batch_size}"
        named = f"{group}, {formatting.count(row.timing.threads, 'thread')}"
        yield {**_of(cell, f"{what} rounds", named, len(rounds)), "unit": "s", "rounds": rounds}
        if row.ratio:
            ends = {"low": row.ratio.low, "high": row.ratio.high}
            yield _of(cell, f"{what} ratio", f"to {formatting.way(row.reference or cell)}", row.ratio.value, **ends)


def _costs(found: Computed) -> Iterator[Row]:
    """Cold starts, latencies, counted work, and the law of cost."""
    for cold in (item for run in found.evidence.runs for item in run.cold_starts):
        yield _of(cold.cell, "import", "fresh process", cold.import_seconds, unit="s")
        yield _of(cold.cell, "build", "fresh process", cold.open_seconds, unit="s")
        yield _of(cold.cell, "peak memory", "fresh process", cold.peak_bytes, unit="B")
        for what, first in cold.first.items():
            yield _of(cold.cell, f"first {what}", "fresh process", first.seconds, unit="s")
            for phase, seconds in first.phases.items():
                yield _of(cold.cell, f"first {what}", phase, seconds, unit="s")
    for item in (item for run in found.evidence.runs for item in run.latencies):
        known = zip(costs.PERCENTILES, costs.percentiles(item).values, strict=True)
        for share, value in ((share, value) for share, value in known if value):
            ends = {"low": value.low, "high": value.high, "unit": "s"}
            yield _of(item.cell, f"latency p{100 * share:.0f}", f"batch {item.batch_size}", value.value, **ends)
    for work in (item for run in found.evidence.runs for item in run.flops):
        yield _of(work.cell, f"work {work.what}", "specified", work.specified, unit="FLOP")
        if work.counted is not None:
            yield _of(work.cell, f"work {work.what}", work.counter, work.counted, unit="FLOP")
    for one in filter(None, (cost_model.law(item) for run in found.evidence.runs for item in run.sweeps)):
        for name, value in (("overhead", one.overhead), ("an example", one.example)):
            ends = {"low": value.low, "high": value.high}
            yield _of(one.sweep.cell, f"law of {one.sweep.what}", name, value.value, unit="s", **ends)


def _programs(found: Computed) -> Iterator[Row]:
    for item in found.evidence.programs:
        named = {"model": item.model, "implementation": item.implementation}
        for part in item.sections:
            yield {"quantity": "logical lines", **named, "detail": part.name, "value": part.logical_lines}
            yield {"quantity": "tokens", **named, "detail": part.name, "value": part.tokens}
        yield from ({**named, **row} for row in _counts(item))


def _counts(item: Program) -> Iterator[Row]:
    """What a program counts as a whole, what its functions count, and the concepts that it asks its reader to know."""
    whole = {"cyclomatic complexity": item.complexity, "cognitive complexity": item.cognitive, "nesting": item.nesting}
    whole |= {"API names": len(item.names), "concepts": len(item.concepts)}
    yield from ({"quantity": name, "detail": "program", "value": value} for name, value in whole.items())
    for name, shown_by in item.concepts.items():
        yield {"quantity": "concept", "detail": name, "value": len(shown_by)}
    for function in item.functions:
        own = {"logical lines": function.logical_lines, "tokens": function.tokens, "nesting": function.nesting}
        own |= {"cyclomatic complexity": function.complexity, "cognitive complexity": function.cognitive}
        yield from (
            {"quantity": f"function {name}", "detail": function.name, "value": value} for name, value in own.items()
        )


def _operations(found: Computed) -> Iterator[Row]:
    for item in found.evidence.operations:
        yield _of(item.cell, f"operations {item.what}", "total", item.total)
        for name, number in item.counts.items():
            yield _of(item.cell, f"operations {item.what}", name, number)


def _gadgets(found: Computed) -> Iterator[Row]:
    for item in found.evidence.gadgets:
        named = {"implementation": item.implementation, "backend": item.backend, "detail": item.name}
        verdict = gadgets.verdict(item).word
        yield {"quantity": "feature lines", **named, "value": item.added + item.changed, "verdict": verdict}


def _engines(found: Computed) -> Iterator[Row]:
    for item in found.evidence.changes:
        named = {"model": item.model, "implementation": item.before, "detail": f"to {item.after} on {item.engine}"}
        yield {"quantity": "lines to write for another engine", **named, "value": item.written}
    for upgrade, verdict, _ in engines.on_releases(found.evidence):
        named = {"model": upgrade.model, "implementation": upgrade.implementation, "detail": upgrade.release}
        lines = sum(upgrade.lines.values())
        yield {"quantity": "lines to change on another release", **named, "value": lines, "verdict": verdict.word}


def _matrix(found: Computed) -> Iterator[tuple[str, ...]]:
    for cell, row in found.matrix.rows:
        yield (f"{formatting.way(cell)} ({', '.join(formatting.details(cell))})", *map(_judgement, row))


def _judgement(item: Judged | None) -> str:
    """The verdict on a cell and its largest disagreement."""
    if item is None:
        return ""
    return f"{item.verdict.word} {formatting.small(item.worst.disagreement) if item.worst else ''}"


def _trained(found: Computed) -> Iterator[tuple[str, ...]]:
    for row in found.training.rows:
        item = row.training
        way = f"{formatting.way(item.cell)} ({', '.join(formatting.details(item.cell))})"
        yield (
            item.cell.model,
            way,
            formatting.metric(item, item.value),
            formatting.metric(item, item.target),
            row.verdict.word,
        )


def _timed(found: Computed) -> Iterator[tuple[str, ...]]:
    for row in found.speed.rows:
        cell, ratio = row.timing.cell, row.ratio
        way = f"{formatting.way(cell)} ({', '.join(formatting.details(cell))})"
        told = (
            (formatting.ratio(ratio.value), f"{formatting.factor(ratio.low)} to {formatting.factor(ratio.high)}")
            if ratio
            else ("", "")
        )
        rounds = str(len(row.timing.seconds))
        yield (cell.model, formatting.WHATS[row.timing.what], way, formatting.seconds(row.median), *told, rounds)


def _counted(evidence: Evidence) -> Iterator[tuple[str, ...]]:
    for model in code.models(evidence):
        for panel in model.panels():
            item = panel.program
            yield (item.model, item.implementation, str(item.logical_lines), str(item.tokens), str(item.complexity))


def _block(title: str, columns: Sequence[str], lines: Iterable[Sequence[str]], level: int = 2) -> str:
    """A heading and a table; a sentence where there is nothing to show."""
    found = list(lines)
    head = f"{'#' * level} {title}\n"
    if not found:
        return f"{head}\nNo data in this run.\n"
    body = [[_plain(text) for text in line] for line in (columns, *found)]
    body.insert(1, ["---"] * len(columns))
    return head + "\n" + "".join(f"| {' | '.join(line)} |\n" for line in body)


def _plain(text: str) -> str:
    """`text` as one table cell that neither Markdown nor HTML in it can break."""
    for special, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`"), ("[", "\\[")):
        text = text.replace(special, written)
    return " ".join(text.split())


def _written(value: Any) -> Any:
    """Numbers with five significant digits, rounds with four; a text that a spreadsheet would run made a plain one."""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return " ".join(f"{item:.4g}" for item in value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _text(value: Any) -> str:
    """As `_written`; of rounds the median and how far off each is in two-thousandths of it, which deflates best."""
    if isinstance(value, list):
        middle = median(value) or 1.0
        return f"{middle:.5g} " + " ".join(f"{2e3 * (item / middle - 1):.0f}" for item in value)
    return "" if value is None else str(_written(value))


def _finite(value: Any) -> Any:
    """`value` with each float that JSON lacks as a string."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
