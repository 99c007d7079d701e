"""What people claim about an API over an engine, each with a verdict from the data of these runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import formatting, verdicts
from reports.evidence.load import Evidence
from reports.sections import code, engines, equivalence, speed, training
from reports.sections.equivalence import Judged, Matrix
from reports.statistics.ratios import geometric_mean
from reports.verdicts import Verdict

HOLDS = Verdict("holds", "check", "good", 1)
EXCEPT = Verdict("holds, exceptions explained", "diamond", "warn", 2)
PARTLY = Verdict("holds in part", "diamond", "warn", 3)
REFUTED = Verdict("does not hold", "cross", "bad", 6)
UNDECIDED = Verdict("not decided by this run", "ring", "quiet", 2)
UNKNOWN = Verdict("no data in this run", "dash", "quiet", 0)

RAW, KERAS, SHIM = code.PANELS
ENGINE = "tensorflow"
FREE = 1.05  # a time that is at most so many times the reference's counts as no cost


@dataclass(frozen=True)
class Claim:
    """A sentence that people say, the verdict on it, what the data says, and where on the page to see it."""

    id: str
    statement: str
    verdict: Verdict
    sentence: str
    evidence: str = ""
    evidence_title: str = ""


@dataclass(frozen=True)
class Computed:
    """Everything computed that the claims rest on."""

    evidence: Evidence
    matrix: Matrix
    training: training.Report
    speed: speed.Report


def compute(evidence: Evidence, reference: speed.Reference = speed.DEFAULT) -> Computed:
    """Judge the evidence; times as ratios to `reference`."""
    return Computed(
        evidence, equivalence.matrix(evidence), training.report(evidence), speed.report(evidence, reference)
    )


def claims(found: Computed) -> list[Claim]:
    """The claims in the order in which a reader asks."""
    return [
        _same(found.matrix),
        _learns(found.training),
        _shorter(found.evidence),
        _slower(found.speed),
        _must_be_slower(found.speed),
        _engine_swaps(found),
        _own_engine(found.evidence),
        _upgrades(found.evidence),
    ]


def _unknown(name: str, statement: str, missing: str) -> Claim:
    return Claim(name, statement, UNKNOWN, f"{missing} are not in the records.")


def _same(matrix: Matrix) -> Claim:
    statement = "All variants compute the same thing"
    compared = [item for item in matrix.judged() if item.worst]
    if not compared:
        return _unknown("same", statement, "Comparisons")
    tensors = sum(item.count for item in compared)
    bad = [item for item in compared if item.verdict == verdicts.DIFFERS]
    apart = [item for item in compared if item.verdict in (verdicts.EXPLAINED, verdicts.SHOWN)]
    agreeing = [item for item in compared if item.verdict == verdicts.SAME]
    same = _worst_by_dtype(agreeing)
    parts = [f"{len(agreeing)} of {formatting.count(len(compared), 'cell')} agree in all tensors"]
    parts += [f"worst {formatting.listed(same)}"] if same else []
    parts += [f"{len(apart)} differ with a known cause or on purpose"] if apart else []
    parts += [f"{len(bad)} disagree"] if bad else []
    verdict = REFUTED if bad else (EXCEPT if apart else HOLDS)
    sentence = f"{formatting.count(tensors, 'tensor')} compared: {', '.join(parts)}."
    return Claim("same", statement, verdict, sentence, "equivalence", "Equivalence matrix")


def _worst_by_dtype(agreeing: list[Judged]) -> list[str]:
    worst: dict[str, float] = {}
    for item in agreeing:
        if item.worst:
            worst[item.cell.dtype] = max(item.worst.disagreement, worst.get(item.cell.dtype, 0.0))
    return [f"{formatting.small(value)} in {dtype}" for dtype, value in sorted(worst.items(), reverse=True)]


def _learns(report: training.Report) -> Claim:
    statement = "All variants learn the task"
    if not report.rows:
        return _unknown("learns", statement, "Trainings")
    total = len(report.rows)
    spreads = [item.spread for item in report.curves if len(item.trainings) > 1]
    sentence = f"{report.reached} of {formatting.count(total, 'training')} reach the target on held-out data."
    if spreads:
        apart = formatting.small(max(spreads, key=lambda value: (value != value, value)))
        sentence += f" Loss curves of one model and dtype are at most {apart} apart (relative)."
    verdict = HOLDS if report.reached == total else REFUTED
    return Claim("learns", statement, verdict, sentence, "training", "Training")


def _shorter(evidence: Evidence) -> Claim:
    statement = "An API saves code"
    by_api = {api: code.savings(evidence, api, RAW) for api in (KERAS, SHIM)}
    every = [saving.share for savings in by_api.values() for saving in savings]
    if not every:
        return _unknown("shorter", statement, f"Programs of {RAW} and of an API over it")
    said = [_saving(evidence, api, savings) for api, savings in by_api.items() if savings]
    return Claim(
        "shorter", statement, _all_or_none([share < 1 for share in every]), f"{'. '.join(said)}.", "code", "Code"
    )


def _saving(evidence: Evidence, api: str, savings: list[code.Saving]) -> str:
    mean = formatting.percent(geometric_mean([item.share for item in savings]))
    told = "; ".join(f"{item.model} {item.lines} for {item.against}" for item in savings)
    return f"{evidence.title(api)} needs {mean} of the logical lines of {evidence.title(RAW)} ({told})"


def _all_or_none(outcomes: Sequence[bool]) -> Verdict:
    return HOLDS if all(outcomes) else (PARTLY if any(outcomes) else REFUTED)


def train_steps(report: speed.Report, implementation: str, backend: str = ENGINE) -> list[speed.Row]:
    """The fastest mode's train step of one way, a row for each model."""
    best: dict[str, speed.Row] = {}
    for row in report.rows:
        cell = row.timing.cell
        if (cell.implementation, cell.backend, row.timing.what) == (
            implementation,
            backend,
            "train_step",
        ) and row.ratio:
            old = best.get(cell.model)
            if old is None or old.ratio is None or row.ratio.value < old.ratio.value:
                best[cell.model] = row
    return list(best.values())


