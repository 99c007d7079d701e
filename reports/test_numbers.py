"""The numbers of the lead, the panels and the claims, computed once more from the records with pandas and SciPy.

Nothing of the page's code is asked: what is left of a text without the numbers expected must have no digit in it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports import answer, claims
from reports.claims import Claim
from reports.evidence.load import gather
from reports.testing import full_run, small_runs
from reports.testing.small_runs import WAYS, cell
from suites.records import run as records
from suites.records.run import Comparison, Outcome, Planned, Run
from triptych import load_results

THREE = ("raw_tf", "tf_keras", "shim")
TIMES = "\N{MULTIPLICATION SIGN}"
NAMES = r"float(?:32|64)|Keras [23]|[a-z]+\d|1e-7"  # digits that are no numbers of a run


@dataclass
class Seen:
    """A run as its file has it, what the page says of it, and the frame that pandas users get."""

    run: Run
    frame: pd.DataFrame
    document: dict[str, Any]
    claims: dict[str, Claim]
    panels: list[answer.Panel]
    lead: str


def good() -> Run:
    return small_runs.good()


def mixed() -> Run:
    """With what has no bound, what is known to differ, what failed and what never ran."""
    run = small_runs.good()
    run.planned += [Planned(it.cell, "training") for it in run.trainings]
    run.planned.append(Planned(cell("cnn"), "training"))
    run.outcomes.append(Outcome(cell("cnn", WAYS[3]), "training", "failed", "why"))
    run.outcomes.append(Outcome(cell("cnn", WAYS[3]), "equivalence", "skipped", "why"))
    run.comparisons.append(Comparison(cell("mlp", WAYS[1]), cell(), "slot", "slot/v/a", 0.0193, None, "known", True))
    run.comparisons.append(Comparison(cell("seed", WAYS[2]), cell(), "slot", "slot/m/a", 3e-9, 1e-8, "known", True))
    slow = [it for it in run.timings if it.what == "train_step" and it.threads == 1]
    for item in slow:
        factor = 7 if item.cell.implementation == "tf_keras" else 1
        seconds = [factor * second for second in item.seconds]
        run.timings.append(replace(item, what="fit", seconds=seconds, group=f"{item.group} fit"))
    return run


RUNS: dict[str, Callable[[], Run]] = {"good": good, "mixed": mixed, "full": full_run.full}


@pytest.fixture(scope="module", params=RUNS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("results")
    path = records.save(RUNS[request.param](), folder)
    run = records.load(path)
    found = claims.compute(gather([run]))
    said = claims.claims(found)
    lead = " ".join(answer.sentences(found, said))
    document = json.loads(path.read_text())["run"]
    return Seen(run, load_results(folder), document, {it.id: it for it in said}, answer.panels(found, said), lead)


def factor(value: float) -> str:
    """Two significant digits, two decimals near one."""
    if 0.5 <= value < 2:
        return f"{value:.2f}"
    value = float(f"{value:.1e}")
    places = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{places}f}"


def three(value: float) -> str:
    """Three significant digits."""
    value = float(f"{value:.2e}")
    places = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{places}f}"


def small(value: float) -> str:
    if value >= 1e-3:
        percent = np.format_float_positional(100 * value, precision=2, unique=False, fractional=False, trim="k")
        return f"{percent.rstrip('.')} %"
    return f"{value:.1e}"


def percent(share: float) -> str:
    return f"{three(100 * share)} %" if share < 0.01 else f"{100 * share:.0f} %"


def without(text: str, expected: list[str]) -> str:
    """`text` once each of `expected` has been found in it and taken out."""
    text = re.sub(NAMES, "", text)
    for part in sorted(expected, key=len, reverse=True):
        place = re.search(rf"(?<![\d.]){re.escape(part)}(?![\d])", text)
        assert place, f"{part!r} is not in {text!r}"
        text = text[: place.start()] + text[place.end() :]
    return text


def nothing_left(text: str, expected: list[str]) -> None:
    rest = without(text, expected)
    assert not re.search(r"\d", rest), f"nobody computed the numbers left in {rest!r}"


def tensors(seen: Seen) -> pd.DataFrame:
    """Every tensor with its disagreement, its bound (NaN: none), and its cell's verdict."""
    keys = ["model", "implementation", "backend", "mode", "dtype", "detail"]
    parts = [seen.frame[seen.frame.quantity == name][[*keys, "value"]] for name in ("disagreement", "bound")]
    return parts[0].merge(parts[1], on=keys, how="left", suffixes=("", "_bound"))


