"""What people claim about an API over an engine, each with a verdict from the data of these runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from reports import formatting, verdicts
from reports.evidence.load import Evidence
from reports.sections import code, engines, equivalence, speed, training
from reports.sections.equivalence import Judged, Matrix
from reports.statistics.ratios import Ratio, geometric_mean
from reports.verdicts import Verdict

HOLDS = Verdict("holds", "check", "good", 1)
EXCEPT = Verdict("holds, exceptions explained", "diamond", "warn", 2)
PARTLY = Verdict("holds in part", "diamond", "warn", 3)
REFUTED = Verdict("does not hold", "cross", "bad", 6)
UNDECIDED = Verdict("not decided by this run", "ring", "quiet", 2)
UNKNOWN = Verdict("no data in this run", "dash", "quiet", 0)

KERAS, SHIM = code.APIS
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
    raw: str
    engine: str

    @property
    def reference(self) -> str:
        """What every time is a multiple of, by the name that people use."""
        own = (self.raw, self.engine) == self.speed.reference
        return self.evidence.title(self.raw) if own else str(self.speed.reference)

    @property
    def ways(self) -> tuple[str, str, str]:
        """The three ways of the question: without an API, with Keras, with the shim."""
        return self.raw, KERAS, SHIM


def compute(evidence: Evidence, reference: speed.Reference = speed.DEFAULT) -> Computed:
    """Judge the evidence; times as ratios to `reference`."""
    raw, engine = speed.standing(evidence)
    matrix, trained, timed = equivalence.matrix(evidence), training.report(evidence), speed.report(evidence, reference)
    return Computed(evidence, matrix, trained, timed, raw, engine)


def claims(found: Computed) -> list[Claim]:
    """The claims in the order in which a reader asks."""
    return [
        _same(found),
        _learns(found.training),
        _shorter(found),
        _slower(found),
        _must_be_slower(found),
        _engine_swaps(found),
        _own_engine(found),
        _upgrades(found.evidence),
    ]


def judged(good: int, bad: int, open_: int) -> Verdict:
    """The verdict on several cases; one that is not decided is no refutation, and no support either."""
    total = good + bad + open_
    if bad:
        return PARTLY if good else REFUTED
    if not good:
        return UNDECIDED
    return (
        HOLDS if good == total else Verdict(f"holds for {good} of {total}, {open_} not decided", "diamond", "warn", 2)
    )


def _unknown(name: str, statement: str, missing: str) -> Claim:
    return Claim(name, statement, UNKNOWN, f"{missing} are not in the records.")


COUNTED = {
    verdicts.SAME: "same in all tensors",
    verdicts.SHOWN: "with a tensor that has no bound",
    verdicts.EXPLAINED: "different with a known cause or on purpose",
    verdicts.SKIPPED: "skipped",
    verdicts.NOT_RUN: "not run",
    verdicts.FAILED: "failed",
    verdicts.DIFFERS: "different without one",
    training.REACHED: "reached the target on held-out data",
    training.MISSED: "missed it",
}


def counted(account: dict[Verdict, int], noun: str) -> str:
    """`8 cells planned: 6 same in all tensors, 2 failed`; the parts add up."""
    parts = [f"{number} {COUNTED[verdict]}" for verdict, number in account.items()]
    return f"{formatting.count(sum(account.values()), noun)} planned: {', '.join(parts)}."


def _same(found: Computed) -> Claim:
    statement = "All variants compute the same thing"
    cells, account = found.matrix.judged(), found.matrix.account()
    compared = [item for item in cells if item.worst]
    if not compared:
        return _unknown("same", statement, "Comparisons")
    apart = account.get(verdicts.EXPLAINED, 0) + account.get(verdicts.SHOWN, 0)
    same, missing = account.get(verdicts.SAME, 0), len(cells) - len(compared)
    verdict = EXCEPT if apart and not missing else judged(same + apart, 0, missing)
    if verdicts.DIFFERS in account:
        verdict = REFUTED
    tensors = formatting.count(sum(item.count for item in compared), "tensor")
    sentence = f"{counted(account, 'cell')} {tensors} compared. {_furthest(found.evidence, compared)}"
    return Claim("same", statement, verdict, sentence, "equivalence", "Equivalence matrix")


def _furthest(evidence: Evidence, compared: list[Judged]) -> str:
    """The largest disagreement of all, that of the cells that agree, and how near one of those is to its bound."""
    largest = verdicts.largest(item.worst for item in compared if item.worst)
    if largest is None:
        return ""
    bound = "" if largest.bound is not None else ", which has no bound"
    text = f"Furthest apart of all: {formatting.small(largest.disagreement)} ({formatting.name(largest.cell)}, "
    text += f"{largest.tensor}{bound})."
    for dtype in sorted({item.cell.dtype for item in compared}, reverse=True):
        agreeing = [item for item in compared if item.verdict == verdicts.SAME and item.cell.dtype == dtype]
        worst = verdicts.largest(item.worst for item in agreeing if item.worst)
        shares = [item.closest for item in agreeing if item.closest is not None]
        if worst and shares:
            text += f" Where {dtype} agrees, by at most {formatting.small(worst.disagreement)};"
            text += f" the closest to its bound takes {formatting.percent(max(shares))} of it."
    return text


def _learns(report: training.Report) -> Claim:
    statement = "All variants learn the task"
    if not report.rows:
        return _unknown("learns", statement, "Trainings")
    missed = report.account.get(training.MISSED, 0)
    spreads = [item.spread for item in report.curves if len(item.trainings) > 1]
    sentence = counted(report.account, "training")
    if spreads:
        apart = formatting.small(max(spreads, key=lambda value: (value != value, value)))
        sentence += f" Loss curves of one model and dtype are at most {apart} apart (relative)."
    verdict = REFUTED if missed else judged(report.reached, 0, report.planned - report.reached)
    return Claim("learns", statement, verdict, sentence, "training", "Training")


def _shorter(found: Computed) -> Claim:
    statement, evidence = "An API saves code", found.evidence
    by_api = {api: code.savings(evidence, api, found.raw) for api in (KERAS, SHIM)}
    every = [saving.share for savings in by_api.values() for saving in savings]
    if not every:
        return _unknown("shorter", statement, f"Programs of {evidence.title(found.raw)} and of an API over it")
    said = [_saving(found, api, savings) for api, savings in by_api.items() if savings]
    fewer = sum(share < 1 for share in every)
    verdict = judged(fewer, len(every) - fewer, 0)
    return Claim("shorter", statement, verdict, f"{'. '.join(said)}.", "code", "Code")


def _saving(found: Computed, api: str, savings: list[code.Saving]) -> str:
    mean = formatting.percent(geometric_mean([item.share for item in savings]))
    told = "; ".join(f"{item.model} {item.lines} for {item.against}" for item in savings)
    names = found.evidence.title(api), found.evidence.title(found.raw)
    return f"{names[0]} needs {mean} of the logical lines of {names[1]} ({told})"


def calls(report: speed.Report, way: tuple[str, str], what: str = "train_step") -> list[speed.Row]:
    """The fastest mode's call of one (implementation, backend) on the largest batch, a row for each model."""
    best: dict[str, speed.Row] = {}
    for row in report.rows:
        cell = row.timing.cell
        if (cell.implementation, cell.backend, row.timing.what) != (*way, what) or row.ratio is None:
            continue
        if cell.model not in best or _order(row) < _order(best[cell.model]):
            best[cell.model] = row
    return list(best.values())


