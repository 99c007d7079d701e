"""Optimizers in their papers' letters, one weight at a time: g the gradient, w the weight, t the update, from 1.

Adam and its kin by Keras's documentation: epsilon of Kingma and Ba's section 2, just before 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from suites.references.defaults import EVERY_OPTIMIZER
from suites.references.defaults import OPTIMIZERS as DEFAULTS

Array = Any  # of NumPy
Arrays = dict[str, Array]


def exponential_decay(o: dict[str, Any], done: int) -> float:
    """initial * rate ** (done / steps), `done` updates before this one; the quotient whole where it is a staircase."""
    quotient = done // o["decay_steps"] if o.get("staircase", False) else done / o["decay_steps"]
    return float(o["learning_rate"] * o["decay_rate"] ** quotient)


def cosine_decay(o: dict[str, Any], done: int) -> float:
    """Loshchilov and Hutter (2017), equation 5, one period; before it a line up, where there is a target."""
    top, at = float(o["learning_rate"]), done
    if o.get("warmup_target") is not None:
        steps = o.get("warmup_steps", 0)
        if done < steps:
            return float(top + (o["warmup_target"] - top) * done / steps)
        top, at = float(o["warmup_target"]), done - steps
    low, share = float(o.get("alpha", 0.0)) * top, min(at / o["decay_steps"], 1)
    return float(low + (top - low) * (1 + np.cos(np.pi * share)) / 2)


def piecewise_constant(o: dict[str, Any], done: int) -> float:
    """The value of the first boundary that is not behind."""
    for boundary, value in zip(o["boundaries"], o["values"], strict=False):
        if done <= boundary:
            return float(value)
    return float(o["values"][-1])


SCHEDULES: dict[str, Callable[[dict[str, Any], int], float]] = {
    "CosineDecay": cosine_decay,
    "ExponentialDecay": exponential_decay,
    "PiecewiseConstant": piecewise_constant,
}


def rate_of(described: Any, done: int) -> float:
    """A number, or a schedule at so many updates."""
    if not isinstance(described, list):
        return float(described)
    return SCHEDULES[described[0]](described[1], done)


def sgd(o: dict[str, Any], rate: float, t: int, w: Array, g: Array, s: dict[str, Array]) -> Array:
    """Polyak (1964) with the rate in the velocity; Nesterov's by Sutskever et al. (2013)."""
    if not o["momentum"]:
        return w - rate * g
    s["m"] = o["momentum"] * s["m"] - rate * g
    return w + o["momentum"] * s["m"] - rate * g if o["nesterov"] else w + s["m"]


def adam(o: dict[str, Any], rate: float, t: int, w: Array, g: Array, s: dict[str, Array]) -> Array:
    """Kingma and Ba (2015)."""
    s["m"] = o["beta_1"] * s["m"] + (1 - o["beta_1"]) * g
    s["v"] = o["beta_2"] * s["v"] + (1 - o["beta_2"]) * g**2
    alpha = rate * np.sqrt(1 - o["beta_2"] ** t) / (1 - o["beta_1"] ** t)
    return np.asarray(w - alpha * s["m"] / (np.sqrt(s["v"]) + o["epsilon"]))


def rmsprop(o: dict[str, Any], rate: float, t: int, w: Array, g: Array, s: dict[str, Array]) -> Array:
    """Tieleman and Hinton (2012)."""
    s["v"] = o["rho"] * s["v"] + (1 - o["rho"]) * g**2
    return np.asarray(w - rate * g / np.sqrt(s["v"] + o["epsilon"]))


def adagrad(o: dict[str, Any], rate: float, t: int, w: Array, g: Array, s: dict[str, Array]) -> Array:
    """Duchi et al. (2011)."""
    s["accumulator"] = s["accumulator"] + g**2
    return np.asarray(w - rate * g / np.sqrt(s["accumulator"] + o["epsilon"]))


RULES: dict[str, tuple[Callable[..., Array], tuple[str, ...]]] = {  # with what each remembers of a weight
    "SGD": (sgd, ("m",)),
    "Adam": (adam, ("m", "v")),
    "AdamW": (adam, ("m", "v")),
    "RMSprop": (rmsprop, ("v",)),
    "Adagrad": (adagrad, ("accumulator",)),
}


