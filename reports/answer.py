"""The opening of the page: what to know before the numbers, an answer built from verdicts, three panels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reports import claims, formatting, price, verdicts
from reports.claims import KERAS, SHIM, Claim, Computed
from reports.evidence.load import Evidence
from reports.sections import code, costs
from reports.sections.equivalence import Judged
from reports.statistics.ratios import geometric_mean
from reports.verdicts import Verdict
from suites.records.run import Run

HISTORY = (
    ("2009", "Theano: expressions compiled to C and CUDA, gradients included."),
    ("2015", "Keras (March), an API over Theano; TensorFlow (November), which it soon runs on too; MXNet."),
    ("2016", "CNTK opens; Keras gains it as a third engine a year later."),
    ("2017", "tf.keras moves into TensorFlow. PyTorch is released. Theano's end is announced."),
    ("2018", "JAX: NumPy with gradients and a compiler."),
    ("2019", "TensorFlow 2 makes tf.keras its API. Keras 2.3 is the last one over several engines; CNTK ends."),
    ("2020", "Keras 2.4 only hands on to tf.keras: for three years the two are the same thing."),
    ("2023", "Keras 3 is an API over several engines again: TensorFlow, JAX and PyTorch. MXNet retires."),
)
DEFINITION = (
    "An engine (TensorFlow, PyTorch, JAX) computes tensors and gradients; an API such as Keras is a shorter way to ask "
    "for that. It computes nothing itself, so the two are no rivals: one does the work, the other saves the writing."
)


@dataclass(frozen=True)
class Way:
    """One way in a panel; `share` is the length of its bar in percent, None where there is no number."""

    title: str
    panel: str
    values: list[str]
    share: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Panel:
    """One of the three: its question, the claim that answers it, for each way a number in each column."""

    question: str
    unit: str
    claim: Claim
    columns: list[str]
    ways: list[Way]
    note: str = ""


@dataclass(frozen=True)
class Reason:
    """A part of the answer: what it is about, and what this run says."""

    label: str
    text: str


@dataclass(frozen=True)
class Warned:
    """Something that a reader has to know before any number."""

    verdict: Verdict
    text: str


INTERRUPTED = Verdict("interrupted", "triangle", "bad", 6)
QUICK = Verdict("quick run", "ring", "quiet", 2)
UNSTEADY = Verdict("unsteady machine", "diamond", "warn", 3)


def banner(found: Computed) -> list[Warned]:
    """What limits every number of this page."""
    return [warned for run in found.evidence.runs for warned in _warned(run)] + _failed(found)


def _warned(run: Run) -> Iterator[Warned]:
    if not run.finished:
        known = {(item.cell, item.stage) for item in run.outcomes}
        left = sum((item.cell, item.stage) not in known for item in run.planned)
        stages = formatting.count(len(run.planned), "planned stage")
        missing = f"{left} of {stages} have no result" if left else f"of {stages} none is missing"
        yield Warned(INTERRUPTED, f"Run {run.id} did not end: {missing}.")
    if str(run.options.get("quick", "")) == "True":
        yield Warned(
            QUICK, "One mode of each configuration and fewer rounds; what only a full run measures has its date."
        )
    drift = costs.drift(run)
    if drift and drift > costs.UNSTEADY:
        text = f"Plain NumPy took {formatting.ratio(drift)} as long in its slowest group of rounds as in its fastest"
        yield Warned(UNSTEADY, f"{text}: ratios within a group hold, absolute times do not.")


def _failed(found: Computed) -> list[Warned]:
    stages = (("comparison", found.matrix.account()), ("training", found.training.account))
    failed = [(noun, account.get(verdicts.FAILED, 0), sum(account.values())) for noun, account in stages]
    told = [f"{some} of {formatting.count(total, noun)}" for noun, some, total in failed if some]
    return [Warned(verdicts.FAILED, f"{formatting.listed(told)} failed: see Findings.")] if told else []


def panels(found: Computed, said: list[Claim]) -> list[Panel]:
    """The result, the code, the price."""
    by_id = {claim.id: claim for claim in said}
    engine = formatting.BACKENDS.get(found.engine, found.engine)
    unit = f"furthest apart on {engine}, float64, of all tensors"
    return [
        Panel("The same result?", unit, by_id["same"], [], [_result(found, name) for name in found.ways]),
        Panel("Less code?", "logical lines a model (geometric mean)", by_id["shorter"], [], _lines(found)),
        _price(found, by_id["slower"]),
    ]


def results(found: Computed, name: str) -> list[Judged]:
    """The float64 cells of a way on the engine that all three share."""
    way = (name, found.engine, "float64")
    return [
        item for item in found.matrix.judged() if (item.cell.implementation, item.cell.backend, item.cell.dtype) == way
    ]


def _result(found: Computed, name: str) -> Way:
    """The tensor that is furthest apart, and the worst verdict; no bar, for less is not more."""
    cells, title = results(found, name), found.evidence.title(name)
    worst = verdicts.largest(item.worst for item in cells if item.worst)
    verdict = max((item.verdict for item in cells), key=lambda it: it.rank, default=None)
    text = formatting.small(worst.disagreement) if worst else (verdict.word if verdict else "no data")
    return Way(title, formatting.panel(name), [text], None, verdict)


def _lines(found: Computed) -> list[Way]:
    means = {name: lines(found.evidence, name) for name in found.ways}
    most = max((mean for mean in means.values() if mean), default=1.0)
    ways = []
    for name, mean in means.items():
        text, bar = (f"{mean:.0f}", round(100 * mean / most, 1)) if mean else ("no data", None)
        ways.append(Way(found.evidence.title(name), formatting.panel(name), [text], bar))
    return ways


def lines(evidence: Evidence, name: str) -> float | None:
    """Logical lines of a program, the geometric mean over the models."""
    found = [item.logical_lines for item in evidence.programs if item.implementation == name]
    return geometric_mean(found) if found and min(found) > 0 else None


def _price(found: Computed, claim: Claim) -> Panel:
    whats = list(formatting.WHATS)
    ways = []
    for name in found.ways:
        means = price.means(found, name)
        texts = [formatting.ratio(means[what]) if what in means else "no data" for what in whats]
        ways.append(Way(found.evidence.title(name), formatting.panel(name), texts))
    unit = f"time of a call, {found.reference} = 1 (geometric means)"
    return Panel("At what price?", unit, claim, [formatting.WHATS[what] for what in whats], ways, vanishing(found))


def vanishing(found: Computed) -> str:
    """From which size on Keras costs less than a tenth; "" where no sweep tells."""
    reached = price.enough(found.evidence, (KERAS, found.engine), (found.raw, found.engine))
    if not reached:
        return ""
    share = formatting.percent(price.SHARE)
    return f"Below {share} of a step: {price.said(reached)} (law of cost)."


def reasons(found: Computed, said: list[Claim]) -> list[Reason]:
    """The answer, a part for each verdict that allows one; none where something differs, failed or is not known."""
    by_id = {claim.id: claim.verdict for claim in said}
    parts = [
        Reason("You get", _effort(found, by_id)),
        Reason("The result", _agreement(found)),
        Reason("You pay", _paid(found, by_id["slower"])),
        Reason("When not", _when(found, by_id)),
    ]
    told = [part for part in parts if part.text]
    return [Reason("Why", DEFINITION), *told] if told else []


def sentences(found: Computed, said: list[Claim]) -> list[str]:
    """The texts of the answer."""
    return [part.text for part in reasons(found, said)]


def _effort(found: Computed, by_id: dict[str, Verdict]) -> str:
    """How much less code, and what a change of engine costs."""
    keras, parts = found.evidence.title(KERAS), []
    mine, raw = lines(found.evidence, KERAS), lines(found.evidence, found.raw)
    if by_id["shorter"] == claims.HOLDS and mine and raw:
        share = formatting.percent(geometric_mean([it.share for it in code.savings(found.evidence, KERAS, found.raw)]))
        parts.append(f"{share} of the lines of {found.evidence.title(found.raw)} ({mine:.0f} for {raw:.0f} a model)")
    if by_id["engine"] == claims.HOLDS:
        parts.append("another engine by a setting")
    if not parts:
        return ""
    change = claims.rewritten(found.evidence).strip() if by_id["engine"] == claims.HOLDS else ""
    return f"With {keras}, {formatting.listed(parts)}. {change}".strip()


COMPARED = (verdicts.SAME, verdicts.EXPLAINED, verdicts.SHOWN)


def _agreement(found: Computed) -> str:
    """What the two APIs compute against the oracle; nothing of one that differs, failed or was not run."""
    told = [text for text in (_agrees(found, KERAS), _agrees(found, SHIM)) if text]
    return f"In float64 the results agree: {formatting.listed(told)}." if told else ""


def _agrees(found: Computed, name: str) -> str:
    """How near one API is to the oracle, and its largest difference with a known cause; "" where one has none."""
    if any(item.verdict not in COMPARED for item in results(found, name)):
        return ""
    way = (name, found.engine, "float64")
    tensors = [
        it for it in found.evidence.comparisons if (it.cell.implementation, it.cell.backend, it.cell.dtype) == way
    ]
    known = verdicts.largest(it for it in tensors if it.departs)
    agreeing = [it for it in tensors if not it.departs]
    worst = verdicts.largest(agreeing)
    if worst is None or any(verdicts.of(it) != verdicts.SAME for it in agreeing):
        return ""
    text = f"{found.evidence.title(name)} to {formatting.small(worst.disagreement)}"
    if known is None:
        return text
    place = f"{formatting.small(known.disagreement)} in {known.cell.model}, {known.tensor}"
    return f"{text} (but for known differences, at most {place})"


def _paid(found: Computed, verdict: Verdict) -> str:
    """The price of a step, a prediction and a fit."""
    if verdict in (claims.UNKNOWN, claims.UNDECIDED):
        return ""
    told = formatting.listed(price.told(found, KERAS))
    return f"{found.evidence.title(KERAS)} takes {told}, where {found.evidence.title(found.raw)} takes 1."


def _when(found: Computed, by_id: dict[str, Verdict]) -> str:
    """When to write it raw."""
    own = price.means(found, SHIM).get("train_step")
    shim = f": a step of {found.evidence.title(SHIM)} takes {formatting.ratio(own)}" if own else ""
    if by_id["slower"] == claims.REFUTED:
        return "Speed is no reason to write it raw."
    if by_id["slower"] in (claims.UNKNOWN, claims.UNDECIDED):
        return ""
    text = "Write it raw where many small calls have to be fast, or where you need what the API has no word for"
    return f"{text}; an API need not cost that{shim}." if by_id["must-be-slower"] == claims.REFUTED else f"{text}."
