"""An ONNX model as it is run here: read, found whole, and with float64 in the place of every smaller float.

A number that a file has in float32 and that is no weight (an epsilon, a scale) is taken for the shortest decimal, or
else the root, that rounds to it: a file can't say more of it than that.
"""

from __future__ import annotations

import copy

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from impls.port.errors import UserError, in_one_line

SMALLER = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
TYPE_OF = {"Cast": "to", "EyeLike": "dtype", "ConstantOfShape": "", "HannWindow": "output_datatype"}
LARGEST_ROOT = 4096  # of a whole number: heads and widths are no larger
CHANCE = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
STANDARD = ("", "ai.onnx", "ai.onnx.ml")


def read(path: str) -> onnx.ModelProto:
    """The model in a file, with its external data. Raises UserError."""
    try:
        model = onnx.load(path)
    except DecodeError:
        raise UserError("is no ONNX file, or is cut off") from None
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise UserError(f"can't be read with its external data: {in_one_line(error)}") from None
    return model


def whole(model: onnx.ModelProto) -> None:
    """Raises UserError where a model breaks ONNX's own rules, or holds what can't be compared."""
    if not model.graph.node:
        raise UserError("is no ONNX file: it has no nodes")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise UserError(f"is no valid ONNX model: {in_one_line(error)}") from None
    own = {(function.domain, function.name) for function in model.functions}
    for node in model.graph.node:
        if node.op_type in CHANCE:
            raise UserError(f"node {node.name or node.output[0]!r} ({node.op_type}) draws random numbers")
        if node.domain not in STANDARD and (node.domain, node.op_type) not in own:
            raise UserError(
                f"node {node.name or node.output[0]!r} is {node.domain}.{node.op_type}, an operation of one runtime "
                "alone: export without that runtime's optimisations"
            )


def in_float64(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model in which every smaller float is float64."""
    made = copy.deepcopy(model)
    graph_in_float64(made.graph)
    for function in made.functions:
        for node in function.node:
            node_in_float64(node)
    return made


def graph_in_float64(graph: onnx.GraphProto) -> None:
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type in SMALLER:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    del graph.value_info[:]
    for tensor in graph.initializer:
        widen(tensor)
    for node in graph.node:
        node_in_float64(node)


def node_in_float64(node: onnx.NodeProto) -> None:
    told = TYPE_OF.get(node.op_type)
    for attribute in node.attribute:
        if attribute.name == told and attribute.i in SMALLER:
            attribute.i = TensorProto.DOUBLE
        elif attribute.type == AttributeProto.TENSOR:
            widen(attribute.t)
        elif attribute.type == AttributeProto.GRAPH:
            graph_in_float64(attribute.g)
        elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            numbers = list(attribute.floats) if attribute.name == "value_floats" else attribute.f
            meant_array = meant_numbers(np.asarray(numbers, np.float32))
            attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(meant_array)))


def widen(tensor: onnx.TensorProto) -> None:
    """A tensor in float64; of few numbers each is what was meant by it."""
    if tensor.data_type not in SMALLER:
        return
    array = np.asarray(numpy_helper.to_array(tensor))
    single = tensor.data_type == TensorProto.FLOAT and array.size == 1
    wide = meant_numbers(array) if single else array.astype(np.float64)
    tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))


def meant_numbers(array: np.ndarray) -> np.ndarray:
    return np.array([meant(number) for number in array.ravel()], np.float64).reshape(array.shape)


def meant(number: float | np.floating) -> float:
    """The number of float64 that a float32 most likely stands for: a short decimal, a root, a fraction, or itself."""
    exact = float(number)
    written = float(f"{exact:.6g}")
    for candidate in (written, *fractions(exact), *roots(exact)):
        if np.float32(candidate) == np.float32(number):
            return float(candidate)
    return exact


def fractions(exact: float) -> list[float]:
    """The whole number, and one over the whole number, that are nearest."""
    if not np.isfinite(exact) or not exact:
        return []
    return [1 / round(1 / exact)] if abs(exact) < 1 and round(1 / exact) <= LARGEST_ROOT else []


def roots(exact: float) -> list[float]:
    """The square root and the fourth root of a whole number, and one over it, that are nearest."""
    found = []
    for power in (2, 4):
        size = abs(exact) ** power if np.isfinite(exact) and exact else 0.0
        for raised, sign in ((size, 1), (1 / size if size else 0.0, -1)):
            if 0.5 < raised <= LARGEST_ROOT:
                found.append(float(np.copysign(round(raised) ** (sign / power), exact)))
    return found


def feed(array: np.ndarray, value: onnx.ValueInfoProto) -> np.ndarray:
    """An input as the model declares it. Raises ValueError where the shapes do not fit."""
    tensor = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
    fits = len(dims) == array.ndim and all(
        not own or own == given for own, given in zip(dims, array.shape, strict=True)
    )
    if tensor.HasField("shape") and not fits:
        free = ": export it with a free batch, or give as many examples" if dims[1:] == list(array.shape[1:]) else ""
        shown = tuple(own or "any" for own in dims)
        raise ValueError(f"input {value.name!r} is {shown} in the file, and {array.shape} in the data{free}")
    return array.astype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
