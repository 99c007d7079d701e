"""Predicted of a model in inference mode, of arrays or of batches, as Keras gives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impls.shim import data
from impls.shim.batches import BATCH, Stream
from impls.shim.data import Data
from impls.shim.trained import Model, Predicted

PREDICT_BATCH = 4096


def predict(model: Model, x: Data, batch_size: int | None, steps: int | None) -> Predicted:
    """Predicted as NumPy: of arrays, in batches, or of an iterable of batches, whose labels are left out."""
    if data.is_array(x) or isinstance(x, (list, tuple, dict)):
        return predict_arrays(model, x, batch_size or (PREDICT_BATCH if steps is None else BATCH), steps)
    found = []
    for batch in Stream(x, steps):
        inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
        found.append(predict_arrays(model, inputs, PREDICT_BATCH))
    return joined(model, found)


def predict_arrays(model: Model, x: Data, batch_size: int, steps: int | None = None) -> Predicted:
    model.ready(x)
    columns = list(data.inputs(model, x).values())
    count = len(columns[0])
    if not count:
        return predict_nothing(model, columns)
    call = model.function("predict")
    parts = []
    for at in range(0, count, batch_size)[:steps]:
        batch = tuple([model.native(column[at : at + batch_size]) for column in columns])
        parts.append(call(model.parameters(), batch))
    if model.outputs:
        return joined(model, [model.packed([model.B.numpy(y) for y in part]) for part in parts])
    return joined(model, [model.B.numpy(part) for part in parts])


def predict_nothing(model: Model, columns: Sequence[np.ndarray]) -> Predicted:
    """Of one example of zeros, nothing: the shape is right."""
    one = [np.zeros((1, *column.shape[1:]), column.dtype) for column in columns]
    whole = predict_arrays(model, one if len(one) > 1 else one[0], 1)
    if not model.outputs:
        return whole[:0]
    return model.packed([y[:0] for y in (whole.values() if model.output_keys else whole)])


def joined(model: Model, parts: Sequence[Predicted]) -> Predicted:
    """The outputs of batches as those of one."""
    if not model.outputs:
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    found = []
    for key in model.output_keys or range(len(model.outputs)):
        found.append(np.concatenate([part[key] for part in parts]))
    return model.packed(found)


def as_keras(logs: dict[str, float], return_dict: bool) -> float | list[float] | dict[str, float]:
    """A number, a list where there are metrics, or a dictionary."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]
