"""An LSTM that predicts the next character of Python's documentation, in JAX functions.

LSTM: Hochreiter and Schmidhuber (1997) with forget gates. RMSprop as Keras has it: epsilon inside the root.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Model


def build(vocabulary=97, embed=32, units=64):
    glorot_uniform = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(jax.random.key(0), 4)
    return {
        "embedding/embeddings": jax.random.uniform(keys[0], (vocabulary, embed), minval=-0.05, maxval=0.05),
        "lstm/kernel": glorot_uniform(keys[1], (embed, 4 * units)),
        "lstm/recurrent_kernel": jax.nn.initializers.orthogonal()(keys[2], (units, 4 * units)),
        "lstm/bias": jnp.zeros(4 * units).at[units : 2 * units].set(1),  # the forget gate starts open
        "logits/kernel": glorot_uniform(keys[3], (units, vocabulary)),
        "logits/bias": jnp.zeros(vocabulary),
    }


def embedding(params, name, ids):
    return params[f"{name}/embeddings"][ids]  # (B, T) -> (B, T, E)


def lstm(params, name, x, unroll=1):
    recurrent_kernel = params[f"{name}/recurrent_kernel"]
    projected = x.swapaxes(0, 1) @ params[f"{name}/kernel"] + params[f"{name}/bias"]  # (T, B, 4H)

    def cell(carry, z):
        h, c = carry
        i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, axis=1)  # (B, H) each
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((len(x), len(recurrent_kernel)), x.dtype)
    _, hidden = lax.scan(cell, (start, start), projected, unroll=unroll)  # (T, B, H)
    return hidden.swapaxes(0, 1)  # (B, T, H)


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


def forward(params, ids, unroll=1):
    x = embedding(params, "embedding", ids)  # (B, T, E)
    x = lstm(params, "lstm", x, unroll)  # (B, T, H)
    return dense(params, "logits", x)  # (B, T, V)


# Loss


def loss_fn(logits, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1))


# Optimizer

LEARNING_RATE, RHO, EPSILON, GLOBAL_CLIPNORM = 0.01, 0.9, 1e-7, 1.0


def init_slots(params):
    return {f"v/{name}": jnp.zeros_like(p) for name, p in params.items()}


def update(params, slots, gradients):
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in gradients.values()))
    params, slots = dict(params), dict(slots)
    for name, g in gradients.items():
        g = g * (GLOBAL_CLIPNORM / jnp.maximum(norm, GLOBAL_CLIPNORM))
        v = slots[f"v/{name}"] = RHO * slots[f"v/{name}"] + (1 - RHO) * g**2
        params[name] -= LEARNING_RATE * g / jnp.sqrt(v + EPSILON)
    return params, slots


# Training


@partial(jax.jit, donate_argnums=(0, 1))
def train_step(params, slots, x, y):
    loss, gradients = jax.value_and_grad(lambda params: loss_fn(forward(params, x), y))(params)
    return *update(params, slots, gradients), loss


def train(params, x, y, epochs=3, batch_size=32):
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

predict_step = jax.jit(partial(forward, unroll=True))  # pays without a backward pass only


def predict(params, x):
    return np.asarray(predict_step(params, x))


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    params = build()
    print("losses", train(params, data.x, data.y))
    print("held-out cross-entropy", loss_fn(predict(params, data.x_test), data.y_test), "nats per character")
