"""Learning-rate schedules of Keras and of its users: exactly, and as Keras computes them, in float32."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
from keras.optimizers.schedules import LearningRateSchedule

from impls.port.base import STEPS
from impls.replacing import replaced

if TYPE_CHECKING:
    from impls.port.annotations import Config


def exponential_decay(c: Config, step: int) -> float:
    return c["initial_learning_rate"] * c["decay_rate"] ** (step / c["decay_steps"])


def cosine_decay(c: Config, step: int) -> float:
    """Loshchilov and Hutter (2017), equation 5, without restarts."""
    half = 0.5 * (1 + math.cos(math.pi * min(step / c["decay_steps"], 1.0)))
    return c["initial_learning_rate"] * ((1 - c["alpha"]) * half + c["alpha"])


def inverse_time_decay(c: Config, step: int) -> float:
    return c["initial_learning_rate"] / (1 + c["decay_rate"] * step / c["decay_steps"])


def polynomial_decay(c: Config, step: int) -> float:
    share = 1 - min(step / c["decay_steps"], 1.0)
    return (c["initial_learning_rate"] - c["end_learning_rate"]) * share ** c["power"] + c["end_learning_rate"]


# In float64, what Keras computes in float32.
SCHEDULES = {
    "ExponentialDecay": exponential_decay,
    "CosineDecay": cosine_decay,
    "InverseTimeDecay": inverse_time_decay,
    "PolynomialDecay": polynomial_decay,
}


def config_of(optimizer: keras.Optimizer) -> Config:
    """As `get_config`, with the schedule itself: one of the user's own need not be serializable."""
    with replaced([(LearningRateSchedule, "get_config", lambda schedule: {})]):
        config = optimizer.get_config()
    given = optimizer._learning_rate
    return {**config, "learning_rate": given} if isinstance(given, LearningRateSchedule) else dict(config)


def rates(rate: float | LearningRateSchedule) -> Config:
    """The learning rate of each step: exactly, and as Keras computes a schedule, in float32."""
    if not isinstance(rate, LearningRateSchedule):
        return {"rate": float(rate)}
    found = [float(keras.ops.convert_to_numpy(rate(step))) for step in range(STEPS)]
    formula = SCHEDULES.get(type(rate).__name__) if type(rate).__module__.startswith("keras.") else None
    exact = [formula(rate.get_config(), step) for step in range(STEPS)] if formula is not None else found
    near = all(abs(a - b) <= 1e-5 * abs(b) + 1e-12 for a, b in zip(exact, found, strict=True))
    exact = exact if near else found  # settings that the formula does not know
    return {"rate": exact[0], "rates": exact, "rates32": found}
