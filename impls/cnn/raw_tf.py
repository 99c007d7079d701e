"""Two convolutions with BatchNorm on handwritten digits, in TensorFlow ops.

BatchNorm: Ioffe and Szegedy (2015), with the batch's own (biased) variance in the running statistics. Nesterov's
momentum as Sutskever et al. (2013) write it, with the rate inside the velocity.
"""

import numpy as np
import tensorflow as tf

# Model


def glorot_uniform(*shape):
    limit = (6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1]))) ** 0.5
    return tf.Variable(tf.random.uniform(shape, -limit, limit))


def build(image=(8, 8, 1), filters=(16, 32), classes=10):
    (height, width, channels), (first, second) = image, filters
    params = {
        "conv1/kernel": glorot_uniform(3, 3, channels, first),
        "conv2/kernel": glorot_uniform(3, 3, first, second),
    }
    for name, size in ("bn1", first), ("bn2", second):
        params[f"{name}/gamma"] = tf.Variable(tf.ones(size))
        params[f"{name}/beta"] = tf.Variable(tf.zeros(size))
        params[f"{name}/moving_mean"] = tf.Variable(tf.zeros(size), trainable=False)
        params[f"{name}/moving_variance"] = tf.Variable(tf.ones(size), trainable=False)
    params["logits/kernel"] = glorot_uniform((height // 4) * (width // 4) * second, classes)
    params["logits/bias"] = tf.Variable(tf.zeros(classes))
    return params


def conv2d(params, name, x, strides=1):
    return tf.nn.conv2d(x, params[f"{name}/kernel"], strides, "SAME")


def batchnorm(params, name, x, training, momentum=0.9, epsilon=1e-3):
    gamma, beta, mean, variance = (params[f"{name}/{p}"] for p in ("gamma", "beta", "moving_mean", "moving_variance"))
    if training:
        running = mean, variance
        mean, variance = tf.nn.moments(x, axes=(0, 1, 2))  # (C,), (C,)
        for average, value in zip(running, (mean, variance), strict=True):
            average.assign(momentum * average + (1 - momentum) * value)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


def maxpool2d(x):
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def flatten(x):
    return tf.reshape(x, (len(x), -1))


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


relu = tf.nn.relu


def forward(params, x, training=False):
    x = relu(batchnorm(params, "bn1", conv2d(params, "conv1", x), training))  # (B, H, W, first)
    x = maxpool2d(x)  # (B, H/2, W/2, first)
    x = relu(batchnorm(params, "bn2", conv2d(params, "conv2", x, strides=2), training))  # (B, H/4, W/4, second)
    return dense(params, "logits", flatten(x))  # (B, classes)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


# Optimizer

LEARNING_RATE, DECAY_STEPS, DECAY_RATE, MOMENTUM = 0.05, 100, 0.8, 0.9


def init_slots(params):
    slots = {f"m/{name}": tf.Variable(tf.zeros_like(p)) for name, p in params.items() if p.trainable}
    return {"step": tf.Variable(0, dtype=tf.int64), **slots}


def update(params, slots, gradients):
    step = tf.cast(slots["step"], params["logits/bias"].dtype)
    rate = LEARNING_RATE * DECAY_RATE ** (step / DECAY_STEPS)
    for name, g in gradients.items():
        m = slots[f"m/{name}"].assign(MOMENTUM * slots[f"m/{name}"] - rate * g)
        params[name].assign_add(MOMENTUM * m - rate * g)
    slots["step"].assign_add(1)


# Training


def make_train_step(params, slots):
    weights = {name: p for name, p in params.items() if p.trainable}

    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(forward(params, x, training=True), y)
        update(params, slots, tape.gradient(loss, weights))
        return loss

    return train_step


def train(params, x, y, epochs=12, batch_size=64):
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


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digit_images"]()
    params = build()
    print("loss", train(params, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(params, data.x_test).argmax(-1) == data.y_test))