def _costs(report: speed.Report, implementation: str) -> list[str]:
    """For each model whether the train step of a way is "slower", "free" or "undecided"."""
    ratios = [row.ratio for row in train_steps(report, implementation) if row.ratio]
    return ["free" if ratio.high <= FREE else "slower" if ratio.low > 1 else "undecided" for ratio in ratios]


def _slower(report: speed.Report) -> Claim:
    """Refuted where no model is slower and one is known to be free."""
    costs = _costs(report, KERAS)
    verdict = REFUTED if "free" in costs else UNDECIDED
    if "slower" in costs:
        verdict = HOLDS if set(costs) == {"slower"} else PARTLY
    return _priced("slower", "Keras costs speed", KERAS, verdict, report)


def _must_be_slower(report: speed.Report) -> Claim:
    """One free model refutes that it has to."""
    costs = _costs(report, SHIM)
    verdict = REFUTED if "free" in costs else (HOLDS if set(costs) == {"slower"} else UNDECIDED)
    return _priced("must-be-slower", "Any API has to cost speed", SHIM, verdict, report)


def _priced(name: str, statement: str, implementation: str, verdict: Verdict, report: speed.Report) -> Claim:
    rows = train_steps(report, implementation)
    if not rows:
        missing = f"Train steps of {implementation} and of {report.reference} in the same rounds"
        return _unknown(name, statement, missing)
    return Claim(name, statement, verdict, _ratios(rows, report), "speed", "Speed")


def _ratios(rows: list[speed.Row], report: speed.Report) -> str:
    told = [
        f"{row.timing.cell.model} {formatting.ratio(row.ratio.value)} [{formatting.number(row.ratio.low)}, "
        f"{formatting.number(row.ratio.high)}]"
        for row in rows
        if row.ratio
    ]
    mean = formatting.ratio(speed.typical(rows) or 0)
    way = formatting.way(rows[0].timing.cell)
    rule = f"An interval above 1 is a cost, one that ends at {formatting.ratio(FREE)} or below is none."
    return (
        f"A train step of {way} takes {mean} the time of {report.reference} (geometric mean; {', '.join(told)}). {rule}"
    )


