"""Every operation that TensorFlow runs eagerly, as an operation of a `Trace`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import execute
from tensorflow.python.framework import op_callbacks

from impls import private_apis
from impls.port import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np

    from impls.port.annotations import Function, Native, Setting
    from impls.port.recorder import Trace

    Instead = dict[int, tuple[tf.Tensor, Native]]  # by identity: the tensor, and what takes its place
    Overridden = Callable[[Sequence[int], Sequence[Native], Native], Native]

private_apis.check(__name__)

UNSEEN = ("VarHandleOp", "AssignVariableOp", "AssignSubVariableOp", "AssignAddVariableOp", "NoOp", "Shape", "Assert")
TOLD = {
    "transpose_a", "transpose_b", "adj_x", "adj_y", "strides", "padding", "data_format", "dilations",
    "explicit_paddings", "ksize", "epsilon", "is_training", "alpha", "mode", "align_corners", "half_pixel_centers",
    "begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "equation", "keep_dims", "axis",
    "reverse", "exclusive", "N", "exponential_avg_factor",
}  # fmt: skip
NAMES = {"keep_dims": "keepdim", "dilations": "dilation", "ksize": "window", "alpha": "slope"}
# What the second tensor of an operation says, where it is a setting and no operand.
SECOND = {
    "Sum": "axis", "Mean": "axis", "Max": "axis", "Min": "axis", "Prod": "axis", "Transpose": "axes",
    "Reshape": "shape", "ExpandDims": "axis", "Pad": "widths", "PadV2": "widths", "MirrorPad": "widths",
    "Tile": "counts", "BroadcastTo": "shape", "ReverseV2": "axes", "ArgMax": "axis", "Cumsum": "axis",
    "ResizeBilinear": "size", "ResizeNearestNeighbor": "size",
}  # fmt: skip


@contextlib.contextmanager
def recording(trace: Trace | None, overridden: Overridden | None = None) -> Iterator[None]:
    """Operations that run inside are recorded; one without a trace changes nothing.

    `overridden(ids, tensors, tensor)` gives what takes the place of an output.
    """
    if trace is None:
        yield
        return
    instead: Instead = {}

    def see(
        op_type: bytes | str,
        inputs: Sequence[tf.Tensor],
        attrs: Sequence[Native],
        outputs: Sequence[tf.Tensor],
        op_name: str | None = None,
        graph: Native = None,
    ) -> None:
        if trace.quiet or graph is not None:
            return
        trace.quiet += 1
        try:
            ids = record(trace, as_text(op_type), inputs, attrs, outputs)
            if overridden is not None and trace.overrides:
                kept = [tensor for tensor in outputs if trace.find(tensor) in ids]
                for at, tensor in zip(ids, kept, strict=True):
                    instead[id(tensor)] = tensor, overridden([at], [tensor], tensor)
        finally:
            trace.quiet -= 1

    op_callbacks.add_op_callback(see)
    try:
        with substituting(instead) if trace.overrides or trace.rounding else contextlib.nullcontext():
            yield
    finally:
        op_callbacks.remove_op_callback(see)


@contextlib.contextmanager
def substituting(instead: Instead) -> Iterator[None]:
    """What an operation gives is looked up in `instead`: TensorFlow does not take what a callback returns.

    Both ways into its runtime are wrapped: the fast one of generated functions, and the one that it falls back to.
    """
    fast, slow = pywrap_tfe.TFE_Py_FastPathExecute, execute.execute

    def through(function: Function) -> Function:
        def run(*args: Native, **kwargs: Native) -> Native:
            return exchanged(function(*args, **kwargs), instead)

        return run

    pywrap_tfe.TFE_Py_FastPathExecute = through(fast)
    execute.execute = through(slow)
    try:
        yield
    finally:
        pywrap_tfe.TFE_Py_FastPathExecute = fast
        execute.execute = slow


def exchanged(result: Native, instead: Instead) -> Native:
    """A tensor, or a list of one, with what takes its place."""
    if isinstance(result, list):
        return [exchanged(tensor, instead) for tensor in result]
    known, other = instead.get(id(result), (None, None))
    return other if known is result and known is not None else result


def as_text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def record(
    trace: Trace, op_type: str, inputs: Sequence[tf.Tensor], attrs: Sequence[Native], outputs: Sequence[tf.Tensor]
) -> list[int]:
    if op_type == "ReadVariableOp":
        names = trace.weights.get(id(inputs[0]))
        if names is not None:
            trace.remember(outputs[0], {"weights": names})
        return []
    kept = [tensor for tensor in outputs if tensor.dtype not in (tf.resource, tf.variant, tf.string)]
    if op_type in UNSEEN or not kept:
        return []
    operands = [trace.operand(tensor) for tensor in inputs if tensor.dtype != tf.string]
    found = {NAMES.get(name, name): plain(value) for name, value in pairs(attrs) if name in TOLD}
    if op_type in SECOND and len(operands) > 1 and "literal" in operands[1]:
        found[SECOND[op_type]] = operands[1]["literal"]
    return trace.op(op_type, vocabulary.TENSORFLOW.get(op_type, op_type.lower()), operands, found, kept)


def pairs(attrs: Sequence[Native]) -> Iterable[tuple[str, Native]]:
    return zip(attrs[::2], attrs[1::2], strict=False)


def plain(value: Native) -> Setting:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def to_numpy(tensor: Native) -> np.ndarray:
    value = tensor.numpy()
    return value if value.dtype.kind in "biufc" else value.astype("float32")
