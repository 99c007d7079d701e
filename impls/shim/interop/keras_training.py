"""Optimizer, schedule, losses, metrics and the optimizer's state of a compiled Keras 3 model as those of the shim."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from impls import shim
from impls.shim import keras_names, losses, metrics
from impls.shim.interop.keras_layers import UnsupportedError
from impls.shim.losses import Loss
from impls.shim.metrics import Metric
from impls.shim.optimizers import Optimizer
from impls.shim.schedules import Schedule

if TYPE_CHECKING:
    import keras


SLOTS = {  # our optimizer, its slots by the attributes of Keras's that hold them
    "SGD": (shim.SGD, {"m": "momentums"}, ("momentum", "nesterov")),
    "Adam": (shim.Adam, {"m": "_momentums", "v": "_velocities"}, ("beta_1", "beta_2", "epsilon")),
    "AdamW": (shim.AdamW, {"m": "_momentums", "v": "_velocities"}, ("beta_1", "beta_2", "epsilon")),
    "RMSprop": (shim.RMSprop, {"v": "_velocities"}, ("rho", "epsilon")),
    "Adagrad": (shim.Adagrad, {"accumulator": "_accumulators"}, ("initial_accumulator_value", "epsilon")),
}


EVERY_SLOT = {"gathered": "_accumulated_gradients", "average": "_model_variables_moving_average"}  # of any optimizer


def optimizer_from(theirs: keras.Optimizer) -> Optimizer:
    """Keras's optimizer as ours. Raises ValueError for one, or an option, that the shim does not have."""
    name = type(theirs).__name__
    options = theirs.get_config()
    built_in = {"amsgrad": False, "centered": False}
    wrong = [key for key, value in built_in.items() if options.get(key, value) != value]
    if name == "RMSprop" and options.get("momentum"):
        wrong.append("momentum")
    if name not in SLOTS or wrong:
        raise UnsupportedError(f"optimizer {name}{' with ' + wrong[0] if wrong else ''}: known are {', '.join(SLOTS)}")
    kind, _, own = SLOTS[name]
    taken = {key: options[key] for key in own}
    for key in ("weight_decay", "clipvalue", "clipnorm", "global_clipnorm"):
        if options.get(key) is not None:
            taken[key] = options[key]
    taken["gradient_accumulation_steps"] = options.get("gradient_accumulation_steps")
    taken["use_ema"] = options.get("use_ema", False)
    taken["ema_momentum"] = options.get("ema_momentum", 0.99)
    taken["ema_overwrite_frequency"] = options.get("ema_overwrite_frequency")
    rate = options["learning_rate"]
    return kind(learning_rate=schedule_from(rate) if isinstance(rate, dict) else float(rate), **taken)  # type: ignore[no-any-return]


def schedule_from(described: dict[str, Any]) -> Schedule:
    """A schedule from Keras's description of it."""
    name, o = described["class_name"], described["config"]
    if name == "ExponentialDecay":
        return shim.ExponentialDecay(o["initial_learning_rate"], o["decay_steps"], o["decay_rate"], o["staircase"])
    if name == "CosineDecay":
        return shim.CosineDecay(
            o["initial_learning_rate"], o["decay_steps"], o["alpha"], o["warmup_target"], o["warmup_steps"]
        )
    if name == "PiecewiseConstantDecay":
        return shim.PiecewiseConstant(o["boundaries"], o["values"])
    raise UnsupportedError(f"schedule {name}: known are ExponentialDecay, CosineDecay, PiecewiseConstantDecay")


LOSSES: dict[str, Callable[[dict[str, Any]], str | Loss]] = {
    "SparseCategoricalCrossentropy": lambda o: losses.CategoricalCrossEntropy(o["from_logits"]),
    "CategoricalCrossentropy": lambda o: losses.CategoricalCrossEntropy(o["from_logits"], o["label_smoothing"]),
    "BinaryCrossentropy": lambda o: losses.BinaryCrossEntropy(o["from_logits"], o["label_smoothing"]),
    "MeanSquaredError": lambda o: "mean_squared_error",
    "MeanAbsoluteError": lambda o: "mean_absolute_error",
    "CosineSimilarity": lambda o: "cosine_similarity",
    "Huber": lambda o: "huber",
    "KLDivergence": lambda o: "kl_divergence",
}


# What our losses have built in: options of Keras's, with the values that mean it.
BUILT_IN: dict[str, tuple[Any, ...]] = {
    "reduction": ("sum_over_batch_size", "mean"),
    "ignore_class": (None,),
    "axis": (-1,),
    "delta": (1.0,),
}


def of_keras(given: object) -> bool:
    return getattr(given, "__module__", "").split(".")[0] == "keras"


def loss_from(theirs: str | keras.Loss) -> str | Loss:
    """Keras's loss as ours: a name, or an object of the kinds of `LOSSES`."""
    if isinstance(theirs, str):
        return theirs
    name = type(theirs).__name__
    function = getattr(theirs, "__name__", "")
    if of_keras(theirs) and function in {**losses.LOSSES, **losses.KERAS_LOSSES}:
        return str(function)
    if name not in LOSSES:
        raise UnsupportedError(f"loss {name}: known are {', '.join(LOSSES)}, and names")
    options = {**theirs.get_config(), **getattr(theirs, "_fn_kwargs", {})}  # Keras does not write all of them down
    for option, known in BUILT_IN.items():
        if options.get(option, known[0]) not in known:
            raise UnsupportedError(f"loss {name} with {option}={options[option]!r}: known is {known[0]!r}")
    return LOSSES[name](options)


