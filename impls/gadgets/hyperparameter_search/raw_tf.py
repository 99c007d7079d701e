"""The learning rate found by scikit-learn's grid search, in TensorFlow ops."""

import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, KFold

# Model


def glorot_uniform(*shape):
    limit = (6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1]))) ** 0.5
    return tf.Variable(tf.random.uniform(shape, -limit, limit))


def build(features=64, hidden=(128, 64), classes=10):
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

MOMENTUM = 0.5


def init_slots(params):
    return {name: tf.Variable(tf.zeros_like(p)) for name, p in params.items()}


def update(params, slots, gradients, learning_rate):
    for name, g in gradients.items():
        m = slots[name].assign(MOMENTUM * slots[name] - learning_rate * g)
        params[name].assign_add(m)


# Training


def make_train_step(params, slots, learning_rate):
    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(forward(params, x), y)
        update(params, slots, tape.gradient(loss, params), learning_rate)
        return loss

    return train_step


def train(params, x, y, epochs=20, batch_size=64, learning_rate=0.125):
    train_step = make_train_step(params, init_slots(params), learning_rate)
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


class Classifier(ClassifierMixin, BaseEstimator):
    def __init__(self, learning_rate=0.125, epochs=20, batch_size=64):
        self.learning_rate, self.epochs, self.batch_size = learning_rate, epochs, batch_size

    def fit(self, x, y):
        self.classes_, self.model_ = np.unique(y), build()
        train(self.model_, x, y, self.epochs, self.batch_size, self.learning_rate)
        return self

    def predict(self, x):
        return predict(self.model_, x).argmax(-1)


def search(x, y, epochs=20, batch_size=64):
    estimator = Classifier(epochs=epochs, batch_size=batch_size)
    grid = GridSearchCV(estimator, {"learning_rate": [0.03125, 0.125, 0.5]}, cv=KFold(3)).fit(x, y)
    return {"best": grid.best_params_["learning_rate"], "scores": grid.cv_results_["mean_test_score"]}


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    print(search(data.x, data.y))
