"""A network in Keras 3: a program that the campaign wrote, on the engine of this process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable
from typing import Any, TypeAlias

import keras
import numpy as np

from impls.campaign.messages import Arrays, Function, Layer, Native, Network, Program
from impls.replacing import replaced

gc.freeze()  # what is loaded stays: `clear_session` collects garbage, and need not look through an engine's modules

FIRST_WEIGHTS = ("VarianceScaling", "RandomUniform", "RandomNormal", "TruncatedNormal", "Orthogonal")

Variables: TypeAlias = list[tuple[str, keras.Variable]]  # by their names in the shim
Natives: TypeAlias = dict[str, Native]  # what is shown, by tensor


def observe(network: Network, arrays: Arrays, engine: str, mode: str, source: str) -> Arrays:
    """Prediction, outputs in training, loss, gradients, and steps of `train_on_batch`."""
    keras.backend.clear_session()
    keras.config.set_floatx(network["dtype"])
    program: Program = {}
    exec(compile(source, "<network>", "exec"), program)
    with zeros_as_first_weights():
        model, loss_fn = program["build"](), program["LOSS"]
    variables = [pair for layer in network["layers"] for pair in variables_of(layer, model)]
    dtype = network["dtype"]
    xs = [typed(arrays[f"x{at}"], dtype) for at in range(len(network["inputs"]))]
    y = typed(arrays["y"], dtype)
    put(variables, arrays)
    found = DIFFERENTIATE[engine](model, loss_fn, variables, xs, y, mode)
    put(variables, arrays)
    options = {"run_eagerly": mode == "eager", "jit_compile": mode in ("xla", "jit")}
    if engine == "torch":
        options = {"jit_compile": False}
    model.compile(optimizer=program["make_optimizer"](), loss=program["LOSS"], **options)
    found["inference/output"] = model.predict_on_batch(xs)
    found["losses"] = np.asarray([first(model.train_on_batch(xs, y)) for _ in range(network["steps"])], np.float64)
    found.update(("weight/" + name, numpy(variable)) for name, variable in variables)
    return {rename(network, name): numpy(value) for name, value in found.items()}


def zeros_as_first_weights() -> contextlib.AbstractContextManager[None]:
    """All of them are overwritten, and on JAX drawing one of each shape takes as long to compile as a training step."""
    return replaced([(getattr(keras.initializers, name), "__call__", zeros) for name in FIRST_WEIGHTS])


def zeros(initializer: keras.Initializer, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
    return np.zeros(shape, dtype)


def first(value: Native) -> float:
    """The loss of what `train_on_batch` returns."""
    return float(value[0] if isinstance(value, (list, tuple)) else value)


def rename(network: Network, name: str) -> str:
    """The shim calls an only input `x`."""
    return "gradient/input/x" if len(network["inputs"]) == 1 and name == "gradient/input/x/0" else name


def typed(array: np.ndarray, dtype: str) -> np.ndarray:
    return array.astype(dtype if array.dtype.kind == "f" else "int64")


def numpy(value: Native) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))


def put(variables: Variables, arrays: Arrays) -> None:
    for name, variable in variables:
        variable.assign(arrays["weight/" + name])


def variables_of(layer: Layer, model: keras.Model) -> Variables:
    """(name in the shim, variable) of each weight of a layer."""
    made, name = model.get_layer(layer["name"]), layer["name"]
    parts = [(name, made)]
    if layer["kind"] == "Bidirectional":
        parts = [(f"{name}/forward", made.forward_layer.cell), (f"{name}/backward", made.backward_layer.cell)]
    elif layer["kind"] in ("LSTM", "GRU", "SimpleRNN"):
        parts = [(name, made.cell)]
    elif layer["kind"] == "MultiHeadAttention":
        return [(variable.path[variable.path.index(name + "/") :], variable) for variable in made.weights]
    elif layer["kind"] == "RMSNorm":
        return [(f"{name}/gamma", made.scale)]
    return [(f"{path}/{variable.name}", variable) for path, part in parts for variable in part.weights]


def of_tensorflow(
    model: keras.Model, loss_fn: Function, variables: Variables, arrays: list[np.ndarray], y: np.ndarray, mode: str
) -> Natives:
    import tensorflow as tf

    trained = [(name, variable) for name, variable in variables if variable.trainable]
    xs = [tf.constant(x) for x in arrays]
    floats = [at for at, x in enumerate(xs) if x.dtype.is_floating]

    def differentiate(*given: Native) -> tuple[Native, Native, list[Native]]:
        with tf.GradientTape() as tape:
            tape.watch([given[at] for at in floats])
            outputs = model(list(given), training=True)
            loss = loss_fn(y, outputs)
        leaves = [variable.value for _, variable in trained] + [given[at] for at in floats]
        grads = tape.gradient(loss, leaves, unconnected_gradients="zero")
        return loss, outputs, [tf.convert_to_tensor(g) for g in grads]

    run = differentiate if mode == "eager" else tf.function(differentiate, jit_compile=mode == "xla")
    return named(trained, floats, *run(*xs))


def of_torch(
    model: keras.Model, loss_fn: Function, variables: Variables, arrays: list[np.ndarray], y: np.ndarray, mode: str
) -> Natives:
    import torch

    trained = [(name, variable) for name, variable in variables if variable.trainable]
    xs = [torch.as_tensor(x) for x in arrays]
    floats = [at for at, x in enumerate(xs) if x.is_floating_point()]
    leaves = [x.requires_grad_() if x.is_floating_point() else x for x in xs]
    outputs = model(leaves, training=True)
    loss = loss_fn(y, outputs)
    wanted = [variable.value for _, variable in trained] + [leaves[at] for at in floats]
    grads = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    return named(trained, floats, loss, outputs, grads)


def of_jax(
    model: keras.Model, loss_fn: Function, variables: Variables, arrays: list[np.ndarray], y: np.ndarray, mode: str
) -> Natives:
    import jax

    xs = [jax.numpy.asarray(x) for x in arrays]
    names = {id(variable): name for name, variable in variables}
    trained = [(names[id(variable)], variable) for variable in model.trainable_variables]
    floats = [at for at, x in enumerate(xs) if x.dtype.kind == "f"]

    def objective(weights: list[Native], given: dict[int, Native], state: list[Native]) -> tuple[Native, Native]:
        inputs = [given.get(at, x) for at, x in enumerate(xs)]
        outputs, _ = model.stateless_call(weights, state, inputs, training=True)
        return loss_fn(y, outputs), outputs

    differentiate = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    run = jax.jit(differentiate) if mode == "jit" else differentiate
    weights = [variable.value for _, variable in trained]
    state = [variable.value for variable in model.non_trainable_variables]
    (loss, outputs), (grads, of_inputs) = run(weights, {at: xs[at] for at in floats}, state)
    return named(trained, floats, loss, outputs, [*grads, *(of_inputs[at] for at in floats)])


def named(trained: Variables, floats: list[int], loss: Native, outputs: Native, grads: Iterable[Native]) -> Natives:
    """What all engines show."""
    found = {"loss": loss, "activation/output": outputs}
    names = [f"gradient/{name}" for name, _ in trained] + [f"gradient/input/x/{at}" for at in floats]
    found.update(zip(names, grads, strict=True))
    return found


DIFFERENTIATE = {"tensorflow": of_tensorflow, "torch": of_torch, "jax": of_jax}
