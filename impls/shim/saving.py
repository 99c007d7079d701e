"""A model on disk: one .npz file of canonical arrays that every backend reads. Nothing in it is code or a pickle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from impls.shim.trained import Model
from impls.shim.writing import replacing


def _npz(path: str | Path) -> Path:
    """Raises ValueError for the names of Keras's files, which hold something else."""
    if Path(path).suffix in (".keras", ".h5"):
        raise ValueError(
            f"the shim saves .npz files, such as {Path(path).stem.split('.')[0] + '.npz'!r}, got {str(path)!r}"
        )
    return Path(path)


def save(model: Model, path: str | Path) -> None:
    """Weights, slots, the number of updates and epochs and the random stream; atomic: the old file or the new one."""
    path = _npz(path)
    arrays = {"weight/" + name: value for name, value in model.get_weights().items()}
    arrays.update(("slot/" + name, value) for name, value in model.get_slots().items())
    facts = {"t": model.t, "epoch": model.epoch, "rng": model.rng.bit_generator.state}
    if model.learning_rate is not None:  # a callback has set it, and whoever goes on goes on with it
        facts["learning_rate"] = model.learning_rate
    facts["loss_scale"] = [model.loss_scale.value, model.loss_scale.good]
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]


def load(model: Model, path: str | Path) -> None:
    """Put what `save` wrote into a model of the same layers; into its optimizer too, if it is compiled."""
    try:
        arrays = _arrays(path)
        facts = json.loads(str(arrays.pop("facts")))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not a saved model of the shim (one of Keras's goes through shim.from_keras): {error}"
        ) from error
    parts: dict[str, dict[str, np.ndarray]] = {"weight": {}, "slot": {}}
    for name, value in arrays.items():
        part, rest = name.split("/", 1)
        parts[part][rest] = value
    if model.optimizer is not None:
        model.compare(parts["slot"], model.fresh_slots(), f"{path}: optimizer state")
    model.set_weights(parts["weight"])
    if model.optimizer is not None:
        model.set_slots(parts["slot"], facts["t"])
        scale = model.loss_scale
        scale.value, scale.good = facts.get("loss_scale", (scale.value, scale.good))  # older files have none
    model.epoch = facts["epoch"]
    model.learning_rate = facts.get("learning_rate")
    model.rng.bit_generator.state = facts["rng"]


def _arrays(path: str | Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def save_weights(model: Model, path: str | Path) -> None:
    """The weights by their names; atomic as `save`."""
    path = _npz(path)
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, **model.get_weights())  # type: ignore[arg-type]


def load_weights(model: Model, path: str | Path) -> None:
    """Those of a file of `save_weights` or of `save`."""
    try:
        arrays = _arrays(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a file of the shim's weights: {error}") from error
    if "facts" in arrays:
        parts = (name.partition("/") for name in arrays)
        arrays = {rest: arrays[f"{part}/{rest}"] for part, _, rest in parts if part == "weight"}
    model.set_weights(arrays)


def summary(model: Model) -> str:
    """A table of the layers: name, kind, output shape and number of parameters."""
    rows = [("layer", "kind", "output", "parameters")]
    for step in model.plan:
        count = sum(int(np.prod(weight.shape)) for weight in step.layer.weights.values())
        rows.append((step.layer.name, type(step.layer).__name__, str(step.output_shape), f"{count:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines += [f"auto: {kind} by {choice}" for kind, choice in model.choices.items()]
    counts = {name: int(np.prod(weight.shape)) for name, weight in model.declared.items()}
    trained = sum(counts[name] for name in model.trainable_names())
    return "\n".join([*lines, f"{sum(counts.values()):,} parameters, {trained:,} of them trained"])
