"""The learning rate found by scikit-learn's grid search, in PyTorch."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, KFold
from torch import nn
from torch.nn import functional as F

# Model


def build(features=64, hidden=(128, 64), classes=10):
    first, second = hidden
    return nn.Sequential(
        nn.Linear(features, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, classes),
    )


# Loss


def loss_fn(logits, y):
    return F.cross_entropy(logits, y)


# Optimizer


def make_optimizer(model, learning_rate):
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.5)


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=20, batch_size=64, learning_rate=0.125):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    optimizer = make_optimizer(model, learning_rate)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [train_step(model, optimizer, *batch) for batch in batches]
        history.append(float(np.average(torch.stack(losses), weights=[len(x) for x, _ in batches])))
    return history


# Prediction


@torch.inference_mode()
def predict(model, x):
    model.eval()
    return model(torch.tensor(x)).numpy()


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
