"""What is known to differ: by the catalogue of known differences, by a documented convention, or reported upstream.

An alarm that an entry explains is counted under it, and is no new finding. `condition` is a float32 bound that stands
in the place of a float64 one: the rest of the check stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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

    def covers(self, operation: str, realisation: str, dtype: str, error: str = "") -> bool:
        """Whether it explains an alarm (or an error) of an operation or a layer."""
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
        r"requires|not in the list|dtypes? |got an unexpected keyword",
    ),
    Known(
        CONVENTION, "top_k_indices", "(torch|keras)-torch-.*",
        "torch.topk promises no order of equal numbers",
    ),
    Known(
        DIFFERENCE, "average_pool[123]d", "keras-torch-.*",
        "Keras on torch repeats the edge where SAME pads on one side, and counts it",
        link="https://github.com/keras-team/keras/pull/23233",
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
    ),
    Known(
        DIFFERENCE, "count_nonzero", "keras-torch-.*",
        "Keras on torch transposes what ops.count_nonzero(x, axis) finds in more than two axes",
    ),
    Known(
        DIFFERENCE, "cosh|sinh", TORCH,
        "torch.cosh and torch.sinh overflow too early where they are vectorised: tensors of 32 and more numbers",
        link="https://github.com/pytorch/pytorch/issues/48641",
    ),
    Known(
        DIFFERENCE, "sign", TORCH, "torch.sign makes 0 of NaN",
        link="https://github.com/pytorch/pytorch/issues/41245",
    ),
    Known(DIFFERENCE, "heaviside", TORCH, "torch.heaviside makes 0 of NaN"),
    Known(
        DIFFERENCE, "sparsemax", "keras-.*",
        "keras.ops.sparsemax sums the cumulative sums of the support: its results don't add up to one",
        link="https://github.com/keras-team/keras/issues/23425",
    ),
    Known(
        DIFFERENCE, "gcd", TORCH, "torch.gcd of an integer type's smallest number is negative",
        link="https://github.com/pytorch/pytorch/issues/187338",
    ),
    Known(DIFFERENCE, "geomspace", "keras-torch-.*", "Keras on torch: ops.geomspace of one number is NaN"),
    Known(
        DIFFERENCE, "correlate_(valid|same|full)", "keras-torch-.*",
        "Keras on torch: ops.correlate of one place has no axis",
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
        DIFFERENCE, "histogram", "(jax|keras)-jax-.*",
        "jnp.linspace(-5, 5, 6) has 1.0000001 where 1 is, so that jnp.histogram counts an edge one bin too low",
    ),
    Known(
        DIFFERENCE, "exp2", "(jax|keras)-jax-.*",
        "jnp.exp2 is up to 40 ulp off, also at whole numbers: XLA takes exp of a rounded product",
        link="https://github.com/jax-ml/jax/issues/40419",
    ),
    Known(
        DIFFERENCE, "(max|average)_pool[123]d", "keras-jax-.*",
        "Keras on JAX: a pool whose strides are a list raises, which the documentation allows",
        says="can only concatenate tuple",
    ),
    Known(
        DIFFERENCE, "erf", TORCH, "torch.erf of small numbers is 0 in float16 and bfloat16",
        dtype="b?float16",
    ),
)  # fmt: skip


def explanation(operation: str, realisation: str, dtype: str, error: str = "") -> Known | None:
    """The entry that explains an alarm; None: nobody knows of it."""
    return next((entry for entry in KNOWN if entry.covers(operation, realisation, dtype, error)), None)