def _order(row: speed.Row) -> tuple[int, float]:
    return -row.timing.batch_size, row.ratio.value if row.ratio else 0.0


PAID = ("train_step", "fit")  # what a training costs: a step of it, and the call that users make


def _costs(report: speed.Report, way: tuple[str, str]) -> Counter[str]:
    """How many steps and fits, a model each, are "slower", "free" or "undecided"."""
    rows = [row for what in PAID for row in calls(report, way, what)]
    return Counter(_cost(row.ratio) for row in rows if row.ratio)


def _cost(ratio: Ratio) -> str:
    if ratio.high <= FREE:
        return "free"
    return "slower" if ratio.low > 1 else "undecided"


def _slower(found: Computed) -> Claim:
    """Refuted where no model is slower and one is known to be free."""
    costs = _costs(found.speed, (KERAS, found.engine))
    verdict = judged(costs["slower"], costs["free"], costs["undecided"])
    return _priced("slower", "Keras costs speed", KERAS, verdict, found)


def _must_be_slower(found: Computed) -> Claim:
    """One free call refutes that it has to."""
    costs = _costs(found.speed, (SHIM, found.engine))
    verdict = REFUTED if costs["free"] else judged(costs["slower"], 0, costs["undecided"])
    return _priced("must-be-slower", "Any API has to cost speed", SHIM, verdict, found)


def _priced(name: str, statement: str, api: str, verdict: Verdict, found: Computed) -> Claim:
    by_what = {what: calls(found.speed, (api, found.engine), what) for what in PAID}
    told = [_ratios(what, rows) for what, rows in by_what.items() if rows]
    if not told:
        missing = f"Train steps of {formatting.configuration(api, found.engine)} and of {found.speed.reference}"
        return _unknown(name, statement, f"{missing} in the same rounds")
    way = formatting.configuration(api, found.engine)
    rule = f"Slower: the interval lies above 1; free: it ends at {formatting.ratio(FREE)} or below."
    sentence = f"{way}, as a multiple of the time of {found.reference}: {'; '.join(told)}. {rule}"
    return Claim(name, statement, verdict, sentence, "speed", "Speed")


def _ratios(what: str, rows: list[speed.Row]) -> str:
    """The mean of one call, and each model's with its interval."""
    told = [
        f"{row.timing.cell.model} {formatting.ratio(row.ratio.value)} [{formatting.factor(row.ratio.low)}, "
        f"{formatting.factor(row.ratio.high)}]"
        for row in rows
        if row.ratio
    ]
    mean = formatting.ratio(speed.typical(rows) or 0)
    return f"{formatting.WHATS[what]} {mean} (geometric mean; {', '.join(told)})"


