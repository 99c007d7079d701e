"""How experts are weighed, and banks of mel filters: both sides in NumPy, each with one thing done otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from suites.port.hypotheses.filterbanks import NO_NORM, NORMS, Bank, bank_of
from suites.port.hypotheses.question import Part
from suites.port.testing.tapes import Array, Tape, softmax, words

RNG = np.random.default_rng(3)
SCORES, EXPERTS = RNG.normal(size=(2, 5, 6)), RNG.normal(size=(2, 5, 6, 4))
BEST = np.argsort(-SCORES, -1)[..., :2]
TOP = np.take_along_axis(SCORES, BEST, -1)
SHARES = np.take_along_axis(softmax(SCORES), BEST, -1)


def mixed(weights: Array, scores: Array = SCORES) -> Part:
    """Two experts for each token, in the order of their scores; these may come in as probabilities."""
    tape = Tape()
    given, experts = tape.given(scores), tape.given(EXPERTS)
    chosen = tape.op("topk", np.take_along_axis(scores, BEST, -1), given)
    weighed = tape.op("whatever", weights, chosen)
    taken = tape.op("gather", np.take_along_axis(EXPERTS, BEST[..., None], 2), experts)
    tape.op("einsum", np.einsum("btk,btkd->btd", weights, tape.values[taken]), weighed, taken, e="btk,btkd->btd")
    return tape.part(given, experts)


def of_all(weights: Array) -> Part:
    """The same, as a sum over all experts in which most weights are 0."""
    tape = Tape()
    scores, experts = tape.given(SCORES), tape.given(EXPERTS)
    whole = np.zeros(SCORES.shape)
    np.put_along_axis(whole, BEST, weights, -1)
    gates = tape.op("whatever", whole, scores)
    tape.op("einsum", np.einsum("bte,bted->btd", whole, EXPERTS), gates, experts, e="bte,bted->btd")
    return tape.part(scores, experts)


WAYS = {
    "A sum to 1 (a softmax of the chosen scores, or one of all, renormalised), B as a softmax over all": SHARES,
    "B a softmax twice": softmax(SHARES),
    "B sigmoids, renormalised": (s := 1 / (1 + np.exp(-TOP))) / s.sum(-1, keepdims=True),
    "times 2.5": 2.5 * softmax(TOP),
    "experts that are chosen: A 2 of 6, B 1 of 6": np.stack([np.ones((2, 5)), np.zeros((2, 5))], -1),
    "B all alike, sum 1": np.full(TOP.shape, 0.5),
}


@pytest.mark.parametrize("told, other", WAYS.items())
def test_weights_of_chosen_experts_have_a_name(told: str, other: Array) -> None:
    """Whichever side takes the few and whichever all of them."""
    for one in (mixed, of_all):
        assert told in words(one(softmax(TOP)), of_all(other))
    if "1 of 6" not in told and "sigmoids" not in told:  # which no probabilities tell
        assert told in words(mixed(softmax(TOP), softmax(SCORES)), mixed(other, softmax(SCORES)))


BANKS = (
    Bank("HTK", NO_NORM, "Hz", 0.0, 4000.0, 8000),
    Bank("Slaney", NORMS[1], "Hz", 20.0, 7600.0, 16000),
    Bank("HTK", NO_NORM, "mel", 125.0, 3800.0, 22050),
)


def heard(bank: Bank, turned: bool = False) -> Part:
    tape = Tape()
    filters = bank.made(65, 12)
    power = tape.given(RNG_POWER)
    table = filters.T if turned else filters
    tape.tables["filters"] = table
    at = tape.op("matmul", RNG_POWER @ filters, power, table="filters")
    raised = tape.op("add", tape.values[at] + 1e-6, at, 1e-6)
    tape.op("log", np.log(tape.values[raised]), raised)
    return tape.part(power)


RNG_POWER = RNG.normal(size=(3, 4, 65)) ** 2


def test_a_bank_of_mel_filters_is_recognised_and_told() -> None:
    for bank in BANKS:
        for array in (bank.made(201, 40).astype(np.float32), bank.made(201, 40).T):
            assert bank_of(array) == bank
    assert bank_of(BANKS[0].made(33, 10) ** 1.1) is None
    assert bank_of(np.abs(RNG.normal(size=(40, 10)))) is None


@pytest.mark.parametrize("told, other", {
    "mel scale of the filters": BANKS[0]._replace(scale="Slaney"),
    "norm of the mel filters in matmul (x.py:0): A none (peaks of 1), B Slaney's": BANKS[0]._replace(norm=NORMS[1]),
    "A 4000 Hz, B 3800 Hz": BANKS[0]._replace(high=3800.0),
    "straight over in matmul (x.py:0): A Hz, B mel": BANKS[0]._replace(straight="mel"),
}.items())  # fmt: skip
def test_conventions_of_mel_filters(told: str, other: Bank) -> None:
    assert told in words(heard(BANKS[0]), heard(other, turned=True))
