"""torch's optimizers, told apart by their steps, for all parameters or for some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from suites.port.hypotheses.optimizer_settings import other_settings
from suites.port.hypotheses.optimizers import explain_steps
from suites.port.hypotheses.steps import Run, StepsQuestion
from suites.port.hypotheses.update_rules import CHANGES, Clip, Schedule, update

Arrays = Mapping[str, np.ndarray]
STEPS = 4
SGD: dict[str, Any] = {"rule": "sgd", "rate": 0.1}
HALVING = {**SGD, "rates": [0.1, 0.05, 0.025, 0.0125, 0.00625]}
ADAM: dict[str, Any] = {"rule": "adam", "rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
ADAMW = {**ADAM, "weight_decay": 0.1, "decoupled": True}
NORM = Clip("global norm", 0.5, 1e-6)
DESCRIBED: dict[str, Any] = {"sgd": SGD, "sgd halving": HALVING, "adam": ADAM, "adamw 0.1": ADAMW}
NAMED = [
    ("adamw 0.1 of kernels", "adamw 0.1", "weight decay of biases and norms: A none, B 0.1, decoupled"),
    ("adamw 0.1", "adam L2 0.1", "weight decay: A 0.1, decoupled from the gradient, B 0.1, L2, in the gradient"),
    ("adamw 0.1", "adam", "weight decay: A 0.1, decoupled from the gradient, B none"),
    ("sgd halving", "sgd halving a step early", "those of A 1 step later"),
    ("sgd halving", "sgd", "schedule, rates of the first steps: A 0.1, 0.05, 0.025, 0.0125, B stays 0.1"),
    ("sgd warming", "sgd warming from 0", "those of A 1 step earlier"),
    ("sgd global norm", "sgd", "A clips by the global norm at 0.5 + 1e-6 (clip_grad_norm_), B does not clip"),
    ("sgd global norm", "sgd each norm", "B clips each parameter by its norm at 0.5"),
    ("sgd", "sgd value", "A does not clip, B clips by value at 0.1"),
    ("adam", "adam global norm", "A does not clip, B clips by the global norm at 0.1"),
    ("sgd", "sgd every second step", "updates: A at each step, B every 2 steps"),
    ("sgd", "sgd, o slower", "learning rate of o/bias, o/kernel: A 0.1, B 0.01"),
    ("sgd", "sgd, o frozen", "training of o/bias, o/kernel: A trains them, B leaves them"),
    ("nesterov", "heavy ball", "momentum: A Nesterov's, B heavy-ball"),
    ("adam", "sgd", "update rule: A adam, B sgd"),
    ("adam", "adam eps 1e-3", "epsilon of the optimizer: A 1e-08, B 0.001"),
    ("rmsprop 0.9", "rmsprop", "rho: A 0.9, B 0.99"),
    ("adagrad from 0.1", "adagrad", "start of the accumulator: A 0.1, B 0"),
]
OWN = {
    "nesterov": {**SGD, "momentum": 0.9, "nesterov": True},
    "rmsprop 0.9": {"rule": "rmsprop", "rate": 0.01, "rho": 0.9, "epsilon": 1e-8},
    "adagrad from 0.1": {"rule": "adagrad", "rate": 0.01, "epsilon": 1e-10, "initial": 0.1},
}


def run(found: Arrays, name: str, each: Mapping[str, Any] | None = None) -> Run:
    start = {key.split("/", 2)[2]: array for key, array in found.items() if key.startswith("optimizers/start/")}
    of = [
        {p: found[f"optimizers/{name}/{kind}{n}/{p}"] for p in start}
        for n in range(STEPS)
        for kind in ("slope", "after")
    ]
    config = DESCRIBED.get(name) or OWN.get(name)
    described = each or (dict.fromkeys(start, config) if config else {})
    clip = NORM if name == "sgd global norm" else Clip()
    return Run(start, of[::2], of[1::2], described, clip)


def question(a: Run, b: Run) -> StepsQuestion:
    return StepsQuestion(a, b, 2.0**-53, {name: name.rpartition("/")[2] for name in a.start})


def described(found: Arrays, name: str) -> Run:
    if name != "adamw 0.1 of kernels":
        return run(found, name)
    plain = run(found, name)
    each = {p: {**ADAMW, "weight_decay": 0.1 if "kernel" in p else 0.0} for p in plain.start}
    return run(found, name, each)


@pytest.mark.parametrize("a, b, words", NAMED)
def test_another_update_is_named(of_torch: Arrays, a: str, b: str, words: str) -> None:
    """From B's steps alone: nothing that B's optimizer says of itself is used."""
    theirs = run(of_torch, b)
    theirs = Run(theirs.start, theirs.slopes, theirs.after)
    found = explain_steps(question(described(of_torch, a), theirs))
    assert found is not None and len(found) == 1, found
    assert words in found[0].words()


@pytest.mark.parametrize("a, b, words", NAMED[:4])
def test_rules_that_nobody_describes_are_guessed(of_torch: Arrays, a: str, b: str, words: str) -> None:
    """A user's own optimizer describes itself to nobody."""
    runs = [run(of_torch, name) for name in (a, b)]
    found = explain_steps(question(*(Run(r.start, r.slopes, r.after) for r in runs)))
    assert found is not None and any(words.split(":")[0].split(",")[0] in cause.words() for cause in found)


