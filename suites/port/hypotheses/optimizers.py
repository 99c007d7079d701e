"""Update rules of optimizers in plain NumPy, and what ports get wrong in them.

`updated` takes the weights at the start and the gradient of each step, and gives the weights after each step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from suites.port.hypotheses.layers import short

Config = dict[str, Any]
Arrays = Mapping[str, np.ndarray]
Proposal = tuple[Config, str]
ROUNDINGS = 64  # operations of one update, generously
FLOAT32 = ("momentum",)  # and the powers of Adam's betas, and a schedule: what Keras casts on TensorFlow


def adam(c: Config, slots: list[np.ndarray], g: np.ndarray, t: int) -> np.ndarray:
    slots[0] += (g - slots[0]) * (1 - c["beta_1"])
    slots[1] += (g * g - slots[1]) * (1 - c["beta_2"])
    m, v = slots
    corrected = c.get("corrected", True)
    betas = c["beta_1"], c["beta_2"]
    first, second = map(float, map(np.float32, betas)) if c.get("float32") else betas
    one, two = (1 - first**t, 1 - second**t) if corrected else (1.0, 1.0)
    if c["epsilon_hat"]:
        return np.asarray(c["rate"] * math.sqrt(two) / one * m / (np.sqrt(v) + c["epsilon"]))
    return np.asarray(c["rate"] * (m / one) / (np.sqrt(v / two) + c["epsilon"]))


def rmsprop(c: Config, slots: list[np.ndarray], g: np.ndarray, t: int) -> np.ndarray:
    slots[0] += (g * g - slots[0]) * (1 - c["rho"])
    root = np.sqrt(slots[0] + c["epsilon"]) if c.get("epsilon_inside") else np.sqrt(slots[0]) + c["epsilon"]
    if not c.get("momentum"):
        return np.asarray(c["rate"] * g / root)
    slots[1] *= c["momentum"]
    slots[1] += c["rate"] * g / root
    return slots[1].copy()


def sgd(c: Config, slots: list[np.ndarray], g: np.ndarray, t: int) -> np.ndarray:
    momentum, inside = c.get("momentum", 0.0), c.get("rate_inside")
    step = c["rate"] * g if inside else g
    slots[0] *= momentum
    slots[0] += step
    found = momentum * slots[0] + step if c.get("nesterov") else slots[0].copy()
    return found if inside else c["rate"] * found


RULES = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}


def updated(config: Config, w: np.ndarray, slopes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The weights after each step."""
    c: Config = {
        key: float(np.float32(v)) if config.get("float32") and key in FLOAT32 else v for key, v in config.items()
    }
    schedule = c.get("rates32" if config.get("float32") else "rates")
    slots, found = [np.zeros_like(w), np.zeros_like(w)], []
    for t, g in enumerate(slopes, 1):
        c["rate"] = schedule[t - 1] if schedule else c["rate"]
        if c.get("weight_decay") and not c["decoupled"]:
            g = g + c["weight_decay"] * w
        elif c.get("weight_decay"):
            w = w * (1 - c["rate"] * c["weight_decay"])
        w = w - RULES[c["rule"]](c, slots, g, t)
        found.append(w)
    return found


def agrees(config: Config, unit: float, start: Arrays, slopes: Sequence[Arrays], steps: Sequence[Arrays]) -> bool:
    """Whether this rule makes these steps of these slopes, up to the rounding of a few operations an update."""
    for name, w in start.items():
        gradients, found = [g[name] for g in slopes], [s[name] for s in steps]
        predicted = updated(config, w, gradients)
        size = float(np.max(np.abs(w), initial=0)) + sum(float(np.max(np.abs(p - w), initial=0)) for p in predicted)
        for step, (p, f) in enumerate(zip(predicted, found, strict=True), 1):
            limit = unit * (8 * step * (np.abs(w) + np.abs(p)) + ROUNDINGS * step * np.abs(p - w)) + unit**2 * size
            if not (np.abs(p - f) <= limit + _cancelled(config, gradients, unit)).all():
                return False
    return True


def _cancelled(config: Config, gradients: Sequence[np.ndarray], unit: float) -> Any:
    """What an error in a sum of gradients of both signs can move, where the update divides by their size."""
    if config["rule"] == "sgd":
        return ROUNDINGS * unit * config["rate"] * sum(np.abs(g) for g in gradients)
    return ROUNDINGS * unit * config["rate"] * len(gradients)


