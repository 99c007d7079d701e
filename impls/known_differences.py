"""Where a released library computes something else than the specs say, and why.

A departure is no fault of a program: the program is what a user of that library writes. Each one names the release,
the file and the function that cause it, the phases in which it shows, and, where one can be derived, how large it may
be (`relative_error_bound`). Phases that a departure does not name keep the general bound. Where a bound is given it is
for float64, which is what the suites compare; in float32 the same roundings drown in the others.
Valid on Python 3.6, and imports no framework.
"""

from collections import OrderedDict
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from impls import difference_patches
from impls.specs import MODELS, ModelSpec

UNIT_ROUNDOFF = 2.0**-24  # of float32
BUDGET = 8  # roundings of one float32 operation: two operands, the result, and five for cancellation in its sums

TRAINING = ("trajectory", "slot", "state")
EVERYWHERE = ("forward", "loss", "backward") + TRAINING
AFTER_FORWARD = ("loss", "backward") + TRAINING


class Departure(NamedTuple):
    """One cause. `constants` pass through float32, `float32_layers` and `float32_losses` are computed in float32.

    `planted`: diffs with which the oracle computes the same, to rounding; then it judges, by the bounds of all others.
    `spreading`: diffs with which the oracle rounds as the library does, by another formula for the same.
    """

    released: str
    where: str  # file and function, as installed
    cause: str
    phases: Tuple[str, ...] = TRAINING
    constants: Tuple[str, ...] = ()
    roundings: int = 0  # of a schedule, in float32
    float32_layers: int = 0
    float32_losses: int = 0
    bounded: bool = True
    planted: Tuple[Dict[str, str], ...] = ()
    spreading: Tuple[Dict[str, str], ...] = ()
    brief: str = ""  # the cause where a table has a line for it


class Explanation(NamedTuple):
    """What a report says of a disagreement: its cause, and its bound; None: shown, not bounded."""

    cause: str
    bound: Optional[float]


KERAS = "keras 3.15.1"
TORCH = "torch 2.13.0"
TYPE_TABLE = "keras/src/backend/common/dtypes.py, BIT64_TO_BIT32_DTYPE, read by _lattice_result_type"


IN_FLOAT32 = "float64 is computed in float32 in places (keras/src/backend/common/dtypes.py, BIT64_TO_BIT32_DTYPE)"


class Single(NamedTuple):
    """What Keras computes in float32 where float64 is meant: the operation, and how often it occurs on a way."""

    operation: str
    times: int
    spreading: Tuple[Dict[str, str], ...] = ()


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

TABLE_OF_TYPES = (
    TYPE_TABLE,
    "result_type answers float32 for two float64 arguments on every backend but TensorFlow; what asks it computes in "
    "float32, here ",
)
WHY_SINGLE = {
    "torch": TABLE_OF_TYPES,
    "jax": TABLE_OF_TYPES,
    "tensorflow": (
        "keras/src/backend/tensorflow/core.py, cast; tensorflow/python/ops/nn_ops.py, gelu",
        "tf.cast of a Python float makes a float32 of it first, here of ",
    ),
}

# tf.cast of a Python float makes a float32 of it first. By optimizer of a spec, the constants that pass through it:
CONSTANTS = "constants pass through float32 (ops.cast of a Python float is tf.cast, keras/src/backend/tensorflow)"
POWERS = Departure(
    KERAS,
    "keras/src/optimizers/adam.py, Adam.update_step; keras/src/backend/tensorflow/core.py, cast",
    "ops.cast(self.beta_1, variable.dtype) is tf.cast of a Python float, which makes a float32 of it first: the "
    "powers of beta_1 and beta_2 in the bias correction are those of the rounded constants",
    constants=("beta_1", "beta_2"),
    brief=CONSTANTS,
)
ROUNDED_CONSTANTS = {
    "adam": POWERS,
    "adamw": POWERS,
    "sgd": Departure(
        KERAS,
        "keras/src/optimizers/sgd.py, SGD.update_step; keras/src/backend/tensorflow/core.py, cast",
        "ops.cast(self.momentum, variable.dtype) is tf.cast of a Python float, which makes a float32 of it",
        constants=("momentum",),
        brief=CONSTANTS,
    ),
    "adagrad": Departure(
        KERAS,
        "keras/src/optimizers/adagrad.py, Adagrad.build; keras/src/backend/tensorflow/core.py, cast",
        "the first accumulator is a Python float that tf.cast makes a float32 of",
        bounded=False,
        brief=CONSTANTS,
    ),
}
SCHEDULES = {
    "exponential_decay": Departure(
        KERAS,
        "keras/src/optimizers/schedules/learning_rate_schedule.py, ExponentialDecay.__call__",
        "ops.convert_to_tensor(self.initial_learning_rate) names no dtype, so that the whole schedule is computed in "
        "float32",
        constants=("learning_rate", "decay_rate"),
        roundings=3,  # quotient, power, product
    ),
    "warmup_cosine": Departure(
        KERAS,
        "keras/src/optimizers/schedules/learning_rate_schedule.py, CosineDecay.__call__",
        "ops.convert_to_tensor(self.initial_learning_rate) names no dtype, so that the whole schedule is computed in "
        "float32",
        constants=("learning_rate", "warmup_target", "alpha", "weight_decay"),
        roundings=8,  # quotient, product with pi, cosine, two sums, three products
    ),
}
SLICES = Departure(
    KERAS,
    "keras/src/optimizers/base_optimizer.py, global_norm; keras/src/optimizers/rmsprop.py, RMSprop.update_step; "
    "keras/src/backend/tensorflow/sparse.py, elementwise_unary",
    "the gradient of Embedding is an IndexedSlices, with one slice for each occurrence of an id, and ops.square "
    "squares the slices: the global norm that the clipping divides by holds the sum of the occurrences' squares "
    "where the square of their sum is meant",
    bounded=False,
    planted=difference_patches.SLICES,
    brief="an Embedding's gradient is squared slice by slice, before repeated ids are summed "
    "(ops.square of IndexedSlices)",
)