def test_two_changes_are_both_named(of_torch: Arrays) -> None:
    found = explain_steps(question(described(of_torch, "adam"), run(of_torch, "adamw 0.05, eps 1e-3")))
    assert [cause.signature for cause in found or []] == ["epsilon", "weight_decay"]


def test_the_slack_of_torchs_clip_is_no_fault(of_torch: Arrays) -> None:
    """clip_grad_norm_ divides by the norm plus 1e-6: no port can do otherwise, and it is said."""
    exact = run(of_torch, "sgd global norm exactly")
    ours = Run(exact.start, exact.slopes, exact.after, dict.fromkeys(exact.start, SGD), Clip("global norm", 0.5))
    (found,) = explain_steps(question(ours, run(of_torch, "sgd global norm"))) or []
    assert found.released and found.signature == "clipping"


def test_the_same_steps_are_no_difference(of_torch: Arrays) -> None:
    for name in {a for a, _, _ in NAMED}:
        assert explain_steps(question(described(of_torch, name), run(of_torch, name))) == []


def test_an_unknown_rule_gets_no_name(of_torch: Arrays) -> None:
    assert explain_steps(question(run(of_torch, "adam"), run(of_torch, "rprop"))) is None


HAT = {**ADAM, "epsilon": 1e-7, "epsilon_hat": True}
RMSPROP = {"rule": "rmsprop", "rate": 0.01, "rho": 0.9, "epsilon": 1e-7, "epsilon_inside": True}
VELOCITY = {**SGD, "momentum": 0.9, "nesterov": True, "rate_inside": True, "rates": [0.05, 0.04, 0.03]}
LION = {"rule": "lion", "rate": 0.01, "beta_1": 0.9, "beta_2": 0.99}
PLANTED: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    (HAT, {"epsilon_hat": False, "epsilon": 1e-8}, {"eps_hat"}),
    (HAT, {"beta_2": 0.99}, {"beta_2"}),
    (HAT, {"weight_decay": 0.01, "decoupled": False}, {"weight_decay"}),
    (HAT, {"float32": True}, {"float32"}),
    (HAT, {"corrected": False}, {"corrected"}),
    (RMSPROP, {"epsilon_inside": False}, {"epsilon_place"}),
    (RMSPROP, {"centered": True}, {"centered"}),
    (VELOCITY, {"rate_inside": False}, {"velocity"}),
    (VELOCITY, {"momentum": 0.5}, {"momentum"}),
    (VELOCITY, {"rates": None, "rate": 0.05}, {"schedule"}),
    ({**ADAMW, "rates": [0.01, 0.005, 0.002]}, {"decay_by": "base"}, {"decay_by"}),
    (VELOCITY, {}, set()),
    (LION, {"beta_1": 0.99, "beta_2": 0.9}, {"betas"}),
    ({**ADAMW, "rates": [0.0, 0.01, 0.02]}, {"rates": [0.0, -0.01, -0.02]}, {"rate"}),
]


def run_by(rule: dict[str, Any]) -> Run:
    """Three steps of a rule, the same gradients for all; small ones, where an epsilon shows."""
    rng = np.random.default_rng(0)
    start = {"w": rng.normal(size=(3, 4))}
    slopes = [{"w": 1e-3 * rng.normal(size=(3, 4))} for _ in range(3)]
    after = update(rule, start["w"], [each["w"] for each in slopes])
    return Run(start, slopes, [{"w": weight} for weight in after], {"w": rule})


@pytest.mark.parametrize("config, changes, names", PLANTED)
def test_a_rule_is_told_from_its_steps(config: dict[str, Any], changes: dict[str, Any], names: set[str]) -> None:
    """With small gradients, where an epsilon shows."""
    ours = {"decoupled": True, **config}
    found = explain_steps(question(*(run_by(rule) for rule in (ours, {**ours, **changes}))))
    assert found is not None and {cause.signature for cause in found} == names


