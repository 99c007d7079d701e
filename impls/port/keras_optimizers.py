"""What a Keras optimizer says of itself: its update rule and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from impls.port.keras_schedules import config_of, rates
from impls.port.libraries import library_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from impls.port.annotations import Config, Native

RULES = {"SGD": "sgd", "Adam": "adam", "AdamW": "adam", "RMSprop": "rmsprop", "Adagrad": "adagrad", "Lion": "lion"}
RULES.update(Adamax="adamax", Adadelta="adadelta")
INSIDE = ("rmsprop", "adagrad")  # rules that add epsilon inside the root
CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


def describe(optimizer: Native, variables: Mapping[str, Native], squares: Mapping[str, float]) -> Config:
    """`variables` are those that it trains, `squares` the factors of penalties, by the names of weights."""
    config = config_of(optimizer)
    rule = RULES.get(type(optimizer).__name__)
    names = ("epsilon", "momentum", "nesterov", "beta_1", "beta_2", "rho", "amsgrad", *CLIPPING)
    found = {"rule": rule, "class_name": type(optimizer).__name__, **rates(config["learning_rate"])}
    found.update({name: config[name] for name in names if config.get(name) is not None})
    found.update(weight_decay=config.get("weight_decay") or 0.0, decoupled=True)
    if config.get("weight_decay"):
        found.update(decayed=[name for name, variable in variables.items() if optimizer._use_weight_decay(variable)])
    found.update(l2={name: 2 * factor for name, factor in squares.items()})
    if rule == "adagrad":
        found.update(initial=float(config["initial_accumulator_value"]))
    if isinstance(optimizer, keras.optimizers.Nadam):
        found.update(momentum_decay=1.0)  # 0.96^t, which torch's NAdam takes to the power of 0.004
    if config.get("use_ema") and config.get("ema_overwrite_frequency"):
        found.update(ema=float(config["ema_momentum"]))
    found.update(library_of(optimizer))
    return {**found, "epsilon_hat": rule == "adam", "rate_inside": True, "epsilon_inside": rule in INSIDE}