def _by_design(where: str, cause: str, planted: Tuple[Dict[str, str], ...], brief: str = "") -> Departure:
    return Departure(TORCH, where, cause, bounded=False, planted=planted, brief=brief)


# What torch.optim and torch.nn do otherwise, by the optimizer of a spec.
EPSILON = "epsilon is added elsewhere than Keras adds it"
ADAM = _by_design(
    "torch/optim/adam.py, _single_tensor_adam and its fused form",
    "epsilon is added to the bias-corrected root of v, in Keras to the root before the correction",
    difference_patches.ADAM,
    EPSILON,
)
TORCH_OPTIMIZERS = {
    "adam": ADAM,
    "adamw": ADAM,
    "sgd": _by_design(
        "torch/optim/sgd.py, _single_tensor_sgd",
        "the rate multiplies the velocity instead of being in it, which differs as soon as the schedule moves it (and "
        "scales the optimizer state)",
        difference_patches.SGD,
        "the rate multiplies the velocity instead of being in it",
    ),
    "rmsprop": _by_design(
        "torch/optim/rmsprop.py, _single_tensor_rmsprop",
        "epsilon is added outside the root",
        difference_patches.RMSPROP,
        EPSILON,
    ),
    "adagrad": _by_design(
        "torch/optim/adagrad.py, _single_tensor_adagrad", "epsilon is added outside the root", (), EPSILON
    ),
}
TORCH_CLIPPING = _by_design(
    "torch/nn/utils/clip_grad.py, _clip_grads_with_norm_",
    "the clipping divides by the norm + 1e-6",
    difference_patches.CLIPPING,
)
# And by kind of layer.
TWO_BIASES = "nn.LSTM has two biases, both are trained, and their sum moves twice as far"
TORCH_LAYERS = {
    "batchnorm": _by_design(
        "torch/nn/modules/batchnorm.py",
        "the running variance is the unbiased one, n / (n - 1) times Keras's",
        difference_patches.UNBIASED_VARIANCE,
        "the running variance is the unbiased one",
    ),
    "lstm": _by_design(
        "torch/nn/modules/rnn.py",
        TWO_BIASES,
        difference_patches.TWO_BIASES,
        TWO_BIASES,
    ),
}


def kinds_of(spec: ModelSpec) -> List[str]:
    """The kind of each layer of a model, and its fused activation."""
    return [name for layer in spec.at("small") for name in (layer.kind, layer.activation) if name is not None]


def _in_float32(engine: str, spec: ModelSpec) -> List[Departure]:
    """What Keras computes in float32 on that engine: the operations of its layers and of its loss, counted."""
    layers = [SINGLE_LAYERS[engine, kind] for kind in kinds_of(spec) if (engine, kind) in SINGLE_LAYERS]
    names = [spec.loss] + [name for name in sorted(spec.optimizer) if spec.optimizer[name]]
    losses = [SINGLE_LOSSES[engine, name] for name in names if (engine, name) in SINGLE_LOSSES]
    if not layers + losses:
        return []
    operations = list(OrderedDict.fromkeys(single.operation for single in layers + losses))
    where, why = WHY_SINGLE[engine]
    return [
        Departure(
            KERAS,
            where,
            why + ", ".join(operations),
            phases=EVERYWHERE if layers else AFTER_FORWARD,
            float32_layers=sum(single.times for single in layers),
            float32_losses=sum(single.times for single in losses),
            spreading=tuple(OrderedDict((str(diff), diff) for it in layers for diff in it.spreading).values()),
        )
    ]


