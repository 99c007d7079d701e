"""Weights between a model and dicts, .npz files, raw TensorFlow variables, Keras models and PyTorch modules.

Dicts and files are keyed by canonical names (`layer/weight`) in Keras's layouts. Layers of Keras and PyTorch are
matched in order. Of PyTorch's two recurrent biases the sum counts; out goes the bias and zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from impls.shim.backends.contract import Shape
from impls.shim.image_layers import DepthwiseConv2D
from impls.shim.layer import Layer
from impls.shim.layers import Flatten
from impls.shim.trained import Model

if TYPE_CHECKING:
    import keras
    import torch

Arrays: TypeAlias = dict[str, np.ndarray]
# What a weight is in PyTorch: the names there, and the functions of a layer and arrays that go out and come back.
Counterpart: TypeAlias = tuple[Sequence[str], Callable[[Any, np.ndarray], list[np.ndarray]], Callable[..., np.ndarray]]


def import_weights(model: Model, source: Any, flatten: str = "NHWC") -> None:
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


def export_weights(model: Model, target: Any, flatten: str = "NHWC") -> None:
    """Put the weights of `model` into `target`: a path, a dict of variables, a Keras model or a PyTorch module."""
    weights = model.get_weights()
    if isinstance(target, (str, Path)):
        np.savez(target, **weights)  # type: ignore[arg-type]
    elif isinstance(target, Mapping) or hasattr(target, "count_params"):
        named = isinstance(target, Mapping)
        variables = dict(target if named else _keras_pairs(model, target))
        given = {name: _numpy(variable) for name, variable in variables.items()}
        model.compare(given, weights, "variables" if named else "the Keras model")
        for name, variable in variables.items():
            variable.assign(weights[name])
    elif hasattr(target, "named_modules"):
        _to_torch(model, target, weights, flatten)
    else:
        raise ValueError(
            f"weights go to a path, a dict of variables, a Keras model or a PyTorch module, not {target!r}"
        )


def _matched(model: Model, others: list[Any], names: list[str]) -> list[tuple[Layer, Any]]:
    """The layers of `model` that have weights, each with the other model's layer at its place."""
    own = [layer for layer in model.layers if layer.weights]
    if len(own) != len(others):
        raise ValueError(
            f"weights of another model: this one has weights in {', '.join(layer.name for layer in own)}; "
            f"the other one in {', '.join(names)}"
        )
    return list(zip(own, others, strict=True))


def _numpy(variable: keras.Variable) -> np.ndarray:
    return np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)


def _keras_pairs(model: Model, other: keras.Model) -> list[tuple[str, keras.Variable]]:
    """The name of each weight of `model`, and the Keras variable that it corresponds to."""
    model.get_weights()  # so that the model has shapes
    layers = [layer for layer in other.layers if layer.weights]
    pairs: list[tuple[str, keras.Variable]] = []
    for layer, theirs in _matched(model, layers, [layer.name for layer in layers]):
        kinds = [variable.name for variable in theirs.weights]
        if kinds != [name.rpartition("/")[2] for name in layer.weights]:
            raise ValueError(
                f"layer {layer.name!r} ({type(layer).__name__}) has the weights {', '.join(layer.weights)}, "
                f"Keras's {theirs.name!r} has {', '.join(kinds)}"
            )
        pairs += zip(layer.weights, theirs.weights, strict=True)
    return pairs


def _one(name: str, *order: int) -> Counterpart:
    """A weight that is one of PyTorch's, with its axes in another order."""
    back = np.argsort(order)
    return (name,), lambda layer, w: [w.transpose(order)], lambda layer, w: w.transpose(back)


def _depthwise_out(layer: DepthwiseConv2D, w: np.ndarray) -> list[np.ndarray]:
    channels = w.transpose(2, 3, 0, 1)  # (C, M, KH, KW)
    return [channels.reshape(-1, 1, *channels.shape[2:])]


def _depthwise_in(layer: DepthwiseConv2D, w: np.ndarray) -> np.ndarray:
    return w.reshape(-1, layer.filters, *w.shape[2:]).transpose(2, 3, 0, 1)  # (KH, KW, C, M)


def _gates(layer: Layer, w: np.ndarray) -> np.ndarray:
    """The blocks of a GRU in PyTorch's order r, z, n, or back in z, r, n: the same exchange."""
    if layer.kind != "gru":
        return w
    z, r, n = np.split(w, 3)
    return np.concatenate([r, z, n])


def _biases_out(layer: Layer, w: np.ndarray) -> list[np.ndarray]:
    return [_gates(layer, bias) for bias in (w if w.ndim == 2 else (w, np.zeros_like(w)))]


