"""Where a released library computes something else than the specs say, and why.

A departure is no fault of a program: the program is what a user of that library writes. Each one names the release,
the file and the function that cause it, the phases in which it shows, and, where one can be derived, how large it may
be (`relative_error_bound`). Phases that a departure does not name keep the general bound. Where a bound is given it is
for float64, which is what the suites compare; in float32 the same roundings drown in the others.
Valid on Python 3.6, and imports no framework.
"""

from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from impls import difference_patches
from impls.specs import MODELS

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
    float32_layers: int = 0
    float32_losses: int = 0
    bounded: bool = True
    planted: Tuple[Dict[str, str], ...] = ()
    spreading: Tuple[Dict[str, str], ...] = ()


class Explanation(NamedTuple):
    """What a report says of a disagreement: its cause, and its bound; None: shown, not bounded."""

    cause: str
    bound: Optional[float]


KERAS = "keras 3.15.1"
TORCH = "torch 2.13.0"
TYPE_TABLE = "keras/src/backend/common/dtypes.py, BIT64_TO_BIT32_DTYPE, read by _lattice_result_type"


def _rounded_powers(released: str) -> Departure:
    return Departure(
        released,
        "keras/src/optimizers/adam.py, Adam.update_step; keras/src/backend/tensorflow/core.py, cast",
        "ops.cast(self.beta_1, variable.dtype) is tf.cast of a Python float, which makes a float32 of it first: the "
        "powers of beta_1 and beta_2 in the bias correction are those of the rounded constants",
        constants=("beta_1", "beta_2"),
    )


def _float32(layers: int, losses: int, operations: str, spreading: Tuple[Dict[str, str], ...] = ()) -> Departure:
    return Departure(
        KERAS,
        TYPE_TABLE,
        "result_type answers float32 for two float64 arguments on every backend but TensorFlow; what asks it computes "
        "in float32, here " + operations,
        phases=EVERYWHERE if layers else AFTER_FORWARD,
        float32_layers=layers,
        float32_losses=losses,
        spreading=spreading,
    )


def _by_design(where: str, cause: str, planted: Tuple[Dict[str, str], ...]) -> Departure:
    return Departure(TORCH, where, cause, bounded=False, planted=planted)


MATMUL = "matmul in backend/torch/numpy.py (Dense)"
BATCHNORM = "BatchNormalization.call"
REDUCTION = "divide_no_nan in losses/loss.py, reduce_values"
ADAM = _by_design(
    "torch/optim/adam.py, _single_tensor_adam and its fused form",
    "epsilon is added to the bias-corrected root of v, in Keras to the root before the correction",
    difference_patches.ADAM,
)

# A departure that two models share is one value.
DEPARTURES = {
    ("tf_keras", "tensorflow", "seed"): _rounded_powers(KERAS),
    ("tf_keras", "tensorflow", "mlp"): _rounded_powers(KERAS),
    ("tf_keras", "tensorflow", "cnn"): Departure(
        KERAS,
        "keras/src/optimizers/schedules/learning_rate_schedule.py, ExponentialDecay.__call__; "
        "keras/src/optimizers/sgd.py, SGD.update_step; keras/src/backend/tensorflow/core.py, cast",
        "ops.convert_to_tensor(self.initial_learning_rate) names no dtype, so that the whole schedule is computed in "
        "float32; ops.cast(self.momentum, variable.dtype) is tf.cast of a Python float, which makes a float32 of it",
        constants=("learning_rate", "decay_rate", "momentum"),
    ),
    ("tf_keras", "tensorflow", "rnn"): Departure(
        KERAS,
        "keras/src/optimizers/base_optimizer.py, global_norm; keras/src/optimizers/rmsprop.py, RMSprop.update_step; "
        "keras/src/backend/tensorflow/sparse.py, elementwise_unary",
        "the gradient of Embedding is an IndexedSlices, with one slice for each occurrence of an id, and ops.square "
        "squares the slices: the global norm that the clipping divides by holds the sum of the occurrences' squares "
        "where the square of their sum is meant",
        bounded=False,
        planted=difference_patches.SLICES,
    ),
    ("tf_keras", "torch", "seed"): _float32(2, 2, MATMUL + ", mean (binary_crossentropy) and " + REDUCTION),
    ("tf_keras", "torch", "mlp"): _float32(3, 1, MATMUL + " and " + REDUCTION),
    ("tf_keras", "torch", "cnn"): _float32(
        3, 1, BATCHNORM + ", " + MATMUL + " and " + REDUCTION, difference_patches.ONE_PASS_VARIANCE
    ),
    ("tf_keras", "torch", "rnn"): _float32(1, 2, MATMUL + ", " + REDUCTION + " and minimum (clip_by_global_norm)"),
    ("tf_keras", "jax", "seed"): _float32(0, 1, "mean in backend/jax/numpy.py (binary_crossentropy)"),
    ("tf_keras", "jax", "cnn"): _float32(2, 0, BATCHNORM, difference_patches.ONE_PASS_VARIANCE),
    ("tf_keras", "jax", "rnn"): _float32(2, 0, "both calls of tanh in backend/jax/numpy.py (LSTM)"),
    ("torch_native", "torch", "seed"): ADAM,
    ("torch_native", "torch", "mlp"): ADAM,
    ("torch_native", "torch", "cnn"): _by_design(
        "torch/optim/sgd.py, _single_tensor_sgd; torch/nn/modules/batchnorm.py",
        "the rate multiplies the velocity instead of being in it, which differs as soon as the schedule moves it (and "
        "scales the optimizer state); the running variance is the unbiased one, n / (n - 1) times Keras's",
        difference_patches.SGD_AND_BATCHNORM,
    ),
    ("torch_native", "torch", "rnn"): _by_design(
        "torch/optim/rmsprop.py, _single_tensor_rmsprop; torch/nn/utils/clip_grad.py, _clip_grads_with_norm_; "
        "torch/nn/modules/rnn.py",
        "epsilon is added outside the root; the clipping divides by the norm + 1e-6; nn.LSTM has two biases, both are "
        "trained, and their sum moves twice as far",
        difference_patches.RMSPROP_AND_LSTM,
    ),
}  # type: Dict[Tuple[str, str, str], Departure]


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
    if constant == "learning_rate":
        return 1.0
    return value / (1.0 - value) / (2.0 if constant == "beta_2" else 1.0)


def relative_error_bound(departure: Departure, model: str, phase: str, steps: int = 1) -> Optional[float]:
    """A bound of ||departing - exact|| / ||exact|| for every tensor of `phase`; None where none can be derived.

    One step is off by the sum of two terms, to first order in the unit roundoff u = 2**-24:

    - constants: for each one, its rounding error times the update's sensitivity to it; a schedule evaluated in
      float32 adds three roundings (quotient, power, product).
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
    schedule = 3 * UNIT_ROUNDOFF if "decay_rate" in departure.constants else 0.0
    return steps * (one_pass + update + schedule)


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