METRICS = {**metrics.METRICS, **metrics.KERAS_METRICS}


def metric_from(theirs: Any, loss: Any) -> str | Metric:
    """Keras's metric of an output that is judged by our `loss`, told under Keras's name."""
    if theirs in ("accuracy", "acc"):  # Keras goes by shapes alone, beside a loss of logits of yes and no too
        known = metrics.accuracy_for(None if loss is None else losses.loss_function(loss))
        return metrics.called(metrics.accuracy_by_shape, theirs) if known is metrics.accuracy else theirs
    if isinstance(theirs, str) and theirs in METRICS:
        return theirs
    kind = type(theirs).__name__
    if of_keras(theirs) and kind in keras_names.METRICS:
        if (threshold := theirs.get_config().get("threshold", 0.5)) != 0.5:
            raise UnsupportedError(f"metric {kind} with threshold={threshold!r}: known is 0.5")
        return metrics.called(METRICS[keras_names.METRICS[kind]], theirs.name)
    if of_keras(theirs) and getattr(theirs, "__name__", "") in METRICS:
        return str(theirs.__name__)
    told = theirs if isinstance(theirs, str) else getattr(theirs, "__name__", kind)
    raise UnsupportedError(f"metric {told}: known are accuracy, {', '.join([*METRICS, *keras_names.METRICS])}")


def flat(given: Any) -> list[Any]:
    """The metrics of one output, however they lie in lists and dictionaries."""
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        return [each for part in given for each in flat(part)]
    return [] if given is None else [given]


def metrics_from(given: Any, model: keras.Model, loss: Any, several: bool) -> Any:
    """The metrics that a compiled model was given, for each output where it has several, whose losses are ours."""
    if not several:
        return [metric_from(each, loss) for each in flat(given)]
    given = of_outputs(given or {}, model)
    if not isinstance(given, dict):
        return [[metric_from(one, loss_of(loss, at)) for one in flat(each)] for at, each in enumerate(given)]
    return {key: [metric_from(one, loss_of(loss, key)) for one in flat(each)] for key, each in given.items()}


def loss_of(loss: Any, key: int | str) -> Any:
    """The loss of one output among those of several, or the one of all."""
    if isinstance(loss, list):
        loss = dict(enumerate(loss))
    return loss.get(key) if isinstance(loss, dict) else loss


def undecayed(model: keras.Model, names: dict[int, str]) -> tuple[str, ...]:
    """Our names of the weights that Keras's optimizer leaves out of the decay."""
    decays = {names[id(v)]: model.optimizer._use_weight_decay(v) for v in model.trainable_variables}
    excluded = tuple([name for name, decayed in decays.items() if not decayed])
    for name, decayed in decays.items():
        if decayed and any(word in name for word in excluded):
            raise UnsupportedError(f"the name of {name} holds that of a weight without decay: give it another one")
    return excluded


def of_outputs(given: Any, model: keras.Model) -> Any:
    """What `compile` was given for each output, by its place or its name, as the shim takes it: by place or key."""
    outputs = getattr(model, "_functional", model).output
    if not isinstance(given, dict) or isinstance(outputs, dict):
        return given
    return [given.get(name) for name in model.output_names]


def judges_from(model: keras.Model, several: bool) -> dict[str, Any]:
    """The losses of a compiled model with their weights, and its metrics."""
    judges = losses_from(model, several)
    for name in ("metrics", "weighted_metrics"):
        given = getattr(model._compile_metrics, f"_user_{name}", None)
        judges[name] = metrics_from(given, model, judges["loss"], several)
    return judges


def losses_from(model: keras.Model, several: bool) -> dict[str, Any]:
    """The losses of a compiled model, and their weights."""
    weights = getattr(getattr(model, "_compile_loss", None), "_user_loss_weights", None)
    if not several:
        if weights is not None:
            raise UnsupportedError("loss_weights: a single loss has the weight 1")
        return {"loss": loss_from(model.loss)}
    given = of_outputs(model.loss, model)
    if isinstance(given, dict):
        loss: Any = {key: None if each is None else loss_from(each) for key, each in given.items()}
    elif isinstance(given, (list, tuple)):
        loss = [None if each is None else loss_from(each) for each in given]
    else:
        loss = loss_from(given)
    return {"loss": loss, "loss_weights": of_outputs(weights, model)}


def adopt(found: shim.Model, model: keras.Model, names: dict[int, str]) -> None:
    """Compile as Keras's model is, with the state of its optimizer."""
    theirs = model.optimizer
    optimizer = dataclasses.replace(optimizer_from(theirs), exclude_from_weight_decay=undecayed(model, names))
    found.compile(optimizer, **judges_from(model, bool(found.outputs)))
    slots = found.fresh_slots()
    if theirs.built:
        for slot, attribute in {**SLOTS[type(theirs).__name__][1], **EVERY_SLOT}.items():
            for variable, state in zip(theirs._trainable_variables, getattr(theirs, attribute, ()), strict=False):
                if f"{slot}/{names[id(variable)]}" in slots:
                    slots[f"{slot}/{names[id(variable)]}"] = np.asarray(state)
    found.set_slots(slots, int(np.asarray(theirs._iterations)))
