"""What a model gives without anyone watching: outputs, state, loss, gradients and optimizer steps, with their errors.

The errors are those of runs with noise, as `impls.port.base` describes it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from impls.counted import counted, without_masks
from impls.port.base import LARGE, STATISTICS, STEPS
from impls.port.errors import in_one_line
from impls.port.random_draws import Draws
from impls.port.recorder import sketch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from impls.port.annotations import Arrays
    from impls.port.base import Port
    from impls.port.weight import Weight


def measure(
    port: Port,
    inputs: Arrays,
    y: np.ndarray | None,
    modes: Sequence[str],
    samples: int,
    unit: float,
    seed: int,
    whole: Iterable[str] = (),
    spares_exact: bool = False,
) -> tuple[Arrays, Arrays]:
    """A clean run, and for every tensor the inner products of the errors of `samples` runs with noise.

    Gradients and weights of LARGE size are given as sketches, except those of `whole` weights, which the other side
    has in another layout. `spares_exact`: the noise leaves numbers of few bits alone, such as places and sizes.
    """
    port.spares_exact = spares_exact
    large = {weight.name for weight in port.weights if port.clean[weight.name].size >= LARGE}
    port.sketched = large - set(whole)
    clean = everything(port, inputs, y, modes)
    among = {name: counted(array) for name, array in clean.items()}
    undisturbed = {name: sketch(without_masks(array, among[name])) for name, array in clean.items()}
    errors: dict[str, list[np.ndarray]] = {name: [] for name in clean}
    try:
        for sample in range(samples):
            port.loaded = set()
            port.takes_steps = any(name.startswith("step/") for name in clean)
            port.noise = unit, np.random.default_rng([seed, sample])
            for name, array in everything(port, inputs, y, modes).items():
                if name in undisturbed:
                    errors[name].append(sketch(without_masks(array, among[name])) - undisturbed[name])
    finally:
        port.noise = None
    port.load()
    spread = {name: gram(rows) for name, rows in errors.items() if len(rows) == samples and rows}
    return clean, spread


def everything(port: Port, inputs: Arrays, y: np.ndarray | None, modes: Sequence[str]) -> OrderedDict[str, np.ndarray]:
    """Outputs of the modes, state, loss, gradients and steps from the clean weights, by tensor name."""
    found: OrderedDict[str, np.ndarray] = OrderedDict()
    for mode in modes:
        port.load()
        for path, array in port.forward(inputs, mode).items():
            found[f"output/{mode}/{path}"] = array
        if mode == "training":
            for weight in port.weights:
                if not weight.trainable:
                    found["state/" + weight.name] = port.read_one(weight)
    if y is not None and port.has_loss() and not port.no_gradients:
        try:
            found.update(learning(port, inputs, y, "training" in modes))
        except Exception as error:
            if not missing_kernel(error):
                raise
            port.no_gradients = in_one_line(error)
    return found


def learning(port: Port, inputs: Arrays, y: np.ndarray, training: bool) -> OrderedDict[str, np.ndarray]:
    """Loss and gradients, then STEPS optimizer steps; each step's weights, and the gradients it started from."""
    port.load()
    port.evaluating = not training
    found = OrderedDict(gradients(port, inputs, y, "gradient", False))
    port.load()
    penalty = port.penalty()
    if penalty:
        found.update(gradients(port, inputs, y, "whole", True))
        found["penalty"] = np.asarray(penalty)
        found["penalty/no_decay"] = np.asarray(penalty if port.slopes_with_penalty() else 0.0)
    port.load()
    if not training or not port.start_training():
        return found
    moving = [weight for weight in port.weights if weight.role not in STATISTICS]
    for step in range(STEPS):
        state = {w.name: port.read_one(w) for w in port.weights if not w.trainable}
        found.update(gradients(port, inputs, y, f"slope/{step}", port.slopes_with_penalty()))
        for weight in port.weights:
            if not weight.trainable:
                port.put(weight, state[weight.name])
        port.step(inputs, y)
        if not step and port.step_runs_the_model():
            averages = (weight for weight in port.weights if weight.role in STATISTICS)
            found.update((f"stepped/{weight.name}", port.read_one(weight)) for weight in averages)
        for weight in moving:
            found[f"step/{step}/{weight.name}"] = short(port, weight, port.read_one(weight))
    return found


def gradients(port: Port, inputs: Arrays, y: np.ndarray, group: str, whole: bool) -> OrderedDict[str, np.ndarray]:
    """The loss, `loss` or `loss/GROUP`, and the gradient of each trainable weight."""
    port.draws = Draws()
    args, kwargs = port.arrange(inputs)
    loss, grads = port.value_and_grads(args, kwargs, port.native(y), whole)
    name = "loss" if group == "gradient" else f"loss/{group}"
    found = OrderedDict([(name, np.asarray(port.noisy(np.array(port.numpy(loss)), 1)))])
    slopes = iter(grads)
    for weight in port.weights:
        if weight.trainable:
            native = [port.slope(tensor, next(slopes)) for tensor in weight.tensors]
            found[f"{group}/{weight.name}"] = short(port, weight, read_slope(weight, native))
    return found


def short(port: Port, weight: Weight, array: np.ndarray) -> np.ndarray:
    """A gradient or a weight, or the sketch of a large one."""
    return sketch(array) if weight.name in port.sketched else np.array(array)


def read_slope(weight: Weight, native: list[np.ndarray]) -> np.ndarray:
    """A canonical gradient; of the two biases of an LSTM, which are added, each has the gradient."""
    summed = weight.summed or (weight.kind, weight.role) == ("lstm", "bias")
    if summed and len(native) == 2:
        native[1] = np.zeros_like(native[1])
    return weight.slope(native)


def missing_kernel(error: Exception) -> bool:
    """Whether an engine lacks an operation on this device, which is no fault of the user's."""
    text = str(error)
    return "not supported on CPU" in text or "Gradients for grouped conv" in text or "No gradient defined" in text


def gram(rows: Sequence[np.ndarray]) -> np.ndarray:
    stacked = np.stack(rows)
    with np.errstate(all="ignore"):
        return stacked @ stacked.T
