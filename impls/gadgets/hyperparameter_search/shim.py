"""The learning rate found by scikit-learn's grid search, with Triptych's shim."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, KFold

from impls import shim

# Model


def build(features=64, hidden=(128, 64), classes=10):
    layers = [
        shim.Dense(hidden[0], activation="relu", name="hidden1"),
        shim.Dense(hidden[1], activation="relu", name="hidden2"),
        shim.Dense(classes, name="logits"),
    ]
    return shim.Sequential(layers, inputs=(features,))


# Loss

LOSS = "softmax_cross_entropy"

# Optimizer


def make_optimizer(learning_rate):
    return shim.SGD(learning_rate, momentum=0.5)


# Training


def train(model, x, y, epochs=20, batch_size=64, learning_rate=0.125):
    model.compile(optimizer=make_optimizer(learning_rate), loss=LOSS)
    return model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False)["loss"]


# Prediction


def predict(model, x):
    return model.predict(x)


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
