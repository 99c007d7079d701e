"""Two convolutions with BatchNorm on handwritten digits, in TensorFlow 1.15: a graph, a session, and what is fed to it.

The optimizer is `tf.train.MomentumOptimizer`, which is no piece of Keras; its rate stands outside the velocity.
"""

import numpy as np
import tensorflow as tf

# Model


def build(image=(8, 8, 1), filters=(16, 32), classes=10):
    (height, width, channels), (first, second) = image, filters
    inputs = (height // 4) * (width // 4) * second
    params = {
        "conv1/kernel": tf.get_variable("conv1/kernel", (3, 3, channels, first)),
        "conv2/kernel": tf.get_variable("conv2/kernel", (3, 3, first, second)),
        "logits/kernel": tf.get_variable("logits/kernel", (inputs, classes)),
        "logits/bias": tf.get_variable("logits/bias", (classes,), initializer=tf.zeros_initializer()),
    }
    zeros, ones = tf.zeros_initializer(), tf.ones_initializer()
    for name, size in ("bn1", first), ("bn2", second):
        for weight, start in ("gamma", ones), ("beta", zeros), ("moving_mean", zeros), ("moving_variance", ones):
            key, trainable = name + "/" + weight, weight in ("gamma", "beta")
            params[key] = tf.get_variable(key, (size,), initializer=start, trainable=trainable)
    return params


def conv2d(params, name, x, strides=1):
    return tf.nn.conv2d(x, params[name + "/kernel"], strides, "SAME")


def batchnorm(params, name, x, training, momentum=0.9, epsilon=1e-3):
    gamma, beta, mean, variance = (params[name + "/" + p] for p in ("gamma", "beta", "moving_mean", "moving_variance"))
    if training:
        running = mean, variance
        mean, variance = tf.nn.moments(x, axes=(0, 1, 2))  # (C,), (C,)
        for average, value in zip(running, (mean, variance)):
            moved = tf.assign(average, momentum * average + (1 - momentum) * value)
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, moved)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


def maxpool2d(x):
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def flatten(x):
    return tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))


def dense(params, name, x):
    return tf.matmul(x, params[name + "/kernel"]) + params[name + "/bias"]


relu = tf.nn.relu


def forward(params, x, training=False):
    x = relu(batchnorm(params, "bn1", conv2d(params, "conv1", x), training))  # (B, H, W, first)
    x = maxpool2d(x)  # (B, H/2, W/2, first)
    x = relu(batchnorm(params, "bn2", conv2d(params, "conv2", x, strides=2), training))  # (B, H/4, W/4, second)
    return dense(params, "logits", flatten(x))  # (B, classes)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))


# Optimizer


def make_optimizer(step):
    rate = tf.train.exponential_decay(0.05, step, decay_steps=100, decay_rate=0.8)
    return tf.train.MomentumOptimizer(rate, momentum=0.9, use_nesterov=True)


# Training


def make_graph(params, image=(8, 8, 1)):
    step = tf.train.get_or_create_global_step()
    x = tf.placeholder(params["conv1/kernel"].dtype.base_dtype, (None,) + image)
    y = tf.placeholder(tf.int64, (None,))
    loss, optimizer = loss_fn(forward(params, x, training=True), y), make_optimizer(step)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train = optimizer.minimize(loss, global_step=step)
    return {"x": x, "y": y, "loss": loss, "optimizer": optimizer, "train": train, "logits": forward(params, x)}


def train(session, graph, x, y, epochs=12, batch_size=64):
    starts = range(0, len(x), batch_size)
    feeds = [{graph["x"]: x[i : i + batch_size], graph["y"]: y[i : i + batch_size]} for i in starts]
    history = []
    for _ in range(epochs):
        losses = [session.run([graph["loss"], graph["train"]], feed)[0] for feed in feeds]
        history.append(np.average(losses, weights=[len(feed[graph["x"]]) for feed in feeds]))
    return history


# Prediction


def predict(session, graph, x):
    return session.run(graph["logits"], {graph["x"]: x})


if __name__ == "__main__":
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.images[..., None] / 16, digits.target
    graph = make_graph(build())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        print("loss", train(session, graph, x[:1400], y[:1400])[-1])
        print("accuracy", np.mean(predict(session, graph, x[1400:]).argmax(-1) == y[1400:]))
