"""A network in plain JAX: a program that the campaign wrote."""

from __future__ import annotations

import jax
import numpy as np
from jax import numpy as jnp

from impls.campaign.messages import Arrays, Network, Program


def observe(network: Network, arrays: Arrays, engine: str, mode: str, source: str) -> Arrays:
    """Prediction, outputs in training, loss, and the gradients of trainable weights and float inputs."""
    program: Program = {}
    exec(compile(source, "<network>", "exec"), program)
    dtype, wrap = network["dtype"], jax.jit if mode == "jit" else (lambda f: f)

    def native(x: np.ndarray) -> jax.Array:
        return jnp.asarray(x, dtype if x.dtype.kind == "f" else x.dtype)

    weights = {name[7:]: native(value) for name, value in arrays.items() if name.startswith("weight/")}
    inputs = [native(arrays[f"x{at}"]) for at in range(len(network["inputs"]))]
    frozen = {name: value for name, value in weights.items() if "/moving_" in name}
    leaves = {name: value for name, value in weights.items() if name not in frozen}
    floats = {at: x for at, x in enumerate(inputs) if x.dtype.kind == "f"}

    def objective(leaves: Arrays, floats: dict[int, jax.Array], y: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs = program["forward"]({**frozen, **leaves}, [floats.get(at, x) for at, x in enumerate(inputs)], True)
        return program["loss_fn"](outputs, y), outputs

    predict = wrap(lambda p: program["forward"](p, inputs, False))
    differentiate = wrap(jax.value_and_grad(objective, argnums=(0, 1), has_aux=True))
    found = {"inference/output": predict(weights)}
    (loss, outputs), (grads, of_inputs) = differentiate(leaves, floats, native(arrays["y"]))
    found.update({"loss": loss, "activation/output": outputs})
    found.update((f"gradient/{name}", value) for name, value in grads.items())
    found.update((f"gradient/input/{input_name(network, at)}", value) for at, value in of_inputs.items())
    return {name: np.asarray(value) for name, value in found.items()}


def input_name(network: Network, at: int) -> str:
    """What the shim calls an input."""
    return "x" if len(network["inputs"]) == 1 else f"x/{at}"
