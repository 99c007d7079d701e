"""Every operation that TensorFlow runs eagerly, as an operation of a `Trace`."""

from __future__ import annotations

import contextlib

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import execute
from tensorflow.python.framework import op_callbacks

from impls import private_apis
from impls.port import vocabulary

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
def recording(trace, overridden=None):
    """Operations that run inside are recorded; one without a trace changes nothing.

    `overridden(ids, tensors, tensor)` gives what takes the place of an output.
    """
    if trace is None:
        yield
        return
    instead = {}

    def see(op_type, inputs, attrs, outputs, op_name=None, graph=None):
        if trace.quiet or graph is not None:
            return
        trace.quiet += 1
        try:
            ids = record(trace, as_text(op_type), inputs, attrs, outputs)
            if trace.overrides:
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
def substituting(instead):
    """What an operation gives is looked up in `instead`: TensorFlow does not take what a callback returns.

    Both ways into its runtime are wrapped: the fast one of generated functions, and the one that it falls back to.
    """
    fast, slow = pywrap_tfe.TFE_Py_FastPathExecute, execute.execute

    def through(function):
        def run(*args, **kwargs):
            return exchanged(function(*args, **kwargs), instead)

        return run

    pywrap_tfe.TFE_Py_FastPathExecute = through(fast)
    execute.execute = through(slow)
    try:
        yield
    finally:
        pywrap_tfe.TFE_Py_FastPathExecute = fast
        execute.execute = slow


def exchanged(result, instead):
    """A tensor, or a list of one, with what takes its place."""
    if isinstance(result, list):
        return [exchanged(tensor, instead) for tensor in result]
    known, other = instead.get(id(result), (None, None))
    return other if known is result and known is not None else result


def as_text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def record(trace, op_type, inputs, attrs, outputs):
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


def pairs(attrs):
    return zip(attrs[::2], attrs[1::2], strict=False)


def plain(value):
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def to_numpy(tensor):
    value = tensor.numpy()
    return value if value.dtype.kind in "biuf" else value.astype("float32")
