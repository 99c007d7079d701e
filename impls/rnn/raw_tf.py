"""An LSTM that predicts the next character of Python's documentation, in TensorFlow ops.

LSTM: Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000). RMSprop: Tieleman and Hinton
(2012). Clipping by global norm: Pascanu et al. (2013).
"""

import numpy as np
import tensorflow as tf

# Model


def glorot_uniform(*shape):
    limit = (6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1]))) ** 0.5
    return tf.Variable(tf.random.uniform(shape, -limit, limit))


def build(vocabulary=97, embed=32, units=64):
    return {
        "embedding/embeddings": tf.Variable(tf.random.uniform((vocabulary, embed), -0.05, 0.05)),
        "lstm/kernel": glorot_uniform(embed, 4 * units),
        "lstm/recurrent_kernel": glorot_uniform(units, 4 * units),
        "lstm/bias": tf.Variable(tf.zeros(4 * units)),
        "logits/kernel": glorot_uniform(units, vocabulary),
        "logits/bias": tf.Variable(tf.zeros(vocabulary)),
    }


def embedding(params, name, x):
    return tf.gather(params[f"{name}/embeddings"], x)


def lstm(params, name, x):
    z = x @ params[f"{name}/kernel"] + params[f"{name}/bias"]  # (B, T, 4H)
    recurrent = params[f"{name}/recurrent_kernel"]
    h = c = tf.zeros((x.shape[0], recurrent.shape[0]), x.dtype)  # (B, H)
    outputs = []
    for z_t in tf.unstack(z, axis=1):  # unrolled: a while loop in the graph takes three times as long
        i, f, g, o = tf.split(z_t + h @ recurrent, 4, axis=1)  # (B, H) each
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        outputs.append(h)
    return tf.stack(outputs, axis=1)  # (B, T, H)


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


def forward(params, x, training=False):
    x = embedding(params, "embedding", x)  # (B, T, embed)
    x = lstm(params, "lstm", x)  # (B, T, units)
    return dense(params, "logits", x)  # (B, T, vocabulary)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


# Optimizer

LEARNING_RATE, RHO, EPSILON, CLIP_NORM = 0.01, 0.9, 1e-7, 1.0


def init_slots(params):
    return {f"v/{name}": tf.Variable(tf.zeros_like(p)) for name, p in params.items()}


def update(params, slots, gradients):
    # Dense, because the norm of the embedding's slices would count each occurrence of a character by itself.
    clipped, _ = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients.values()], CLIP_NORM)
    for name, g in zip(gradients, clipped, strict=True):
        v = slots[f"v/{name}"].assign(RHO * slots[f"v/{name}"] + (1 - RHO) * g**2)
        params[name].assign_sub(LEARNING_RATE * g / tf.sqrt(v + EPSILON))


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


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    params = build()
    print("loss", train(params, data.x, data.y)[-1])
    print("cross-entropy", float(loss_fn(predict(params, data.x_test), data.y_test)))