BESIDES = {"gathered": "gradient_accumulation_steps", "average": "use_ema"}  # slots of any rule, by what asks for them


def clipped(o: dict[str, Any], grads: Arrays) -> Arrays:
    """By the norm of all (Pascanu et al. 2013), by the norm of each, or by value: the first that is given."""
    if (limit := o.get("global_clipnorm")) is not None:
        norm = np.sqrt(sum(float((g**2).sum()) for g in grads.values()))
        return {name: g * limit / norm if norm > limit else g for name, g in grads.items()}
    if (limit := o.get("clipnorm")) is not None:
        norms = {name: float(np.sqrt((g**2).sum())) for name, g in grads.items()}
        return {name: g * limit / norms[name] if norms[name] > limit else g for name, g in grads.items()}
    if (limit := o.get("clipvalue")) is not None:
        return {name: np.clip(g, -limit, limit) for name, g in grads.items()}
    return grads


class Optimizer:
    """One optimizer of `[name, options]` and what it remembers: `slots`, as `slot/weight`."""

    def __init__(self, described: list[Any]) -> None:
        self.name, given = described
        self.options = {**EVERY_OPTIMIZER, **DEFAULTS[self.name], **given}
        self.rule, self.kept = RULES[self.name]
        if self.name == "SGD" and not self.options["momentum"]:
            self.kept = ()
        self.t, self.slots = 0, Arrays()

    def start(self, weights: Arrays) -> None:
        """Forget everything."""
        first = {slot: self.options.get("initial_accumulator_value", 0.0) for slot in self.kept}
        first.update({slot: 0.0 for slot, option in BESIDES.items() if self.options.get(option)})
        self.t = 0
        self.slots = {
            f"{slot}/{name}": np.full(w.shape, at) for slot, at in first.items() for name, w in weights.items()
        }

    def update(self, weights: Arrays, grads: Arrays, override: float | None = None) -> Arrays:
        """The weights after one step; a callback's rate takes the place of the optimizer's."""
        rate = rate_of(self.options["learning_rate"] if override is None else override, self.t)
        self.t += 1
        steps = self.options.get("gradient_accumulation_steps") or 1
        number = math.ceil(self.t / steps)
        new = {name: weights[name] for name in grads}
        for name, g in grads.items() if steps > 1 else ():
            self.slots[f"gathered/{name}"] = self.slots[f"gathered/{name}"] + g
        if self.t == number * steps:
            means = {name: self.slots[f"gathered/{name}"] / steps for name in grads} if steps > 1 else grads
            new = self.moved(new, clipped(self.options, means), rate, number)
            self.slots.update({name: 0 * s for name, s in self.slots.items() if name.startswith("gathered/")})
        return self.averaged(new, number) if self.options.get("use_ema") else new

    def moved(self, weights: Arrays, grads: Arrays, rate: float, number: int) -> Arrays:
        """The weights after update `number`, from 1."""
        new = {}
        for name, g in grads.items():
            excluded = any(word in name for word in self.options.get("exclude_from_weight_decay", ()))
            decay = 0.0 if excluded else self.options.get("weight_decay", 0.0)
            w = weights[name] * (1 - rate * decay)  # decoupled, and before the rule
            state = {slot: self.slots[f"{slot}/{name}"] for slot in self.kept}
            new[name] = self.rule(self.options, rate, number, w, g, state)
            self.slots.update((f"{slot}/{name}", value) for slot, value in state.items())
        return new

    def averaged(self, weights: Arrays, number: int) -> Arrays:
        """Keras's `use_ema`: averages begin at the weights after the first update, and are put back every so many."""
        share = self.options["ema_momentum"] if number > 1 else 0.0
        averages = {n: share * self.slots[f"average/{n}"] + (1 - share) * w for n, w in weights.items()}
        self.slots.update((f"average/{name}", average) for name, average in averages.items())
        every = self.options.get("ema_overwrite_frequency")
        return averages if every and number % every == 0 else weights

    def at_the_end(self) -> Arrays:
        """What takes the weights' place when a fit ends."""
        return {name.partition("/")[2]: w for name, w in self.slots.items() if name.startswith("average/")}
