"""A Keras 3 model as a model of the shim: its layers, weights, optimizer and the optimizer's state.

Sequential and functional models, nested ones and shared layers too. Importing this loads no Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from impls import shim
from impls.shim.interop.keras_hub import PADDING, expansion
from impls.shim.interop.keras_layers import UnsupportedError, made, refuse
from impls.shim.interop.keras_training import adopt
from impls.shim.layer import Layer, Symbol
from impls.shim.network import DTYPES
from impls.shim.recurrent import UnderMask

if TYPE_CHECKING:
    import keras


class Walk:
    """A graph of Keras on its way to one of the shim: each layer once, whatever reads it."""

    def __init__(self) -> None:
        self.layers: dict[int, tuple[keras.Layer, Layer]] = {}  # by the id of Keras's layer
        self.names: set[str] = set()

    def layer(self, layer: keras.Layer, within: str = "") -> Layer:
        if id(layer) not in self.layers:
            found = made(layer)
            found.name = self._free(f"{within}/{layer.name}" if within else layer.name)
            self.layers[id(layer)] = layer, found
        return self.layers[id(layer)][1]

    def _free(self, name: str) -> str:
        """A name that no other layer has: nested models may use one twice."""
        found, count = name, 0
        while found in self.names:
            count += 1
            found = f"{name}_{count}"
        self.names.add(found)
        return found

    def outputs(self, model: keras.Model, inputs: list[Symbol]) -> list[Symbol]:
        """The outputs of a functional model, its inputs being these symbols."""
        graph = functional(model)
        known = {id(tensor): symbol for tensor, symbol in zip(graph.inputs, inputs, strict=True)}
        needed = nodes_behind(graph)
        for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
            for node in nodes:
                if id(node) in needed:
                    found = self._applied(node, known)
                    known.update((id(tensor), symbol) for tensor, symbol in zip(node.outputs, found, strict=True))
        return [known[id(tensor)] for tensor in graph.outputs]

    def _applied(self, node: keras.Operation, known: dict[int, Symbol]) -> list[Symbol]:
        layer = node.operation
        if hasattr(layer, "_functional") or hasattr(layer, "_nodes_by_depth"):
            return self.outputs(layer, [known[id(tensor)] for tensor in read_by(node)])
        if len(node.outputs) != 1:
            raise refuse(layer, f"it has {len(node.outputs)} outputs")
        return [self._one(node, known)]

    def _one(self, node: keras.Operation, known: dict[int, Symbol]) -> Symbol:
        """The output of a call of a layer."""
        layer = node.operation
        expanded = expansion(layer)
        if expanded:
            return expanded(node, lambda tensor: known[id(tensor)], self.layer)
        sources = [known[id(tensor)] for tensor in read_by(node)]
        found: Any = self.layer(layer)
        if isinstance(found, UnderMask):
            return found(*sources)  # values, and the mask where one is given
        if type(layer).__name__ != "MultiHeadAttention":
            return found(sources if len(sources) > 1 else sources[0])  # type: ignore[no-any-return]
        kwargs = node.arguments.kwargs
        mask = sources.pop() if kwargs.get("attention_mask") is not None else None
        found.causal = bool(kwargs.get("use_causal_mask"))
        query, *others = sources
        same = all(other is query for other in others)
        return found(query if same else sources, mask=mask)  # type: ignore[no-any-return]


NAMED = ("inputs", "decoder_sequence", "query", "value", "key", "attention_mask", *PADDING)  # what a call may name


def read_by(node: keras.Operation) -> list[keras.KerasTensor]:
    """The tensors that a call reads, but the masks that Keras hands on, which the shim's layers hand on themselves."""
    found: list[keras.KerasTensor] = []
    for argument in node.arguments.args:
        if isinstance(argument, dict):  # of a model within, whose inputs have the order of their names
            argument = [argument[name] for name in sorted(argument)]
        several = argument if isinstance(argument, (list, tuple)) else [argument]
        found += [each for each in several if is_symbolic(each)]
    named = {name: value for name, value in node.arguments.kwargs.items() if is_symbolic(value)}
    found += [named.pop(name) for name in NAMED if name in named]
    if "mask" in named and named["mask"] is not handed_on(found[0]):  # the user's own
        if type(node.operation).__name__ not in UNDER_MASK:
            raise refuse(node.operation, "it is called with mask=, which recurrent layers alone take")
        found.append(named["mask"])
    handed = [handed_on(x) for x in found]
    other = [name for name in named if not name.endswith("mask")]
    for name, value in named.items():
        if name.endswith("_mask") and not any(value is mask for mask in handed):  # the user's own
            other.append(name)
    if other:
        raise refuse(node.operation, f"it is called with {', '.join(other)}")
    return found


