"""Weights between a model and dicts, .npz files, raw TensorFlow variables, Keras models and PyTorch modules.

Dicts and files are keyed by canonical names (`layer/weight`) in Keras's layouts. Layers of Keras and PyTorch are
matched in order. Of PyTorch's two recurrent biases the sum counts; out goes the bias and zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from impls.shim.layers import Flatten, Layer

Arrays = dict[str, np.ndarray]
Turn = Callable[[np.ndarray], np.ndarray]


def import_weights(model: Any, source: Any, flatten: str = "NHWC") -> None:
    """Put the weights of `source` into `model`.

    `flatten` says in which order a PyTorch module flattens images. Raises ValueError where layers, names or shapes
    differ, before any weight is set.
    """
    if isinstance(source, (str, Path)):
        with np.load(source, allow_pickle=False) as file:
            source = {name: file[name] for name in file.files}
    if isinstance(source, Mapping):
        model.set_weights({name: np.asarray(value) for name, value in source.items()})
    elif hasattr(source, "count_params"):  # Keras's models are modules too where PyTorch is its backend
        model.set_weights({name: _numpy(v) for name, v in _keras_pairs(model, source)})
    elif hasattr(source, "named_modules"):
        model.set_weights(_from_torch(model, source, flatten))
    else:
        raise ValueError(f"weights come from a dict, an .npz file, a Keras model or a PyTorch module, not {source!r}")


def export_weights(model: Any, target: Any, flatten: str = "NHWC") -> None:
    """Put the weights of `model` into `target`: a path, a dict of variables, a Keras model or a PyTorch module."""
    weights = model.get_weights()
    if isinstance(target, (str, Path)):
        np.savez(target, **weights)
    elif isinstance(target, Mapping):
        model.compare({n: np.asarray(v) for n, v in target.items()}, _shapes(weights), "variables")
        for name, variable in target.items():
            variable.assign(weights[name])
    elif hasattr(target, "count_params"):
        pairs = _keras_pairs(model, target)
        model.compare({name: _numpy(v) for name, v in pairs}, _shapes(weights), "the Keras model")
        for name, variable in pairs:
            variable.assign(weights[name])
    elif hasattr(target, "named_modules"):
        _to_torch(model, target, weights, flatten)
    else:
        raise ValueError(
            f"weights go to a path, a dict of variables, a Keras model or a PyTorch module, not {target!r}"
        )


def _shapes(weights: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in weights.items()}


def _matched(model: Any, others: list[Any], names: list[str]) -> list[tuple[Layer, Any]]:
    """The layers of `model` that have weights, each with the other model's layer at its place."""
    own = [layer for layer in model.layers if layer.weights]
    if len(own) != len(others):
        raise ValueError(
            f"weights of another model: this one has weights in {', '.join(layer.name for layer in own)}; "
            f"the other one in {', '.join(names)}"
        )
    return list(zip(own, others, strict=True))


def _numpy(variable: Any) -> np.ndarray:
    return np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)


def _keras_pairs(model: Any, other: Any) -> list[tuple[str, Any]]:
    """The name of each weight of `model`, and the Keras variable that it corresponds to."""
    model.get_weights()  # so that the model has shapes
    layers = [layer for layer in other.layers if layer.weights]
    pairs: list[tuple[str, Any]] = []
    for layer, theirs in _matched(model, layers, [layer.name for layer in layers]):
        kinds = [variable.name for variable in theirs.weights]
        if kinds != [name.rpartition("/")[2] for name in layer.weights]:
            raise ValueError(
                f"layer {layer.name!r} ({type(layer).__name__}) has the weights {', '.join(layer.weights)}, "
                f"Keras's {theirs.name!r} has {', '.join(kinds)}"
            )
        pairs += zip(layer.weights, theirs.weights, strict=True)
    return pairs


def _axes(*order: int) -> tuple[Turn, Turn]:
    back = tuple(np.argsort(order))
    return lambda w: w.transpose(order), lambda w: w.transpose(back)


SAME: tuple[Turn, Turn] = (lambda w: w, lambda w: w)
TORCH: dict[str, dict[str, tuple[str, tuple[Turn, Turn]]]] = {  # by layer: weight, PyTorch's name, out and in
    "dense": {"kernel": ("weight", _axes(1, 0)), "bias": ("bias", SAME)},
    "conv2d": {"kernel": ("weight", _axes(3, 2, 0, 1)), "bias": ("bias", SAME)},
    "depthwiseconv2d": {"bias": ("bias", SAME)},
    "batchnorm": {
        "gamma": ("weight", SAME),
        "beta": ("bias", SAME),
        "moving_mean": ("running_mean", SAME),
        "moving_variance": ("running_var", SAME),
    },
    "layernorm": {"gamma": ("weight", SAME), "beta": ("bias", SAME)},
    "embedding": {"embeddings": ("weight", SAME)},
}