CELL = ["model", "implementation", "backend", "mode", "dtype"]


def judged(seen: Seen) -> pd.DataFrame:
    """A row for each compared cell: its largest disagreement, its largest share of a bound, its verdict."""
    found = tensors(seen)
    known = {
        (it["cell"]["model"], it["cell"]["implementation"], it["cell"]["backend"], f"{it['phase']} {it['tensor']}")
        for it in seen.document["comparisons"]
        if it["departs"] and it["bound"] is not None
    }
    at = [tuple(row) for row in found[["model", "implementation", "backend", "detail"]].to_numpy()]
    found["known"] = [key in known for key in at]
    found["open"] = found.value_bound.isna()
    found["share"] = found.value / found.value_bound
    assert not (found.share > 1).any()
    return found.groupby(CELL, as_index=False).agg(
        value=("value", "max"),
        share=("share", "max"),
        known=("known", "any"),
        open=("open", "any"),
        count=("value", "size"),
    )


def cells_of(seen: Seen, stage: str, key: str) -> set[str]:
    """Every cell that was planned, tried or recorded for a stage, as text."""
    found = [it["cell"] for it in seen.document["planned"] if it["stage"] == stage]
    found += [
        it["cell"]
        for it in seen.document["outcomes"]
        if it["stage"] == stage and (stage == "training" or it["status"] != "ok")
    ]
    found += [it["cell"] for it in seen.document[key]]
    return {json.dumps(it, sort_keys=True) for it in found}


def test_the_claim_of_equality(seen: Seen) -> None:
    found = judged(seen)
    total = len(cells_of(seen, "equivalence", "comparisons"))
    known, open_ = found.known, found.open & ~found.known
    same = found[~found.known & ~found.open]
    expected = [
        f"{total} cells planned",
        f"{len(same)} same in all tensors",
        f"{found['count'].sum()} tensors compared",
    ]
    expected += [f"{sum(known)} different"] if known.any() else []
    expected += [f"{sum(open_)} with a tensor"] if open_.any() else []
    skipped = [it for it in seen.document["outcomes"] if (it["stage"], it["status"]) == ("equivalence", "skipped")]
    expected += [f"{len(skipped)} skipped"] if skipped else []
    expected.append(f"Furthest apart of all: {small(found.value.max())}")
    for dtype, own in same.groupby("dtype"):
        expected += [f"agrees, by at most {small(own.value.max())}", f"takes {percent(own.share.max())} of it"]
        assert str(dtype) in seen.claims["same"].sentence
    nothing_left(seen.claims["same"].sentence.replace("slot/v/a", "").replace("slot/m", ""), expected)


def test_the_panel_of_equality(seen: Seen) -> None:
    found = judged(seen)
    for name, way in zip(THREE, seen.panels[0].ways, strict=True):
        own = found[(found.implementation == name) & (found.backend == "tensorflow") & (found.dtype == "float64")]
        assert way.values == [small(own.value.max())]


def test_the_claim_of_learning(seen: Seen) -> None:
    frame, tried = seen.frame, cells_of(seen, "training", "trainings")
    targets = {json.dumps(it["cell"], sort_keys=True): it["target"] for it in seen.document["trainings"]}
    accuracy = frame[frame.quantity == "accuracy"]
    reached = int((accuracy.value >= next(iter(targets.values()))).sum())
    failed = sum((it["stage"], it["status"]) == ("training", "failed") for it in seen.document["outcomes"])
    expected = [f"{len(tried)} trainings planned", f"{reached} reached"]
    expected += [f"{failed} failed"] if failed else []
    missing = len(tried) - len(targets) - failed
    expected += [f"{missing} not run"] if missing else []
    losses = frame[frame.quantity == "training loss"].groupby(["model", "dtype", "detail"]).value
    spread = ((losses.max() - losses.min()) / losses.max()).max()
    expected.append(f"at most {small(spread)} apart")
    nothing_left(seen.claims["learns"].sentence, expected)


