"""Optimizers in their papers' letters: g gradient, w weight, t the number of this update, counted from 1.

An optimizer is a frozen description; its slots live in the model. What depends only on t is computed in Python, in
float64, and given to the compiled step as `rates`: no counter in the graph, no retrace when a rate changes. `rule`
updates one array; a backend's fused kernels, where it has some, are used instead of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

from impls.shim import schedules
from impls.shim.backends.contract import Array, Arrays, Backend, Rates, Rows
from impls.shim.config import looked_up, refuse_keras
from impls.shim.keras_names import elsewhere
from impls.shim.schedules import Number, Schedule

Rate: TypeAlias = float | Schedule
Kept: TypeAlias = tuple[Arrays, Arrays]  # weights and slots


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers share: the rate, decoupled decay and clipping, all of Keras's meaning.

    `gradient_accumulation_steps` = n: weights are updated by the mean gradient of n steps, at the last of them.
    `use_ema`: an average of each weight, of which every step keeps the share `ema_momentum`; `fit` ends by putting the
    averages in the weights' place, and with `ema_overwrite_frequency` = n so does every n-th update.
    """

    learning_rate: Rate = 0.001
    weight_decay: float = 0.0
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    exclude_from_weight_decay: tuple[str, ...] = ()  # weights that have one of these words in their name
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    name: ClassVar[str] = ""
    slots: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        steps = self.gradient_accumulation_steps
        if steps is not None and steps < 2:
            raise ValueError(f"gradient_accumulation_steps is 2 or more, or None for an update every step: got {steps}")
        if not 0 <= self.ema_momentum <= 1:
            raise ValueError(f"ema_momentum is a share between 0 and 1, got {self.ema_momentum}")
        if self.ema_overwrite_frequency is not None and self.ema_overwrite_frequency < 1:
            raise ValueError(f"ema_overwrite_frequency is 1 or more, or None, got {self.ema_overwrite_frequency}")

    @property
    def all_slots(self) -> tuple[str, ...]:
        """Those of the rule, the sums of gradients and the averages of weights."""
        sums = ("gathered",) if self.gradient_accumulation_steps else ()
        return (*self.slots, *sums, *(("average",) if self.use_ema else ()))

    @property
    def overwrites(self) -> bool:
        """Whether averages take the weights' place during the training."""
        return self.use_ema and self.ema_overwrite_frequency is not None

    def start(self, slot: str) -> float:
        """What a slot is filled with at first."""
        return 0.0

    def rate(self, t: Number, override: float | None = None) -> Number:
        """The learning rate of update `t` (a number or an array of them), unless a callback has set another."""
        rate = self.learning_rate if override is None else override
        return rate(t - 1) if callable(rate) else rate

    def corrected(self, t: Number, rate: Number) -> Number:
        """The rate with what the rule would compute from `t` besides."""
        return rate

    def rates(self, t: Number, override: float | None = None) -> tuple[Number, ...]:
        """The numbers that step `t` needs: the rate, the share that decoupled decay takes, and where they are asked for
        whether the step ends with an update, what an average keeps of itself (nothing before the first update), and
        whether it takes the weight's place.
        """
        rate = self.rate(t, override)  # a schedule counts steps, and not updates, as Keras has it
        if not (self.weight_decay or self.gradient_accumulation_steps or self.use_ema):
            return (self.corrected(t, rate),)
        steps = self.gradient_accumulation_steps or 1
        update = (t - 1) // steps + 1
        decay = (rate * self.weight_decay,) if self.weight_decay else ()
        ends = (1.0 * (t % steps == 0),) if self.gradient_accumulation_steps else ()
        keeps = (self.ema_momentum * (update > 1),) if self.use_ema else ()
        overwrites = (1.0 * (update % self.ema_overwrite_frequency == 0),) if self.overwrites else ()
        return (self.corrected(update, rate), *decay, *ends, *keeps, *overwrites)

    def table(self, first: int, count: int, override: float | None, dtype: str) -> np.ndarray:
        """The rates of `count` updates from `first` on: (count, rates)."""
        rates = self.rates(np.arange(first, first + count, dtype=float), override)
        table = np.empty((count, len(rates)), dtype)
        for column, rate in zip(table.T, rates, strict=True):
            column[:] = rate
        return table

    def rule(self, B: Backend, rates: Rates, g: Array, *slots: Array) -> tuple[Array, ...]:
        """What is subtracted from one weight, and its new slots."""
        raise NotImplementedError

    def clip(self, B: Backend, grads: Arrays) -> Arrays:
        """By value, by each norm, by the norm of all: Keras allows one of them."""
        if self.global_clipnorm is not None:
            arrays = list(grads.values())
            factor = self._shrink(B, B.global_norm(arrays), self.global_clipnorm)
            return dict(zip(grads, B.scaled(arrays, factor), strict=True))
        if self.clipnorm is not None:
            return {name: g * self._shrink(B, B.global_norm([g]), self.clipnorm) for name, g in grads.items()}
        if self.clipvalue is not None:
            low = -self.clipvalue  # min(g, -low) is -max(-g, low)
            return {name: B.at_least(B.at_least(g, low) * -1.0, low) * -1.0 for name, g in grads.items()}
        return grads

    def decay(self, B: Backend, weights: Arrays, share: Array) -> Arrays:
        """Each weight less that share of it, but those that are excluded."""
        names = [name for name in weights if not any(word in name for word in self.exclude_from_weight_decay)]
        return dict(zip(names, B.decayed([weights[name] for name in names], share), strict=True))

    @staticmethod
    def _shrink(B: Backend, norm: Array, limit: float) -> Array:
        return limit / B.at_least(norm, limit)

    def apply(self, B: Backend, weights: Arrays, grads: Arrays, slots: Arrays, rates: Rates) -> Kept:
        """New weights and slots, all flat dicts; `rates` are those of this step."""
        if self.gradient_accumulation_steps:
            weights, slots = self._gathered(B, weights, grads, slots, rates)
        else:
            weights, slots = self._updated(B, weights, grads, slots, rates)
        if not self.use_ema:
            return weights, slots
        slots = self._averaged(B, weights, slots, rates[-2 if self.overwrites else -1])
        return self._overwritten(B, weights, slots, rates[-1]) if self.overwrites else (weights, slots)

    def _gathered(self, B: Backend, weights: Arrays, grads: Arrays, slots: Arrays, rates: Rates) -> Kept:
        """Gradients are added up; at the last of the steps there is an update, and the sums start again."""
        steps = self.gradient_accumulation_steps
        sums = {
            f"gathered/{name}": B.assign(slots[f"gathered/{name}"], slots[f"gathered/{name}"] + g)
            for name, g in grads.items()
        }
        slots = {**slots, **sums}

        def update() -> Kept:
            means = {name: slots[f"gathered/{name}"] / steps for name in grads}
            moved, kept = self._updated(B, weights, means, slots, rates)
            zeros = {name: B.assign(slots[name], slots[name] * 0.0) for name in sums}
            return moved, {**kept, **zeros}

        ends = rates[2 if self.weight_decay else 1] > 0.5
        moved, kept = B.when(ends, update, (weights, slots))
        return moved, kept

    @staticmethod
    def _averaged(B: Backend, weights: Arrays, slots: Arrays, keeps: Array) -> Arrays:
        averages = {
            f"average/{name}": B.assign(
                slots[f"average/{name}"], slots[f"average/{name}"] * keeps + weight * (1.0 - keeps)
            )
            for name, weight in weights.items()
        }
        return {**slots, **averages}

    @staticmethod
    def _overwritten(B: Backend, weights: Arrays, slots: Arrays, due: Array) -> Kept:
        def update() -> Kept:  # by copies: a backend may update in place
            return {name: B.assign(weight, slots[f"average/{name}"] * 1.0) for name, weight in weights.items()}, slots

        moved, kept = B.when(due > 0.5, update, (weights, slots))
        return moved, kept

    def _updated(
        self, B: Backend, weights: Arrays, grads: Arrays, slots: Arrays, rates: Rates
    ) -> tuple[Arrays, Arrays]:
        grads = self.clip(B, grads)
        if self.weight_decay:  # before the update, as Keras has it
            weights = {**weights, **self.decay(B, weights, rates[1])}
        given: dict[str, tuple[Array, ...]] = {}
        for name, weight in weights.items():
            given[name] = (weight, grads[name], *[slots[f"{slot}/{name}"] for slot in self.slots])
        rows: Rows = given
        if self.name in B.FUSED:
            rows = B.FUSED[self.name](self, rates, rows) or {}  # those that it leaves to the rule
        weights, slots = dict(weights), dict(slots)
        for name, (weight, g, *old) in rows.items():
            step, *new = self.rule(B, rates, g, *old)
            weights[name] = B.subtract(weight, step)
            for slot, before, after in zip(self.slots, old, new, strict=True):
                slots[f"{slot}/{name}"] = B.assign(before, after)
        return weights, slots


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent; momentum (Polyak 1964) with the rate inside the velocity, as Keras has it; Nesterov's form."""

    learning_rate: Rate = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def name(self) -> str:  # type: ignore[override]
        return "sgd" if self.momentum else "plain"

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("m",) if self.momentum else ()

    def rule(self, B: Backend, rates: Rates, g: Array, *slots: Array) -> tuple[Array, ...]:
        step = g * rates[0]
        if not slots:
            return (step,)
        m = slots[0] * self.momentum - step
        return (step - m * self.momentum if self.nesterov else m * -1.0), m


@dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma and Ba (2015), section 2's reordering: epsilon-hat beside the uncorrected root, as Keras has it."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    name: ClassVar[str] = "adam"
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def corrected(self, t: Number, rate: Number) -> Number:
        return rate * (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)

    def rule(self, B: Backend, rates: Rates, g: Array, *slots: Array) -> tuple[Array, ...]:
        m, v = slots
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (g * g - v) * (1 - self.beta_2)
        return m * rates[0] / (B.sqrt(v) + self.epsilon), m, v


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Tieleman and Hinton (2012); epsilon inside the root, as Keras has it."""

    rho: float = 0.9
    epsilon: float = 1e-7
    name: ClassVar[str] = "rmsprop"
    slots: ClassVar[tuple[str, ...]] = ("v",)

    def rule(self, B: Backend, rates: Rates, g: Array, *slots: Array) -> tuple[Array, ...]:
        v = slots[0] * self.rho + g * g * (1 - self.rho)
        return g * rates[0] / B.sqrt(v + self.epsilon), v


@dataclass(frozen=True)
class AdamW(Adam):
    """Loshchilov and Hutter (2019): the decay is taken from the weight, not added to the gradient."""

    weight_decay: float = 0.004


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Duchi et al. (2011); the accumulator starts at 0.1 and epsilon is inside the root, as Keras has it."""

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7
    name: ClassVar[str] = "adagrad"
    slots: ClassVar[tuple[str, ...]] = ("accumulator",)

    def start(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def rule(self, B: Backend, rates: Rates, g: Array, *slots: Array) -> tuple[Array, ...]:
        accumulator = slots[0] + g * g
        return g * rates[0] / B.sqrt(accumulator + self.epsilon), accumulator


__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "schedules"]  # Keras has schedules here

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def optimizer_of(given: str | Optimizer) -> Optimizer:
    """An optimizer as it is, or with Keras's defaults by its name in letters of any case."""
    if isinstance(given, str):
        return looked_up("optimizer", given.lower(), OPTIMIZERS)()
    refuse_keras("optimizer", given)
    if not isinstance(given, Optimizer):
        raise ValueError(f"optimizer= is one of the shim's or a name ({', '.join(OPTIMIZERS)}), got {given!r}")
    return given


if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> object:
        return elsewhere("optimizers", name, f"known are {', '.join(each.__name__ for each in OPTIMIZERS.values())}")
