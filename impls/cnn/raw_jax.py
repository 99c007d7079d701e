"""Two convolutions with BatchNorm on handwritten digits, in JAX functions.

SGD with Nesterov momentum as Keras has it: the rate is inside the velocity, which matters as soon as it decays.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Model


def build(image=(8, 8, 1), filters=(16, 32), classes=10):
    glorot_uniform = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(jax.random.key(0), 3)
    height, width, channels = image
    first, second = filters
    params = {
        "conv1/kernel": glorot_uniform(keys[0], (3, 3, channels, first)),
        "conv2/kernel": glorot_uniform(keys[1], (3, 3, first, second)),
        "logits/kernel": glorot_uniform(keys[2], (height // 4 * (width // 4) * second, classes)),
        "logits/bias": jnp.zeros(classes),
    }
    for name, size in (("bn1", first), ("bn2", second)):
        params |= {f"{name}/gamma": jnp.ones(size), f"{name}/beta": jnp.zeros(size)}
        params |= {f"{name}/moving_mean": jnp.zeros(size), f"{name}/moving_variance": jnp.ones(size)}
    return params


def trainable(params):
    return {name: p for name, p in params.items() if "moving" not in name}


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


def conv2d(params, name, x, stride=1):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, params[f"{name}/kernel"], (stride, stride), "SAME", dimension_numbers=layout)


def batchnorm(params, name, x, moved=None):
    mean, variance = params[f"{name}/moving_mean"], params[f"{name}/moving_variance"]
    if moved is not None:
        batch_mean, batch_variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        moved[f"{name}/moving_mean"] = 0.9 * mean + 0.1 * batch_mean
        moved[f"{name}/moving_variance"] = 0.9 * variance + 0.1 * batch_variance
        mean, variance = batch_mean, batch_variance
    scale = params[f"{name}/gamma"] * lax.rsqrt(variance + 1e-3)
    return x * scale + (params[f"{name}/beta"] - mean * scale)


relu = jax.nn.relu


def first_max(a, b):
    return jnp.where(a >= b, a, b)  # at a tie jnp.maximum would split the gradient


def maxpool2d(x):
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)  # (B, H/2, 2, W/2, 2, C)
    x = first_max(x[..., 0, :], x[..., 1, :])  # (B, H/2, 2, W/2, C)
    return first_max(x[:, :, 0], x[:, :, 1])  # (B, H/2, W/2, C)


def flatten(x):
    return x.reshape(len(x), -1)  # (B, H * W * C)


def forward(params, x, moved=None):
    x = relu(batchnorm(params, "bn1", conv2d(params, "conv1", x), moved))  # (B, H, W, first)
    x = maxpool2d(x)  # (B, H/2, W/2, first)
    x = relu(batchnorm(params, "bn2", conv2d(params, "conv2", x, stride=2), moved))  # (B, H/4, W/4, second)
    return dense(params, "logits", flatten(x))  # (B, classes)


# Loss


def loss_fn(logits, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1))


# Optimizer

LEARNING_RATE, DECAY_STEPS, DECAY_RATE, MOMENTUM = 0.05, 100, 0.8, 0.9


def init_slots(params):
    return {"step": jnp.zeros((), int), **{f"m/{name}": jnp.zeros_like(p) for name, p in trainable(params).items()}}


def update(params, slots, gradients):
    rate = LEARNING_RATE * DECAY_RATE ** (slots["step"] / DECAY_STEPS)
    params, slots = dict(params), slots | {"step": slots["step"] + 1}
    for name, g in gradients.items():
        m = slots[f"m/{name}"] = MOMENTUM * slots[f"m/{name}"] - rate * g
        params[name] += MOMENTUM * m - rate * g
    return params, slots


# Training


@partial(jax.jit, donate_argnums=(0, 1))
def train_step(params, slots, x, y):
    def objective(weights):
        moved = {}
        loss = loss_fn(forward(params | weights, x, moved), y)
        return loss, moved

    (loss, moved), gradients = jax.value_and_grad(objective, has_aux=True)(trainable(params))
    return *update(params | moved, slots, gradients), loss


def train(params, x, y, epochs=12, batch_size=64):
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

    data = DATASETS["digit_images"]()
    params = build()
    print("losses", train(params, data.x, data.y))
    print("accuracy", np.mean(predict(params, data.x_test).argmax(1) == data.y_test))