def lines(seen: Seen) -> pd.DataFrame:
    """Logical lines, a row for each model, a column for each implementation."""
    own = seen.frame[seen.frame.quantity == "logical lines"]
    return own.pivot(index="model", columns="implementation", values="value")


def test_the_lines(seen: Seen) -> None:
    found, expected = lines(seen), []
    for name, way in zip(THREE, seen.panels[1].ways, strict=True):
        assert way.values == [f"{stats.gmean(found[name].dropna()):.0f}"]
    for name in THREE[1:]:
        expected.append(f"needs {percent(stats.gmean(found[name] / found.raw_tf))}")
        expected += [f"{model} {row[name]:.0f} for {row.raw_tf:.0f}" for model, row in found.iterrows()]
    nothing_left(seen.claims["shorter"].sentence, expected)


def interval(logs: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The sign test turned around, widened for the correlation of the signs of neighbouring rounds."""
    n, middle = len(logs), (len(logs) + 1) / 2
    ranks = [r for r in range(1, n // 2 + 1) if 1 - 2 * stats.binom.cdf(r - 1, n, 0.5) >= 0.95] or [1]
    signs = np.sign(logs - np.median(logs))
    r = 0.0
    if n >= 10 and signs.any():
        r = float(np.clip(signs[1:] @ signs[:-1] / (signs @ signs), 0.0, 0.9))
    wide = max(1, math.floor(middle - (middle - ranks[-1]) * math.sqrt((1 + r) / (1 - r))))
    ordered = np.sort(logs)
    return math.exp(ordered[wide - 1]), math.exp(ordered[n - wide])


def ratios(seen: Seen, implementation: str, what: str) -> dict[str, tuple[float, float, float]]:
    """Median ratio within rounds to raw TensorFlow, with its interval, of each model; one thread, the largest batch."""
    own = seen.frame[(seen.frame.quantity == f"{what} time") & (seen.frame.backend == "tensorflow")]
    own = own[own.detail.str.endswith(", 1 threads")]
    batch = own.detail.str.extract(r"batch (\d+)")[0].astype(int)
    own = own[batch == batch.max()] if len(own) else own
    found = {}
    for model, rows in own.groupby("model", sort=False):
        arms = rows.pivot(index="round", columns="implementation", values="value")
        logs = np.asarray(np.log(arms[implementation] / arms.raw_tf))
        found[str(model)] = (math.exp(np.median(logs)), *interval(logs))
    return found


@pytest.mark.parametrize(("at", "implementation"), list(enumerate(THREE)))
def test_the_panel_of_prices(seen: Seen, at: int, implementation: str) -> None:
    for what, text in zip(("train_step", "predict", "fit"), seen.panels[2].ways[at].values, strict=True):
        found = [value for value, _, _ in ratios(seen, implementation, what).values()]
        assert text == (factor(stats.gmean(found)) + TIMES if found else "no data")


@pytest.mark.parametrize(("name", "implementation"), [("slower", "tf_keras"), ("must-be-slower", "shim")])
def test_the_claims_of_speed(seen: Seen, name: str, implementation: str) -> None:
    expected = ["above 1", f"ends at 1.05{TIMES}"]
    for what, word in (("train_step", "train step"), ("fit", "fit")):
        found = ratios(seen, implementation, what)
        if found:
            expected.append(f"{word} {factor(stats.gmean([value for value, _, _ in found.values()]))}{TIMES}")
        expected += [
            f"{model} {factor(m)}{TIMES} [{factor(low)}, {factor(high)}]" for model, (m, low, high) in found.items()
        ]
    nothing_left(seen.claims[name].sentence, expected)


def agreement(seen: Seen, name: str) -> list[str]:
    """How near an API is to the oracle where it is the same, and its largest difference that has a known cause."""
    way = ("tensorflow", "float64", name)
    own = pd.DataFrame(
        [
            (it["disagreement"], it["bound"], it["departs"])
            for it in seen.document["comparisons"]
            if (it["cell"]["backend"], it["cell"]["dtype"], it["cell"]["implementation"]) == way
        ],
        columns=["value", "bound", "known"],
    )
    rest, known = own[~own.known.astype(bool)], own[own.known.astype(bool)]
    if not (rest.value <= rest.bound.astype(float)).all():
        return []
    least = [f"at most {small(known.value.max())} in"] if len(known) else []
    return [f"to {small(rest.value.max())}", *least]


def test_the_lead(seen: Seen) -> None:
    """Every clause has a number of the run, and no number is anybody else's."""
    found = lines(seen)
    gone = {it["cell"]["implementation"] for it in seen.document["outcomes"] if it["status"] != "ok"}
    share = percent(stats.gmean(found.tf_keras / found.raw_tf))
    counts = [f"{stats.gmean(found[name]):.0f}" for name in ("tf_keras", "raw_tf")]
    expected = [share, f"{counts[0]} for {counts[1]}"]
    for name in THREE[1:]:
        expected += agreement(seen, name) if name not in gone else []
    for what, words in (("train_step", "a train step"), ("predict", "a prediction"), ("fit", "a fit")):
        own_ratios = ratios(seen, "tf_keras", what)
        if any(low > 1 or high < 1 for _, low, high in own_ratios.values()):
            expected.append(f"{factor(stats.gmean([value for value, _, _ in own_ratios.values()]))}{TIMES} for {words}")
    text = seen.lead.partition("Below ")
    tail = text[2].partition("(law of cost).")[2]
    rewritten = re.sub(r"From [^.]*of the lines change\.", "", text[0])  # measured in test_code
    if seen.claims["must-be-slower"].verdict == claims.REFUTED:
        own_ratios = ratios(seen, "shim", "train_step")
        expected.append(f"takes {factor(stats.gmean([value for value, _, _ in own_ratios.values()]))}{TIMES}")
    nothing_left(rewritten.replace("slot/v/a", "") + tail, [*expected, *["takes 1"] * ("takes 1." in rewritten)])


def test_the_batch_from_which_it_no_longer_shows(seen: Seen) -> None:
    """The law of cost by SciPy's non-negative least squares, of the medians over rounds."""

    def line(name: str, model: str) -> tuple[float, float]:
        (sweep,) = [
            it
            for it in seen.document["sweeps"]
            if (it["cell"]["implementation"], it["cell"]["backend"], it["cell"]["model"]) == (name, "tensorflow", model)
        ]
        times = np.median(np.array(sweep["seconds"]), axis=1)
        work = np.column_stack([np.ones(len(times)), sweep["flops"], sweep["parameters"]]) / times[:, None]
        units = np.abs(work).max(axis=0)
        from scipy.optimize import nnls

        terms = nnls(work / units, np.ones(len(times)))[0] / units
        return terms[0] + terms[2] * sweep["parameters"][0], terms[1] * sweep["flops"][0] / sweep["batch_sizes"][0]

    for model in dict.fromkeys(it["cell"]["model"] for it in seen.document["sweeps"]):
        (fixed, each), (raw_fixed, raw_each) = line("tf_keras", model), line("raw_tf", model)
        if each >= 1.1 * raw_each:
            assert model in seen.panels[2].note.partition("at no batch ")[2]
            continue
        batch = math.ceil(max(1.0, (fixed - 1.1 * raw_fixed) / (1.1 * raw_each - each)))
        two = float(f"{batch:.2g}") if batch >= 10 else batch
        assert f"{model} from a batch of {two:.0f} on" in seen.panels[2].note


def test_a_wrong_number_is_noticed(seen: Seen) -> None:
    """The check itself: one digit more on the page, and it fails."""
    with pytest.raises(AssertionError, match="nobody computed"):
        nothing_left(f"{seen.claims['learns'].sentence} 7", re.findall(r"\d[\d.e-]*", seen.claims["learns"].sentence))