def _biases_in(layer: Layer, *biases: np.ndarray) -> np.ndarray:
    rows = np.stack([_gates(layer, bias) for bias in biases])
    return rows if len(layer.weights[layer.name + "/bias"].shape) == 2 else rows[0] + rows[1]


def _recurrent(name: str) -> Counterpart:
    """A kernel of a recurrent layer."""
    return (name,), lambda layer, w: [_gates(layer, w.T)], lambda layer, w: _gates(layer, w).T


def _flattened(height: int, width: int, channels: int) -> Counterpart:
    """The kernel behind a flattened image, whose rows PyTorch has in the order C, H, W."""

    def out(layer: Layer, w: np.ndarray) -> list[np.ndarray]:
        return [w.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(w.shape).T]

    def back(layer: Layer, w: np.ndarray) -> np.ndarray:
        return w.T.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(w.T.shape)

    return ("weight",), out, back


RECURRENT = {
    "kernel": _recurrent("weight_ih_l0"),
    "recurrent_kernel": _recurrent("weight_hh_l0"),
    "bias": (("bias_ih_l0", "bias_hh_l0"), _biases_out, _biases_in),
}
TORCH: dict[str, dict[str, Counterpart]] = {
    "dense": {"kernel": _one("weight", 1, 0), "bias": _one("bias", 0)},
    "conv2d": {"kernel": _one("weight", 3, 2, 0, 1), "bias": _one("bias", 0)},
    "depthwiseconv2d": {"kernel": (("weight",), _depthwise_out, _depthwise_in), "bias": _one("bias", 0)},
    "batchnorm": {
        "gamma": _one("weight", 0),
        "beta": _one("bias", 0),
        "moving_mean": _one("running_mean", 0),
        "moving_variance": _one("running_var", 0),
    },
    "layernorm": {"gamma": _one("weight", 0), "beta": _one("bias", 0)},
    "embedding": {"embeddings": _one("weight", 0, 1)},
}


def _directions(layer: Any) -> list[tuple[Layer, str]]:
    return [(layer.forward, ""), (layer.backward, "_reverse")] if layer.kind == "bidirectional" else [(layer, "")]


def _images(model: Model, flatten: str) -> dict[str, Shape]:
    """Dense layers behind a Flatten of images, whose rows go by another order: their names and (H, W, C)."""
    if flatten not in ("NHWC", "NCHW"):
        raise ValueError(f"unknown order {flatten!r} of flattened images: known are NHWC, NCHW")
    flat = {at: step.layer.input_shape[0] for at, step in enumerate(model.plan) if isinstance(step.layer, Flatten)}
    first = len(model.input_names)
    readers = ((step.layer, flat.get(step.sources[0] - first, ())) for step in model.plan)
    images = {layer: shape for layer, shape in readers if len(shape) == 3 and layer.weights and flatten == "NCHW"}
    if others := [layer.name for layer in images if layer.kind != "dense"]:
        raise ValueError(f"an image flattened as NCHW can be read by Dense layers only, not by {', '.join(others)}")
    return {layer.name + "/kernel": shape for layer, shape in images.items()}


def _torch_pairs(model: Model, module: torch.nn.Module, flatten: str) -> Iterator[tuple[str, Layer, Counterpart]]:
    """The name of each weight of `model`, its layer, and what it is in the PyTorch module, names there in full."""
    model.get_weights()  # so that the model has shapes
    images = _images(model, flatten)
    prefixes = [name for name, child in module.named_modules() if dict(child.named_parameters(recurse=False))]
    for layer, prefix in _matched(model, prefixes, prefixes):
        for part, tail in _directions(layer):
            table = TORCH.get(part.kind, RECURRENT)
            for name in part.weights:
                names, out, back = _flattened(*images[name]) if name in images else table[name.rpartition("/")[2]]
                yield name, part, ([f"{prefix}.{n}{tail}".lstrip(".") for n in names], out, back)


def _to_torch(model: Model, module: torch.nn.Module, weights: Arrays, flatten: str) -> None:
    found: Arrays = {}
    for name, layer, (names, out, _) in _torch_pairs(model, module, flatten):
        found.update(zip(names, out(layer, weights[name]), strict=True))
    state = module.state_dict()
    counted = {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")}
    model.compare(found, counted, "the module")
    for name, value in found.items():
        state[name].copy_(state[name].new_tensor(np.ascontiguousarray(value)))


def _from_torch(model: Model, module: torch.nn.Module, flatten: str) -> Arrays:
    state = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
    found: Arrays = {}
    for name, layer, (names, _, back) in _torch_pairs(model, module, flatten):
        if all(n in state for n in names):
            found[name] = back(layer, *[state[n] for n in names])
    return found
