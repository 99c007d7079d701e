"""Data on their way into a model: checked before any work is done, and turned into columns of NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from impls.shim.backends.contract import Shape
from impls.shim.heads import spread
from impls.shim.layer import Axis, noise_key
from impls.shim.layers import Embedding
from impls.shim.losses import takes_classes
from impls.shim.trained import Judge, Model

# What users hand over: arrays and tensors of any engine, lists, pandas frames, a dictionary of them by input, or
# something that gives batches. The functions here say what of that they take.
Data: TypeAlias = Any


def is_array(values: Data) -> bool:
    """Whether it is an array, a tensor of an engine or a pandas frame, and no iterable of batches."""
    return hasattr(values, "__array__")


def as_array(values: Data) -> np.ndarray:
    """Arrays, tensors of any engine and device, pandas frames and series, nested lists: as a NumPy array."""
    if hasattr(values, "detach"):  # PyTorch's, which may want a gradient or lie on a GPU
        values = values.detach().cpu()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"the parts of a list have different lengths, pad them: {error}") from None


def finite(values: Data, what: str) -> np.ndarray:
    """`values` as an array of finite numbers."""
    array = as_array(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} has dtype {array.dtype}: numbers are needed")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{what} holds {array[where]} at {where}: replace it or drop the example")
    return array


def fits(shape: tuple[int, ...], expected: Shape) -> bool:
    """Whether a shape is the expected one, in which None stands for any extent."""
    return len(shape) == len(expected) and all(e is None or e == n for n, e in zip(shape, expected, strict=False))


def integers(array: np.ndarray, name: str, taker: str, what: str, count: int) -> np.ndarray:
    """The array called `name`, which has to hold integers from 0 to count - 1; the rest is for the errors."""
    if array.dtype.kind == "f":
        raise ValueError(f"{name} has dtype {array.dtype}, but {taker}")
    if array.size and (array.min() < 0 or array.max() >= count):
        raise ValueError(f"{what} are integers from 0 to {count - 1}, got {array.min()} to {array.max()}")
    return array


def inputs(model: Model, x: Data) -> dict[str, np.ndarray]:
    """Examples for `model`, a column an input."""
    names = model.input_names
    if isinstance(x, dict):
        x = _by_key(model, x)
    given = [x] if len(names) == 1 else x
    if not isinstance(given, (list, tuple)) or len(given) != len(names):
        raise ValueError(f"the model has {len(names)} inputs: x is a list of {len(names)} arrays")
    arrays = {name: _input(model, at, name, value) for at, (name, value) in enumerate(zip(names, given, strict=True))}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"the inputs have different numbers of examples: {counts}")
    return arrays


def _by_key(model: Model, x: dict[str, Data]) -> Data:
    """The inputs of a dictionary in their order, by the names that `Input(shape, name)` gave them."""
    missing = [key for key in model.input_keys if key not in x]
    if missing or not all(model.input_keys) or not model.input_keys:
        raise ValueError(f"x has the keys {sorted(x)}, but the model's inputs are called {list(model.input_keys)}")
    found = [x[key] for key in model.input_keys]
    return found[0] if len(found) == 1 else found


def _input(model: Model, at: int, name: str, value: Data) -> np.ndarray:
    """One input in the type that the layer takes which reads it."""
    array, reader, expected = finite(value, name), model.reader(at), model.input_shapes[at]
    if not array.ndim or not fits(array.shape[1:], expected):
        raise ValueError(
            f"{name} has examples of shape {array.shape[1:]}, but layer {reader.name!r} ({type(reader).__name__}) "
            f"takes {expected}"
        )
    if not isinstance(reader, Embedding):
        return array.astype(model.dtype, copy=False)
    takes = f"layer {reader.name!r} (Embedding) takes"
    if array.dtype.kind == "f" and (array == np.round(array)).all():
        array = array.astype(np.int64)
    return integers(array, name, f"{takes} integers", f"the ids that {takes}", reader.inputs)


def targets(model: Judge, y: Data, count: int, name: str = "y") -> np.ndarray:
    """Labels for `count` examples, in the type that the loss takes; None in the output's shape follows x."""
    array = finite(y, name)
    if not array.ndim or len(array) != count:
        raise ValueError(f"x has {count} examples, {name} has {len(array) if array.ndim else 'none'}")
    labels = takes_classes(model.loss)
    if labels and fits(array.shape[1:], model.output_shape):
        array = classes_of(array)
        if array.dtype.kind == "f":  # shares of the classes
            return array.astype(model.dtype, copy=False)
    expected = model.output_shape[:-1] if labels else model.output_shape
    array = _with_rank(array, expected)
    if not fits(array.shape[1:], expected):
        raise ValueError(
            f"{name} has labels of shape {array.shape[1:]}, but the loss compares {tuple(expected)} "
            f"with the output {model.output_shape} of layer {model.last!r}"
        )
    if not labels:
        return array.astype(model.dtype, copy=False)
    if array.dtype.kind == "f" and (array == np.round(array)).all():
        array = array.astype(np.int64)
    return integers(array, name, "softmax cross-entropy takes integer labels", "labels", model.output_shape[-1])


def classes_of(array: np.ndarray) -> np.ndarray:
    """One-hot labels (..., classes) as integers (...); shares of the classes as floats, as they are."""
    hot = ((array == 0) | (array == 1)).all() and (array.sum(-1) == 1).all()
    return array.argmax(-1) if hot else array.astype(float)