@pytest.mark.parametrize(
    "changes, names",
    [
        ({}, []),
        ({"cleared": False}, ["not_cleared"]),
        *(({"change": each}, ["gradient_change"]) for each in CHANGES if each),
    ],
)
def test_what_a_step_makes_of_gradients_is_told(changes: dict[str, Any], names: list[str]) -> None:
    """A step of the user's clips, and its schedule starts at 0: neither stands in what the optimizer says of itself."""
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=size) for name, size in (("w", (3, 4)), ("b", 4))}
    slopes = [{name: 0.1 * rng.normal(size=w.shape) for name, w in start.items()} for _ in range(3)]
    rule = {**ADAMW, "rates": [0.0, 0.01, 0.02]}

    def steps(schedule: Schedule) -> Run:
        given = schedule.prepare(slopes)
        made = {name: update(rule, w, [each[name] for each in given]) for name, w in start.items()}
        after = [{name: made[name][n] for name in start} for n in range(3)]
        return Run(start, slopes, after, dict.fromkeys(start, ADAMW))

    same = Schedule(Clip("global norm", 0.2, 1e-6))
    found = explain_steps(question(steps(same), steps(same._replace(**changes))))
    assert found is not None and [cause.signature for cause in found] == names


ROUNDED = {"rates": [0.01, 0.005, 0.0025]}
SINGLE = [float(np.float32(rate)) for rate in ROUNDED["rates"]]  # as optax computes a schedule
AMSGRAD = {**ADAM, "amsgrad": "corrected", "library": "optax"}
ADAMAX = {**ADAM, "rule": "adamax", "epsilon_inside": False}
OF_TORCH = {"epsilon_hat": False, "epsilon_inside": False, "rate_inside": False, "library": "torch"}


@pytest.mark.parametrize(
    ("keras", "changes", "avoidable"),
    [
        (HAT, {}, set()),
        (HAT, {"library": None}, {"eps_hat"}),
        (HAT, {"epsilon": 1e-8}, {"epsilon"}),
        (HAT, {"beta_2": 0.99}, {"beta_2"}),
        (RMSPROP, {}, set()),
        (VELOCITY, {}, {"velocity"}),  # a port can rescale its velocity as the rate moves
        (VELOCITY, {"momentum": 0.5}, {"momentum", "velocity"}),
        ({**HAT, **ROUNDED}, {"library": "optax", "rates": SINGLE}, set()),
        (AMSGRAD, {"amsgrad": True}, set()),
        (AMSGRAD, {"amsgrad": True, "library": None}, {"amsgrad_place"}),
        (ADAMAX, {"epsilon_inside": True}, set()),
        (ADAMAX, {"epsilon_inside": True, "library": None}, {"epsilon_place"}),
    ],
)
def test_libraries_own_rules_are_what_no_port_can_avoid(
    keras: dict[str, Any], changes: dict[str, Any], avoidable: set[str]
) -> None:
    """Keras's Adam beside torch's: where each adds its epsilon is its own; a number or a rule by hand is somebody's."""
    ours = {"rate_inside": True, "library": "keras", **keras}
    found = explain_steps(question(*(run_by(rule) for rule in (ours, {**ours, **OF_TORCH, **changes}))))
    assert found and {cause.signature for cause in found if not cause.released} == avoidable


def test_nothing_dampens_a_momentum_that_is_not_there() -> None:
    """torch ignores dampening without momentum: rates that are rounded were told as two wrong settings."""
    plain = {**SGD, **ROUNDED, "momentum": 0.0}
    found = explain_steps(question(run_by(plain), run_by({**plain, "rates": SINGLE})))
    assert found is not None and {cause.signature for cause in found} == {"float32"}
    wrong = explain_steps(question(run_by(plain), run_by({**plain, "rates": [0.010001, 0.005, 0.0025]})))
    assert wrong is None or not all(cause.released for cause in wrong)


@pytest.mark.parametrize("a, b, note", [(0.1, 0.9, "changed places"), (1.0, 0.2, "say the same rate")])
def test_a_moving_average_of_the_weights_is_no_other_rate(a: float, b: float, note: str) -> None:
    """Both optimizers say the same rate: what is left of an update is the average's."""
    rng = np.random.default_rng(0)
    start = {"w": rng.normal(size=6)}
    slopes = [{"w": rng.normal(size=6)} for _ in range(3)]

    def steps(share: float) -> Run:
        after = update({**SGD, "rate": 0.1 * share}, start["w"], [each["w"] for each in slopes])
        return Run(start, slopes, [{"w": w} for w in after], {"w": SGD})

    found = explain_steps(question(steps(a), steps(b)))
    assert found is not None and [cause.signature for cause in found] == ["ema"]
    assert note in found[0].words()


def test_a_rule_without_a_formula_is_told_by_what_its_optimizers_say() -> None:
    """Keras's Nadam has 0.96^t where torch's has 0.96^(0.004 t): the update was not recognised."""
    ours = {"class_name": "Nadam", "rate": 0.01, "beta_1": 0.9, "momentum_decay": 1.0, "epsilon": 1e-7}
    theirs = {**ours, "class_name": "NAdam", "momentum_decay": 0.004, "beta_1": float(np.float32(0.9))}
    found = other_settings(ours, theirs)
    assert found is not None and found.words() == "settings of Nadam: A momentum_decay 1, B momentum_decay 0.004"
    assert other_settings(ours, {**theirs, "class_name": "Adamax"}) is None
    assert other_settings(ours, {**ours, "class_name": "NAdam"}) is None
