"""Data on their way into a model: checked before any work is done, and turned into columns of NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from impls.shim.layers import Dropout, Embedding
from impls.shim.losses import softmax_cross_entropy


def finite(values: Any, what: str) -> np.ndarray:
    """`values` as an array of finite numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} has dtype {array.dtype}: numbers are needed")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{what} holds {array[where]} at {where}: replace it or drop the example")
    return array


def fits(shape: tuple[int, ...], expected: Any) -> bool:
    """Whether a shape is the expected one, in which None stands for any extent."""
    return len(shape) == len(expected) and all(e is None or e == n for n, e in zip(shape, expected, strict=False))


def within(array: np.ndarray, count: int, what: str) -> None:
    """Integers from 0 to count - 1."""
    if array.size and (array.min() < 0 or array.max() >= count):
        raise ValueError(f"{what} are integers from 0 to {count - 1}, got {array.min()} to {array.max()}")


def inputs(model: Any, x: Any) -> np.ndarray:
    """Examples for `model`, in the type that its first layer takes."""
    array, first = finite(x, "x"), model.plan[0].layer
    if not fits(array.shape[1:], model.input_shape):
        raise ValueError(
            f"x has examples of shape {array.shape[1:]}, but layer {first.name!r} ({type(first).__name__}) "
            f"takes {model.input_shape}"
        )
    if not isinstance(first, Embedding):
        return array.astype(model.dtype, copy=False)
    if array.dtype.kind == "f":
        raise ValueError(f"x has dtype {array.dtype}, but layer {first.name!r} (Embedding) takes integers")
    within(array, first.inputs, f"the ids that layer {first.name!r} (Embedding) takes")
    return array


def targets(model: Any, y: Any, x: np.ndarray) -> np.ndarray:
    """Labels for `x`, in the type that the loss takes; None in the output's shape follows x."""
    array = finite(y, "y")
    if len(array) != len(x):
        raise ValueError(f"x has {len(x)} examples, y has {len(array)}")
    labels = model.loss is softmax_cross_entropy
    expected = model.output_shape[:-1] if labels else model.output_shape
    if not fits(array.shape[1:], expected):
        raise ValueError(
            f"y has labels of shape {array.shape[1:]}, but the loss compares {tuple(expected)} "
            f"with the output {model.output_shape} of layer {model.plan[-1].layer.name!r}"
        )
    if not labels:
        return array.astype(model.dtype, copy=False)
    if array.dtype.kind == "f":
        raise ValueError(f"y has dtype {array.dtype}, but softmax cross-entropy takes integer labels")
    within(array, model.output_shape[-1], "labels")
    return array


def weights(model: Any, y: np.ndarray, sample_weight: Any, class_weight: Any) -> np.ndarray | None:
    """One factor an example: the sample weight times the weight of its class."""
    if sample_weight is None and class_weight is None:
        return None
    factors = np.ones(len(y), model.dtype)
    if sample_weight is not None:
        given = finite(sample_weight, "sample_weight")
        if given.shape != factors.shape:
            raise ValueError(
                f"sample_weight has shape {given.shape}: one weight for each of {len(y)} examples is needed"
            )
        factors = factors * given
    if class_weight is not None:
        classes = y.reshape(len(y), -1)[:, 0].astype(int)
        if missing := sorted(set(classes.tolist()) - set(class_weight)):
            raise ValueError(f"class_weight misses the classes {missing}")
        factors = factors * np.array([class_weight[c] for c in classes.tolist()])
    return factors.astype(model.dtype)


def columns(model: Any, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> dict[str, np.ndarray]:
    """What a step takes, by name: x, y and, where there are weights, w."""
    x = inputs(model, x)
    y = targets(model, y, x)
    w = weights(model, y, sample_weight, class_weight)
    return {"x": x, "y": y} if w is None else {"x": x, "y": y, "w": w}


def noise(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Masks of every dropout layer for every example, from the model's stream; None in a shape follows x."""
    masks = {}
    for layer in model.layers:
        if isinstance(layer, Dropout) and layer.rate:
            (shape,) = layer.input_shape
            shape = tuple(x.shape[at + 1] if extent is None else extent for at, extent in enumerate(shape))
            kept = model.rng.random((len(x), *shape)) >= layer.rate
            masks["noise/" + layer.name] = (kept / (1 - layer.rate)).astype(model.dtype)
    return masks


def held_out(data: dict[str, np.ndarray], split: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """The last part of the data, before any shuffling, is kept for validation."""
    if not split:
        return data, None
    if not 0 < split < 1:
        raise ValueError(f"validation_split is a share between 0 and 1, got {split}")
    cut = int(len(data["x"]) * (1 - split))
    return {n: c[:cut] for n, c in data.items()}, {n: c[cut:] for n, c in data.items()}


def iterated(model: Any, source: Any) -> Iterator[dict[str, np.ndarray]]:
    """Columns of each batch of an iterable of (x, y) or (x, y, sample_weight)."""
    for batch in source:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError("an iterable of batches gives (x, y) or (x, y, sample_weight)")
        yield columns(model, *batch)