def _with_rank(array: np.ndarray, expected: Shape) -> np.ndarray:
    """Labels with or without a last axis of one place, as the loss wants them."""
    if array.ndim == len(expected) + 2 and array.shape[-1] == 1:
        return array[..., 0]
    if array.ndim == len(expected) and expected[-1] == 1:
        return array[..., None]
    return array


def weights(model: Judge, y: np.ndarray, sample_weight: Data, class_weight: Data) -> np.ndarray | None:
    """One factor an example, or a place of a sequence: the sample weight times the weight of the class."""
    if sample_weight is None and class_weight is None:
        return None
    classes, rows = y, y.ndim > 1
    if takes_classes(model.loss):
        rows = y.ndim > len(model.output_shape)
    if rows:
        classes = y.argmax(-1) if y.shape[-1] > 1 else y[..., 0]  # as Keras has it: a row is one-hot
    factors = np.ones(len(y), model.dtype)
    if sample_weight is not None:
        factors = finite(sample_weight, "sample_weight")
        if factors.shape not in {classes.shape, classes.shape[:1]}:
            raise ValueError(
                f"sample_weight has shape {factors.shape}: one weight for each of {len(y)} examples is needed"
                + (f", or for each place, {classes.shape}" if classes.ndim > 1 else "")
            )
    if class_weight is not None:
        if not isinstance(class_weight, Mapping):
            raise ValueError(f"class_weight is a dictionary, such as {{0: 1.0, 1: 5.0}}, got {class_weight!r}")
        known, index = np.unique(classes.astype(int), return_inverse=True)
        if missing := sorted(set(known.tolist()) - set(class_weight)):
            raise ValueError(f"class_weight misses the classes {missing}")
        each = np.array([class_weight[c] for c in known.tolist()])[index.reshape(classes.shape)]
        factors = factors.reshape(factors.shape + (1,) * (each.ndim - factors.ndim)) * each
    return factors.astype(model.dtype)


def columns(
    model: Model, x: Data, y: Data, sample_weight: Data = None, class_weight: Data = None
) -> dict[str, np.ndarray]:
    """What a step takes, by name: x (x/0, x/1 ... where there are several), y and, where there are weights, w."""
    given = inputs(model, x)
    if model.heads:
        return weighed(model, {**given, **of_each(model, y, sample_weight, length(given))}, None, class_weight)
    given["y"] = targets(model, y, length(given))
    return weighed(model, given, sample_weight, class_weight)


def of_each(model: Model, y: Data, sample_weight: Data, count: int) -> dict[str, np.ndarray]:
    """Labels and weights of each of several outputs: y/0, w/0, y/1 ... of those that are judged."""
    used = [at for at, head in enumerate(model.heads) if head.loss is not None or head.metrics or head.weighted]
    keys = [head.key for head in model.heads]
    if isinstance(y, (list, tuple)) and len(y) == len(used):  # those without a loss may be left out
        y = {keys[at]: labels for at, labels in zip(used, y, strict=True)}
    labels, factors = spread("y", y, keys, False), spread("sample_weight", sample_weight, keys, True)
    found = {}
    for at in used:
        head, name = model.heads[at], f"y of {keys[at]!r}"
        if labels[at] is None:
            raise ValueError(f"{name} is missing")
        found[f"y/{at}"] = targets(head, labels[at], count, name)
        if factors[at] is not None:
            found[f"w/{at}"] = weights(head, found[f"y/{at}"], factors[at], None)  # type: ignore[assignment]  # some are
    return found


def weighed(
    model: Model, given: dict[str, np.ndarray], sample_weight: Data, class_weight: Data
) -> dict[str, np.ndarray]:
    """Columns with the weights of their examples, where there are any."""
    if model.heads:
        if class_weight is not None:
            raise ValueError("class_weight is for models of one output: give sample_weight, a list of them")
        return given
    w = weights(model, given["y"], sample_weight, class_weight)
    return given if w is None else {**given, "w": w}


def length(columns: dict[str, np.ndarray]) -> int:
    """The number of examples."""
    return len(next(iter(columns.values())))


def noise(model: Model, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Masks of all that drops, for every example, from the model's stream; None in a shape follows x."""
    masks, x = {}, next(iter(columns.values()))
    for step in model.plan:
        for name, (rate, shape) in step.layer.drops().items():
            extents = [known_extent(x, at, extent) for at, extent in enumerate(shape, 1)]
            kept = model.rng.random((len(x), *extents)) >= rate
            masks[noise_key(name, step.again)] = (kept / (1 - rate)).astype(model.dtype)
    return masks


def known_extent(x: np.ndarray, at: int, extent: int | Axis | None) -> int:
    """An extent of axis `at` of some noise, which the data decide where it is an `Axis`, or None: the same axis."""
    if isinstance(extent, Axis):
        return int(x.shape[extent.number])
    return int(x.shape[at]) if extent is None else extent


def held_out(data: dict[str, np.ndarray], split: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """The last part of the data, before any shuffling, is kept for validation."""
    if not split:
        return data, None
    if not 0 < split < 1:
        raise ValueError(f"validation_split is a share between 0 and 1, got {split}")
    cut = int(length(data) * (1 - split))
    return {n: c[:cut] for n, c in data.items()}, {n: c[cut:] for n, c in data.items()}


def iterated(model: Model, source: Data, class_weight: Data = None) -> Iterator[dict[str, np.ndarray]]:
    """Columns of each batch of an iterable of (x, y) or (x, y, sample_weight)."""
    for batch in source:
        if isinstance(batch, dict):  # columns already
            yield batch
            continue
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError("an iterable of batches gives (x, y) or (x, y, sample_weight)")
        x, y, *w = batch
        yield columns(model, x, y, w[0] if w else None, class_weight)
