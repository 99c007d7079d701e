"""Operations that ONNX's reference has in float32 alone, in the type of what comes in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from impls.port.errors import UserError, in_one_line
from impls.port.onnx_files import meant

if TYPE_CHECKING:
    from onnx import ModelProto

ERF = np.vectorize(math.erf, otypes=[np.float64])


class Erf(OpRun):  # type: ignore[misc]
    """The error function (ONNX, operator Erf-13), which GELU is written with."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (ERF(x).astype(x.dtype),)


class Gelu(OpRun):  # type: ignore[misc]
    """x Phi(x), or its approximation by tanh (ONNX, operator Gelu-20)."""

    op_domain = ""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        if approximate == "tanh":
            inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
            return ((0.5 * x * (1 + np.tanh(inner))).astype(x.dtype),)
        return ((0.5 * x * (1 + ERF(x / math.sqrt(2)))).astype(x.dtype),)


class GroupNormalization(OpRun):  # type: ignore[misc]
    """Of (N, C, ...), over the channels of a group (ONNX, operator GroupNormalization-21)."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        bias: np.ndarray,
        epsilon: float = 1e-5,
        num_groups: int = 1,
        stash_type: int = 1,
    ) -> tuple[np.ndarray]:
        split = x.reshape(len(x), num_groups, -1)
        mean = split.mean(-1, keepdims=True)
        variance = split.var(-1, keepdims=True)
        normal = ((split - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)
        of_channel = len(scale) == x.shape[1]  # before version 21 it is of a group
        shape = (1, -1, *[1] * (x.ndim - 2))
        factors = [v if of_channel else np.repeat(v, x.shape[1] // num_groups) for v in (scale, bias)]
        return ((normal * factors[0].reshape(shape) + factors[1].reshape(shape)).astype(x.dtype),)


def evaluator(model: ModelProto) -> ReferenceEvaluator:
    """What runs the nodes of a model one by one. Raises UserError for an operation that it lacks."""
    try:
        made = ReferenceEvaluator(model, new_ops=[Erf, Gelu, GroupNormalization])
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"ONNX's reference can't run it: {in_one_line(error)}") from None
    exact(made)
    return made


def exact(made: ReferenceEvaluator) -> None:
    """Settings that a file has in float32 are what was meant by them, in functions too."""
    for node in made.rt_nodes_:
        for name, value in vars(node).items():
            if isinstance(value, (float, np.floating)):
                setattr(node, name, meant(np.float32(value)))
        if hasattr(node, "impl_"):
            exact(node.impl_)