def described(ours: Config, theirs: Config) -> Iterator[Proposal]:
    """Numbers that B's own optimizer says it has."""
    keys = ("epsilon", "rate", "momentum", "beta_1", "beta_2", "rho")
    other = {k: theirs[k] for k in keys if theirs.get(k) is not None and theirs[k] != (ours.get(k) or 0.0)}
    words = [f"{SPOKEN.get(k, k)}: A uses {short(ours.get(k) or 0.0)}, B uses {short(v)}" for k, v in other.items()]
    yield from (({key: value}, text) for (key, value), text in zip(other.items(), words, strict=True))
    if len(other) > 1:
        yield other, "; ".join(words)


SPOKEN = {"rate": "learning rate"}


def eps_hat(ours: Config, theirs: Config) -> Iterator[Proposal]:
    if ours["rule"] == "adam":
        a, b = ("to the uncorrected root (eps-hat)", "to the bias-corrected root")
        a, b = (a, b) if ours["epsilon_hat"] else (b, a)
        yield {"epsilon_hat": not ours["epsilon_hat"]}, f"eps-hat: A adds epsilon {a}, B {b}"


def root(ours: Config, theirs: Config) -> Iterator[Proposal]:
    if ours["rule"] == "rmsprop":
        inside = ours.get("epsilon_inside", False)
        a, b = ("inside", "outside") if inside else ("outside", "inside")
        yield {"epsilon_inside": not inside}, f"epsilon: A adds it {a} the root, B {b} it"


def nesterov(ours: Config, theirs: Config) -> Iterator[Proposal]:
    if ours["rule"] == "sgd":
        names = {True: "Nesterov's", False: "heavy-ball"}
        own = bool(ours.get("nesterov"))
        yield {"nesterov": not own}, f"momentum: A uses {names[own]}, B {names[not own]}"


def velocity(ours: Config, theirs: Config) -> Iterator[Proposal]:
    if ours["rule"] == "sgd" and ours.get("momentum") and ours.get("rates"):
        places = {True: "inside the velocity", False: "outside of it"}
        inside = bool(ours.get("rate_inside"))
        words = (
            f"momentum: A has the learning rate {places[inside]}, B {places[not inside]}: it differs as the rate moves"
        )
        yield {"rate_inside": not inside}, words


def constant(ours: Config, theirs: Config) -> Iterator[Proposal]:
    if ours.get("rates"):
        yield {"rates": None, "rates32": None}, "schedule: B's learning rate stays what it is at the first step"


def decay(ours: Config, theirs: Config) -> Iterator[Proposal]:
    names = {True: "decoupled from the gradient", False: "L2, in the gradient"}
    own = ours.get("weight_decay", 0.0)
    for value in dict.fromkeys((own, theirs.get("weight_decay", 0.0), 0.0)):
        for decoupled in (True, False):
            if (value, decoupled) != (own, ours["decoupled"]) and (value or own):
                a = f"{short(own)}, {names[ours['decoupled']]}" if own else "none"
                b = f"{short(value)}, {names[decoupled]}" if value else "none"
                yield {"weight_decay": value, "decoupled": decoupled}, f"weight decay: A {a}; B {b}"


def correction(ours: Config, theirs: Config) -> Iterator[Proposal]:
    if ours["rule"] == "adam":
        yield {"corrected": not ours.get("corrected", True)}, "bias correction: B leaves it out"


def float32(ours: Config, theirs: Config) -> Iterator[Proposal]:
    who = "A" if ours.get("float32") else "B"
    words = f"constants: {who}'s pass through float32, as Keras's do on TensorFlow (no fault of the port)"
    yield {"float32": not ours.get("float32", False)}, words


SIGNATURES = (described, eps_hat, root, nesterov, velocity, constant, decay, correction, float32)
DEPTH = 3


def own(config: Config, *evidence: Any) -> Config | None:
    """The rule that a side follows: as it describes it, or with constants rounded to float32; None: another one."""
    for candidate in (config, {**config, "float32": True}):
        if config and agrees(candidate, *evidence):
            return candidate
    return None


def explain(ours: Config, theirs: Config, *evidence: Any) -> list[tuple[str, str]] | None:
    """(signature, words) of the changes that make A's rule B's: [] where it is the same one, None where none does."""
    if agrees(ours, *evidence):
        return []
    for depth in range(1, DEPTH + 1):
        for chosen in itertools.combinations(SIGNATURES, depth):
            found = _together(ours, theirs, chosen, evidence)
            if found is not None:
                return found
    return None


def _together(ours: Config, theirs: Config, chosen: Any, evidence: Any) -> list[tuple[str, str]] | None:
    for proposals in itertools.product(*(list(signature(ours, theirs)) for signature in chosen)):
        merged = {**ours}
        for changes, _ in proposals:
            merged.update(changes)
        if agrees(merged, *evidence):
            return [(s.__name__, words) for s, (_, words) in zip(chosen, proposals, strict=True)]
    return None
