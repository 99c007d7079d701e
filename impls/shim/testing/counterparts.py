"""`python -m impls.shim.testing.counterparts LIBRARY`: optimizers, losses and the like of keras, torch or optax.

What a test compares the references with, so that these are judged by somebody else. A request has `kind`, `name` and
`options`, with arrays; the answer has arrays. Everything is in float64; Keras runs on PyTorch.
A request of the kind "program" runs one of `impls.shim.testing.programs` with Keras and with the shim on the backend of
`options`, and the answer's `told` has what each gives.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from impls import protocol

Arrays: TypeAlias = dict[str, np.ndarray]
Values: TypeAlias = list[np.ndarray]
Options: TypeAlias = dict[str, Any]  # of an optimizer, a loss: those of its constructor
Answer: TypeAlias = Callable[[str, Options, Arrays], Arrays]


def pieces(arrays: Arrays, prefix: str) -> list[np.ndarray]:
    """The arrays `prefix/0`, `prefix/1` ..."""
    return [arrays[f"{prefix}/{at}"] for at in range(len(arrays)) if f"{prefix}/{at}" in arrays]


def updated(weights: Values, gradients: Values, update: Callable[[Values], Values]) -> Arrays:
    """The weights after each of the updates; a gradient is an array of all its values over time."""
    found = [update([g[t] for g in gradients]) for t in range(len(gradients[0]))]
    return {f"w/{at}": np.stack([step[at] for step in found]) for at in range(len(weights))}


def keras_updates(name: str, options: Options, arrays: Arrays) -> Arrays:
    import keras

    if isinstance(options.get("learning_rate"), list):
        schedule, given = options["learning_rate"]
        rate = getattr(keras.optimizers.schedules, schedule)(**given)
        options = {**options, "learning_rate": rate}
    scaling = options.pop("scaled", None)
    optimizer = getattr(keras.optimizers, name)(**options)
    if scaling is not None:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, **scaling)
    variables = [keras.Variable(value) for value in pieces(arrays, "w")]
    optimizer.build(variables)
    scales: list[float] = []

    def update(gradients: list[np.ndarray]) -> list[np.ndarray]:
        factor = float(optimizer.dynamic_scale.numpy()) if scaling is not None else 1.0
        scales.append(factor)
        optimizer.apply([keras.ops.convert_to_tensor(g * factor) for g in gradients])
        return [np.array(variable.numpy()) for variable in variables]

    found = updated(variables, pieces(arrays, "g"), update)
    return {**found, "scales": np.array(scales)}


def keras_loss(name: str, options: Options, arrays: Arrays) -> Arrays:
    import keras
    import torch

    outputs = torch.tensor(arrays["z"], requires_grad=True)
    loss = getattr(keras.losses, name)(dtype="float64", **options)(torch.tensor(arrays["y"]), outputs)
    loss.backward()
    return {"loss": np.asarray(loss.item()), "slope": outputs.grad.numpy()}


def keras_activation(name: str, options: Options, arrays: Arrays) -> Arrays:
    import keras
    import torch

    inputs = torch.tensor(arrays["x"], requires_grad=True)
    outputs = getattr(keras.activations, name)(inputs, **options)
    (outputs * torch.tensor(arrays["g"])).sum().backward()
    return {"y": outputs.detach().numpy(), "slope": inputs.grad.numpy()}


def keras_initializer(name: str, options: Options, arrays: Arrays) -> Arrays:
    import keras

    draw = getattr(keras.initializers, name)(seed=0)
    return {"values": keras.ops.convert_to_numpy(draw(tuple(options["shape"]), dtype="float64"))}


def torch_updates(name: str, options: Options, arrays: Arrays) -> Arrays:
    import torch

    parameters = [torch.nn.Parameter(torch.tensor(value)) for value in pieces(arrays, "w")]
    decay = options.pop("decay_rate", None)
    limit = options.pop("global_clipnorm", None)
    optimizer = getattr(torch.optim, name)(parameters, **options)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, decay) if decay else None

    def update(gradients: list[np.ndarray]) -> list[np.ndarray]:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        if limit is not None:
            torch.nn.utils.clip_grad_norm_(parameters, limit)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        return [parameter.detach().numpy().copy() for parameter in parameters]

    return updated(parameters, pieces(arrays, "g"), update)


def torch_loss(name: str, options: Options, arrays: Arrays) -> Arrays:
    import torch

    outputs = torch.tensor(arrays["z"], requires_grad=True)
    loss = getattr(torch.nn.functional, name)(outputs, torch.tensor(arrays["y"]), **options)
    loss.backward()
    assert outputs.grad is not None
    return {"loss": np.asarray(loss.item()), "slope": outputs.grad.numpy()}


def optax_updates(name: str, options: Options, arrays: Arrays) -> Arrays:
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    if isinstance(options.get("learning_rate"), list):
        schedule, given = options["learning_rate"]
        options = {**options, "learning_rate": getattr(optax, schedule)(**given)}
    limit = options.pop("global_clipnorm", None)
    optimizer = getattr(optax, name)(**options)
    if limit is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(limit), optimizer)
    weights: Values = [np.array(value) for value in pieces(arrays, "w")]
    state = optimizer.init(weights)

    def update(gradients: list[np.ndarray]) -> list[np.ndarray]:
        nonlocal weights, state
        steps, state = optimizer.update(gradients, state, weights)
        weights = optax.apply_updates(weights, steps)
        return [np.asarray(weight) for weight in weights]

    return updated(weights, pieces(arrays, "g"), update)


def told(name: str, options: Options) -> dict[str, Any] | list[str]:
    """What a program gives, by library; without a name those of all programs."""
    from impls.shim.testing import programs

    if not name:
        return list(programs.PROGRAMS)
    with tempfile.TemporaryDirectory() as folder:
        return programs.run(name, options["backend"], Path(folder))


ANSWERS: dict[str, dict[str, Answer]] = {
    "keras": {
        "updates": keras_updates,
        "loss": keras_loss,
        "activation": keras_activation,
        "initializer": keras_initializer,
    },
    "torch": {"updates": torch_updates, "loss": torch_loss},
    "optax": {"updates": optax_updates},
}


def main(library: str) -> None:
    """Answer requests from standard input until it ends."""
    replies, requests = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever a framework prints must not get into the answers
    os.environ["KERAS_BACKEND"] = "torch"
    if library == "keras":
        sys.modules["tensorflow"] = None  # type: ignore[assignment]  # Keras would load it to save a file, for seconds
        import keras

        keras.config.set_floatx("float64")
    while True:
        try:
            body, arrays = protocol.read(requests)
        except EOFError:
            return
        try:
            if body["kind"] == "program":
                protocol.write(replies, {"ok": True, "told": told(body["name"], body["options"])})
                continue
            found = ANSWERS[library][body["kind"]](body["name"], body["options"], arrays)
            protocol.write(replies, {"ok": True}, found)
        except Exception as error:
            protocol.write(replies, {"ok": False, "error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(sys.argv[1])
