"""Momentum (Polyak 1964), the rate inside the velocity, in JAX functions."""

import jax.numpy as jnp

LEARNING_RATE, MOMENTUM = 0.02, 0.9


def init_slots(params):
    return {f"m/{name}": jnp.zeros_like(p) for name, p in params.items() if "moving" not in name}


def update(params, slots, gradients):
    params, slots = dict(params), dict(slots)
    for name, g in gradients.items():
        m = slots[f"m/{name}"] = MOMENTUM * slots[f"m/{name}"] - LEARNING_RATE * g
        params[name] += m
    return params, slots
