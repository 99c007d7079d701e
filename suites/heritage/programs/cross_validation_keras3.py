"""Keras 3's wrapper: petal width of Iris by the other three, five folds, fixed weights, 50 steps of all examples."""

import keras
import numpy as np
from keras.layers import Dense, Input
from keras.wrappers import SKLearnRegressor
from sklearn.datasets import load_iris
from sklearn.model_selection import KFold, cross_val_score

keras.config.set_floatx("float64")
keras.config.disable_interactive_logging()  # predict draws a progress bar otherwise
data = load_iris().data
x, y = data[:, :3] - data[:, :3].mean(0), data[:, 3]


def build(X, y):
    model = keras.Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(1)])
    model.set_weights([np.cos(np.arange(w.size)).reshape(w.shape) for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


folds, words = KFold(5, shuffle=True, random_state=0), {"epochs": 50, "batch_size": 150, "verbose": 0}
for said, estimator, params in (
    ("", SKLearnRegressor(build), words),
    ("with fit_kwargs, which clone() drops: ", SKLearnRegressor(build, fit_kwargs=words), {"verbose": 0}),
):
    for scoring in ("neg_mean_squared_error", None):
        scores = cross_val_score(estimator, x, y, cv=folds, scoring=scoring, params=params)
        print(said + (scoring or "its own score"), [float(f"{score:.10g}") for score in scores])
