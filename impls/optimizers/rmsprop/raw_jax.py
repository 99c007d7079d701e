"""RMSprop (Tieleman and Hinton 2012), epsilon inside the root, in JAX functions."""

import jax.numpy as jnp

LEARNING_RATE, RHO, EPSILON = 0.001, 0.9, 1e-7


def init_slots(params):
    return {f"v/{name}": jnp.zeros_like(p) for name, p in params.items() if "moving" not in name}


def update(params, slots, gradients):
    params, slots = dict(params), dict(slots)
    for name, g in gradients.items():
        v = slots[f"v/{name}"] = RHO * slots[f"v/{name}"] + (1 - RHO) * g**2
        params[name] -= LEARNING_RATE * g / jnp.sqrt(v + EPSILON)
    return params, slots