def _torch_layers(model: Any, module: Any) -> list[tuple[Layer, str]]:
    """The layers of `model` that have weights, each with the prefix of the module at its place."""
    model.get_weights()
    prefixes = [name for name, child in module.named_modules() if dict(child.named_parameters(recurse=False))]
    return [(layer, prefix + "." if prefix else "") for layer, prefix in _matched(model, prefixes, prefixes)]


def _gates(layer: Layer, w: np.ndarray) -> np.ndarray:
    """The blocks of a GRU in PyTorch's order r, z, n, or back in z, r, n: the same exchange."""
    if layer.kind != "gru":
        return w
    z, r, n = np.split(w, 3)
    return np.concatenate([r, z, n])


def _recurrent_out(layer: Layer, weights: Arrays, tail: str) -> Arrays:
    bias = weights[layer.name + "/bias"]
    biases = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    values = (weights[layer.name + "/kernel"].T, weights[layer.name + "/recurrent_kernel"].T, *biases)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return {name + tail: _gates(layer, value) for name, value in zip(names, values, strict=True)}


def _recurrent_in(layer: Layer, state: Arrays, tail: str) -> Arrays:
    kernel, recurrent, first, second = (
        _gates(layer, state[name + tail]) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    )
    bias = np.stack([first, second]) if len(layer.weights[layer.name + "/bias"].shape) == 2 else first + second
    values = {"kernel": kernel.T, "recurrent_kernel": recurrent.T, "bias": bias}
    return {f"{layer.name}/{name}": value for name, value in values.items()}


def _directions(layer: Any) -> list[tuple[Any, str]]:
    return [(layer.forward, ""), (layer.backward, "_reverse")] if layer.kind == "bidirectional" else [(layer, "")]


def _depthwise_in(layer: Any, weight: np.ndarray) -> np.ndarray:
    channels, window = weight.shape[0] // layer.filters, weight.shape[2:]
    return weight.reshape(channels, layer.filters, *window).transpose(2, 3, 0, 1)  # (KH, KW, C, M)


def _images(model: Any, flatten: str) -> dict[str, Any]:
    """Dense layers behind a Flatten of images, whose rows go by another order: their names and (H, W, C)."""
    if flatten not in ("NHWC", "NCHW"):
        raise ValueError(f"unknown order {flatten!r} of flattened images: known are NHWC, NCHW")
    flat = {at: step.layer.input_shape[0] for at, step in enumerate(model.plan) if isinstance(step.layer, Flatten)}
    first = len(model.input_names)
    readers = ((step.layer, flat.get(step.sources[0] - first, ())) for step in model.plan)
    return {layer.name: shape for layer, shape in readers if len(shape) == 3 and flatten == "NCHW"}


def _to_torch(model: Any, module: Any, weights: Arrays, flatten: str) -> None:
    images = _images(model, flatten)
    found: Arrays = {}
    for layer, prefix in _torch_layers(model, module):
        own = {n.rpartition("/")[2]: weights[n] for n in layer.weights}
        if layer.name in images:
            height, width, channels = images[layer.name]
            rows = own["kernel"].reshape(height, width, channels, -1)
            own["kernel"] = rows.transpose(2, 0, 1, 3).reshape(own["kernel"].shape)  # rows in the order C, H, W
        if layer.kind in TORCH:
            table = TORCH[layer.kind]
            out = {table[n][0]: table[n][1][0](value) for n, value in own.items() if n in table}
            if layer.kind == "depthwiseconv2d":
                kernel = own["kernel"].transpose(2, 3, 0, 1)  # (C, M, KH, KW)
                out["weight"] = kernel.reshape(-1, 1, *kernel.shape[2:])
        else:
            parts = [_recurrent_out(direction, weights, tail) for direction, tail in _directions(layer)]
            out = {name: value for part in parts for name, value in part.items()}
        found.update((prefix + name, value) for name, value in out.items())
    state = module.state_dict()
    counted = {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")}
    model.compare(found, {name: tuple(value.shape) for name, value in counted.items()}, "the module")
    for name, value in found.items():
        state[name].copy_(state[name].new_tensor(np.ascontiguousarray(value)))


def _from_torch(model: Any, module: Any, flatten: str) -> Arrays:
    images = _images(model, flatten)
    found: Arrays = {}
    state = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
    for layer, prefix in _torch_layers(model, module):
        own = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        if layer.kind not in TORCH:
            for direction, tail in _directions(layer):
                found.update(_recurrent_in(direction, own, tail))
            continue
        for name, (theirs, (_, turn)) in TORCH[layer.kind].items():
            if theirs in own:
                found[f"{layer.name}/{name}"] = turn(own[theirs])
        if layer.kind == "depthwiseconv2d":
            found[layer.name + "/kernel"] = _depthwise_in(layer, own["weight"])
        if layer.name in images:
            height, width, channels = images[layer.name]
            kernel = found[layer.name + "/kernel"]
            rows = kernel.reshape(channels, height, width, -1).transpose(1, 2, 0, 3)  # in the order H, W, C
            found[layer.name + "/kernel"] = rows.reshape(kernel.shape)
    return found
