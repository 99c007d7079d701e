"""Text generated greedily with a key-value cache, in TensorFlow ops."""

import math

import numpy as np
import tensorflow as tf

# Model


def build(vocabulary=97, steps=32, width=64, heads=4, blocks=2):
    normal = tf.random_normal_initializer(stddev=0.02)
    units = width // heads
    params = {"token/embeddings": normal((vocabulary, width)), "position/embeddings": normal((steps, width))}
    for b in range(1, blocks + 1):
        params |= make_norm(f"attention_norm{b}", width)
        for part in ("query", "key", "value"):
            params[f"attention{b}/{part}/kernel"] = normal((width, heads, units))
        params[f"attention{b}/attention_output/kernel"] = normal((heads, units, width))
        params |= make_norm(f"mlp_norm{b}", width)
        params |= {f"expand{b}/kernel": normal((width, 4 * width)), f"expand{b}/bias": tf.zeros(4 * width)}
        params |= {f"contract{b}/kernel": normal((4 * width, width)), f"contract{b}/bias": tf.zeros(width)}
    params |= make_norm("norm", width)
    return {name: tf.Variable(value) for name, value in params.items()}


def make_norm(name, width):
    return {f"{name}/gamma": tf.ones(width), f"{name}/beta": tf.zeros(width)}


def embedding(params, name, ids):
    return tf.gather(params[f"{name}/embeddings"], ids)


def position_embedding(params, name, x, start=0):
    return x + params[f"{name}/embeddings"][start : start + tf.shape(x)[1]]


def layernorm(params, name, x):
    mean, variance = tf.nn.moments(x, axes=-1, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, params[f"{name}/beta"], params[f"{name}/gamma"], 1e-3)


def attention(params, name, x, caches=None):
    kernels = (params[f"{name}/{part}/kernel"] for part in ("query", "key", "value"))
    q, k, v = (tf.einsum("btd,dhu->bthu", x, kernel) for kernel in kernels)  # (B, T, heads, units)
    if caches is not None:
        before = caches.get(name, (k[:, :0], v[:, :0]))
        k, v = caches[name] = tf.concat([before[0], k], 1), tf.concat([before[1], v], 1)
    scores = tf.einsum("bthu,bshu->bhts", q, k) / math.sqrt(q.shape[-1])
    earlier = tf.shape(k)[1] - tf.shape(q)[1]
    past = tf.linalg.band_part(tf.ones(tf.shape(scores)[-2:], tf.bool), -1, earlier)  # (T, S): query t sees keys before
    shares = tf.nn.softmax(tf.where(past, scores, scores.dtype.min))
    mixed = tf.einsum("bhts,bshu->bthu", shares, v)
    return tf.einsum("bthu,hud->btd", mixed, params[f"{name}/attention_output/kernel"])


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


def gelu(x):
    return 0.5 * x * (1 + tf.math.erf(x * 0.5**0.5))


def tied_head(params, name, x):
    return tf.matmul(x, params[f"{name}/embeddings"], transpose_b=True)


def forward(params, ids, training=False, caches=None, start=0):
    x = embedding(params, "token", ids)  # (B, T, D)
    x = position_embedding(params, "position", x, start)
    for b in range(1, 1 + sum(name.endswith("query/kernel") for name in params)):
        x += attention(params, f"attention{b}", layernorm(params, f"attention_norm{b}", x), caches)
        hidden = gelu(dense(params, f"expand{b}", layernorm(params, f"mlp_norm{b}", x)))  # (B, T, 4D)
        x += dense(params, f"contract{b}", hidden)
    return tied_head(params, "token", layernorm(params, "norm", x))  # (B, T, vocabulary)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


# Optimizer

FIRST_RATE, RATE, LAST_RATE, WARMUP, DECAY_STEPS = 3e-4, 3e-3, 3e-4, 10, 470
BETA_1, BETA_2, EPSILON, WEIGHT_DECAY, CLIP_NORM = 0.9, 0.99, 1e-7, 0.1, 1.0


def init_slots(params):
    slots = {f"{slot}/{name}": tf.Variable(tf.zeros_like(p)) for slot in "mv" for name, p in params.items()}
    return {"step": tf.Variable(0, dtype=tf.int64), **slots}


def learning_rate(step):
    falling = 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value((step - WARMUP) / DECAY_STEPS, 0, 1)))
    rising = FIRST_RATE + (RATE - FIRST_RATE) * step / WARMUP
    return tf.where(step < WARMUP, rising, LAST_RATE + (RATE - LAST_RATE) * falling)


def update(params, slots, gradients):
    step = tf.cast(slots["step"], params["norm/gamma"].dtype)
    rate, t = learning_rate(step), step + 1
    alpha = rate * tf.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    clipped, _ = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients.values()], CLIP_NORM)
    for name, g in zip(gradients, clipped, strict=True):
        if name.endswith(("kernel", "embeddings")):
            params[name].assign_sub(rate * WEIGHT_DECAY * params[name])
        m = slots[f"m/{name}"].assign(BETA_1 * slots[f"m/{name}"] + (1 - BETA_1) * g)
        v = slots[f"v/{name}"].assign(BETA_2 * slots[f"v/{name}"] + (1 - BETA_2) * g**2)
        params[name].assign_sub(alpha * m / (tf.sqrt(v) + EPSILON))
    slots["step"].assign_add(1)


# Training


def make_train_step(params, slots):
    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(forward(params, x, training=True), y)
        update(params, slots, tape.gradient(loss, params))
        return loss

    return train_step


def train(params, x, y, epochs=3, batch_size=32):
    train_step = make_train_step(params, init_slots(params))
    starts = range(0, len(x), batch_size)
    batches = [(tf.constant(x[i : i + batch_size]), tf.constant(y[i : i + batch_size])) for i in starts]
    history = []
    for _ in range(epochs):
        losses = tf.stack([train_step(*batch) for batch in batches])
        history.append(float(np.average(losses, weights=[len(x) for x, _ in batches])))
    return history


# Prediction

predict_step = tf.function(forward)


def predict(params, x):
    return predict_step(params, tf.constant(x)).numpy()


@tf.function(reduce_retracing=True)
def generate_step(params, new, caches, start):
    caches = dict(caches)
    return forward(params, new, caches=caches, start=start)[:, -1], caches


def generate(params, prompts, count):
    tokens = new = tf.constant(prompts)
    caches, start, logits = {}, tf.constant(0), []
    for _ in range(count):
        last, caches = generate_step(params, new, caches, start)  # (B, vocabulary)
        start = tf.shape(tokens)[1]
        new = tf.argmax(last, -1)[:, None]
        tokens = tf.concat([tokens, new], 1)
        logits.append(last)
    return {"tokens": tokens.numpy(), "logits": tf.stack(logits, 1).numpy()}


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    params = build()
    print("loss", train(params, data.x, data.y)[-1])
    text = generate(params, data.x_test[:3, :8], 24)["tokens"]
    alphabet = np.array([*map(chr, range(32, 127)), "\n", "?"])
    print("\n---\n".join("".join(alphabet[ids]) for ids in text))