UNDER_MASK = ("Bidirectional", "GRU", "LSTM", "SimpleRNN")


def handed_on(tensor: keras.KerasTensor) -> keras.KerasTensor | None:
    """The mask that came with a tensor, from an embedding or another call with a mask."""
    return getattr(tensor, "_keras_mask", None)


def is_symbolic(value: object) -> bool:
    return hasattr(value, "_keras_history")


def nodes_behind(graph: keras.Model) -> set[int]:
    """The ids of the calls that lead from a model's inputs to its outputs."""
    nodes = [node for nodes in graph._nodes_by_depth.values() for node in nodes]
    producers = {id(tensor): node for node in nodes for tensor in node.outputs}
    inputs = {id(tensor) for tensor in graph.inputs}
    waiting, needed = list(graph.outputs), set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in inputs:
            continue
        node = producers[id(tensor)]
        if id(node) not in needed:
            needed.add(id(node))
            waiting += read_by(node)
    return needed


def functional(model: keras.Model) -> keras.Model:
    """The graph of a model."""
    graph = getattr(model, "_functional", model)
    if not hasattr(graph, "_nodes_by_depth"):
        raise UnsupportedError(
            f"model {model.name!r} ({type(model).__name__}) has no graph of layers: a built Sequential or "
            "functional model is needed"
        )
    return graph


def from_keras(
    model: keras.Model,
    backend: str | None = None,
    mode: str | None = None,
    dtype: str | None = None,
    device: str = "cpu",
) -> shim.Model:  # fmt: skip
    """A Keras 3 model, Sequential or functional, as a model of the shim with its weights.

    A compiled one is compiled here too, with the state of its optimizer. Raises ValueError that names the first layer
    that the shim does not have. `dtype`: the model's own where none is given.
    """
    if not hasattr(model, "layers"):
        raise UnsupportedError(
            f"from_keras takes a model of Keras, such as keras.models.load_model(path): got {model!r}"
        )
    graph, walk = functional(model), Walk()
    inputs = [shim.Input(tensor.shape[1:], tensor.name) for tensor in graph.inputs]
    ends: Any = walk.outputs(model, list(inputs))
    output = ends if len(ends) > 1 else ends[0]
    if isinstance(graph.output, dict):  # whose outputs have the order of their keys
        output = dict(zip(sorted(graph.output), ends, strict=True))
    policy = str(model.dtype_policy.name)
    found: shim.Model = shim.Model(
        inputs, output, backend, mode, dtype or (policy if policy in DTYPES else "float32"), device
    )
    names: dict[int, str] = {}
    weights = {}
    for theirs, ours in walk.layers.values():
        for name, variable in paired(theirs, ours):
            weights[name] = np.asarray(variable)
            names[id(variable)] = name
    found.set_weights(weights)
    if getattr(model, "compiled", False) and model.optimizer is not None:
        adopt(found, model, names)
    return found


def paired(theirs: keras.Layer, ours: Layer) -> list[tuple[str, keras.Variable]]:
    """The names of a layer's weights with Keras's variables, which come in the same order."""
    variables = [v for v in theirs.weights if "seed_generator" not in v.path]
    shapes = [tuple(v.shape) for v in variables]
    if shapes != [weight.shape for weight in ours.weights.values()]:
        raise refuse(theirs, f"its weights have the shapes {shapes}")
    return list(zip(ours.weights, variables, strict=True))
