"""The slots of a model's optimizer, `slot/layer/weight`: as they start, and canonical ones in and out."""

from __future__ import annotations

import numpy as np

from impls.shim.optimizers import Optimizer
from impls.shim.trained import Model


def fresh_slots(model: Model, optimizer: Optimizer) -> dict[str, np.ndarray]:
    """The slots that an optimizer starts with, canonical."""
    found = {}
    for slot in optimizer.all_slots:
        for name in model.trainable_names():
            found[f"{slot}/{name}"] = np.full(model.declared[name].shape, optimizer.start(slot))
    return found


def get_slots(model: Model) -> dict[str, np.ndarray]:
    """The slots in canonical layout."""
    B = model.bind()
    return {name: np.array(B.numpy(value, role(model, name))) for name, value in model.carry["slots"].items()}


def set_slots(model: Model, slots: dict[str, np.ndarray]) -> None:
    """Put canonical slots in, where some are already in their place."""
    B, held = model.bind(), model.carry["slots"]
    for name, value in slots.items():
        native = B.variable(value, role(model, name), model.dtype, model.device)
        held[name] = B.assign(held[name], native) if name in held else native


def start_again(model: Model, optimizer: Optimizer) -> None:
    """Give every slot the value that it starts with, in place."""
    B, slots = model.B, model.carry["slots"]
    zeros = B.all_zeros(list(slots.values()))
    for (name, old), zero in zip(slots.items(), zeros, strict=True):
        start = optimizer.start(name.split("/", 1)[0])
        slots[name] = B.assign(old, zero + start if start else zero)


def role(model: Model, name: str) -> str:
    """That of the weight which a slot belongs to: its layout on an engine depends on it."""
    return model.declared[name.split("/", 1)[1]].role
