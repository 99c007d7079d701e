"""What the operations of ONNX are in the words of Keras: names, settings, and where their weights lie."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from impls.port.onnx_files import meant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import NodeProto

    from impls.port.annotations import Shape
    from impls.port_messages import Config, Operand

NAMES = {
    "MatMul": "matmul", "Gemm": "linear", "Einsum": "einsum", "Conv": "conv", "ConvTranspose": "conv_transpose",
    "Add": "add", "Sum": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide", "Pow": "power",
    "Neg": "negative", "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Abs": "abs", "Max": "maximum", "Min": "minimum",
    "Where": "where", "Equal": "equal", "Greater": "greater", "Less": "less", "GreaterOrEqual": "greater_equal",
    "LessOrEqual": "less_equal", "Not": "logical_not", "Cast": "cast", "CastLike": "cast", "Softmax": "softmax",
    "LogSoftmax": "log_softmax", "Relu": "relu", "LeakyRelu": "leaky_relu", "Elu": "elu", "Softplus": "softplus",
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Erf": "erf", "Gelu": "gelu", "PRelu": "prelu", "Clip": "clip",
    "BatchNormalization": "batch_norm", "LayerNormalization": "layer_norm", "RMSNormalization": "rms_norm",
    "InstanceNormalization": "instance_norm", "GroupNormalization": "group_norm", "Gather": "gather",
    "Reshape": "reshape", "Flatten": "reshape", "Transpose": "transpose", "Concat": "concatenate", "Split": "split",
    "Slice": "slice", "Pad": "pad", "Resize": "resize", "Expand": "broadcast", "Tile": "tile", "Squeeze": "squeeze",
    "Unsqueeze": "expand_dims", "CumSum": "cumsum", "OneHot": "one_hot", "Range": "range", "ReduceSum": "sum",
    "ReduceMean": "mean", "ReduceMax": "max", "ReduceMin": "min", "ArgMax": "argmax", "MaxPool": "max_pool",
    "AveragePool": "average_pool", "GlobalAveragePool": "mean", "GlobalMaxPool": "max", "Identity": "identity",
    "Dropout": "identity", "LSTM": "lstm", "GRU": "gru", "RNN": "rnn", "Attention": "attention",
    "HardSigmoid": "hard_sigmoid", "HardSwish": "hard_swish", "Selu": "selu", "Mish": "mish",
    "SplitToSequence": "split", "SequenceAt": "identity", "GatherElements": "gather",
}  # fmt: skip
SETTINGS = {
    "perm": "axes", "kernel_shape": "window", "dilations": "dilation", "pads": "padding", "group": "groups",
    "alpha": "slope", "axes": "axis", "keepdims": "keepdim", "num_groups": "groups",
}  # fmt: skip
# What an input behind the first says, where it is a setting and no operand.
FURTHER = {
    "Reshape": ["shape"], "Expand": ["shape"], "Squeeze": ["axis"], "Unsqueeze": ["axis"], "ReduceMean": ["axis"],
    "ReduceSum": ["axis"], "ReduceMax": ["axis"], "ReduceMin": ["axis"], "Pad": ["widths", "value"],
    "Clip": ["min", "max"], "Tile": ["counts"],
}  # fmt: skip
# operation: the role of each input that is a weight, by its place.
VECTORS = {1: "gamma", 2: "beta"}
SLOTS = {
    "Conv": {1: "kernel", 2: "bias"},
    "ConvTranspose": {1: "kernel", 2: "bias"},
    "Gemm": {1: "kernel", 2: "bias"},
    "MatMul": {1: "kernel"},
    "BatchNormalization": {**VECTORS, 3: "moving_mean", 4: "moving_variance"},
    "LayerNormalization": VECTORS,
    "InstanceNormalization": VECTORS,
    "GroupNormalization": VECTORS,
    "RMSNormalization": {1: "gamma"},
    "PRelu": {1: "alpha"},
    "Gather": {0: "embeddings"},
    "LSTM": {1: "kernel", 2: "recurrent_kernel", 3: "bias"},
    "GRU": {1: "kernel", 2: "recurrent_kernel", 3: "bias"},
    "RNN": {1: "kernel", 2: "recurrent_kernel", 3: "bias"},
}
GATES = {"LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2), "RNN": (0,)}  # i, o, f, c and z, r, h as Keras has them
KINDS = {
    "Gemm": "dense", "MatMul": "dense", "BatchNormalization": "batchnorm", "LayerNormalization": "layernorm",
    "InstanceNormalization": "instancenorm", "GroupNormalization": "groupnorm", "RMSNormalization": "rmsnorm",
    "PRelu": "prelu", "Gather": "embedding", "LSTM": "lstm", "GRU": "gru", "RNN": "simple_rnn",
    "Relu": "activation", "LeakyRelu": "activation", "Elu": "activation", "Sigmoid": "activation",
    "Tanh": "activation", "Gelu": "activation", "Softplus": "activation", "Selu": "activation", "Mish": "activation",
    "HardSwish": "activation", "Softmax": "activation", "LogSoftmax": "activation", "Flatten": "flatten",
}  # fmt: skip


def attributes(node: NodeProto) -> Config:
    """The settings of a node; numbers of float32 are what was meant by them."""
    found: Config = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, (float, np.floating)):
            value = meant(np.float32(value))
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, (int, float, str)):
            found[attribute.name] = value
        elif hasattr(value, "__len__") and not hasattr(value, "DESCRIPTOR"):
            found[attribute.name] = [part if isinstance(part, (int, float)) else str(part) for part in value]
    return found


def place_of(node: NodeProto) -> str:
    """The module that a node was exported from, as far as its exporter says; else its own name."""
    told = {prop.key: prop.value for prop in node.metadata_props}
    scopes = ast.literal_eval(told.get("pkg.torch.onnx.name_scopes", "[]"))
    if len(scopes) > 1 and scopes[-2]:
        return scopes[-2]
    inside = [part for part in node.name.split("/") if part]
    return ".".join(inside[:-1]) or node.name or node.output[0]


def kind_of(node: NodeProto, shapes: Mapping[str, Shape]) -> str | None:
    """`conv2d` and the like, by the axes of the kernel; None for what is no layer."""
    if node.op_type in ("Conv", "ConvTranspose"):
        shape = shapes.get(node.input[1])
        if shape is None:
            return None
        axes = len(shape) - 2
        if node.op_type == "ConvTranspose":
            return f"conv{axes}d_transpose"
        groups = attributes(node).get("group", 1)
        return f"depthwise_conv{axes}d" if groups > 1 and shape[1] == 1 else f"conv{axes}d"
    return KINDS.get(node.op_type)


def config_of(node: NodeProto, kind: str, kernel: Shape | None) -> Config:
    """The settings of a layer as the hypotheses take them."""
    told = attributes(node)
    if node.op_type in ("Conv", "ConvTranspose") and kernel is not None:
        axes = len(kernel) - 2
        found = {"window": list(kernel[2:]), "strides": told.get("strides", [1] * axes)}
        found.update(**padding(told, axes), dilation=told.get("dilations", [1] * axes))
        return {**found, "groups": told.get("group", 1), "pad_mode": "zeros"}
    if kind == "activation":
        name = NAMES.get(node.op_type, node.op_type.lower())
        return activation(name, told)
    if "epsilon" in told or kind.endswith("norm"):
        return {"epsilon": told.get("epsilon", 1e-5), "momentum": told.get("momentum", 0.9)}
    return {}


def activation(name: str, told: Config) -> Config:
    if name == "leaky_relu":
        return {"name": name, "slope": told.get("alpha", 0.01)}
    if name == "gelu":
        return {"name": "gelu_tanh" if told.get("approximate") == "tanh" else "gelu"}
    if name in ("softmax", "log_softmax"):
        return {"name": name, "axis": told.get("axis", -1)}
    return {"name": name, "alpha": told.get("alpha", 1.0)} if name == "elu" else {"name": name}


def padding(told: Config, axes: int) -> Config:
    """`padding`, a number for each axis, or `pads`, pairs where both ends differ."""
    if told.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return {"padding": "same"}
    pads = told.get("pads", [0] * (2 * axes))
    ends = list(zip(pads[:axes], pads[axes:], strict=True))
    if all(one == other for one, other in ends):
        return {"padding": [one for one, _ in ends]}
    return {"padding": "valid", "pads": [list(pair) for pair in ends]}


def settings(node: NodeProto, operands: Sequence[Operand]) -> Config:
    """What an operation is told, its constant inputs included."""
    found = {SETTINGS.get(name, name): value for name, value in attributes(node).items()}
    for name, operand in zip(FURTHER.get(node.op_type, ()), operands[1:], strict=False):
        if "literal" in operand:
            found[name] = operand["literal"]
    return found
