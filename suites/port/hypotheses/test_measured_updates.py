"""Rules with a trust ratio, of averages or by hand, from their steps; and what is measured where none fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from suites.port.hypotheses.measured_updates import measured
from suites.port.hypotheses.optimizers import explain_steps
from suites.port.hypotheses.steps import Run, StepsQuestion
from suites.port.hypotheses.update_rules import Config, update

RNG = np.random.default_rng(0)
START = {"w": RNG.normal(size=(30, 12)), "b": RNG.normal(size=12)}  # more than a sample of elements
SLOPES = [{name: RNG.normal(size=w.shape) for name, w in START.items()} for _ in range(3)]
LAMB: Config = {
    "rule": "adam", "rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6,
    "trust": "update", "weight_decay": 0.1, "decoupled": True,
}  # fmt: skip
LARS: Config = {"rule": "sgd", "rate": 0.002, "momentum": 0.9, "trust": "gradient", "weight_decay": 1e-3}
RADAM: Config = {"rule": "radam", "rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
ADAM: Config = {"rule": "adam", "rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
LION: Config = {
    "rule": "lion", "rate": 1e-3, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.05, "decoupled": True
}  # fmt: skip


def run(*rules: Config, described: bool = False) -> Run:
    """The steps of one rule for all parameters, or of one for each."""
    each = dict(zip(START, rules * (2 // len(rules)), strict=True))
    made = {name: update(each[name], w, [slope[name] for slope in SLOPES]) for name, w in START.items()}
    after = [{name: made[name][n] for name in START} for n in range(3)]
    return Run(START, SLOPES, after, each if described else {})


def question(a: Run, b: Run) -> StepsQuestion:
    return StepsQuestion(a, b, 2.0**-53, {"w": "kernel", "b": "bias"})


NAMED: list[tuple[Config, dict[str, Any], str]] = [
    (LAMB, {"trust": "step"}, "B norm of the weight by that of the update without its decay"),
    (LAMB, {"trust": ""}, "trust ratio: A norm of the weight by that of the whole update, B none"),
    (LAMB, {"corrected": False}, "bias correction: A with it, B without it"),
    (LAMB, {"weight_decay": 0.02}, "B 0.02, decoupled"),
    (LARS, {"rate": 0.0001}, "learning rate times the trust coefficient: A 0.002, B 0.0001"),
    (LARS, {"trust": "sum"}, "B norm of the weight by those of the gradient and of the decay, added"),
    (RADAM, {"corrected": False}, "bias correction: A with it, B without it"),
    (ADAM, {"ahead": 1}, "count of steps in the bias correction: A begins at 1, B begins at 2"),
    (ADAM, {"belief": True}, "variance around the average (AdaBelief): A without it, B with it"),
    ({**ADAM, "amsgrad": "corrected"}, {"amsgrad": True}, "AMSGrad's largest: A of the corrected averages (optax)"),
    (LION, {"beta_2": 0.9}, "beta 2: A 0.99, B 0.9"),
    (LION, {"decay_by": "none"}, "weight decay: A times the learning rate, B times no rate"),
]


@pytest.mark.parametrize("rule, changes, words", NAMED)
def test_what_nobody_describes_is_told_from_its_steps(rule: Config, changes: dict[str, Any], words: str) -> None:
    ours = run(rule, described=rule["rule"] == "lion" or rule is ADAM or "amsgrad" in rule)
    assert explain_steps(question(ours, ours)) == []
    found = explain_steps(question(ours, run({**rule, **changes})))
    assert found and words in found[0].words(), found


def test_biases_without_a_trust_ratio() -> None:
    found = explain_steps(question(run(LARS), run(LARS, {**LARS, "trust": "", "rate": 0.1})))
    assert found and any("trust ratio of biases" in each.words() for each in found)


def test_rates_of_layers_are_told_as_one() -> None:
    rates = [[{"rule": "sgd", "rate": rate} for rate in pair] for pair in ((0.1, 0.05), (0.05, 0.025), (0.05, 0.1))]
    ours, halved, exchanged = (run(*pair) for pair in rates)
    (found,) = explain_steps(question(ours, halved)) or []
    assert "always 0.5 times A's, in all groups" in found.words()
    (found,) = explain_steps(question(ours, exchanged)) or []
    assert "the same rates at other parameters" in found.words()


def own(*parts: float) -> Run:
    """The first update is a sum of the sign of the gradient, the gradient and the weight."""
    before, after = START, []
    for slope in SLOPES:
        step = {n: parts[0] * np.sign(slope[n]) + parts[1] * slope[n] + parts[2] * w for n, w in before.items()}
        before = {n: before[n] + step[n] for n in before}
        after.append(before)
    return Run(START, SLOPES, after)


def test_an_unknown_rule_is_measured() -> None:
    """Where no rule fits: a factor, or a term that one side has, or from which step on they differ."""
    ours = own(0.1, 0.01, 0.0)
    words = measured(question(ours, own(0.2, 0.02, 0.0)))
    assert words is not None and "B's is 2 times A's" in words.words()
    words = measured(question(ours, own(0.1, 0.01, -0.05)))
    assert words is not None and "1 times A's plus -0.05 times the weight" in words.words()
    late = Run(START, SLOPES, [ours.after[0], *({n: w + 1 for n, w in step.items()} for step in ours.after[1:])])
    words = measured(question(ours, late))
    assert words is not None and "the first update agrees, the second" in words.words()


@pytest.mark.parametrize("config", [{"rule": "sgd", "rate": 0.1}, ADAM])
def test_what_a_step_adds_to_the_gradient_of_the_loss_is_measured(config: dict[str, Any]) -> None:
    """A penalty on gradients stands in a step of the user's, where no loss shows it: from the first update alone."""
    rng = np.random.default_rng(0)
    start = {"w": rng.normal(size=(4, 5)), "b": rng.normal(size=5)}
    slopes = [{name: 0.1 * rng.normal(size=w.shape) for name, w in start.items()} for _ in range(3)]
    penalty = {name: 0.1 * rng.normal(size=w.shape) for name, w in start.items()}

    def told(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> str:
        found = measured(StepsQuestion(stepped(a), stepped(b), 2.0**-53))
        return found.words() if found is not None else ""

    def stepped(more: Mapping[str, np.ndarray]) -> Run:
        made = {n: update(config, w, [each[n] + more[n] for each in slopes]) for n, w in start.items()}
        return Run(start, slopes, [{n: made[n][t] for n in start} for t in range(3)], dict.fromkeys(start, config))

    nothing, ten = ({n: k * g for n, g in penalty.items()} for k in (0.0, 10.0))
    signs = {n: 0.001 * np.sign(w) for n, w in start.items()}
    assert told(ten, penalty) == "what train_step adds to the gradient of the loss: A 1, B 0.1 times A's"
    assert "A nothing, B something" in told(nothing, penalty)
    assert "A 0.001 times the signs of the weights (a sum of sizes), B nothing" in told(signs, nothing)