def _engine_swaps(found: Computed) -> Claim:
    statement = "An API lets you change the engine without touching the code"
    backends: dict[str, dict[str, list[Judged]]] = {}
    for item in found.matrix.judged():
        if item.worst:
            backends.setdefault(item.cell.implementation, {}).setdefault(item.cell.backend, []).append(item)
    several = {name: engines for name, engines in backends.items() if len(engines) > 1}
    if not several:
        return _unknown("engine", statement, "Programs that ran on more than one engine")
    broken = any(
        item.verdict == verdicts.DIFFERS for engines in several.values() for row in engines.values() for item in row
    )
    said = [
        f"{found.evidence.title(name)} ran unchanged on {formatting.listed(list(each))}"
        for name, each in several.items()
    ]
    rewrite = _rewrite(found.evidence)
    sentence = f"{'; '.join(said)}.{rewrite}"
    return Claim("engine", statement, PARTLY if broken else HOLDS, sentence, "equivalence", "Equivalence matrix")


def _rewrite(evidence: Evidence) -> str:
    """What the same change costs in native code."""
    programs = {(item.model, item.implementation): item for item in evidence.programs}
    pairs = [(programs.get((model, RAW)), programs.get((model, "raw_torch"))) for model in evidence.models()]
    shares = [code.changed(old, new) for old, new in pairs if old and new]
    if not shares:
        return ""
    ends = dict.fromkeys([formatting.percent(min(shares)), formatting.percent(max(shares))])
    return f" From {RAW} to raw_torch, {' to '.join(ends)} of the lines have to change."


def _own_engine(evidence: Evidence) -> Claim:
    """Refuted by a single operation that the engine does not have."""
    statement = "An API over an engine has no engine of its own"
    found = [item for item in evidence.operations if item.cell.implementation in (KERAS, SHIM)]
    if not found:
        return _unknown("own-engine", statement, "Traced operations")
    own, backends = engines.own(found), evidence.ordered({item.cell.backend for item in found})
    kinds = len({(item.cell.backend, name) for item in found for name in item.counts})
    whose = f"all but {formatting.listed(own)} are" if own else "all are"
    sentence = f"Steps and predictions of {KERAS} and {SHIM} use {formatting.count(kinds, 'kind')} of operations of "
    sentence += f"{formatting.listed(backends)}: {whose} the engine's own.{_formulas(evidence)}"
    verdict = REFUTED if own else HOLDS
    return Claim("own-engine", statement, verdict, sentence, "engines", "Operations")


def _formulas(evidence: Evidence) -> str:
    """That the operations are the engine's does not make them the same ones."""
    shares = [engines.shares(evidence, api, RAW, ENGINE) for api in (KERAS, SHIM)]
    if not all(shares):
        return ""
    keras, shim = (formatting.ratio(geometric_mean(found)) for found in shares)
    more = engines.added(evidence, KERAS, RAW, ENGINE)
    said = f" It writes its own formulas with them: its training steps use {formatting.count(len(more), 'kind')}"
    said += f" that {RAW}'s do not. For each operation of a step of {RAW}, {KERAS} asks for {keras} and {SHIM} for"
    return f"{said} {shim} (geometric means)."


def _upgrades(evidence: Evidence) -> Claim:
    """Holds where raw code has to change for its framework and code over an API does not."""
    statement = "A better engine comes for free, raw code has to be updated"
    raw = [item for item in evidence.upgrades if item.implementation.startswith("raw")]
    keras, shim = ([item for item in evidence.upgrades if item.implementation == api] for api in (KERAS, SHIM))
    if not raw or not (keras or shim):
        return _unknown("upgrades", statement, "Runs on older releases")
    edited, over = engines.edits(raw, "framework"), engines.edits((*keras, *shim), "framework")
    releases = len({item.release for item in evidence.upgrades})
    parts = [
        f"{title}: {engines.outcomes(items)} (lines for the framework: {engines.edits(items, 'framework')})"
        for title, items in (("raw programs", raw), (KERAS, keras), (SHIM, shim))
        if items
    ]
    sentence = f"Today's programs on {formatting.count(releases, 'older release')}: {'; '.join(parts)}."
    if shim:
        sentence += (
            f" The shim itself needs {formatting.count(engines.edits(shim, 'shim: framework'), 'line')} for them."
        )
    verdict = REFUTED if not edited else (PARTLY if over else HOLDS)
    return Claim("upgrades", statement, verdict, sentence, "engines", "On other releases")
