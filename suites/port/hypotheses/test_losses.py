"""Losses of torch, told apart by their value on given outputs and the gradient of a bias."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from suites.port.hypotheses.ctc import ctc
from suites.port.hypotheses.formulas import Array, log_softmax
from suites.port.hypotheses.loss_formulas import huber
from suites.port.hypotheses.loss_question import LossQuestion
from suites.port.hypotheses.losses import explain_loss
from suites.port.hypotheses.measured_losses import pinball, tempered

Arrays = Mapping[str, np.ndarray]
NAMED = [
    ("mean", "sum", "reduction of the cross-entropy: A mean, B sum: times 8 (examples)"),
    ("mean", "by classes", "times 1/5 (classes)"),
    ("mean", "softmax twice", "A logits, B logits of a softmax applied before"),
    ("smoothed", "mean", "label smoothing: A 0.1 spread over all K classes, B none"),
    ("smoothed", "smoothed over the others", "B 0.1 spread over the other K - 1 classes"),
    ("mean", "weighted", "class weights: A none, B "),
    ("weighted", "weighted by examples", "A divided by the sum of the weights, B divided by the number of examples"),
    ("time ignored", "time", "cross-entropy counts: A all but those labelled 0, B all elements"),
    ("time ignored", "time ignored by all", "A mean over these, B sum over these, divided by the number of all"),
    ("divergence", "divergence by classes", "times 1/5 (classes)"),
    ("divergence", "soft labels", "A KL divergence from logits, mean, B cross-entropy from logits, mean"),
    ("squares", "half squares", "squared error is multiplied by: A 1, B 0.5"),
    ("squares", "summed squares", "A mean, B sum, divided by the examples: times 5 (classes)"),
    ("squares", "huber", "A squared error, mean, B Huber loss, delta 1, mean"),
    ("minus cosine", "cosine", "sign of the cosine similarity: A -cosine similarity, B +cosine similarity"),
    ("bits", "bits twice", "A logits, B logits of a sigmoid applied before"),
    ("bits of positives", "bits", "weight of labels that are 1 (pos_weight): A 1, 2, 0.5, 1, 3, B none"),
    ("bits of outputs", "bits of positives", "(pos_weight): A 2 for all, B 1, 2, 0.5, 1, 3"),
    ("focal 2", "focal 1.5", "A gamma 2, alpha 0.25, B gamma 1.5, alpha 0.25"),
    ("focal 2", "focal 2, 0.75", "A gamma 2, alpha 0.25, B gamma 2, alpha 0.75"),
]


def question(found: Arrays, a: str, b: str) -> LossQuestion:
    def of(name: str, key: str) -> np.ndarray:
        return found[f"losses/{name}/{key}"]

    return LossQuestion(
        {"out": of(a, "z")},
        {"out": of(b, "z")},
        {"y": of(a, "y")},
        float(of(a, "loss")),
        float(of(b, "loss")),
        2.0**-53,
        {"bias": of(a, "gradient")},
        {"bias": of(b, "gradient")},
        slopes=lambda: ({"out": of(a, "slopes")}, {"out": of(b, "slopes")}),
    )


@pytest.mark.parametrize("a, b, words", NAMED)
def test_another_loss_is_named(of_torch: Arrays, a: str, b: str, words: str) -> None:
    found = explain_loss(question(of_torch, a, b))
    assert found is not None and len(found) == (2 if a == "bits of outputs" else 1)
    assert words in found[0].words()


def of_values(z: np.ndarray, y: np.ndarray, a: float, b: float) -> str:
    (found,) = explain_loss(LossQuestion({"out": z}, {"out": z}, {"y": y}, a, b, 2.0**-53)) or []
    return found.words()


def test_losses_of_masks_and_of_similarities_are_told_by_what_they_run_over() -> None:
    rng = np.random.default_rng(0)
    p, t = rng.uniform(size=(4, 3, 3, 1)), rng.integers(0, 2, (4, 3, 3, 1))

    def dice(axes: tuple[int, ...]) -> float:
        overlap, size = (p * t).sum(axes), p.sum(axes) + t.sum(axes)
        return float(np.mean(1 - (2 * overlap + 1) / (size + 1)))

    words = of_values(p, t, dice((1, 2, 3)), dice((0, 1, 2, 3)))
    assert words == "Dice loss: A of each example, smooth 1, B over the whole batch, smooth 1"
    z = rng.normal(size=(5, 5))
    rows, columns = (np.mean(np.log(np.exp(s).sum(1)) - np.diagonal(s)) for s in (z, z.T))
    words = of_values(z, np.zeros(5, int), float(rows + columns) / 2, float(rows))
    assert words == "contrastive cross-entropy: A mean of both directions, B from rows to columns"


@pytest.mark.parametrize("mask", [False, True])
def test_weights_in_a_loss_are_told_by_what_it_weighs(mask: bool) -> None:
    """Of a loss without a name: the gradient in each output is A's times a number that a label or a mask gives."""
    rng = np.random.default_rng(2)
    z, slopes, y = rng.normal(size=(9, 4)), rng.normal(size=(9, 4)), np.arange(9) % 4
    kept = np.arange(9) % 3 != 0
    by = np.where(kept, 1.5, 0.0) if mask else np.array([1.0, 1.0, 4.0, 1.0])[y]
    data = {"y": y, "kept": kept} if mask else {"y": y}
    sides = {"out": slopes}, {"out": slopes * by[:, None]}
    found = explain_loss(LossQuestion({"out": z}, {"out": z}, data, 0.7, 1.3, 2.0**-53, slopes=lambda: sides))
    words = (
        "B 0 where kept is 0, 1.5 where kept is 1" if mask else "4 where the label is 2, 1 where the label is 0 or 1"
    )
    assert found is not None and words in found[0].words()


