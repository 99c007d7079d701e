"""A model of a user in plain functions: an object with `params` (a dict of arrays) and `forward(params, x)`.

What lies between x and the output can't be tapped: only the parameters, the output, the loss and the gradients are
compared. In NumPy there are no gradients.
"""

from __future__ import annotations

import importlib

import numpy as np

from impls.port.base import Port, UserError, Weight

if importlib.util.find_spec("jax"):
    import jax

    jax.config.update("jax_enable_x64", True)


class PortOfFunctions(Port):
    def build(self):
        model = super().build()
        if not callable(getattr(model, "forward", None)) or not isinstance(getattr(model, "params", None), dict):
            raise UserError("build() has to return a model, or an object with a dict `params` and `forward(params, x)`")
        self.params = {name: self.native(np.asarray(value)) for name, value in flat(model.params).items()}
        return model

    def find_weights(self):
        return [Weight(name.rpartition("/")[0], "custom", name, [name], name=name) for name in self.params]

    def native(self, array):
        array = array.astype(np.float64) if array.dtype.kind == "f" else array
        return NATIVE[self.backend](array)

    def numpy(self, native):
        return np.array(self.params[native] if isinstance(native, str) else native)

    def assign(self, tensor, array):
        self.params[tensor] = self.native(np.ascontiguousarray(array))

    def call(self, x, training):
        return self.model.forward(nested(self.params), x)

    def has_loss(self):
        return super().has_loss() and self.backend in GRADIENTS

    def value_and_grads(self, x, y):
        names = [weight.tensors[0] for weight in self.weights]

        def objective(values):
            params = nested(dict(zip(names, values, strict=True)))
            return self.loss(self.model.forward(params, x), y)

        return GRADIENTS[self.backend](objective, [self.params[name] for name in names])


def flat(params, prefix=""):
    """{"a": {"b": array}} as {"a/b": array}."""
    found = {}
    for name, value in params.items():
        found.update(flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {prefix + name: value})
    return found


def nested(params):
    found = {}
    for name, value in params.items():
        *folders, last = name.split("/")
        place = found
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return found


def of_tensorflow(array):
    import tensorflow as tf

    return tf.constant(array)


def of_jax(array):
    return jax.numpy.asarray(array)


def tensorflow_gradients(objective, values):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = objective(values)
    return loss, [None if g is None else tf.convert_to_tensor(g) for g in tape.gradient(loss, values)]


def jax_gradients(objective, values):
    return jax.value_and_grad(objective)(values)


NATIVE = {"numpy": np.asarray, "jax": of_jax, "tensorflow": of_tensorflow}
GRADIENTS = {"jax": jax_gradients, "tensorflow": tensorflow_gradients}