def _on_tensorflow(spec: ModelSpec) -> List[Departure]:
    """What Keras does otherwise on TensorFlow, by the optimizer and by what has an embedding."""
    found = [ROUNDED_CONSTANTS.get(spec.optimizer["name"]), SCHEDULES.get(spec.optimizer.get("schedule", ""))]
    kinds = kinds_of(spec)
    if spec.optimizer.get("global_clipnorm") and "embedding" in kinds and "tied_head" not in kinds:
        found.append(SLICES)  # a tied head makes the table's gradient an ordinary tensor
    return [one for one in found if one is not None] + _in_float32("tensorflow", spec)


def _in_torch(spec: ModelSpec) -> List[Departure]:
    """What torch.optim and torch.nn do otherwise."""
    found = [TORCH_OPTIMIZERS.get(spec.optimizer["name"])]
    if spec.optimizer.get("global_clipnorm"):
        found.append(TORCH_CLIPPING)
    found += [TORCH_LAYERS.get(kind) for kind in OrderedDict.fromkeys(kinds_of(spec))]
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


def _departures() -> Dict[Tuple[str, str, str], Departure]:
    """What is known of every model, by implementation, engine and model: it follows from layers, loss and optimizer."""
    found = {}  # type: Dict[Tuple[str, str, str], Departure]
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


class Refusal(NamedTuple):
    """Something that a released library cannot do: `says` is part of its error, `device` and `dtype` are where."""

    released: str
    device: str
    dtype: str
    says: str
    cause: str


# By implementation, backend and model.
REFUSALS = {
    ("tf_keras", "jax", "rnn"): Refusal(
        KERAS,
        "gpu",
        "float64",
        "cudnn_rnn",
        "Keras hands an LSTM on a GPU to jax.experimental.rnn, whose cuDNN call has no gradient in float64; "
        "suites/equivalence/upstream/lstm_in_float64_on_a_gpu.py shows it alone",
    ),
}  # type: Dict[Tuple[str, str, str], Refusal]


def refusal(implementation: str, backend: str, model: str, device: str, dtype: str, error: str) -> str:
    """The known cause of an error, "" for one that nobody knows of."""
    found = REFUSALS.get((implementation, backend, model))
    if found is None or (found.device, found.dtype) != (device, dtype) or found.says not in error:
        return ""
    return "{}: {}".format(found.released, found.cause)


def rounding(value: float) -> float:
    """The relative error that float32 makes of `value`."""
    return abs(float(np.float32(value)) / value - 1.0)


def sensitivity(optimizer: Dict[str, float], constant: str, steps: int) -> float:
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


def relative_error_bound(departure: Departure, model: str, phase: str, steps: int = 1) -> Optional[float]:
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
    forward = BUDGET * UNIT_ROUNDOFF * departure.float32_layers
    if phase == "forward":
        return forward
    one_pass = 2 * forward + BUDGET * UNIT_ROUNDOFF * departure.float32_losses
    if phase not in TRAINING:
        return one_pass
    update = sum(rounding(optimizer[name]) * sensitivity(optimizer, name, steps) for name in departure.constants)
    return steps * (one_pass + update + departure.roundings * UNIT_ROUNDOFF)


def diffs(implementation: str, backend: str, model: str) -> Tuple[Dict[str, str], ...]:
    """What makes the oracle compute what this implementation is known to compute; nothing where it is the same."""
    departure = DEPARTURES.get((implementation, backend, model))
    return () if departure is None else departure.planted


def spreading(implementation: str, backend: str, model: str) -> Tuple[Dict[str, str], ...]:
    """What makes the oracle round as this implementation does, where it takes another formula for the same."""
    departure = DEPARTURES.get((implementation, backend, model))
    return () if departure is None else departure.spreading


def explanation(implementation: str, backend: str, model: str, phase: str, steps: int = 1) -> Optional[Explanation]:
    """Why this implementation may differ from the spec in `phase` after `steps` steps; None: it may not."""
    departure = DEPARTURES.get((implementation, backend, model))
    if departure is None or phase not in departure.phases:
        return None
    cause = "{}, {}: {}".format(departure.released, departure.where, departure.cause)
    return Explanation(cause, relative_error_bound(departure, model, phase, steps))
