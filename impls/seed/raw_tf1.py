"""Two dense layers on Iris, in TensorFlow 1.15: a graph, a session, and what is fed to it.

Adam is `tf.train.AdamOptimizer`, which is no piece of Keras and computes Kingma and Ba's (2015) second form.
"""

import numpy as np
import tensorflow as tf

# Model


def build(features=4, hidden=8):
    return {
        "hidden/kernel": tf.get_variable("hidden/kernel", (features, hidden)),
        "hidden/bias": tf.get_variable("hidden/bias", (hidden,), initializer=tf.zeros_initializer()),
        "logits/kernel": tf.get_variable("logits/kernel", (hidden, 1)),
        "logits/bias": tf.get_variable("logits/bias", (1,), initializer=tf.zeros_initializer()),
    }


def dense(params, name, x):
    return tf.matmul(x, params[name + "/kernel"]) + params[name + "/bias"]


relu = tf.nn.relu


def forward(params, x, training=False):
    x = relu(dense(params, "hidden", x))  # (B, hidden)
    return dense(params, "logits", x)  # (B, 1)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits))


# Optimizer


def make_optimizer(step):
    return tf.train.AdamOptimizer(0.01, beta1=0.9, beta2=0.999, epsilon=1e-7)


# Training


def make_graph(params):
    kernel, step = params["hidden/kernel"], tf.train.get_or_create_global_step()
    x = tf.placeholder(kernel.dtype.base_dtype, (None, kernel.shape[0]))
    y = tf.placeholder(kernel.dtype.base_dtype, (None, 1))
    loss, optimizer = loss_fn(forward(params, x, training=True), y), make_optimizer(step)
    train = optimizer.minimize(loss, global_step=step)
    return {"x": x, "y": y, "loss": loss, "optimizer": optimizer, "train": train, "logits": forward(params, x)}


def train(session, graph, x, y, epochs=100, batch_size=32):
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
    from sklearn.datasets import load_iris

    x, species = load_iris(return_X_y=True)
    x, y = (x[50:] - x[50:].mean(0)) / x[50:].std(0), species[50:, None] == 2
    graph = make_graph(build())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        print("loss", train(session, graph, x, y)[-1])
        print("accuracy", np.mean((predict(session, graph, x) > 0) == y))
