"""What is known to differ: by the catalogue of known differences, by a documented convention, or reported upstream.

An alarm that an entry explains is counted under it, and is no new finding. An entry on accuracy says `within` how many
times the bound it explains, others have an `extent`, which elements and by how much (`suites.campaign.extents`): the
verdict is given once more with that in the bound, and what is still outside is an alarm. A network is explained by the
layers that it has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.campaign import extents
from suites.campaign.case import Case
from suites.campaign.judge import AS_KNOWN

CONVENTION, DIFFERENCE, REFUSAL = "convention", "known difference", "refusal"
TORCH = "(torch|keras)-torch-.*"


@dataclass(frozen=True)
class Known:
    """Patterns (`re.fullmatch`) of what was asked, and why the answer is another; `says`: of an error's text."""

    kind: str
    operation: str
    realisation: str
    why: str
    dtype: str = ".*"
    says: str = ""
    link: str = ""
    within: float = math.inf  # times the bound
    phases: tuple[str, ...] = ()  # of a network; none: all
    extent: Callable[[Case, np.ndarray], Any] | None = None  # of an operation: what is added to its bound
    checked: bool = False  # of a network: by a verdict of its own, as an `extent` is

    def covers(
        self,
        operation: str,
        realisation: str,
        dtype: str,
        error: str = "",
        ratio: float | None = None,
        phase: str = "",
        condition: str = AS_KNOWN,
    ) -> bool:
        """Whether it explains an alarm (or an error) of an operation or a layer; a `ratio` of None is infinite.

        `condition` is what the verdict was given by: an `extent` that did not hold explains nothing.
        """
        if (self.extent or self.checked) and condition != AS_KNOWN:
            return False
        if self.within < (math.inf if ratio is None else ratio):
            return False
        if self.phases and phase not in self.phases:
            return False
        patterns = ((self.operation, operation), (self.realisation, realisation), (self.dtype, dtype))
        if bool(error) != bool(self.says) or not all(re.fullmatch(*each) for each in patterns):
            return False
        return not self.says or re.search(self.says, error) is not None


