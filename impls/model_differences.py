"""What follows of the catalogue of known differences for each model: in which phases it shows, and how large it may be.

A departure is no fault of a program: the program is what a user of that library writes. Each one is a row of
`impls.known_differences`, with the phases in which it shows and, where one can be derived, a bound
(`relative_error_bound`). Phases that a departure does not name keep the general bound. Where a bound is given it is
for float64, which is what the suites compare; in float32 the same roundings drown in the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from impls import difference_patches
from impls.floating_types import UNIT
from impls.known_differences import DIFFERENCES
from impls.specs import MODELS, ModelSpec

BUDGET = 8  # roundings of one float32 operation: two operands, the result, and five for cancellation in its sums

TRAINING = ("trajectory", "slot", "state")
EVERYWHERE = ("forward", "loss", "backward", *TRAINING)
AFTER_FORWARD = ("loss", "backward", *TRAINING)


class Departure(NamedTuple):
    """One cause. `constants` pass through float32, `float32_layers` and `float32_losses` are computed in float32.

    `planted`: diffs with which the oracle computes the same, to rounding; then it judges, by the bounds of all others.
    `spreading`: diffs with which the oracle rounds as the library does, by another formula for the same.
    """

    released: str
    where: str  # file and function, as installed
    cause: str
    phases: tuple[str, ...] = TRAINING
    constants: tuple[str, ...] = ()
    roundings: int = 0  # of a schedule, in float32
    float32_layers: int = 0
    float32_losses: int = 0
    bounded: bool = True
    planted: tuple[dict[str, str], ...] = ()
    spreading: tuple[dict[str, str], ...] = ()
    brief: str = ""  # the cause where a table has a line for it


class Explanation(NamedTuple):
    """What a report says of a disagreement: its cause, and its bound; None: shown, not bounded."""

    cause: str
    bound: float | None


def of_row(name: str, **more: Any) -> Departure:
    """A row of the catalogue as a departure."""
    known = DIFFERENCES[name]
    return Departure(known.released, known.where, known.cause, brief=known.brief, **more)


IN_FLOAT32 = DIFFERENCES["float64_in_float32"].brief
CONSTANTS = DIFFERENCES["adam_betas_in_float32"].brief


class Single(NamedTuple):
    """What Keras computes in float32 where float64 is meant: the operation, and how often it occurs on a way."""

    operation: str
    times: int
    spreading: tuple[dict[str, str], ...] = ()


# By engine, and kind of layer or fused activation. An entry for a kind serves every model that has such a layer.
SINGLE_LAYERS = {
    ("torch", "layernorm"): Single("LayerNormalization.call", 1),
    ("jax", "layernorm"): Single("LayerNormalization.call", 1),
    ("torch", "attention"): Single("einsum and softmax (MultiHeadAttention)", 6),
    ("jax", "attention"): Single("einsum, and the softmax of jax.nn.dot_product_attention (MultiHeadAttention)", 6),
    ("torch", "tied_head"): Single("matmul (ReversibleEmbedding)", 1),
    ("tensorflow", "attention"): Single("the root of a head's width (MultiHeadAttention)", 1),
    ("tensorflow", "gelu"): Single("the root of 2 in tf.nn.gelu", 1),
    ("torch", "dense"): Single("matmul in backend/torch/numpy.py (Dense)", 1),
    ("torch", "batchnorm"): Single("BatchNormalization.call", 1, difference_patches.ONE_PASS_VARIANCE),
    ("jax", "batchnorm"): Single("BatchNormalization.call", 1, difference_patches.ONE_PASS_VARIANCE),
    ("jax", "lstm"): Single("both calls of tanh in backend/jax/numpy.py (LSTM)", 2),
    ("jax", "gru"): Single("the call of tanh in backend/jax/numpy.py (GRU)", 1),
}
# By engine and loss, or option of the optimizer:
SINGLE_LOSSES = {
    ("torch", "sigmoid_cross_entropy"): Single(
        "mean (binary_crossentropy) and divide_no_nan in losses/loss.py, reduce_values", 2
    ),
    ("torch", "softmax_cross_entropy"): Single("divide_no_nan in losses/loss.py, reduce_values", 1),
    ("torch", "global_clipnorm"): Single("minimum (clip_by_global_norm)", 1),
    ("jax", "sigmoid_cross_entropy"): Single("mean in backend/jax/numpy.py (binary_crossentropy)", 1),
}

# The row that says why, and the words that lead to the operations.
WHY_SINGLE = {
    "torch": ("float64_in_float32", ", here "),
    "jax": ("float64_in_float32", ", here "),
    "tensorflow": ("python_float_in_float32", ", here of "),
}

# By optimizer of a spec, the constants that pass through float32:
POWERS = of_row("adam_betas_in_float32", constants=("beta_1", "beta_2"))
ROUNDED_CONSTANTS = {
    "adam": POWERS,
    "adamw": POWERS,
    "sgd": of_row("momentum_in_float32", constants=("momentum",)),
    "adagrad": of_row("accumulator_in_float32", bounded=False),
}
SCHEDULES = {
    "exponential_decay": of_row(
        "schedule_in_float32",
        constants=("learning_rate", "decay_rate"),
        roundings=3,  # quotient, power, product
    ),
    "warmup_cosine": of_row(
        "cosine_in_float32",
        constants=("learning_rate", "warmup_target", "alpha", "weight_decay"),
        roundings=8,  # quotient, product with pi, cosine, two sums, three products
    ),
}
SLICES = of_row("clipnorm_of_slices", bounded=False, planted=difference_patches.SLICES)

# What torch.optim and torch.nn do otherwise, by the optimizer of a spec.
ADAM = of_row("torch_adam_epsilon", bounded=False, planted=difference_patches.ADAM)
TORCH_OPTIMIZERS = {
    "adam": ADAM,
    "adamw": ADAM,
    "sgd": of_row("torch_sgd_rate", bounded=False, planted=difference_patches.SGD),
    "rmsprop": of_row("torch_rmsprop_epsilon", bounded=False, planted=difference_patches.RMSPROP),
    "adagrad": of_row("torch_adagrad_epsilon", bounded=False),
}
TORCH_CLIPPING = of_row("torch_clipping", bounded=False, planted=difference_patches.CLIPPING)
# And by kind of layer.
TORCH_LAYERS = {
    "batchnorm": of_row("torch_running_variance", bounded=False, planted=difference_patches.UNBIASED_VARIANCE),
    "lstm": of_row("torch_two_biases", bounded=False, planted=difference_patches.TWO_BIASES),
}


def kinds_of(spec: ModelSpec) -> list[str]:
    """The kind of each layer of a model, and its fused activation."""
    return [name for layer in spec.at("small") for name in (layer.kind, layer.activation) if name is not None]


def _in_float32(engine: str, spec: ModelSpec) -> list[Departure]:
    """What Keras computes in float32 on that engine: the operations of its layers and of its loss, counted."""
    layers = [SINGLE_LAYERS[engine, kind] for kind in kinds_of(spec) if (engine, kind) in SINGLE_LAYERS]
    names = [spec.loss] + [name for name in sorted(spec.optimizer) if spec.optimizer[name]]
    losses = [SINGLE_LOSSES[engine, name] for name in names if (engine, name) in SINGLE_LOSSES]
    if not layers + losses:
        return []
    operations = list(dict.fromkeys(single.operation for single in layers + losses))
    name, words = WHY_SINGLE[engine]
    known = DIFFERENCES[name]
    return [
        Departure(
            known.released,
            known.where,
            known.cause + words + ", ".join(operations),
            phases=EVERYWHERE if layers else AFTER_FORWARD,
            float32_layers=sum(single.times for single in layers),
            float32_losses=sum(single.times for single in losses),
            spreading=tuple({str(diff): diff for single in layers for diff in single.spreading}.values()),
        )
    ]


def _on_tensorflow(spec: ModelSpec) -> list[Departure]:
    """What Keras does otherwise on TensorFlow, by the optimizer and by what has an embedding."""
    found = [ROUNDED_CONSTANTS.get(spec.optimizer["name"]), SCHEDULES.get(spec.optimizer.get("schedule", ""))]
    kinds = kinds_of(spec)
    if spec.optimizer.get("global_clipnorm") and "embedding" in kinds and "tied_head" not in kinds:
        found.append(SLICES)  # a tied head makes the table's gradient an ordinary tensor
    return [one for one in found if one is not None] + _in_float32("tensorflow", spec)


def _in_torch(spec: ModelSpec) -> list[Departure]:
    """What torch.optim and torch.nn do otherwise."""
    found = [TORCH_OPTIMIZERS.get(spec.optimizer["name"])]
    if spec.optimizer.get("global_clipnorm"):
        found.append(TORCH_CLIPPING)
    found += [TORCH_LAYERS.get(kind) for kind in dict.fromkeys(kinds_of(spec))]
    return [one for one in found if one is not None]


def _together(causes: Sequence[Departure]) -> Departure:
    """Several causes as one: their places and texts in a row, what they do added up."""
    first = causes[0]
    return Departure(
        first.released,
        "; ".join(cause.where for cause in causes),
        "; ".join(cause.cause for cause in causes),
        phases=tuple(phase for phase in EVERYWHERE if any(phase in cause.phases for cause in causes)),
        constants=tuple(name for cause in causes for name in cause.constants),
        roundings=sum(cause.roundings for cause in causes),
        float32_layers=sum(cause.float32_layers for cause in causes),
        float32_losses=sum(cause.float32_losses for cause in causes),
        bounded=all(cause.bounded for cause in causes),
        planted=tuple(diff for cause in causes for diff in cause.planted),
        spreading=tuple(diff for cause in causes for diff in cause.spreading),
    )


def _departures() -> dict[tuple[str, str, str], Departure]:
    """What is known of every model, by implementation, engine and model: it follows from layers, loss and optimizer."""
    found: dict[tuple[str, str, str], Departure] = {}
    for name, spec in MODELS.items():
        causes = {
            ("tf_keras", "tensorflow", name): _on_tensorflow(spec),
            ("tf_keras", "torch", name): _in_float32("torch", spec),
            ("tf_keras", "jax", name): _in_float32("jax", spec),
            ("torch_native", "torch", name): _in_torch(spec),
        }
        found.update((key, _together(known)) for key, known in causes.items() if known)
    return found


DEPARTURES = _departures()


# What a released library cannot do, by implementation, backend and model.
REFUSALS = {("tf_keras", "jax", "rnn"): "lstm_in_float64_on_a_gpu"}


def refusal(implementation: str, backend: str, model: str, device: str, dtype: str, error: str) -> str:
    """The known cause of an error, "" for one that nobody knows of."""
    name = REFUSALS.get((implementation, backend, model))
    if name is None:
        return ""
    known = DIFFERENCES[name]
    if (known.device, known.dtype) != (device, dtype) or known.says not in error:
        return ""
    return f"{known.released}: {known.cause}; suites/equivalence/{known.programs[0]}.py shows it alone"


def rounding(value: float) -> float:
    """The relative error that float32 makes of `value`."""
    return abs(float(np.float32(value)) / value - 1.0)


def sensitivity(optimizer: dict[str, float], constant: str, steps: int) -> float:
    """Relative change of an update for a relative change of `constant`, at most, within `steps` steps.

    Adam's update is proportional to sqrt(1 - beta_2**t) / (1 - beta_1**t). The relative derivative of 1 - beta**t is
    t beta**t / (1 - beta**t), largest at t = 1, where it is beta / (1 - beta); the root halves it. Momentum m sums
    past updates with the weights m**k: of that geometric series the relative derivative is m / (1 - m). The rate
    itself enters once, the decay rate step / decay_steps times.
    """
    value = optimizer[constant]
    if constant == "decay_rate":
        return steps / optimizer["decay_steps"]
    if constant in ("learning_rate", "warmup_target", "alpha", "weight_decay"):
        return 1.0
    return value / (1.0 - value) / (2.0 if constant == "beta_2" else 1.0)


def relative_error_bound(departure: Departure, model: str, phase: str, steps: int = 1) -> float | None:
    """A bound of ||departing - exact|| / ||exact|| for every tensor of `phase`; None where none can be derived.

    One step is off by the sum of two terms, to first order in the unit roundoff u = 2**-24:

    - constants: for each one, its rounding error times the update's sensitivity to it; a schedule evaluated in
      float32 adds its roundings.
    - float32 layers: 8 u for each on the way forward, as much again on the way back, and 8 u for each operation of
      the loss. 8 u times the operands' norms is a budget that rounding stays below; here the result's own norm stands
      in for the operands', which holds for layers whose sums do not cancel to less than their size.

    After n steps the errors of n updates have been added. That a tensor has not moved farther than its own norm, and
    that training does not magnify a difference (it contracts one, on average), is assumed: so n times one step. On real
    data that holds. Where it does not, as under gradients so tiny that a step of Adam is many times a weight, rounding
    errors of float32 have to be propagated through the steps instead (`suites.faults.moments`).
    """
    if not departure.bounded:
        return None
    optimizer = MODELS[model].optimizer
    forward = BUDGET * UNIT["float32"] * departure.float32_layers
    if phase == "forward":
        return forward
    one_pass = 2 * forward + BUDGET * UNIT["float32"] * departure.float32_losses
    if phase not in TRAINING:
        return one_pass
    update = sum(rounding(optimizer[name]) * sensitivity(optimizer, name, steps) for name in departure.constants)
    return steps * (one_pass + update + departure.roundings * UNIT["float32"])


def diffs(implementation: str, backend: str, model: str) -> tuple[dict[str, str], ...]:
    """What makes the oracle compute what this implementation is known to compute; nothing where it is the same."""
    departure = DEPARTURES.get((implementation, backend, model))
    return () if departure is None else departure.planted


def spreading(implementation: str, backend: str, model: str) -> tuple[dict[str, str], ...]:
    """What makes the oracle round as this implementation does, where it takes another formula for the same."""
    departure = DEPARTURES.get((implementation, backend, model))
    return () if departure is None else departure.spreading


def explanation(implementation: str, backend: str, model: str, phase: str, steps: int = 1) -> Explanation | None:
    """Why this implementation may differ from the spec in `phase` after `steps` steps; None: it may not."""
    departure = DEPARTURES.get((implementation, backend, model))
    if departure is None or phase not in departure.phases:
        return None
    cause = f"{departure.released}, {departure.where}: {departure.cause}"
    return Explanation(cause, relative_error_bound(departure, model, phase, steps))
