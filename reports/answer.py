"""The opening of the page: three panels, each with one number for each of the three ways."""

from __future__ import annotations

from dataclasses import dataclass

from reports import formatting, verdicts
from reports.claims import ENGINE, Claim, Computed, train_steps
from reports.sections import code, speed
from reports.statistics.ratios import geometric_mean
from reports.verdicts import Verdict

HISTORY = (
    ("2009", "Theano: expressions compiled to C and CUDA, gradients included."),
    ("2015", "Keras, an API over Theano; TensorFlow, which it soon runs on too; MXNet."),
    ("2016", "CNTK opens; Keras gains it as a third engine a year later."),
    ("2017", "tf.keras moves into TensorFlow. PyTorch is released. Theano's end is announced."),
    ("2018", "JAX: NumPy with gradients and a compiler."),
    ("2019", "TensorFlow 2 makes tf.keras its API. Keras 2.3 is the last one over several engines; CNTK ends."),
    ("2023", "Keras 3 is an API over several engines again: TensorFlow, JAX and PyTorch. MXNet retires."),
)


@dataclass(frozen=True)
class Way:
    """One way in a panel; `share` is the length of its bar in percent, None where there is no number."""

    implementation: str
    title: str
    panel: str
    value: str
    share: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Panel:
    """One of the three: its question, the claim that answers it, a number a way."""

    question: str
    unit: str
    claim: Claim
    ways: list[Way]


def panels(found: Computed, claims: list[Claim]) -> list[Panel]:
    """The result, the code, the price."""
    by_id = {claim.id: claim for claim in claims}
    return [
        Panel("The same result?", "worst disagreement, float64", by_id["same"], _ways(found, _results(found))),
        Panel("Less code?", "logical lines a model", by_id["shorter"], _ways(found, _lines(found))),
        Panel(
            "At what price?",
            f"time of a train step, {found.speed.reference} = 1",
            by_id["slower"],
            _ways(found, _prices(found)),
        ),
    ]


def sentence(found: Computed) -> str:
    """The answer in a line, as far as there are numbers for it."""
    keras, shim = code.PANELS[1:]
    results, lines, prices = _results(found), _lines(found), _prices(found)
    names = [found.evidence.title(name) for name in (keras, shim)]
    told = []
    if all(name in results for name in (keras, shim)):
        told.append(f"{names[0]} and {names[1]} compute the same to {results[keras][0]} and {results[shim][0]}")
    if all(name in lines for name in code.PANELS):
        raw = lines[code.PANELS[0]][1]
        shares = [formatting.percent(lines[name][1] / raw) for name in (keras, shim)]
        told.append(f"need {shares[0]} and {shares[1]} of the lines")
    if all(name in prices for name in (keras, shim)):
        told.append(f"take {prices[keras][0]} and {prices[shim][0]} the time of a train step")
    return f"Against {found.evidence.title(code.PANELS[0])}, {formatting.listed(told)}." if len(told) == 3 else ""


Numbers = dict[str, tuple[str, float, Verdict | None]]


def _ways(found: Computed, numbers: Numbers) -> list[Way]:
    most = max((number for _, number, _ in numbers.values()), default=0.0) or 1.0
    return [
        Way(
            name,
            found.evidence.title(name),
            formatting.panel(name),
            text,
            round(100 * number / most, 1) or None,
            verdict,
        )
        for name in code.PANELS
        for text, number, verdict in [numbers.get(name, ("no data", 0.0, None))]
    ]


def _results(found: Computed) -> Numbers:
    """The worst tensor of each way on the engine that all three share; no bar, for less is not more."""
    numbers: Numbers = {}
    for name in code.PANELS:
        cells = [
            item
            for item in found.matrix.judged()
            if (item.cell.implementation, item.cell.backend, item.cell.dtype) == (name, ENGINE, "float64")
        ]
        worst = verdicts.worst([item.worst for item in cells if item.worst])
        if worst:
            numbers[name] = (formatting.small(worst.disagreement), 0.0, verdicts.of(worst))
    return numbers


def _lines(found: Computed) -> Numbers:
    numbers: Numbers = {}
    for name in code.PANELS:
        lines = [item.logical_lines for item in found.evidence.programs if item.implementation == name]
        if lines and min(lines) > 0:
            mean = geometric_mean(lines)
            numbers[name] = (f"{mean:.0f}", mean, None)
    return numbers


def _prices(found: Computed) -> Numbers:
    means = {name: speed.typical(train_steps(found.speed, name)) for name in code.PANELS}
    return {name: (formatting.ratio(mean), mean, None) for name, mean in means.items() if mean is not None}
