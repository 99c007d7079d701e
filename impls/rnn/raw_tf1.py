"""An LSTM that predicts the next character of Python's documentation, in TensorFlow 1.15: a graph and a session.

LSTM: Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000). The optimizer is
`tf.train.RMSPropOptimizer`, which is no piece of Keras; its mean square starts at one.
"""

import numpy as np
import tensorflow as tf

# Model


def build(vocabulary=97, embed=32, units=64):
    zeros, uniform = tf.zeros_initializer(), tf.random_uniform_initializer(-0.05, 0.05)
    return {
        "embedding/embeddings": tf.get_variable("embedding/embeddings", (vocabulary, embed), initializer=uniform),
        "lstm/kernel": tf.get_variable("lstm/kernel", (embed, 4 * units)),
        "lstm/recurrent_kernel": tf.get_variable("lstm/recurrent_kernel", (units, 4 * units)),
        "lstm/bias": tf.get_variable("lstm/bias", (4 * units,), initializer=zeros),
        "logits/kernel": tf.get_variable("logits/kernel", (units, vocabulary)),
        "logits/bias": tf.get_variable("logits/bias", (vocabulary,), initializer=zeros),
    }


def embedding(params, name, x):
    return tf.nn.embedding_lookup(params[name + "/embeddings"], x)


def lstm(params, name, x):
    z = tf.tensordot(x, params[name + "/kernel"], 1) + params[name + "/bias"]  # (B, T, 4H)
    recurrent = params[name + "/recurrent_kernel"]
    h = c = tf.zeros((tf.shape(x)[0], recurrent.shape[0]), x.dtype)  # (B, H)
    outputs = []
    for z_t in tf.unstack(z, axis=1):
        i, f, g, o = tf.split(z_t + tf.matmul(h, recurrent), 4, axis=1)  # (B, H) each
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        outputs.append(h)
    return tf.stack(outputs, axis=1)  # (B, T, H)


def dense(params, name, x):
    return tf.tensordot(x, params[name + "/kernel"], 1) + params[name + "/bias"]


def forward(params, x, training=False):
    x = embedding(params, "embedding", x)  # (B, T, embed)
    x = lstm(params, "lstm", x)  # (B, T, units)
    return dense(params, "logits", x)  # (B, T, vocabulary)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))


# Optimizer


def make_optimizer(step):
    return tf.train.RMSPropOptimizer(0.01, decay=0.9, epsilon=1e-7)


# Training


def make_graph(params, steps=32):
    step = tf.train.get_or_create_global_step()
    x, y = (tf.placeholder(tf.int64, (None, steps)) for _ in "xy")
    loss, optimizer = loss_fn(forward(params, x, training=True), y), make_optimizer(step)
    gradients, weights = zip(*optimizer.compute_gradients(loss))
    clipped, _ = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients], 1.0)
    train = optimizer.apply_gradients(zip(clipped, weights), global_step=step)
    return {"x": x, "y": y, "loss": loss, "optimizer": optimizer, "train": train, "logits": forward(params, x)}


def train(session, graph, x, y, epochs=3, batch_size=32):
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
    from pydoc_data.topics import topics

    text = np.frombuffer("".join(topics.values()).encode("ascii", "replace"), np.uint8)
    codes = np.where(text < 32, 95, np.minimum(text, 127) - 32)[: 2000 * 32 + 1]
    graph = make_graph(build())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        print("loss", train(session, graph, codes[:-1].reshape(-1, 32), codes[1:].reshape(-1, 32))[-1])
