"""Programs of gadgets under the worker: canonical weights in and out by name, and calls of their own functions.

A gadget may have another model than the specs, so weights are exchanged by what each API offers for it, layer by layer
in the order in which they are given.
"""

import contextlib
import importlib
import io
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from impls.layer_kinds import KINDS, TorchWeight, transposed

Arrays = Dict[str, np.ndarray]


def grouped(weights: Arrays) -> "List[Tuple[str, List[str]]]":
    """The layers and the names of the weights of each, in order."""
    layers = {}  # type: Dict[str, List[str]]
    for name in weights:
        layers.setdefault(name.split("/")[0], []).append(name)
    return list(layers.items())


def known_variables(model: Any) -> Dict[str, Any]:
    """The variables of a Keras model by canonical names."""
    from impls.adapters.keras_layers import weight_name

    return {layer.name + "/" + weight_name(layer, weight): weight for layer in model.layers for weight in layer.weights}


class RawTensorFlow(object):
    """A flat dict of variables with the canonical names."""

    def __init__(self, options: Any):
        self.options = options

    def put(self, params: Any, weights: Arrays) -> Any:
        import tensorflow as tf

        for name in list(params):
            params[name] = tf.Variable(weights[name], trainable=params[name].trainable)
        return params

    def get(self, params: Any, weights: Arrays) -> Arrays:
        return {name: params[name].numpy() for name in weights}


class Keras(object):
    """Layers and weights with the canonical names."""

    def __init__(self, options: Any):
        self.options = options

    def put(self, model: Any, weights: Arrays) -> Any:
        for name, variable in known_variables(model).items():
            variable.assign(weights[name])
        return model

    def get(self, model: Any, weights: Arrays) -> Arrays:
        variables = known_variables(model)
        return {name: np.array(variables[name]) for name in weights}


class Shim(object):
    """Canonical already; backend, mode and dtype are the worker's, but for a program that mixes types."""

    def __init__(self, options: Any):
        self.options = options

    def put(self, model: Any, weights: Arrays) -> Any:
        options = self.options
        dtype = None if model.compute else options.dtype
        model.to(backend=options.backend, mode=options.mode, dtype=dtype, device=options.device)
        model.set_weights(weights)
        return model

    def get(self, model: Any, weights: Arrays) -> Arrays:
        return model.get_weights()


class PyTorch(object):
    """Modules in the order of their registration: layers of known kinds, and others that hold parameters themselves."""

    def __init__(self, options: Any):
        self.options = options

    def _places(self, model: Any, weights: Arrays) -> Dict[str, Any]:
        """Where each weight is, see `impls.adapters.pytorch.Place`."""
        from impls.adapters.pytorch import place_of

        found = {}
        for (_, names), (module, known) in zip(grouped(weights), owners(model), strict=True):
            for name, own in zip(names, known, strict=True):
                found[name] = place_of(module, known[own], weights[name].shape)
        return found

    def put(self, model: Any, weights: Arrays) -> Any:
        import torch

        from impls.adapters.pytorch import scatter

        model = model.to(getattr(torch, str(next(iter(weights.values())).dtype)))
        with torch.no_grad():
            for name, place in self._places(model, weights).items():
                scatter(place, place.tensors, weights[name])
        return model

    def get(self, model: Any, weights: Arrays) -> Arrays:
        from impls.adapters.pytorch import gathered

        return {name: gathered(place.tensors)[place.index] for name, place in self._places(model, weights).items()}


def owners(module: Any) -> "Iterator[Tuple[Any, Dict[str, TorchWeight]]]":
    """The modules that hold weights, in order, each with where it keeps them; a matrix stands transposed."""
    from impls.adapters.pytorch import kind_of, weights_of

    kind = kind_of(module)
    known = weights_of(module, kind) if kind in KINDS else {}
    if not known:
        known = {name: TorchWeight((name,), transposed) for name, _ in module.named_parameters(recurse=False)}
    if known:
        yield module, known
    if kind not in KINDS:
        for child in module.children():
            yield from owners(child)


EXCHANGES = {
    "raw_tf": RawTensorFlow,
    "tf_keras": Keras,
    "shim": Shim,
    "raw_torch": PyTorch,
}  # type: Dict[str, Any]


def flattened(value: Any, name: str = "result") -> Tuple[Arrays, Dict[str, str]]:
    """What a program returned as arrays and texts; dicts give `name/key`."""
    if isinstance(value, dict):
        arrays, texts = {}, {}  # type: Tuple[Arrays, Dict[str, str]]
        for key, item in value.items():
            more = flattened(item, "{}/{}".format(name, key))
            arrays.update(more[0])
            texts.update(more[1])
        return arrays, texts
    if isinstance(value, str):
        return {}, {name: value}
    return ({}, {}) if value is None else ({name: np.asarray(value)}, {})


class Session(object):
    """One gadget's program and its model."""

    def __init__(self, options: Any, gadget: str):
        self.options = options
        name = "impls.gadgets.{}.{}".format(gadget, options.implementation)
        self.program = importlib.import_module(name)  # type: Any
        self.build = self.program.build
        self.exchange = EXCHANGES[options.implementation](options)
        self.model = None  # type: Any

    def open(self, sizes: Dict[str, Any], weights: Arrays, dtype: str) -> None:
        """Build the model and put the weights in; where the program builds one by itself it gets the same weights."""
        self.dtype = dtype
        self.shapes = {name: value.astype(dtype) for name, value in weights.items()}
        self.program.build = lambda **given: self.exchange.put(self.build(**{**sizes, **given}), self.shapes)
        self.model = self.program.build()

    def call(self, request: Dict[str, Any], arrays: Arrays) -> Tuple[Dict[str, Any], Arrays]:
        """`function(model, *arrays, **arguments)`; where it `makes` a model, that is the model from here on."""
        given = [value.astype(self.dtype) if value.dtype.kind == "f" else value for value in arrays.values()]
        model = [self.model] if request["model"] else []
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(printed):
            result = getattr(self.program, request["function"])(*model, *given, **request["arguments"])
        if request["makes"]:
            self.model, result = result, None
        found, texts = flattened(result)
        return {"texts": texts, "printed": printed.getvalue()}, found

    def weights(self) -> Arrays:
        return self.exchange.get(self.model, self.shapes)