def test_contrastive_losses_of_embeddings_are_told_by_direction_and_temperature() -> None:
    rng = np.random.default_rng(0)
    u, v = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in rng.normal(size=(2, 5, 3)))

    def loss(temperature: float, both: bool) -> float:
        ways = [u @ v.T / temperature, v @ u.T / temperature][: 1 + both]
        return float(np.mean([np.log(np.exp(s).sum(1)) - np.diagonal(s) for s in ways]))

    def told(a: float, b: float) -> str:
        outputs = {"image": 2.0 * u, "text": v}
        (found,) = explain_loss(LossQuestion(outputs, outputs, {"y": np.zeros(5, int)}, a, b, 2.0**-53)) or []
        return found.words()

    symmetric = "A mean of both directions, temperature 0.07"
    assert f"{symmetric}, B from the first to the second, temperature 0.07" in told(loss(0.07, True), loss(0.07, False))
    assert f"{symmetric}, B mean of both directions, temperature 0.5" in told(loss(0.07, True), loss(0.5, True))


def test_one_loss_is_no_difference(of_torch: Arrays) -> None:
    """Neither a loss that is known nor one that is not."""
    for name in {a for a, _, _ in NAMED} | {"cubed"}:
        assert explain_loss(question(of_torch, name, name)) == []


def test_an_unknown_loss_gets_no_name(of_torch: Arrays) -> None:
    assert explain_loss(question(of_torch, "mean", "cubed")) is None


def test_a_penalty_in_one_loss_is_measured(of_torch: Arrays) -> None:
    """Keras adds a regulariser to the loss, weight decay does not."""
    weights = {"kernel": np.random.default_rng(0).normal(size=(3, 4)), "bias": np.ones(4)}
    one = question(of_torch, "mean", "mean")
    more = one.loss_a + 0.01 * float((weights["kernel"] ** 2).sum())
    asked = LossQuestion(one.outputs_a, one.outputs_b, one.data, more, one.loss_b, one.unit, weights=weights)
    (found,) = explain_loss(asked) or []
    assert found.words() == (
        "penalty in the loss: A adds 0.01 times the sum of squares of all kernels, B leaves it out"
    )


def test_triplet_losses_are_told_by_their_distance_and_margin() -> None:
    """Margins are measured, whichever rows reach them; no other loss of three outputs gets a name."""
    rng = np.random.default_rng(0)
    outputs = {name: rng.normal(size=(6, 4)) for name in ("anchor", "near", "far")}
    anchor, near, far = outputs.values()

    def loss(margin: float, power: float) -> float:
        closeness = [((anchor - other + 1e-6 * (power != 1)) ** 2).sum(-1) ** power for other in (near, far)]
        return float(np.maximum(closeness[0] - closeness[1] + margin, 0).mean())

    def told(a: float, b: float) -> str:
        found = explain_loss(LossQuestion(outputs, outputs, {"y": np.zeros(6, int)}, a, b, 2.0**-53))
        return found[0].words() if found else ""

    kind = "triplet loss of distances (1e-6 in each difference)"
    assert told(loss(1.0, 0.5), loss(0.2, 0.5)) == f"{kind}: A margin 1, B margin 0.2"
    assert "B triplet loss of squared distances, margin 1, mean" in told(loss(1.0, 0.5), loss(1.0, 1.0))
    assert "triplet" not in told(loss(1.0, 0.5), 0.123456)


