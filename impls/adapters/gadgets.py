"""Programs of gadgets under the worker: canonical weights in and out by name, and calls of their own functions.

A gadget may have another model than the specs, so weights are exchanged by what each API offers for it, layer by layer
in the order in which they are given.
"""

import contextlib
import importlib
import io
from typing import Any, Dict, List, Tuple

import numpy as np

Arrays = Dict[str, np.ndarray]


def grouped(weights: Arrays) -> "List[Tuple[str, List[str]]]":
    """The layers and the names of the weights of each, in order."""
    layers = {}  # type: Dict[str, List[str]]
    for name in weights:
        layers.setdefault(name.split("/")[0], []).append(name)
    return list(layers.items())


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

    @staticmethod
    def _variables(model: Any) -> Dict[str, Any]:
        return {layer.name + "/" + weight.name: weight for layer in model.layers for weight in layer.weights}

    def put(self, model: Any, weights: Arrays) -> Any:
        for name, variable in self._variables(model).items():
            variable.assign(weights[name])
        return model

    def get(self, model: Any, weights: Arrays) -> Arrays:
        variables = self._variables(model)
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
    """Modules in the order of their registration; torch keeps matrices transposed."""

    def __init__(self, options: Any):
        self.options = options

    @staticmethod
    def _parameters(model: Any, weights: Arrays) -> Dict[str, Any]:
        owners = [list(module.parameters(recurse=False)) for module in model.modules()]
        pairs = zip(grouped(weights), [owned for owned in owners if owned], strict=True)
        return {name: p for (_, names), owned in pairs for name, p in zip(names, owned, strict=True)}

    def put(self, model: Any, weights: Arrays) -> Any:
        import torch

        model = model.to(getattr(torch, str(next(iter(weights.values())).dtype)))
        for name, p in self._parameters(model, weights).items():
            p.data.copy_(torch.tensor(weights[name].T))
        return model

    def get(self, model: Any, weights: Arrays) -> Arrays:
        found = self._parameters(model, weights)
        return {name: p.detach().numpy().T.copy() for name, p in found.items()}


EXCHANGES = {
    "raw_tf": RawTensorFlow,
    "tf_keras": Keras,
    "shim": Shim,
    "raw_torch": PyTorch,
}  # type: Dict[str, Callable[[Any], Any]]


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
        self.program = importlib.import_module("impls.gadgets.{}.{}".format(gadget, options.implementation))
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
