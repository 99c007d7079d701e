"""Two dense layers on Iris, in JAX functions.

Adam: Kingma and Ba (2015), in the order of operations given before their section 2.1: epsilon-hat outside the root.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

# Model


def build(features=4, hidden=8):
    glorot_uniform = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(jax.random.key(0), 2)
    return {
        "hidden/kernel": glorot_uniform(keys[0], (features, hidden)),
        "hidden/bias": jnp.zeros(hidden),
        "logits/kernel": glorot_uniform(keys[1], (hidden, 1)),
        "logits/bias": jnp.zeros(1),
    }


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


relu = jax.nn.relu


def forward(params, x):
    x = relu(dense(params, "hidden", x))  # (B, hidden)
    return dense(params, "logits", x)  # (B, 1)


# Loss


def loss_fn(logits, y):
    return -jnp.mean(y * jax.nn.log_sigmoid(logits) + (1 - y) * jax.nn.log_sigmoid(-logits))


# Optimizer

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 0.01, 0.9, 0.999, 1e-7


def init_slots(params):
    slots = {f"{slot}/{name}": jnp.zeros_like(p) for slot in "mv" for name, p in params.items()}
    return {"step": jnp.zeros((), int), **slots}


def update(params, slots, gradients):
    t = slots["step"] + 1
    alpha = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    params, slots = dict(params), slots | {"step": t}
    for name, g in gradients.items():
        m = slots[f"m/{name}"] = BETA_1 * slots[f"m/{name}"] + (1 - BETA_1) * g
        v = slots[f"v/{name}"] = BETA_2 * slots[f"v/{name}"] + (1 - BETA_2) * g**2
        params[name] -= alpha * m / (jnp.sqrt(v) + EPSILON)
    return params, slots


# Training


@partial(jax.jit, donate_argnums=(0, 1))
def train_step(params, slots, x, y):
    loss, gradients = jax.value_and_grad(lambda params: loss_fn(forward(params, x), y))(params)
    return *update(params, slots, gradients), loss


def train(params, x, y, epochs=100, batch_size=32):
    starts = range(0, len(x), batch_size)
    batches = [(jnp.asarray(x[i : i + batch_size]), jnp.asarray(y[i : i + batch_size])) for i in starts]
    sizes = [len(batch[0]) for batch in batches]
    slots = init_slots(params)
    history = []
    for _ in range(epochs):
        losses = []
        for batch in batches:
            new, slots, loss = train_step(params, slots, *batch)
            params.update(new)
            losses.append(loss)
        history.append(float(np.average(jax.device_get(losses), weights=sizes)))
    return history


# Prediction

predict_step = jax.jit(forward)


def predict(params, x):
    return np.asarray(predict_step(params, x))


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["iris"]()
    params = build()
    print("losses", train(params, data.x, data.y)[::20])
    print("accuracy", np.mean((predict(params, data.x_test) > 0) == data.y_test))
