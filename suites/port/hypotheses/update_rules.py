"""Update rules of optimizers in plain NumPy, each convention that ports get wrong as a setting.

`update` takes a parameter at the start and its gradient of each step, and gives the parameter after each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Arrays = Mapping[str, Array]
Config = Mapping[str, Any]
Slots = dict[str, Array]
ROUNDINGS = 64  # operations of one update, generously
FLOAT32 = (
    "momentum",
    "weight_decay",
    "initial",
)  # and the powers of Adam's betas, and a schedule: what Keras casts on TensorFlow


def adam(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Kingma and Ba (2015), algorithm 1; AMSGrad by Reddi et al. (2018); epsilon added to one of three places."""
    m = slots["m"] = slots["m"] + (g - slots["m"]) * (1 - c["beta_1"])
    square = (g - m) ** 2 if c.get("belief") else g * g
    v = slots["v"] = slots["v"] + (square - slots["v"]) * (1 - c["beta_2"])
    if c.get("amsgrad") and c["amsgrad"] != "corrected":
        v = slots["largest"] = np.maximum(slots["largest"], v)
    first, second = c["beta_1"], c["beta_2"]
    t += c.get("ahead", 0)
    if c.get("float32"):
        first, second = float(np.float32(first)), float(np.float32(second))
    one, two = (1 - first**t, 1 - second**t) if c.get("corrected", True) else (1.0, 1.0)
    if c.get("amsgrad") == "corrected":  # as optax does
        slots["largest"] = np.maximum(slots["largest"], v / two)
        v = slots["largest"] * two
    if c.get("nesterov"):
        m = first * m / (1 - first ** (t + 1)) * one + (1 - first) * g
    if c.get("epsilon_hat"):
        return np.asarray(c["rate"] * math.sqrt(two) / one * m / (np.sqrt(v) + c["epsilon"]))
    if c.get("epsilon_inside"):
        return np.asarray(c["rate"] * (m / one) / np.sqrt(v / two + c["epsilon"]))
    return np.asarray(c["rate"] * (m / one) / (np.sqrt(v / two) + c["epsilon"]))


