"""Adagrad (Duchi et al. 2011), epsilon inside the root, in JAX functions."""

import jax.numpy as jnp

LEARNING_RATE, INITIAL_ACCUMULATOR, EPSILON = 0.01, 0.1, 1e-7


def init_slots(params):
    weights = {name: p for name, p in params.items() if "moving" not in name}
    return {f"accumulator/{name}": jnp.full_like(p, INITIAL_ACCUMULATOR) for name, p in weights.items()}


def update(params, slots, gradients):
    params, slots = dict(params), dict(slots)
    for name, g in gradients.items():
        a = slots[f"accumulator/{name}"] = slots[f"accumulator/{name}"] + g**2
        params[name] -= LEARNING_RATE * g / jnp.sqrt(a + EPSILON)
    return params, slots