KNOWN: tuple[Known, ...] = (
    Known(
        REFUSAL, ".*", ".*",
        "the engine has no kernel for this type, and says so",
        says=r"not implemented for|Could not find device for node|no kernel|NotImplementedError|not supported|"
        r"unsupported|does not support|only supports|must be|Value for attr|expected|Expected|accepts dtypes|"
        r"requires|not in (the )?list|dtypes? |got an unexpected keyword|No OpKernel was registered",
    ),
    Known(
        CONVENTION, "histogram", "tensorflow-tensorflow-.*",
        "tf.histogram_fixed_width counts what lies outside of the range in the outer bins, as documented",
        extent=extents.outside_of_the_range,
    ),
    Known(
        CONVENTION, "gradient_of_abs", "jax-jax-.*", "JAX has 1 for the gradient of abs at 0, where others have 0",
        extent=extents.zeros,
    ),
    Known(
        CONVENTION, "segment_max", "keras-tensorflow-.*",
        "tf.math.unsorted_segment_max makes the smallest finite number of an empty segment, as documented",
        extent=extents.empty_segments,
    ),
    Known(
        CONVENTION, "top_k_indices", "(torch|keras)-torch-.*",
        "torch.topk promises no order of equal numbers",
        extent=extents.ties,
    ),
    Known(
        DIFFERENCE, "average_pool[123]d", "keras-torch-.*",
        "Keras on torch repeats the edge where SAME pads on one side, and counts it",
        link="https://github.com/keras-team/keras/pull/23233",
        extent=extents.counted_edge,
    ),
    Known(
        DIFFERENCE, "average_pool[123]d", "keras-torch-.*",
        "Keras on torch refuses a SAME window that is larger than the image",
        says="smaller than kernel size", link="https://github.com/keras-team/keras/pull/23233",
    ),
    Known(
        DIFFERENCE, "pad_symmetric", "keras-torch-.*",
        "Keras on torch repeats the edge where symmetric padding is asked for",
        link="https://github.com/keras-team/keras/pull/23230",
        extent=extents.repeated_edge,
    ),
    Known(
        DIFFERENCE, "count_nonzero", "keras-torch-.*",
        "Keras on torch transposes what ops.count_nonzero(x, axis) finds in more than two axes",
        extent=extents.more_than_two_axes,
    ),
    Known(
        DIFFERENCE, "cosh|sinh", TORCH,
        "torch.cosh and torch.sinh overflow too early where they are vectorised: tensors of 32 and more numbers",
        link="https://github.com/pytorch/pytorch/issues/48641",
        extent=extents.near_overflow,
    ),
    Known(
        DIFFERENCE, "sign", TORCH, "torch.sign makes 0 of NaN",
        link="https://github.com/pytorch/pytorch/issues/41245",
        extent=extents.nan,
    ),
    Known(DIFFERENCE, "heaviside", TORCH, "torch.heaviside makes 0 of NaN", extent=extents.nan),
    Known(
        DIFFERENCE, "sparsemax", "keras-.*",
        "keras.ops.sparsemax sums the cumulative sums of the support: its results don't add up to one",
        link="https://github.com/keras-team/keras/issues/23425",
        extent=extents.summed_twice,
    ),
    Known(
        DIFFERENCE, "gcd", TORCH, "torch.gcd of an integer type's smallest number is negative",
        link="https://github.com/pytorch/pytorch/issues/187338",
        extent=extents.smallest_integers,
    ),
    Known(
        DIFFERENCE, "geomspace", "keras-torch-.*", "Keras on torch: ops.geomspace of one number is NaN",
        extent=extents.one_number,
    ),
    Known(
        DIFFERENCE, "correlate_(valid|same|full)", "keras-torch-.*",
        "Keras on torch: ops.correlate of one place has no axis",
        extent=extents.one_number,
    ),
    Known(
        DIFFERENCE, "dot_of_stacks", "keras-torch-.*",
        "Keras on torch: ops.dot is matmul, whose stacks have to be broadcast",
        says="must match the size",
    ),
    Known(
        DIFFERENCE, "average", "keras-torch-.*",
        "Keras on torch: weights of ops.average along an axis are not spread over the others",
        says="must match the size",
    ),
    Known(
        DIFFERENCE, "average", "keras-torch-.*",
        "Keras on torch: weights of ops.average along an axis are spread over another one",
        extent=extents.more_than_one_axis,
    ),
    Known(
        DIFFERENCE, "histogram", "(jax|keras)-jax-.*",
        "jnp.linspace(-5, 5, 6) has 1.0000001 where 1 is, so that jnp.histogram counts an edge one bin too low",
        extent=extents.on_an_edge,
    ),
    Known(
        DIFFERENCE, "exp2", "(jax|keras)-jax-.*",
        "jnp.exp2 is up to 40 ulp off, also at whole numbers: XLA takes exp of a rounded product",
        link="https://github.com/jax-ml/jax/issues/40419",
        extent=extents.rounded_exponent,
    ),
    Known(
        DIFFERENCE, "(max|average)_pool[123]d", "keras-jax-.*",
        "Keras on JAX: a pool whose strides are a list raises, which the documentation allows",
        says="can only concatenate tuple",
    ),
    Known(
        DIFFERENCE, "erf", TORCH, "torch.erf of small numbers is 0 in float16 and bfloat16",
        dtype="b?float16",
        extent=extents.small_in_16_bits,
    ),
    Known(
        DIFFERENCE, "log1p|arctanh", "(jax|keras)-jax-.*",
        "jnp.log1p is up to 129 ulp off around -0.414 in float64 on a CPU, and so is arctanh",
        dtype="float64", link="https://github.com/jax-ml/jax/issues/39707", within=9.0,
    ),
    Known(
        DIFFERENCE, "cosh|sinh", "(jax|keras)-jax-.*",
        "jnp.cosh and jnp.sinh of float64 are up to 512 ulp off: they take exp(x + log(0.5)), whose sum is rounded",
        dtype="float64", within=20.0,
    ),
    Known(
        DIFFERENCE, "gradient_of_cumprod", "tensorflow-tensorflow-.*",
        "TensorFlow: the gradient of tf.math.cumprod is 0 at a zero",
        link="https://github.com/tensorflow/tensorflow/issues/119430",
        extent=extents.any_zero,
    ),
    Known(
        DIFFERENCE, "rot90", "keras-tensorflow-.*",
        "Keras on TensorFlow: ops.rot90 by half a turn, or three quarters, mixes the elements of what is not square",
        link="https://github.com/keras-team/keras/pull/23435",
        extent=extents.half_a_turn_and_more,
    ),
    Known(
        DIFFERENCE, "elu|selu", "(tensorflow|keras)-tensorflow-.*",
        "tf.nn.elu takes exp(x) - 1: nothing is left of it where x is small",
        link="https://github.com/tensorflow/tensorflow/issues/116943",
        extent=extents.cancellation_of_one,
    ),
    Known(
        DIFFERENCE, "erfinv", "(tensorflow|keras)-tensorflow-.*",
        "tf.math.erfinv asks for the quantile of (1 + x) / 2: nothing is left of it where x is small, or near 1",
        link="https://github.com/tensorflow/tensorflow/issues/121502",
        extent=extents.rounded_quantile,
    ),
    Known(
        DIFFERENCE, "erfinv", "(jax|keras)-jax-.*",
        "lax.erf_inv takes log1p(-x * x), whose square is rounded: near 1 it is off as if x were",
        extent=extents.rounded_quantile,
    ),
    Known(
        DIFFERENCE, "correlate_(valid|same)", "keras-(tensorflow|torch)-.*",
        "Keras on TensorFlow and torch: ops.correlate does not turn its inputs round where the second is longer",
        link="https://github.com/keras-team/keras/issues/21617",
        extent=extents.second_is_longer,
    ),
    Known(
        DIFFERENCE, "correlate_valid", "keras-tensorflow-.*",
        "Keras on TensorFlow: ops.correlate refuses a second input that is longer than the first",
        says="output size would be negative|Negative dimension size",
        link="https://github.com/keras-team/keras/issues/21617",
    ),
    Known(
        DIFFERENCE, "percentile|nanquantile", "keras-tensorflow-.*",
        "Keras on TensorFlow: ops.percentile and ops.nanquantile of float64 hold their q in float32",
        dtype="float64", within=1e6,
    ),
    Known(
        DIFFERENCE, "kron", "keras-tensorflow-(graph|xla)",
        "Keras on TensorFlow: ops.kron asks a symbolic rank for its number, and can't be traced",
        says="cannot be interpreted as an integer",
    ),
    Known(
        DIFFERENCE, "isin", "keras-tensorflow-(graph|xla)",
        "Keras on TensorFlow: ops.isin asks a symbolic size whether it is 0, and can't be traced",
        says="as a Python `bool` is not allowed",
    ),
    Known(
        DIFFERENCE, "adaptive_(average|max)_pool", "keras-tensorflow-(graph|xla)",
        "Keras on TensorFlow: adaptive pools of more places than the image has can't be traced",
        says="Negative dimension size",
    ),
    Known(
        DIFFERENCE, "conv3d", "(tensorflow|keras)-tensorflow-.*",
        "tf.nn.conv3d with SAME padding and a stride above the window by two and more begins a place late",
        link="https://github.com/tensorflow/tensorflow/issues/14601",
        extent=extents.stride_above_the_window,
    ),
    Known(
        REFUSAL, "conv3d", "(tensorflow|keras)-tensorflow-.*",
        "TensorFlow has no convolution of volumes in groups, and says so",
        says="must have the same depth|must match last dimension",
    ),
    Known(
        DIFFERENCE, "adaptive_(average|max)_pool", "keras-tensorflow-.*",
        "Keras on TensorFlow: adaptive pools of more places than the image has end the process with SIGFPE",
        says="SIGFPE",
    ),
    Known(
        DIFFERENCE, "logaddexp2", "keras-tensorflow-.*",
        "Keras on TensorFlow: ops.logaddexp2 of float64 takes the logarithm of 2 in float32",
        dtype="float64", within=1e7,
    ),
    Known(
        DIFFERENCE, "heaviside", "keras-tensorflow-.*",
        "Keras on TensorFlow: ops.heaviside makes its second input of NaN",
        extent=extents.nan,
    ),
    Known(
        DIFFERENCE, "exp2", "keras-tensorflow-(graph|xla)",
        "Keras on TensorFlow: ops.exp2 takes 2 in float32, and can't be traced in any other type",
        says="does not match type",
    ),
    Known(
        DIFFERENCE, "bartlett", "keras-tensorflow-(graph|xla)",
        "Keras on TensorFlow: ops.bartlett asks a symbolic number for its truth, and can't be traced",
        says="as a Python `bool` is not allowed",
    ),
    Known(
        CONVENTION, "argmax|argmin", "(tensorflow|keras)-tensorflow-.*",
        "tf.argmax and tf.argmin pass over NaN", dtype="b?float.*",
        extent=extents.lines_with_nan,
    ),
    Known(
        DIFFERENCE, "sort|argsort", "(tensorflow|keras)-tensorflow-.*",
        "tf.sort leaves NaN where it is, and numbers on both sides of it unsorted",
        link="https://github.com/tensorflow/tensorflow/issues/58496",
        extent=extents.lines_with_nan,
    ),
    Known(
        DIFFERENCE, "group_norm_channels_last", TORCH,
        "torch's group norm of channels-last images takes a variance as E[x^2] - E[x]^2: nothing is left of it where "
        "the mean is large", link="https://github.com/pytorch/pytorch/issues/40302",
        extent=extents.normalised_by_squares,
    ),
    Known(
        DIFFERENCE, "standardize", "jax-jax-.*",
        "jax.nn.standardize takes a variance as E[x^2] - E[x]^2: nothing is left of it where the mean is large",
        link="https://github.com/jax-ml/jax/issues/37281", extent=extents.normalised_by_squares,
    ),
    Known(
        DIFFERENCE, "variance_of_moments", "keras-torch-.*",
        "Keras on torch: ops.moments takes a variance as E[x^2] - E[x]^2",
        link="https://github.com/keras-team/keras-core/pull/866",
        extent=extents.variance_of_squares,
    ),
    Known(
        DIFFERENCE, "bessel_(j0|y1)", TORCH,
        "torch.special.bessel_j0, j1, y0 and y1 of float64 are off by up to 9e-7 above 5",
        dtype="float64", extent=extents.absolute(1e-6),
    ),
    Known(
        DIFFERENCE, "trigamma", TORCH, "torch.polygamma(1, x) of float64 is off by up to 5e-10 of itself",
        dtype="float64", link="https://github.com/pytorch/pytorch/pull/4399", extent=extents.relative(1e-9),
    ),
    Known(
        DIFFERENCE, "gammaincc?", TORCH,
        "torch.special.gammainc and gammaincc of float64 are off by up to 2e-9 of themselves where both arguments are "
        "above 20 and near each other",
        dtype="float64", extent=extents.near_the_mean,
    ),
    Known(
        DIFFERENCE, "beta", "jax-jax-.*",
        "jax.scipy.special.beta of float64 is off by up to 1.4e-6 of itself where an argument is near 8",
        dtype="float64", extent=extents.relative(3e-6),
    ),
    Known(
        DIFFERENCE, "log_ndtr", "jax-jax-.*",
        "jax.scipy.special.log_ndtr takes three terms of a series far left, and log(ndtr(x)) right of 5: 7 % off at 8",
        extent=extents.tails,
    ),
    Known(
        DIFFERENCE, "ldexp", "keras-torch-.*",
        "Keras on torch: ops.ldexp of float64 gives float32, zero or infinity beyond its range",
        dtype="float64", link="https://github.com/keras-team/keras/issues/23223", extent=extents.beyond_float32,
    ),
    Known(
        DIFFERENCE, "ldexp", "keras-tensorflow-.*",
        "Keras on TensorFlow: ops.ldexp multiplies by a power of two that may leave the type where the result does not",
        extent=extents.power_beyond_the_type,
    ),
    Known(
        DIFFERENCE, "corrcoef", "keras-tensorflow-.*",
        "Keras on TensorFlow: ops.corrcoef of one variable is a matrix, where NumPy and the others have a number",
        extent=extents.one_number,
    ),
    Known(
        DIFFERENCE, "corrcoef", "keras-tensorflow-(graph|xla)",
        "Keras on TensorFlow: ops.corrcoef asks a symbolic number for its truth, and can't be traced",
        says="as a Python `bool` is not allowed",
    ),
    # Layers and activations of networks
    Known(
        DIFFERENCE, "MultiHeadAttention", "jax-jax-.*",
        "jax.nn.dot_product_attention of float64 takes its softmax in float32",
        dtype="float64", within=1e8,
    ),
    Known(
        DIFFERENCE, "sigmoid|softmax", "keras-tensorflow-.*",
        "Keras on TensorFlow takes what a last sigmoid or softmax was given for logits, also where from_logits=True "
        "says that its result is them, and warns; on JAX and PyTorch the loss is that of what is passed",
        phases=("loss", "backward", "steps"), checked=True, link="https://github.com/keras-team/keras/issues/15271",
    ),
    Known(
        CONVENTION, "leaky_relu", "(keras|jax)-jax-.*",
        "JAX has 1 for the gradient of leaky_relu at 0, where the shim and the others have its slope",
        phases=("backward", "steps"), checked=True,
    ),
    Known(
        DIFFERENCE, "Conv[12]D|SeparableConv2D", "(keras|torch)-torch-.*",
        "PyTorch's convolution of float64 refuses the gradient of a weight that is turned and has one filter",
        dtype="float64", says="grad_weight must be contiguous", link="https://github.com/pytorch/vision/issues/6001",
    ),
    Known(
        DIFFERENCE, "AveragePool2D", "keras-torch-.*",
        "Keras on torch repeats the edge where SAME pads on one side, and counts it",
        link="https://github.com/keras-team/keras/pull/23233", checked=True,
    ),
    Known(
        DIFFERENCE, "AveragePool2D", "keras-torch-.*",
        "Keras on torch refuses a SAME window that is larger than the image",
        says="smaller than kernel size", link="https://github.com/keras-team/keras/pull/23233",
    ),
    Known(
        DIFFERENCE, "BatchNorm|GroupNorm", "keras-torch-.*",
        "Keras on torch takes a variance as E[x^2] - E[x]^2: nothing is left of it where the mean is large",
        link="https://github.com/keras-team/keras-core/pull/866", checked=True,
    ),
    Known(
        DIFFERENCE, "GroupNorm", "torch-torch-.*",
        "torch's group norm of channels-last images takes a variance as E[x^2] - E[x]^2: nothing is left of it where "
        "the mean is large", link="https://github.com/pytorch/pytorch/issues/40302", checked=True,
    ),
    Known(
        DIFFERENCE, "GroupNorm", "torch-torch-.*",
        "torch: the gradient of group norm's weights, on channels-last images that need none, ends the process",
        says="SIGSEGV",
    ),
)  # fmt: skip