def _engine_swaps(found: Computed) -> Claim:
    statement = "An API lets you change the engine without touching the code"
    backends: dict[str, dict[str, list[Judged]]] = {}
    for item in found.matrix.judged():
        if item.worst:
            backends.setdefault(item.cell.implementation, {}).setdefault(item.cell.backend, []).append(item)
    several = {name: engines for name, engines in backends.items() if len(engines) > 1}
    if not several:
        return _unknown("engine", statement, "Programs that ran on more than one engine")
    rows = [row for engines in several.values() for row in engines.values()]
    broken = any(item.verdict == verdicts.DIFFERS for row in rows for item in row)
    said = [f"{found.evidence.title(name)} ran unchanged on {_named(each)}" for name, each in several.items()]
    rewrite = rewritten(found.evidence)
    sentence = f"{'; '.join(said)}.{rewrite}"
    return Claim("engine", statement, PARTLY if broken else HOLDS, sentence, "equivalence", "Equivalence matrix")


def _named(backends: Iterable[str]) -> str:
    return formatting.listed([formatting.BACKENDS.get(name, name) for name in backends])


REWRITES = (("raw_tf", "raw_torch"), ("raw_torch", "raw_jax"), ("raw_tf", "raw_jax"))


def rewritten(evidence: Evidence) -> str:
    """What the same change costs in native code, of the first pair that was read."""
    programs = {(item.model, item.implementation): item for item in evidence.programs}
    for before, after in REWRITES:
        pairs = [(programs.get((model, before)), programs.get((model, after))) for model in evidence.models()]
        shares = [code.changed(old, new) for old, new in pairs if old and new]
        if shares:
            return f" From {evidence.title(before)} to {evidence.title(after)}, {_ends(shares)} of the lines change."
    return ""


def _ends(shares: Iterable[float]) -> str:
    """`82 to 88 %`."""
    first, last = (formatting.percent(end) for end in (min(shares), max(shares)))
    return first if first == last else f"{first.removesuffix(' %')} to {last}"


def _own_engine(computed: Computed) -> Claim:
    """Refuted by a single operation that the engine does not have."""
    statement, evidence = "An API over an engine has no engine of its own", computed.evidence
    found = [item for item in evidence.operations if item.cell.implementation in (KERAS, SHIM)]
    if not found:
        return _unknown("own-engine", statement, "Traced operations")
    own, backends = engines.own(found), evidence.ordered({item.cell.backend for item in found})
    kinds = len({(item.cell.backend, name) for item in found for name in item.counts})
    whose = f"all but {formatting.listed(own)} are" if own else "all are"
    names = formatting.listed([evidence.title(api) for api in (KERAS, SHIM)])
    sentence = f"Steps and predictions of {names} use {formatting.count(kinds, 'kind')} of operations of "
    sentence += f"{_named(backends)}: {whose} the engine's own.{_formulas(computed)}"
    verdict = REFUTED if own else HOLDS
    return Claim("own-engine", statement, verdict, sentence, "engines", "Operations")


def _formulas(found: Computed) -> str:
    """That the operations are the engine's does not make them the same ones."""
    evidence, raw = found.evidence, found.evidence.title(found.raw)
    shares = [engines.shares(evidence, api, found.raw, found.engine) for api in (KERAS, SHIM)]
    if not all(shares):
        return ""
    keras, shim = (formatting.factor(geometric_mean(each)) for each in shares)
    more = formatting.count(len(engines.added(evidence, KERAS, found.raw, found.engine)), "kind")
    said = f" {evidence.title(KERAS)} writes its own formulas with them: its steps use {more} that {raw} does not."
    return (
        f"{said} For each operation of {raw} a step of it asks for {keras}, one of {evidence.title(SHIM)} for {shim}."
    )


def _upgrades(evidence: Evidence) -> Claim:
    """Holds where raw code has to change for its framework and code over an API does not."""
    statement = "A better engine comes for free, raw code has to be updated"
    raw = [item for item in evidence.upgrades if item.implementation.startswith("raw")]
    keras, shim = ([item for item in evidence.upgrades if item.implementation == api] for api in (KERAS, SHIM))
    if not raw or not (keras or shim):
        return _unknown("upgrades", statement, "Runs on older releases")
    edited, over = engines.edits(raw, "framework"), engines.edits((*keras, *shim), "framework")
    releases = len({item.release for item in evidence.upgrades})
    several = (("Raw programs", raw), (evidence.title(KERAS), keras), (evidence.title(SHIM), shim))
    parts = [
        f"{title}: of {len(items)} {engines.outcomes(items)}, "
        f"{formatting.count(engines.edits(items, 'framework'), 'line')} changed for the engine"
        for title, items in several
        if items
    ]
    sentence = f"Today's programs taken back to {formatting.count(releases, 'older release')}. {'; '.join(parts)}."
    if shim:
        sentence += (
            f" The shim itself needs {formatting.count(engines.edits(shim, 'shim: framework'), 'line')} for them."
        )
    verdict = PARTLY if over else HOLDS
    if not edited:
        verdict = REFUTED
    return Claim("upgrades", statement, verdict, sentence, "engines", "On other releases")
