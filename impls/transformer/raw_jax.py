"""A small GPT that predicts the next character of Python's documentation, in JAX functions.

Attention: Vaswani et al. (2017). Norms in front, GELU, learned positions: Radford et al. (2019). A head tied to the
table: Press and Wolf (2017). AdamW and cosine: Loshchilov and Hutter (2017, 2019). Clipping: Pascanu et al. (2013).
Attention is written out, because jax.nn.dot_product_attention takes its softmax in float32 where all else is float64.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

# Model


def build(vocabulary=97, steps=32, width=64, heads=4, blocks=2):
    units = width // heads
    shapes = {"token/embeddings": (vocabulary, width), "position/embeddings": (steps, width)}
    for b in range(1, blocks + 1):
        shapes |= {f"attention_norm{b}/gamma": (width,), f"attention_norm{b}/beta": (width,)}
        for part in ("query", "key", "value"):
            shapes[f"attention{b}/{part}/kernel"] = (width, heads, units)
        shapes[f"attention{b}/attention_output/kernel"] = (heads, units, width)
        shapes |= {f"mlp_norm{b}/gamma": (width,), f"mlp_norm{b}/beta": (width,)}
        shapes |= {f"expand{b}/kernel": (width, 4 * width), f"expand{b}/bias": (4 * width,)}
        shapes |= {f"contract{b}/kernel": (4 * width, width), f"contract{b}/bias": (width,)}
    shapes |= {"norm/gamma": (width,), "norm/beta": (width,)}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return {name: first_values(key, name, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)}


def first_values(key, name, shape):
    if name.endswith("gamma"):
        return jnp.ones(shape)
    return jnp.zeros(shape) if name.endswith(("beta", "bias")) else 0.02 * jax.random.normal(key, shape)


def embedding(params, name, ids):
    return params[f"{name}/embeddings"][ids]  # (B, T) -> (B, T, D)


def position_embedding(params, name, x):
    return x + params[f"{name}/embeddings"][: x.shape[1]]


def layernorm(params, name, x):
    x = x - x.mean(-1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-3)
    return x * scale * params[f"{name}/gamma"] + params[f"{name}/beta"]


def attention(params, name, x):
    kernels = (params[f"{name}/{part}/kernel"] for part in ("query", "key", "value"))
    q, k, v = (jnp.einsum("btd,dhu->bthu", x, kernel) for kernel in kernels)  # (B, T, heads, units)
    scores = jnp.einsum("bthu,bshu->bhts", q, k) / math.sqrt(q.shape[-1])
    past = jnp.tri(x.shape[1], dtype=bool)  # (T, T): query t sees keys 0 to t
    shares = jax.nn.softmax(jnp.where(past, scores, -jnp.inf))
    mixed = jnp.einsum("bhts,bshu->bthu", shares, v)
    return jnp.einsum("bthu,hud->btd", mixed, params[f"{name}/attention_output/kernel"])


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


gelu = partial(jax.nn.gelu, approximate=False)


def tied_head(params, name, x):
    return x @ params[f"{name}/embeddings"].T


def forward(params, ids):
    x = embedding(params, "token", ids)  # (B, T, D)
    x = position_embedding(params, "position", x)
    for b in range(1, 1 + sum(name.endswith("query/kernel") for name in params)):
        x += attention(params, f"attention{b}", layernorm(params, f"attention_norm{b}", x))
        hidden = gelu(dense(params, f"expand{b}", layernorm(params, f"mlp_norm{b}", x)))  # (B, T, 4D)
        x += dense(params, f"contract{b}", hidden)
    return tied_head(params, "token", layernorm(params, "norm", x))  # (B, T, vocabulary)


# Loss


def loss_fn(logits, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1))


# Optimizer

FIRST_RATE, RATE, LAST_RATE, WARMUP, DECAY_STEPS = 3e-4, 3e-3, 3e-4, 10, 470
BETA_1, BETA_2, EPSILON, WEIGHT_DECAY, GLOBAL_CLIPNORM = 0.9, 0.99, 1e-7, 0.1, 1.0


def init_slots(params):
    slots = {f"{slot}/{name}": jnp.zeros_like(p) for slot in "mv" for name, p in params.items()}
    return {"step": jnp.zeros((), int), **slots}


def learning_rate(step):
    falling = 0.5 * (1 + jnp.cos(math.pi * jnp.clip((step - WARMUP) / DECAY_STEPS, 0, 1)))
    rising = FIRST_RATE + (RATE - FIRST_RATE) * step / WARMUP
    return jnp.where(step < WARMUP, rising, LAST_RATE + (RATE - LAST_RATE) * falling)


def update(params, slots, gradients):
    rate, t = learning_rate(slots["step"]), slots["step"] + 1
    alpha = rate * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in gradients.values()))
    params, slots = dict(params), slots | {"step": t}
    for name, g in gradients.items():
        g = g * (GLOBAL_CLIPNORM / jnp.maximum(norm, GLOBAL_CLIPNORM))
        if name.endswith(("kernel", "embeddings")):
            params[name] -= rate * WEIGHT_DECAY * params[name]
        m = slots[f"m/{name}"] = BETA_1 * slots[f"m/{name}"] + (1 - BETA_1) * g
        v = slots[f"v/{name}"] = BETA_2 * slots[f"v/{name}"] + (1 - BETA_2) * g**2
        params[name] -= alpha * m / (jnp.sqrt(v) + EPSILON)
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

predict_step = jax.jit(forward)


def predict(params, x):
    return np.asarray(predict_step(params, x))


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    params = build()
    print("losses", train(params, data.x, data.y))
    print("held-out cross-entropy", loss_fn(predict(params, data.x_test), data.y_test), "nats per character")