def test_a_loss_of_one_number_for_each_example_gets_no_name_either() -> None:
    """A critic's values, one a row, ended the comparison by a TypeError."""
    z = np.random.default_rng(0).normal(size=6)
    assert explain_loss(LossQuestion({"out": z}, {"out": z}, {"y": z[::-1]}, 0.3, 0.7, 2.0**-53)) is None


def test_a_rate_that_is_taken_for_its_logarithm_is_named() -> None:
    """`log_input=True` is the default of torch's poisson_nll_loss; Keras's Poisson takes rates."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(4, 3)), rng.integers(0, 4, (4, 3)).astype(float)
    rates = np.exp(z)
    ours, theirs = np.mean(rates - y * np.log(rates + 1e-7)), np.mean(np.exp(rates) - y * rates)
    words = of_values(z, y, float(ours), float(theirs))
    assert "A Poisson loss of rates exp(z), mean" in words and "takes rates exp(z) for their logarithms, mean" in words


RNG = np.random.default_rng(1)
Z, Y, CLASSES = RNG.normal(size=(8, 4)), RNG.normal(size=(8, 4)), RNG.integers(0, 4, 8)
SERIES, SPELLED = RNG.normal(size=(4, 7, 5)), RNG.integers(1, 4, (4, 3))
CTC_FIRST = ctc(SERIES, SPELLED, 0, False).mean()
SOFT, TEACHER = log_softmax(Z / 4), log_softmax(Y / 4)  # Y as the logits of a teacher
TAUGHT, TURNED = (float((np.exp(q) * (q - p)).sum()) / 8 for p, q in ((SOFT, TEACHER), (TEACHER, SOFT)))
MEASURED = [
    (16 * TAUGHT, TAUGHT, Z, Y, "temperature 4, times its square, B KL(teacher || student), temperature 4, not times"),
    (
        16 * TAUGHT,
        16 * TURNED,
        Z,
        Y,
        "A KL(teacher || student), temperature 4, times its square, B KL(student || teacher)",
    ),
    (huber(Z - Y, 0.7).mean(), huber(Z - Y, 1.35).mean(), Z, Y, "Huber loss: A delta 0.7, B delta 1.35"),
    (pinball(Z, Y, 0.9).mean(), pinball(Z, Y, 0.25).mean(), Z, Y, "quantile loss: A quantile 0.9, B quantile 0.25"),
    (tempered(Z, CLASSES, 1.0).mean(), tempered(Z, CLASSES, 0.07).mean(), Z, CLASSES, "A plain, B temperature 0.07"),
    (CTC_FIRST, ctc(SERIES, SPELLED, 4, False).mean(), SERIES, SPELLED, "B the blank is the last"),
    (CTC_FIRST, ctc(SERIES, SPELLED, 0, True).mean(), SERIES, SPELLED, "divided by the length"),
]


@pytest.mark.parametrize("loss_a, loss_b, z, y, words", MEASURED)
def test_a_number_in_a_loss_is_measured(loss_a: float, loss_b: float, z: Array, y: Array, words: str) -> None:
    found = explain_loss(LossQuestion({"out": z}, {"out": z}, {"y": y}, float(loss_a), float(loss_b), 2.0**-53))
    assert found is not None and len(found) == 1, found
    assert words in found[0].words()


def test_a_triplet_loss_of_one_batch_is_told_by_its_margin() -> None:
    z = RNG.normal(size=(9, 5))
    apart = ((z[::3] - z[1::3]) ** 2).sum(1) - ((z[::3] - z[2::3]) ** 2).sum(1)
    a, b = (float(np.maximum(apart + margin, 0).mean()) for margin in (1.0, 0.2))
    found = explain_loss(LossQuestion({"out": z}, {"out": z}, {"y": np.zeros(9, int)}, a, b, 2.0**-53))
    assert found is not None and "A margin 1, B margin 0.2" in found[0].words()
