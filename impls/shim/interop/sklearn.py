"""scikit-learn's estimators on top of a model: they pass `sklearn.utils.estimator_checks.check_estimator`."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from impls.shim.data import Data
from impls.shim.layers import Dense
from impls.shim.optimizers import Adam
from impls.shim.sequential import Sequential


class Estimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share.

    `layers(outputs)` gives the layers of the model, the last with `outputs` units; without it they are Dense layers of
    `hidden` units. float64, as scikit-learn's own estimators compute. A pickled estimator carries weights, no model.
    """

    loss = ""

    def __init__(
        self, layers: Any = None, hidden: Any = (32,), optimizer: Any = None, epochs: int = 100, batch_size: int = 32,
        backend: str | None = None, mode: str | None = None, dtype: str = "float64", random_state: Any = 0,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        self.layers, self.hidden, self.optimizer = layers, hidden, optimizer
        self.epochs, self.batch_size, self.random_state = epochs, batch_size, random_state
        self.backend, self.mode, self.dtype = backend, mode, dtype
        self.device = device

    def _build(self) -> Sequential:
        dense = [*(Dense(units, activation="relu") for units in self.hidden), Dense(self.outputs_)]
        options: dict[str, Any] = {"backend": self.backend, "mode": self.mode, "dtype": self.dtype}
        options.update(device=self.device, seed=self.seed_)
        model = Sequential(
            self.layers(self.outputs_) if self.layers else dense, inputs=(self.n_features_in_,), **options
        )
        model.compile(optimizer=Adam(0.01) if self.optimizer is None else self.optimizer, loss=self.loss)
        return model

    def _train(self, X: Data, y: Data, outputs: int) -> None:
        self.outputs_, self.seed_ = outputs, int(check_random_state(self.random_state).randint(2**31 - 1))
        self._model = self._build()
        self.history_ = self._model.fit(X, y, epochs=self.epochs, batch_size=self.batch_size)
        self.weights_ = self._model.get_weights()

    def _outputs(self, X: Data) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype="float64")
        if self._model is None:
            self._model = self._build()
            self._model.set_weights(self.weights_)
        return np.asarray(self._model.predict(X))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        return {**state, "_model": None} if "_model" in state else state


class Classifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """A classifier of any labels by softmax cross-entropy."""

    loss = "softmax_cross_entropy"

    def fit(self, X: Data, y: Data) -> Classifier:
        """Train on examples (N, features) and labels (N,)."""
        X, y = validate_data(self, X, y, dtype="float64")
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._train(X, labels, len(self.classes_))
        return self

    def predict_proba(self, X: Data) -> np.ndarray:
        """The probability of each class of `classes_`: (N, classes)."""
        logits = self._outputs(X)
        e = np.exp(logits - logits.max(-1, keepdims=True))
        return np.asarray(e / e.sum(-1, keepdims=True))

    def predict(self, X: Data) -> np.ndarray:
        """The likeliest class of each example."""
        likeliest = self._outputs(X).argmax(-1)
        return np.asarray(self.classes_[likeliest])


class Regressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """A regressor of one number by squared error."""

    loss = "mean_squared_error"

    def fit(self, X: Data, y: Data) -> Regressor:
        """Train on examples (N, features) and targets (N,)."""
        X, y = validate_data(self, X, y, dtype="float64", y_numeric=True)
        self._train(X, y[:, None], 1)
        return self

    def predict(self, X: Data) -> np.ndarray:
        """The target of each example."""
        return np.asarray(self._outputs(X)[:, 0])
