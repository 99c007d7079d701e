"""Three dense layers on handwritten digits, in TensorFlow 1.15: a graph, a session, and what is fed to it.

Adam is `tf.train.AdamOptimizer`, which is no piece of Keras and computes Kingma and Ba's (2015) second form.
"""

import numpy as np
import tensorflow as tf

# Model


def build(features=64, hidden=(128, 64), classes=10):
    widths = (features, hidden[0], hidden[1], classes)
    params = {}
    for name, inputs, units in zip(("hidden1", "hidden2", "logits"), widths, widths[1:]):
        params[name + "/kernel"] = tf.get_variable(name + "/kernel", (inputs, units))
        params[name + "/bias"] = tf.get_variable(name + "/bias", (units,), initializer=tf.zeros_initializer())
    return params


def dense(params, name, x):
    return tf.matmul(x, params[name + "/kernel"]) + params[name + "/bias"]


relu = tf.nn.relu


def forward(params, x, training=False):
    x = relu(dense(params, "hidden1", x))  # (B, first)
    x = relu(dense(params, "hidden2", x))  # (B, second)
    return dense(params, "logits", x)  # (B, classes)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))


# Optimizer


def make_optimizer(step):
    return tf.train.AdamOptimizer(0.001, beta1=0.9, beta2=0.999, epsilon=1e-7)


# Training


def make_graph(params):
    kernel, step = params["hidden1/kernel"], tf.train.get_or_create_global_step()
    x = tf.placeholder(kernel.dtype.base_dtype, (None, kernel.shape[0]))
    y = tf.placeholder(tf.int64, (None,))
    loss, optimizer = loss_fn(forward(params, x, training=True), y), make_optimizer(step)
    train = optimizer.minimize(loss, global_step=step)
    return {"x": x, "y": y, "loss": loss, "optimizer": optimizer, "train": train, "logits": forward(params, x)}


def train(session, graph, x, y, epochs=20, batch_size=64):
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

    x, y = load_digits(return_X_y=True)
    x = x / 16
    graph = make_graph(build())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        print("loss", train(session, graph, x[:1400], y[:1400])[-1])
        print("accuracy", np.mean(predict(session, graph, x[1400:]).argmax(-1) == y[1400:]))
