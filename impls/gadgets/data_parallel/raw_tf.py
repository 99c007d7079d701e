"""Trained by several processes, each with its share of every batch, in TensorFlow ops.

Each process has the same cluster and its own task in TF_CONFIG; the shares have to be of one size.
"""

import numpy as np
import tensorflow as tf

# Model

STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()


def glorot_uniform(*shape):
    limit = (6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1]))) ** 0.5
    return tf.Variable(tf.random.uniform(shape, -limit, limit))


def build(features=64, hidden=(128, 64), classes=10):
    tf.random.set_seed(0)
    first, second = hidden
    return {
        "hidden1/kernel": glorot_uniform(features, first),
        "hidden1/bias": tf.Variable(tf.zeros(first)),
        "hidden2/kernel": glorot_uniform(first, second),
        "hidden2/bias": tf.Variable(tf.zeros(second)),
        "logits/kernel": glorot_uniform(second, classes),
        "logits/bias": tf.Variable(tf.zeros(classes)),
    }


def dense(params, name, x):
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


def forward(params, x):
    x = tf.nn.relu(dense(params, "hidden1", x))  # (B, first)
    x = tf.nn.relu(dense(params, "hidden2", x))  # (B, second)
    return dense(params, "logits", x)  # (B, classes)


# Loss


def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


# Optimizer

LEARNING_RATE, MOMENTUM = 0.125, 0.5


def init_slots(params):
    return {name: tf.Variable(tf.zeros_like(p)) for name, p in params.items()}


def update(params, slots, gradients):
    for name, g in gradients.items():
        m = slots[name].assign(MOMENTUM * slots[name] - LEARNING_RATE * g)
        params[name].assign_add(m)


# Training


def make_train_step(params, slots):
    def replica_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(forward(params, x), y)
        replicas = tf.distribute.get_replica_context()
        loss, gradients = replicas.all_reduce("MEAN", (loss, tape.gradient(loss, params)))
        update(params, slots, gradients)
        return loss

    @tf.function
    def train_step(x, y):
        return STRATEGY.run(replica_step, (x, y))

    return train_step


def train(params, x, y, epochs=20, batch_size=64):
    rank, processes = STRATEGY.cluster_resolver.task_id, STRATEGY.num_replicas_in_sync
    x, y, batch_size = x[rank::processes], y[rank::processes], batch_size // processes
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

    data = DATASETS["digits"]()
    params = build()
    print("loss", train(params, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(params, data.x_test).argmax(-1) == data.y_test))
