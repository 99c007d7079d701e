"""AdamW (Loshchilov and Hutter 2019): the decay is taken from the weight before Adam's update, in JAX functions."""

import jax.numpy as jnp

LEARNING_RATE, WEIGHT_DECAY, BETA_1, BETA_2, EPSILON = 0.001, 0.004, 0.9, 0.999, 1e-7


def init_slots(params):
    weights = {name: p for name, p in params.items() if "moving" not in name}
    slots = {f"{slot}/{name}": jnp.zeros_like(p) for slot in "mv" for name, p in weights.items()}
    return {"step": jnp.zeros((), int), **slots}


def update(params, slots, gradients):
    t = slots["step"] + 1
    alpha = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    params, slots = dict(params), slots | {"step": t}
    for name, g in gradients.items():
        params[name] -= LEARNING_RATE * WEIGHT_DECAY * params[name]
        m = slots[f"m/{name}"] = BETA_1 * slots[f"m/{name}"] + (1 - BETA_1) * g
        v = slots[f"v/{name}"] = BETA_2 * slots[f"v/{name}"] + (1 - BETA_2) * g**2
        params[name] -= alpha * m / (jnp.sqrt(v) + EPSILON)
    return params, slots
