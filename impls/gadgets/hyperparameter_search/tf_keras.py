"""The learning rate found by scikit-learn's grid search, in Keras.

The wrapper's own fit_kwargs are lost when scikit-learn clones it (Keras 3.15.1), so they are given to fit.
"""

import keras
from keras import layers
from sklearn.model_selection import GridSearchCV, KFold

# Model


def build(features=64, hidden=(128, 64), classes=10):
    first, second = hidden
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(first, activation="relu", name="hidden1"),  # (B, first)
            layers.Dense(second, activation="relu", name="hidden2"),  # (B, second)
            layers.Dense(classes, name="logits"),  # (B, classes)
        ]
    )


# Loss

loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True)

# Optimizer


def make_optimizer(learning_rate):
    return keras.optimizers.SGD(learning_rate, momentum=0.5)


# Training


def make_model(X, y, learning_rate):
    model = build()
    model.compile(optimizer=make_optimizer(learning_rate), loss=loss_fn)
    return model


def search(x, y, epochs=20, batch_size=64):
    options = {"epochs": epochs, "batch_size": batch_size, "shuffle": False, "verbose": 0}
    estimator = keras.wrappers.SKLearnClassifier(make_model)
    rates = [{"learning_rate": rate} for rate in (0.03125, 0.125, 0.5)]
    grid = GridSearchCV(estimator, {"model_kwargs": rates}, cv=KFold(3)).fit(x, y, **options)
    return {"best": grid.best_params_["model_kwargs"]["learning_rate"], "scores": grid.cv_results_["mean_test_score"]}


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    print(search(data.x, data.y))
