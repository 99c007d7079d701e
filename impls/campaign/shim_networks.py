"""A network in the shim: on any backend, in any mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from impls import shim
from impls.campaign.known_layers import as_known
from impls.campaign.messages import Arrays, Network
from impls.shim import data
from impls.shim.backends.contract import Array, Carry, Columns
from impls.shim.layer import Run
from impls.shim.layers import Dropout
from impls.shim.testing.script import made, model_of
from impls.shim.training import scores

STRAIGHT = 9  # places that a recurrence is straight code for, where the backend likes: XLA compiles each of them


def build(network: Network, backend: str = "numpy", mode: str | None = None, dtype: str = "float64") -> shim.Model:
    """The shim's model of a network."""
    settings = {"backend": backend, "mode": mode, "dtype": dtype, "seed": network["seed"]}
    layers = [as_known(layer) for layer in network["layers"]]
    described = {"layers": layers, "inputs": [each["shape"] for each in network["inputs"]]}
    model = model_of({**described, "settings": settings}, backend)
    if most_places(network) > STRAIGHT:
        model.unroll = False
    return model


def most_places(network: Network) -> int:
    """Of a sequence: no layer makes one longer than an input or a Reshape."""
    lengths = [each["shape"][0] for each in network["inputs"]]
    return max(lengths + [layer["target_shape"][0] for layer in network["layers"] if layer["kind"] == "Reshape"])


def describe(network: Network) -> dict[str, Any]:
    model = build(network)
    shapes = {name: list(weight.shape) for name, weight in model.declared.items()}
    return {"weights": shapes, "output": list(model.output_shape), "trainable": model.trainable_names()}


def observe(network: Network, arrays: Arrays, engine: str, mode: str | None, source: str = "") -> Arrays:
    """Prediction, loss, every gradient, and what some steps of the optimizer leave; `source` is for other APIs."""
    model = build(network, engine, mode, network["dtype"])
    model.set_weights({name[7:]: value for name, value in arrays.items() if name.startswith("weight/")})
    kind, options = network["optimizer"]
    optimizer = getattr(shim, kind)(**{key: made(value) for key, value in options.items()})
    model.compile(optimizer=optimizer, loss=network["loss"])
    xs = [arrays[f"x{at}"] for at in range(len(network["inputs"]))]
    x = xs if len(xs) > 1 else xs[0]
    found = {"inference/output": np.asarray(model.predict(x))}
    found.update(gradients(model, xs, arrays["y"]))
    losses = [model.train_on_batch(x, arrays["y"]) for _ in range(network["steps"])]
    found["losses"] = np.asarray(losses, np.float64)
    found.update(("weight/" + name, value) for name, value in model.get_weights().items())
    found.update(("slot/" + name, value) for name, value in model.get_slots().items())
    return {name: np.asarray(value) for name, value in found.items()}


def gradients(model: shim.Model, xs: list[np.ndarray], y: np.ndarray) -> Arrays:
    """Loss and gradients with respect to weights and float inputs, in the model's mode."""
    B = model.B
    columns = dict(zip(model.input_names, data.inputs(model, xs if len(xs) > 1 else xs[0]).values(), strict=True))
    targets = data.targets(model, y, len(y))
    noise = {}
    if any(isinstance(layer, Dropout) for layer in model.layers):
        stream = model.rng.bit_generator.state
        noise = data.noise(model, columns)
        model.rng.bit_generator.state = stream
    names = [*columns, "y", *noise]
    native = [model.native(value) for value in (*columns.values(), targets, *noise.values())]
    floats = [name for name, value in columns.items() if value.dtype.kind == "f"]

    def function(carry: Carry, given: Columns) -> tuple[tuple[Array, Array], Arrays]:
        known = dict(zip(names, given, strict=True))

        def objective(leaves: Arrays) -> tuple[Array, Array]:
            inputs = [leaves.get("input/" + name, known[name]) for name in columns]
            run = Run(True, known, model.unroll)
            parameters = {**carry["state"], **{name: leaves[name] for name in carry["weights"]}}
            outputs = model.apply(parameters, inputs if len(inputs) > 1 else inputs[0], run)
            return scores(model, known, outputs, run)[0], outputs

        leaves = {**carry["weights"], **{"input/" + name: known[name] for name in floats}}
        return B.value_and_grad(objective, "eager")(leaves)

    (loss, outputs), grads = B.compile_inference(function, model.carry, model.mode)(model.carry, native)
    roles = {name: weight.role for name, weight in model.declared.items()}
    found = {"loss": np.asarray(B.numpy(loss)), "activation/output": np.asarray(B.numpy(outputs))}
    for name, value in grads.items():
        where = f"gradient/{name}"
        found[where] = np.asarray(B.numpy(value, roles[name]) if name in roles else B.numpy(value))
    return found
