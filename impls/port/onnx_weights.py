"""The weights of an ONNX model: its initializers, named and laid out by the operations that read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

from impls.port.onnx_layers import GATES, SLOTS, attributes, kind_of, place_of
from impls.port.ways import depthwise, folded, gates, ordered, turned
from impls.port.weight import Weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import GraphProto, NodeProto

    from impls.port.annotations import Axes, MaybeWays, Shape, Ways

    Source = tuple[str, Axes | None]  # an initializer, and its axes where it is transposed

PLAIN = ("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization")
MADE_UP = re.compile(r"(val|onnx::\w*|const\w*|initializer)[_\d]*", re.IGNORECASE)
SETTINGS = {"Resize": (1, 2), "Upsample": (1,), "Clip": (1, 2), "Pad": (2,), "Dropout": (1,), "OneHot": (1, 2)}
"""Inputs of an operation that say how it is done."""
CHANNEL_AXES = {3: (2, 1, 0), 4: (2, 3, 1, 0), 5: (2, 3, 4, 1, 0)}


class Gate:
    """One direction of a recurrent weight, which has both in one tensor."""

    def __init__(self, name: str, direction: int) -> None:
        self.name = name
        self.direction = direction


class Found:
    """The initializers of a graph; those that exporters merged since their numbers were equal have one each again."""

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        self.arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.turned: dict[str, Source] = {}  # the output of a Transpose of an initializer -> (initializer, axes)
        self.weights: list[Weight] = []
        self.taken: set[str] = set()
        self.readers: dict[str, list[NodeProto]] = {}
        self.part()
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def part(self) -> None:
        """What exporters write for equal weights: Identity of an initializer, or one for several norms."""
        kept = []
        for node in self.graph.node:
            if node.op_type == "Identity" and node.input[0] in self.arrays:
                self.arrays[node.output[0]] = np.array(self.arrays[node.input[0]])
                continue
            kept.append(node)
        del self.graph.node[:]
        self.graph.node.extend(kept)
        seen = set()
        for node in self.graph.node:
            for at in SLOTS.get(node.op_type, {}):
                name = node.input[at] if at < len(node.input) else ""
                array = self.arrays.get(name)
                if array is None or array.ndim != 1 or not np.all(array == array[:1]):
                    continue
                if name in seen:
                    node.input[at] = f"{name} of {node.name or node.output[0]}"
                    self.arrays[node.input[at]] = np.array(array)
                seen.add(name)

    def find(self) -> list[Weight]:
        """Every initializer of floats as `Weight`, in the order of use."""
        for node in self.graph.node:
            source = self.source(node.input[0]) if node.op_type == "Transpose" else None
            if source is not None:
                self.turn(node, source)
            if node.op_type in GATES:
                self.recurrent(node)
            elif node.op_type in SLOTS:
                self.layer(node)
        self.rest()
        return self.weights

    def source(self, name: str) -> Source | None:
        """`(initializer, axes)` of a name; None where it is computed from more than one tensor's order."""
        if name in self.arrays:
            return (name, None) if self.arrays[name].dtype.kind == "f" else None
        return self.turned.get(name)

    def turn(self, node: NodeProto, source: Source) -> None:
        name, before = source
        axes = attributes(node).get("perm") or list(range(self.arrays[name].ndim))[::-1]
        self.turned[node.output[0]] = name, tuple(axes) if before is None else tuple(before[a] for a in axes)

    def layer(self, node: NodeProto) -> None:
        shapes = {name: array.shape for name, array in self.arrays.items()}
        kind = kind_of(node, shapes) or "custom"
        held: dict[str, Source] = {}
        for at, role in SLOTS[node.op_type].items():
            name = node.input[at] if at < len(node.input) else ""
            source = self.source(name)
            if source is not None and not self.neutral(node, name):
                held[role] = source
        if node.op_type == "MatMul" and "kernel" in held:
            held.update(self.bias_behind(node, self.arrays[held["kernel"][0]]))
        if node.op_type == "MatMul" and ("kernel" not in held or self.arrays[held["kernel"][0]].ndim != 2):
            return
        path = path_of([name for name, _ in held.values()], node)
        for role, (name, axes) in held.items():
            if name not in self.taken:
                self.taken.add(name)
                ways = self.ways(node, kind, role, self.arrays[name].shape, axes)
                trainable = role not in ("moving_mean", "moving_variance")
                self.weights.append(Weight(path, kind, role, [name], *ways, trainable=trainable, name=name))

    def neutral(self, node: NodeProto, name: str) -> bool:
        """Whether a norm gets ones or zeros of the exporter's own, as where it writes a GroupNorm by another norm."""
        array = self.arrays.get(name)
        if array is None or node.op_type not in PLAIN or not MADE_UP.fullmatch(name):
            return False
        return bool(np.all(array == array[:1])) and array[0] in (0, 1)

    def bias_behind(self, node: NodeProto, kernel: np.ndarray) -> dict[str, Source]:
        """The vector that is added to a product."""
        behind = self.readers.get(node.output[0], [])
        if len(behind) != 1 or behind[0].op_type != "Add":
            return {}
        for name in behind[0].input:
            array = self.arrays.get(name)
            if array is not None and array.ndim == 1 and array.dtype.kind == "f" and array.size in kernel.shape:
                return {"bias": (name, None)}
        return {}

    def ways(self, node: NodeProto, kind: str, role: str, shape: Shape, axes: Axes | None) -> MaybeWays:
        """Read and write of the canonical layout, from that of the file."""
        if role == "kernel" and kind.startswith("depthwise"):
            return depthwise(attributes(node)["group"], shape)
        if role == "kernel" and node.op_type in ("Conv", "ConvTranspose"):
            return turned(CHANNEL_AXES[len(shape)])
        if node.op_type == "Gemm" and role == "kernel":
            across = bool(attributes(node).get("transB", 0)) != (axes is not None)
            return turned((1, 0)) if across else (None, None)
        return turned(axes) if axes is not None else (None, None)

    def recurrent(self, node: NodeProto) -> None:
        order = GATES[node.op_type]
        kind = kind_of(node, {}) or "custom"
        names = {role: node.input[at] for at, role in SLOTS[node.op_type].items() if at < len(node.input)}
        names = {role: name for role, name in names.items() if name in self.arrays}
        path = path_of(list(names.values()), node)
        for direction in range(len(self.arrays[node.input[1]])):
            layer = path if direction == 0 else f"{path}_reverse"
            for role, name in names.items():
                self.taken.add(name)
                ways = gates(order, transposed=True) if role != "bias" else biases(order, kind)
                weight = f"{name}[{direction}]"
                self.weights.append(Weight(layer, kind, role, [Gate(name, direction)], *ways, name=weight))

    def rest(self) -> None:
        """What no layer reads in a place of its own: numbers that are added or multiplied, tables, constants."""
        for name in self.arrays:
            if name in self.taken or name in self.constants():
                continue
            readers = self.readers.get(name, [])
            path = path_of([name], readers[0]) if readers else name
            role = name[len(path) + 1 :] if name.startswith(path) and name != path else "value"
            self.weights.append(Weight(path, self.kind_of_rest(name), role, [name], name=name))

    def constants(self) -> set[str]:
        """Names of what is no weight: whole numbers, settings, and single ones that bear no name of a layer."""
        plain = {name for name, array in self.arrays.items() if array.dtype.kind != "f" or lone(name, array)}
        return plain | {name for name in self.arrays if self.is_setting(name)}

    def is_setting(self, name: str) -> bool:
        """Whether every operation that reads it takes it for a setting: the factors of a Resize."""
        readers = self.readers.get(name, [])
        places = [(node.op_type, at) for node in readers for at, given in enumerate(node.input) if given == name]
        return bool(places) and all(at in SETTINGS.get(kind, ()) for kind, at in places)

    def kind_of_rest(self, name: str) -> str:
        """A constant of the exporter's own is a buffer."""
        return "buffer" if MADE_UP.fullmatch(name) else "custom"


def lone(name: str, array: np.ndarray) -> bool:
    return array.size == 1 and (MADE_UP.fullmatch(name) is not None or not re.search(r"[./]", name))


def path_of(names: Sequence[str], node: NodeProto) -> str:
    """`conv1` of `conv1.weight` and `conv1.bias`; the node's own name where its weights have none."""
    for name in names:
        folder = re.split(r"[./](?=[^./]*$)", name)[0]
        if not MADE_UP.fullmatch(name) and folder != name and " of " not in name:
            return folder
    return place_of(node)


def biases(order: Axes, kind: str) -> Ways:
    """[of the input, of the state] of one direction: the sum, but both of a GRU, whose second one is in the reset."""
    back = tuple(np.argsort(order))
    if kind == "gru":
        return folded((-1,), (2, -1))

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return ordered(arrays[0].reshape(2, -1).sum(0), order)

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [np.concatenate([ordered(array, back), np.zeros(array.size)])]

    return read, write
