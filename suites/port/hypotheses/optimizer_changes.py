"""What ports get wrong in an update rule, each as proposals of other settings and the words for them.

Settings that can be measured (a rate, a decay) are measured from B's steps and not looked up in a list.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from impls.known_differences import DIFFERENCES
from suites.port.hypotheses.causes import Proposal, nice, propose, short, unlike
from suites.port.hypotheses.rate_changes import NEAR, rates, rounded_rates
from suites.port.hypotheses.steps import Side
from suites.port.hypotheses.update_rules import Config, rates_of, update

GUESSES: tuple[Config, ...] = (
    {"rule": "sgd", "momentum": 0.0},
    {"rule": "sgd", "momentum": 0.9},
    {"rule": "sgd", "momentum": 0.9, "nesterov": True},
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "epsilon_hat": True},
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    {"rule": "rmsprop", "rho": 0.99, "epsilon": 1e-8},
    {"rule": "rmsprop", "rho": 0.9, "epsilon": 1e-7, "epsilon_inside": True},
    {"rule": "adagrad", "epsilon": 1e-10},
    {"rule": "adagrad", "epsilon": 1e-7, "epsilon_inside": True, "initial": 0.1},
    {"rule": "lion", "beta_1": 0.9, "beta_2": 0.99},
    {"rule": "radam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    {"rule": "adamax", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    {"rule": "adamax", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "epsilon_inside": True},
    {"rule": "adamax", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    {"rule": "adadelta", "rho": 0.9, "epsilon": 1e-6},
    {"rule": "adadelta", "rho": 0.95, "epsilon": 1e-7},
)
TRUSTING: tuple[Config, ...] = (
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6, "trust": "update"},
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "trust": "update"},
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "trust": "update"},
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6, "trust": "step"},
    {"rule": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "trust": "step"},
    {"rule": "sgd", "momentum": 0.0, "trust": "gradient"},
    {"rule": "sgd", "momentum": 0.0, "trust": "sum"},
    {"rule": "sgd", "momentum": 0.9, "trust": "gradient"},
    {"rule": "sgd", "momentum": 0.9, "trust": "sum"},
)
TRUST = {
    "": "none",
    "update": "norm of the weight by that of the whole update",
    "step": "norm of the weight by that of the update without its decay",
    "gradient": "norm of the weight by that of the gradient",
    "sum": "norm of the weight by those of the gradient and of the decay, added",
    "inverse": "norm of the update by that of the weight",
}
NUMBERS = ("epsilon", "rate", "momentum", "beta_1", "beta_2", "rho", "initial")
SPOKEN = {"rate": "learning rate", "initial": "start of the accumulator", "beta_1": "beta 1", "beta_2": "beta 2"}
Signature = Callable[[Config, Config, Side, str], Iterator[Proposal]]


def numbers(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """Those that B's own optimizer says it has."""
    for key in NUMBERS:
        own_value, value = ours.get(key) or 0.0, theirs.get(key)
        if value is not None and value != own_value:
            yield propose({key: value}, key, SPOKEN.get(key, key), *unlike(own_value, value))