def explanation(
    subject: str | Iterable[str],
    realisation: str,
    dtype: str,
    error: str = "",
    ratio: float | None = None,
    phase: str = "",
    condition: str = AS_KNOWN,
) -> Known | None:
    """The entry that explains an alarm of an operation, or of a network by its layers; None: nobody knows of it."""
    names = [subject] if isinstance(subject, str) else [*subject, "network"]
    for entry in KNOWN:
        if any(entry.covers(name, realisation, dtype, error, ratio, phase, condition) for name in names):
            return entry
    return None


def explain(record: Mapping[str, Any], realisation: str, outcome: Mapping[str, Any]) -> Known | None:
    """The same of a record of a store."""
    says = outcome.get("says", "") if outcome["status"] != "exceeds" else ""
    parts = [*record.get("layers", []), *record.get("activations", [])]
    subject = record.get("operation") or parts or "network"
    return explanation(
        subject, realisation, record.get("dtype", ""), says, outcome.get("ratio"), outcome.get("phase", ""),
        outcome.get("condition", AS_KNOWN),
    )  # fmt: skip


def extent(case: Case, realisation: str, truth: np.ndarray) -> Any:
    """What is known of an operation in this case, as an addition to its bound; None: nothing."""
    entries = [entry for entry in KNOWN if entry.extent and entry.covers(case.operation, realisation, case.dtype)]
    with np.errstate(all="ignore"):
        found = [np.broadcast_to(entry.extent(case, truth), truth.shape) for entry in entries if entry.extent]
    return np.max(found, axis=0) if found else None
