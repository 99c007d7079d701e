"""Keras on JAX and a GPU: an LSTM goes to JAX's cuDNN layer, whose gradient does not lower in float64.

Prints whether there is a gradient, and that there has to be one; on a CPU there is.
"""

import jax
import keras
import numpy as np

keras.config.set_floatx("float64")
layer, x = keras.layers.LSTM(3), np.ones((2, 4, 3))
layer.build(x.shape)
state = [variable.value for variable in layer.non_trainable_variables]


def total(weights: object) -> object:
    return layer.stateless_call(weights, state, x)[0].sum()


try:
    gradients = jax.jit(jax.grad(total))([variable.value for variable in layer.trainable_variables])
    print(float(all(np.isfinite(g).all() for g in gradients)), 1.0)
except Exception as error:  # of a type that differs by release
    print(type(error).__name__, str(error).splitlines()[0])
    print(0.0, 1.0)