def epsilon_place(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    if "epsilon" not in ours or ours["rule"] not in ("adam", "rmsprop", "adagrad", "adamax"):
        return
    places = {"outside": {}, "inside": {"epsilon_inside": True}}
    words = {"outside": "outside the root", "inside": "inside the root"}
    if ours["rule"] == "adam":
        places["hat"] = {"epsilon_hat": True}
        words = {
            "outside": "to the bias-corrected root",
            "inside": "inside the root",
            "hat": "to the uncorrected root (eps-hat)",
        }
    if ours["rule"] == "adamax":
        words = {"outside": "to the largest gradient", "inside": "to each gradient before the largest is taken"}
    own_place = "hat" if ours.get("epsilon_hat") else "inside" if ours.get("epsilon_inside") else "outside"
    values = dict.fromkeys([ours["epsilon"], theirs.get("epsilon", ours["epsilon"])])
    for value, place in itertools.product(values, places):
        if place != own_place:
            moved = {"epsilon_hat": False, "epsilon_inside": False, **places[place]}
            row = "keras_adamax_epsilon" if ours["rule"] == "adamax" else "torch_adam_epsilon"
            released = DIFFERENCES[row].port if _own_ways(ours, theirs, moved) else ""
            if released and value != ours["epsilon"]:
                continue  # the number is a cause by itself, and somebody's choice
            changes = {**moved, "epsilon": value}
            more = f", {short(value)} and not {short(ours['epsilon'])}" if value != ours["epsilon"] else ""
            signature = "eps_hat" if "hat" in (place, own_place) else "epsilon_place"
            yield propose(
                changes, signature, "epsilon is added", words[own_place], words[place] + more, released=released
            )


def _own_ways(ours: Config, theirs: Config, changes: Config) -> bool:
    """Whether each side has the optimizer of another library, and the changes are all that tells B's rule from A's.

    Keras adds epsilon to the uncorrected root of Adam, PyTorch and optax to the corrected one; with the optimizers that
    the libraries have no port can do otherwise. Whoever wrote the update out by hand could.
    """
    libraries = {ours.get("library"), theirs.get("library")}
    if None in libraries or len(libraries) == 1 or ours["rule"] != theirs.get("rule"):
        return False
    return all((theirs.get(key) or False) == value for key, value in changes.items())


def momentum(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    if ours["rule"] == "sgd":
        names = {True: "Nesterov's", False: "heavy-ball"}
        own_kind = bool(ours.get("nesterov"))
        yield propose({"nesterov": not own_kind}, "nesterov", "momentum", names[own_kind], names[not own_kind])
        for value in (0.0, 0.9, 0.99, 0.5):
            if value != (ours.get("momentum") or 0.0):
                yield propose(
                    {"momentum": value}, "momentum", "momentum", short(ours.get("momentum") or 0.0), short(value)
                )
        for value in (0.9, 0.1, 0.5) if ours.get("momentum") else ():  # without a velocity there is nothing to dampen
            yield propose({"dampening": value}, "dampening", "dampening of the momentum", "none", short(value))
    inside = bool(ours.get("rate_inside"))
    places = {True: "inside the velocity", False: "outside of it"}
    changes = {"rate_inside": not inside}
    yield propose(
        changes,
        "velocity",
        "learning rate in the momentum",
        places[inside],
        places[not inside],
        note="it differs as the rate moves",
    )


def trust(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """The ratio by which LARS and LAMB scale what moves a parameter."""
    kinds = ("", "gradient", "sum") if ours["rule"] == "sgd" else ("", "update", "step", "gradient", "inverse")
    if ours["rule"] not in ("sgd", "adam"):
        return
    own_kind = str(ours.get("trust") or "")
    for kind in kinds:
        if kind != own_kind and not (kind and own_kind == "" and theirs.get("library")):
            yield propose({"trust": kind}, "trust_ratio", "trust ratio", TRUST[own_kind], TRUST[kind])


def moments(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """Of Adam: bias correction, AMSGrad, the betas."""
    if ours["rule"] not in ("adam", "lion", "radam", "adamax"):
        return
    names = {True: "with it", False: "without it"}
    if ours["rule"] == "adam":
        for ahead in (1, -1):
            a, b = ("begins at 1", "begins at 2") if ahead > ours.get("ahead", 0) else ("begins at 2", "begins at 1")
            if ours.get("ahead", 0) + ahead in (0, 1):
                changes = {"ahead": ours.get("ahead", 0) + ahead}
                yield propose(changes, "step_count", "count of steps in the bias correction", a, b)
    if ours.get("amsgrad"):
        own_place = ours["amsgrad"] == "corrected"
        places = {True: "of the corrected averages (optax)", False: "of the averages, before their correction"}
        changes = {"amsgrad": True if own_place else "corrected"}
        released = DIFFERENCES["optax_amsgrad"].port if _own_ways(ours, theirs, changes) else ""
        sides = places[own_place], places[not own_place]
        yield propose(changes, "amsgrad_place", "AMSGrad's largest", *sides, released=released)
    for key, default, words in (
        ("corrected", True, "bias correction"),
        ("amsgrad", False, "AMSGrad"),
        ("nesterov", False, "Nesterov momentum (NAdam)"),
        ("belief", False, "variance around the average (AdaBelief)"),
    ):
        own = bool(ours.get(key, default))
        yield propose({key: not own}, key, words, names[own], names[not own])
    if ours["rule"] != "lion":
        yield from exchanged_betas(ours)
    for key, values in (("beta_1", (0.9, 0.95, 0.5, 0.0)), ("beta_2", (0.999, 0.99, 0.98, 0.95, 0.9))):
        for value in values:
            if value != ours[key]:
                yield propose({key: value}, key, SPOKEN[key], short(ours[key]), short(value))
    if ours["rule"] == "lion":  # of which signs alone show: more than one number may make these steps
        yield from exchanged_betas(ours)


def exchanged_betas(ours: Config) -> Iterator[Proposal]:
    if ours["beta_1"] != ours["beta_2"]:
        exchanged = {"beta_1": ours["beta_2"], "beta_2": ours["beta_1"]}
        a, b = (f"{short(c['beta_1'])} and {short(c['beta_2'])}" for c in (ours, exchanged))
        yield propose(exchanged, "betas", "beta 1 and beta 2", a, b, "they have changed places")


def other_numbers(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """Defaults of other frameworks."""
    if "epsilon" in ours:
        for value in (1e-8, 1e-7, 1e-6, 1e-10, 1e-3, 1e-5, 0.0):
            if value != ours["epsilon"]:
                yield propose(
                    {"epsilon": value}, "epsilon", "epsilon of the optimizer", short(ours["epsilon"]), short(value)
                )
    if ours["rule"] == "rmsprop":
        for value in (0.9, 0.99, 0.95):
            yield propose({"rho": value}, "rho", "rho", short(ours["rho"]), short(value))
        yield propose({"centered": not ours.get("centered")}, "centered", "variance", "not centered", "centered")
    if ours["rule"] == "adagrad":
        for value in (0.0, 0.1):
            yield propose(
                {"initial": value}, "initial", SPOKEN["initial"], short(ours.get("initial", 0.0)), short(value)
            )


def decay(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """None, L2 in the gradient, or decoupled: as B says, as A has it, or measured."""
    said = [ours.get("weight_decay"), theirs.get("weight_decay")]
    yield from _amounts(ours, said)
    yield from _times_the_rate(ours, side, name)
    rate = rates_of(ours, 1)[0]
    times_rate = [value for value in _measured_decay(ours, side, name) if not _is_without_rate(ours, value * rate)]
    yield from _amounts(ours, [*times_rate, 0.0])


def _is_without_rate(ours: Config, share: float) -> bool:
    """Whether a decoupled decay takes the share of A's own number: it is not multiplied by the rate, and told so."""
    own = ours.get("weight_decay") or 0.0
    return bool(own and ours.get("decoupled")) and math.isclose(share, own, rel_tol=NEAR)


def _amounts(ours: Config, amounts: Iterable[float | None]) -> Iterator[Proposal]:
    own_words = _decay_words(ours)
    for value in dict.fromkeys(float(v or 0.0) for v in amounts):
        coupled = bool(ours.get("weight_decay")) and not ours.get("decoupled")
        for decoupled in (not coupled, coupled):  # under a constant rate SGD's are one: it is said to be A's kind
            changes = {"weight_decay": value, "decoupled": decoupled}
            words = _decay_words({**ours, **changes})
            if words != own_words:
                yield propose(changes, "weight_decay", "weight decay", own_words, words)


def _times_the_rate(ours: Config, side: Side, name: str) -> Iterator[Proposal]:
    """By what a decoupled decay is multiplied, and whether it comes before the update."""
    if ours.get("weight_decay") and ours.get("decoupled"):
        constant = len({round(rate, 15) for rate in rates_of(ours, len(side.evidence[name][1]))}) == 1
        scheduled = "the learning rate" if constant else "the scheduled rate"
        names = {"scheduled": scheduled, "base": "the base rate", "none": "no rate"}
        for by, words in names.items():
            if constant and {by, ours.get("decay_by", "scheduled")} == {"scheduled", "base"}:
                continue
            if by != ours.get("decay_by", "scheduled"):
                a = f"times {names[ours.get('decay_by', 'scheduled')]}"
                yield propose({"decay_by": by}, "decay_by", "weight decay", a, f"times {words}")
        yield propose({"decay_after": True}, "decay_after", "weight decay", "before the update", "after it")


def _decay_words(config: Config) -> str:
    value = config.get("weight_decay") or 0.0
    if not value:
        return "none"
    return f"{short(value)}, {'decoupled from the gradient' if config.get('decoupled') else 'L2, in the gradient'}"


def _measured_decay(ours: Config, side: Side, name: str) -> Iterator[float]:
    """What takes B's first step from A's without decay, as a share of rate times weight."""
    w, slopes, after = side.of(name, ours)
    if ours.get("trust"):
        yield side.measured_decay(name, ours)
        return
    rate = rates_of(ours, 1)[0]
    plain = update({**ours, "weight_decay": 0.0}, w, slopes[:1])[0]
    with np.errstate(all="ignore"):
        share = (plain - after[0]) / (rate * w)
    middle = float(np.median(share)) if np.isfinite(share).all() else 0.0
    if middle > 0:
        yield nice(middle, 3)
    yield from (0.01, 0.1, 1e-4, 1e-3, 5e-4)


def another_rule(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    if theirs and theirs.get("rule") != ours["rule"]:
        yield propose({"trust": "", **theirs}, "rule", "update rule", str(ours["rule"]), str(theirs["rule"]))
    elif not theirs:
        for guess in GUESSES:
            if guess["rule"] != ours["rule"]:
                found = side.measured_rates(name, {"rate": 1.0, **guess})
                if found is not None:
                    changes = {
                        "momentum": 0.0,
                        "weight_decay": 0.0,
                        "trust": "",
                        **guess,
                        "rate": found[0],
                        "rates": found,
                    }
                    yield propose(changes, "rule", "update rule", str(ours["rule"]), str(guess["rule"]))


SIGNATURES: tuple[Signature, ...] = (
    numbers, decay, epsilon_place, rounded_rates, momentum, rates, moments, trust, other_numbers, another_rule
)  # fmt: skip