def rmsprop(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Hinton (2012), lecture 6e; `centered` takes the square of the mean gradient off."""
    slots["v"] = slots["v"] + (g * g - slots["v"]) * (1 - c["rho"])
    square = slots["v"]
    if c.get("centered"):
        slots["m"] = slots["m"] + (g - slots["m"]) * (1 - c["rho"])
        square = square - slots["m"] ** 2
    root = np.sqrt(square + c["epsilon"]) if c.get("epsilon_inside") else np.sqrt(square) + c["epsilon"]
    return _with_momentum(c, slots, g / root)


def _with_momentum(c: Config, slots: Slots, step: Array) -> Array:
    """The velocity takes the rate in, or is multiplied by it."""
    momentum = c.get("momentum") or 0.0
    step = c["rate"] * step if c.get("rate_inside", True) else step
    if momentum:
        step = slots["velocity"] = momentum * slots["velocity"] + step
    return np.asarray(step if c.get("rate_inside", True) else c["rate"] * step)


def sgd(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Polyak's heavy ball or Nesterov's (Sutskever et al. 2013); `dampening` as torch has it, not in the first step."""
    momentum, inside = c.get("momentum") or 0.0, c.get("rate_inside")
    step = c["rate"] * g if inside else g
    damped = step * (1 - c.get("dampening", 0.0)) if t > 1 else step
    slots["velocity"] = momentum * slots["velocity"] + damped
    found = momentum * slots["velocity"] + step if c.get("nesterov") else slots["velocity"]
    return np.asarray(found if inside else c["rate"] * found)


def adagrad(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Duchi et al. (2011); the accumulator starts at `initial`."""
    if t == 1:
        slots["v"] = np.full_like(g, c.get("initial", 0.0))
    slots["v"] = slots["v"] + g * g
    root = np.sqrt(slots["v"] + c["epsilon"]) if c.get("epsilon_inside") else np.sqrt(slots["v"]) + c["epsilon"]
    return np.asarray(c["rate"] * g / root)


def radam(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Liu et al. (2020), algorithm 2: a plain average of gradients until the variance of the root can be known."""
    m = slots["m"] = slots["m"] + (g - slots["m"]) * (1 - c["beta_1"])
    v = slots["v"] = slots["v"] + (g * g - slots["v"]) * (1 - c["beta_2"])
    ahead = m / (1 - c["beta_1"] ** t)
    longest, power = 2 / (1 - c["beta_2"]) - 1, c["beta_2"] ** t
    length = longest - 2 * t * power / (1 - power)
    if length <= c.get("threshold", 5.0):
        return np.asarray(c["rate"] * (ahead if c.get("corrected", True) else m))
    share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return np.asarray(c["rate"] * math.sqrt(share) * ahead / (np.sqrt(v / (1 - power)) + c["epsilon"]))


def adamax(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Kingma and Ba (2015), algorithm 2; epsilon is added to the maximum, or to each gradient before it."""
    m = slots["m"] = slots["m"] + (g - slots["m"]) * (1 - c["beta_1"])
    early = c["epsilon"] if c.get("epsilon_inside") else 0.0
    v = slots["v"] = np.maximum(c["beta_2"] * slots["v"], np.abs(g) + early)
    one = 1 - c["beta_1"] ** t if c.get("corrected", True) else 1.0
    return np.asarray(c["rate"] / one * m / (v + c["epsilon"] - early))


def adadelta(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Zeiler (2012), algorithm 1."""
    slots["v"] = c["rho"] * slots["v"] + (1 - c["rho"]) * g * g
    step = np.sqrt(slots["m"] + c["epsilon"]) / np.sqrt(slots["v"] + c["epsilon"]) * g
    slots["m"] = c["rho"] * slots["m"] + (1 - c["rho"]) * step * step
    return np.asarray(c["rate"] * step)


def lion(c: Config, slots: Slots, g: Array, t: int) -> Array:
    """Chen et al. (2023), algorithm 2."""
    step = np.sign(c["beta_1"] * slots["m"] + (1 - c["beta_1"]) * g)
    slots["m"] = c["beta_2"] * slots["m"] + (1 - c["beta_2"]) * g
    return np.asarray(c["rate"] * step)


RULES = {
    "adam": adam,
    "rmsprop": rmsprop,
    "sgd": sgd,
    "adagrad": adagrad,
    "lion": lion,
    "radam": radam,
    "adamax": adamax,
    "adadelta": adadelta,
}
SLOTS = ("m", "v", "largest", "velocity")


def rates_of(config: Config, count: int) -> list[float]:
    """The learning rate of each step."""
    rates = config.get("rates32") if config.get("float32") else None
    rates = rates or config.get("rates") or [config["rate"]]
    return [*rates, *[rates[-1]] * count][:count]


def update(config: Config, w: Array, slopes: Sequence[Array]) -> list[Array]:
    """The parameter after each step."""
    c = dict(config)
    if config.get("float32"):
        c.update((key, float(np.float32(c[key]))) for key in FLOAT32 if c.get(key) is not None)
    rates, found = rates_of(config, len(slopes)), []
    slots: Slots = {name: np.zeros_like(w) for name in SLOTS}
    decay = c.get("weight_decay") or 0.0
    for t, (g, c["rate"]) in enumerate(zip(slopes, rates, strict=True), 1):
        if c.get("trust"):
            w = w - trusted(c, slots, w, g, t, decay)
            found.append(w)
            continue
        share = decay * {"scheduled": c["rate"], "base": rates[0], "none": 1.0}[c.get("decay_by", "scheduled")]
        if decay and not c.get("decoupled"):
            g = g + decay * w
        elif decay and not c.get("decay_after"):
            w = w * (1 - share)
        w = w - RULES[c["rule"]](c, slots, g, t)
        if decay and c.get("decoupled") and c.get("decay_after"):
            w = w * (1 - share)
        found.append(w)
    return found


def trusted(c: dict[str, Any], slots: Slots, w: Array, g: Array, t: int, decay: float) -> Array:
    """A step as long as the parameter, times the rate (You et al. 2017, 2020); `trust` says of what the ratio is."""
    kind, rate = c["trust"], c["rate"]
    if c["rule"] == "sgd":  # LARS: before the momentum
        slope = g + decay * w
        below = np.linalg.norm(g) + decay * np.linalg.norm(w) if kind == "sum" else np.linalg.norm(slope)
        return RULES["sgd"](c, slots, slope * ratio(w, below), t)
    c["rate"] = 1.0
    step = RULES[c["rule"]](c, slots, g if c.get("decoupled", True) else g + decay * w, t)
    whole = step + decay * w if c.get("decoupled", True) else step
    c["rate"] = rate
    below = np.linalg.norm({"update": whole, "step": step, "gradient": g, "inverse": whole}[kind])
    by = ratio(w, below)
    return np.asarray(rate * (1 / by if kind == "inverse" else by) * whole)


def ratio(w: Array, below: Any) -> float:
    """||w|| / below; 1 where one of them is 0."""
    above = float(np.linalg.norm(w))
    return above / float(below) if above and below else 1.0


def agrees(config: Config, unit: float, w: Array, slopes: Sequence[Array], after: Sequence[Array]) -> bool:
    """Whether this rule makes these steps of these gradients, up to the rounding of a few operations an update."""
    with np.errstate(all="ignore"):
        predicted = update(config, w, slopes)
    size = float(np.max(np.abs(w), initial=0)) + sum(float(np.max(np.abs(p - w), initial=0)) for p in predicted)
    cancelled = _cancelled(config, slopes, unit)
    for step, (p, f) in enumerate(zip(predicted, after, strict=True), 1):
        limit = unit * (8 * step * (np.abs(w) + np.abs(p)) + ROUNDINGS * step * np.abs(p - w)) + unit**2 * size
        if not (np.abs(p - f) <= limit + cancelled).all():
            return False
    return True


def _cancelled(config: Config, slopes: Sequence[Array], unit: float) -> Any:
    """What an error in a sum of gradients of both signs can move, where the update divides by their size."""
    rate = max(map(abs, rates_of(config, len(slopes))))
    if config["rule"] == "sgd":
        return ROUNDINGS * unit * rate * sum(np.abs(g) for g in slopes)
    return ROUNDINGS * unit * rate * len(slopes)


class Clip(NamedTuple):
    """How gradients are cut: by value, or each parameter's or all together by its norm."""

    kind: str = "none"  # "none", "value", "each norm", "global norm"
    limit: float = 0.0
    slack: float = 0.0  # torch's clip_grad_norm_ divides by the norm plus 1e-6

    def words(self) -> str:
        if self.kind == "none":
            return "does not clip"
        names = {"value": "by value", "each norm": "each parameter by its norm", "global norm": "by the global norm"}
        slack = " + 1e-6 (clip_grad_norm_)" if self.slack else ""
        return f"clips {names[self.kind]} at {self.limit:.4g}{slack}"


def clipped(clip: Clip, slopes: Arrays) -> dict[str, Array]:
    if clip.kind == "value":
        return {name: np.clip(g, -clip.limit, clip.limit) for name, g in slopes.items()}
    if clip.kind == "each norm":
        return {name: g * _share(clip, float(np.linalg.norm(g))) for name, g in slopes.items()}
    if clip.kind == "global norm":
        share = _share(clip, common_norm(slopes))
        return {name: g * share for name, g in slopes.items()}
    return dict(slopes)


def _share(clip: Clip, norm: float) -> float:
    return min(1.0, clip.limit / (norm + clip.slack)) if norm else 1.0


def centred(g: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(g - g.mean(axes, keepdims=True)) if g.ndim > 1 else g


def to_norm_one(g: Array) -> Array:
    norm = float(np.linalg.norm(g))
    return np.asarray(g / norm) if norm else g


CHANGES: dict[str, Callable[[Arrays], dict[str, Array]]] = {  # of the gradients of all parameters, by name
    "": dict,
    "centralises kernels, mean over all but the outputs": lambda all_of_them: {
        name: centred(g, tuple(range(g.ndim - 1))) for name, g in all_of_them.items()
    },
    "centralises kernels, mean over the outputs": lambda all_of_them: {
        name: centred(g, (-1,)) for name, g in all_of_them.items()
    },
    "divides the gradient of each parameter by its norm": lambda all_of_them: {
        name: to_norm_one(g) for name, g in all_of_them.items()
    },
    "divides all gradients by their common norm": lambda all_of_them: {
        name: np.asarray(g / (common_norm(all_of_them) or 1.0)) for name, g in all_of_them.items()
    },
    "takes the sign of each gradient": lambda all_of_them: {name: np.sign(g) for name, g in all_of_them.items()},
}


def common_norm(slopes: Arrays) -> float:
    return math.sqrt(sum(float((g * g).sum()) for g in slopes.values()))


class Schedule(NamedTuple):
    """What happens to gradients before the rule sees them."""

    clip: Clip = Clip()
    every: int = 1  # gradients of so many steps are accumulated
    summed: bool = False  # their sum, not their mean
    cleared: bool = True  # before each step; else a step gets the sum of all gradients so far
    change: str = ""  # one of CHANGES

    def prepare(self, slopes: Sequence[Arrays]) -> list[dict[str, Array]]:
        """The gradients of each update, clipped, by parameter."""
        return [CHANGES[self.change](each) for each in self._clipped(slopes)]

    def _clipped(self, slopes: Sequence[Arrays]) -> list[dict[str, Array]]:
        if not self.cleared:
            return [clipped(self.clip, added(slopes[: step + 1])) for step in range(len(slopes))]
        if self.every == 1:
            return [clipped(self.clip, g) for g in slopes]
        found = []
        scale = 1.0 if self.summed else 1.0 / self.every
        for start in range(0, len(slopes) - self.every + 1, self.every):
            found.append(clipped(self.clip, added(slopes[start : start + self.every], scale)))
        return found


def added(slopes: Sequence[Arrays], scale: float = 1.0) -> dict[str, Array]:
    """The sum of gradients by parameter, times a number."""
    return {name: np.asarray(scale * sum(each[name] for each in slopes)) for name in slopes[0]}
