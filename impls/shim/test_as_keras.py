"""What whoever comes from Keras types first does here what it does there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim.test_features import in_process
from impls.shim.test_shim import blobs

X, Y = blobs(20)


def model(
    loss: Any = "softmax_cross_entropy", metrics: Any = ("accuracy",), last: str | None = None
) -> shim.Sequential:
    layers = [shim.Dense(5, "tanh", name="first"), shim.Dense(3, last, name="last")]
    found = shim.Sequential(layers, inputs=(4,), backend="numpy", dtype="float64")
    found.compile("sgd", loss, metrics)
    return found


def test_a_second_fit_trains_as_many_epochs_more() -> None:
    once, twice = model(), model()
    whole = once.fit(X, Y, epochs=4, shuffle=False).history["loss"]
    first = twice.fit(X, Y, epochs=2, shuffle=False)
    again = twice.fit(X, Y, epochs=2, shuffle=False)
    assert first.history["loss"] + again.history["loss"] == whole
    assert first.epoch == again.epoch == [0, 1]
    later = twice.fit(X, Y, epochs=5, initial_epoch=3)
    assert later.epoch == [3, 4] and list(later.history) == ["loss", "accuracy"]


def test_resuming_goes_on_to_a_total_and_says_when_nothing_is_left(tmp_path: Path) -> None:
    one = model()
    one.fit(X, Y, epochs=2)
    one.save(tmp_path / "model.npz")
    other = model()
    other.load(tmp_path / "model.npz")
    assert other.fit(X, Y, epochs=3, resume=True).epoch == [2]
    with pytest.warns(UserWarning, match="nothing is left to train: 3 of 3 epochs are done"):
        assert other.fit(X, Y, epochs=3, resume=True) == {}


@pytest.mark.parametrize(("frequency", "expected"), [(2, 2), ([1, 4, 5], 3)])
def test_validation_comes_as_often_as_is_asked_for(frequency: Any, expected: int) -> None:
    history = model().fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=frequency)
    assert len(history["val_loss"]) == expected and len(history["loss"]) == 5


def test_steps_of_an_epoch() -> None:
    """Of arrays, of a generator that never ends, and of one that ends too early."""
    arrays = model()
    arrays.fit(X, Y, batch_size=4, epochs=2, steps_per_epoch=3)
    assert arrays.t == 6

    def endless() -> Any:
        while True:
            yield X[:4], Y[:4]

    generated = model()
    assert len(generated.fit(endless(), epochs=3, steps_per_epoch=2)["loss"]) == 3 and generated.t == 6
    with pytest.raises(ValueError, match="the batches ended after 1 of the 2 steps of this epoch"):
        generated.fit(iter([(X, Y)]), steps_per_epoch=2)


class Items:
    """A thing with a length and items, as Keras's PyDataset is."""

    ended = 0

    def __len__(self) -> int:
        return 5

    def __getitem__(self, at: int) -> Any:
        return X[at * 4 : at * 4 + 4], Y[at * 4 : at * 4 + 4]

    def on_epoch_end(self) -> None:
        self.ended += 1


def test_data_of_every_kind_train_alike() -> None:
    """Pandas frames, a dataset with items, a list of batches and a generator: the same losses as of the arrays."""
    pandas = pytest.importorskip("pandas")
    expected = model().fit(X, Y, 4, 2, shuffle=False)["loss"]
    frame, series = pandas.DataFrame(X), pandas.Series(Y)
    assert model().fit(frame, series, 4, 2, shuffle=False)["loss"] == expected
    items = Items()
    np.testing.assert_allclose(model().fit(items, epochs=2)["loss"], expected, rtol=1e-12)
    assert items.ended == 2
    validated = model().fit(X, Y, epochs=1, validation_data=items)
    assert validated["val_loss"][0] == pytest.approx(model_after_one().evaluate(X, Y)[0], rel=1e-12)
    with pytest.raises(ValueError, match="y is missing"):
        model().fit(X)


def model_after_one() -> shim.Sequential:
    found = model()
    found.fit(X, Y, epochs=1)
    return found


LABELS: dict[str, Any] = {
    "a column": Y[:, None], "floats": Y.astype("float32"), "a column of floats": Y[:, None] * 1.0,
    "one-hot": np.eye(3)[Y], "one-hot integers": np.eye(3, dtype=int)[Y], "a list": Y.tolist(),
}  # fmt: skip


@pytest.mark.parametrize("form", LABELS)
def test_labels_in_every_form(form: str) -> None:
    assert model().fit(X, LABELS[form], shuffle=False) == model().fit(X, Y, shuffle=False)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


SHARES = softmax(np.random.default_rng(0).normal(size=(20, 3)))
EYE = np.eye(3)[Y]


def expected_loss(name: str, z: np.ndarray, y: np.ndarray) -> float:
    """Keras's formulas."""
    p, logs = z, np.log(np.clip(z, 1e-7, 1 - 1e-7))
    if name.endswith("categorical_crossentropy"):
        return float(-(y * logs).sum(-1).mean())
    if name == "binary_crossentropy":
        return float(-(y * logs + (1 - y) * np.log(1 - np.clip(p, 1e-7, 1 - 1e-7))).mean())
    if name == "kl_divergence":
        y, p = np.clip(y, 1e-7, 1), np.clip(p, 1e-7, 1)
        return float((y * np.log(y / p)).sum(-1).mean())
    if name == "cosine_similarity":
        return float(-((y * p).sum(-1) / np.linalg.norm(y, axis=-1) / np.linalg.norm(p, axis=-1)).mean())
    return float(((y - p) ** 2).mean() if name == "mse" else np.abs(y - p).mean())


@pytest.mark.parametrize(
    "name",
    ["sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy", "kl_divergence",
     "cosine_similarity", "mse", "mae"],
)  # fmt: skip
def test_losses_by_keras_names_are_of_probabilities(name: str) -> None:
    """Each against its formula, and its gradient against differences, of hard labels and of shares."""
    for y in (EYE, SHARES):
        if name.startswith("sparse") and y is SHARES:
            continue
        found = model(name, [], "softmax")
        labels = Y if name.startswith("sparse") else y
        assert found.evaluate(X, labels) == pytest.approx(expected_loss(name, found.predict(X), y), rel=1e-9)
        before = found.get_weights()
        found.train_on_batch(X, labels)
        slope = (before["last/bias"] - found.get_weights()["last/bias"]) / 0.01
        for at, value in enumerate(slope):
            moved = {**before, "last/bias": before["last/bias"] + 1e-5 * np.eye(3)[at]}
            found.set_weights(moved)
            high = found.evaluate(X, labels)
            found.set_weights({**before, "last/bias": before["last/bias"] - 1e-5 * np.eye(3)[at]})
            assert (high - found.evaluate(X, labels)) / 2e-5 == pytest.approx(value, rel=1e-5, abs=1e-8)


def test_shares_and_smoothed_labels_of_logits() -> None:
    from impls.shim.losses import CategoricalCrossEntropy

    found = model()
    z = found.predict(X)
    logs = np.log(softmax(z))
    assert found.evaluate(X, SHARES, return_dict=True)["loss"] == pytest.approx(-(SHARES * logs).sum(-1).mean())
    smoothed = model(CategoricalCrossEntropy(from_logits=True, label_smoothing=0.1), [])
    expected = -((EYE * 0.9 + 0.1 / 3) * logs).sum(-1).mean()
    assert smoothed.evaluate(X, Y) == pytest.approx(expected) and smoothed.evaluate(X, EYE) == pytest.approx(expected)


def test_what_evaluate_and_train_on_batch_return() -> None:
    found = model()
    loss, accuracy = found.evaluate(X, Y)
    assert found.evaluate(X, Y, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    assert found.train_on_batch(X, Y) == pytest.approx([loss, accuracy])
    assert isinstance(model(metrics=None).evaluate(X, Y), float)


def test_a_model_is_called_and_is_part_of_another() -> None:
    inner = model()
    np.testing.assert_array_equal(np.asarray(inner(X)), inner.predict(X))
    start = shim.Input((4,))
    outer = shim.Model(start, shim.Dense(2)(inner(shim.Dense(4)(start))), backend="numpy", dtype="float64")
    weights = outer.get_weights()
    assert {"first/kernel", "last/bias", "dense/kernel", "dense_1/kernel"} <= weights.keys()
    outer.set_weights([value * 0 + 1 for value in weights.values()])
    assert (outer.get_weights()["first/kernel"] == 1).all()
    with pytest.raises(ValueError, match="the model has 8 weights, got 1"):
        outer.set_weights([np.ones(3)])


@pytest.mark.parametrize(("verbose", "shown"), [(0, ""), ("auto", ""), (2, "Epoch 2/2 - "), (1, "2/2")])
def test_what_is_shown(verbose: Any, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing where nobody sits at a terminal, as in a test."""
    model().fit(X, Y, epochs=2, verbose=verbose)
    text = capsys.readouterr().err
    assert shown in text and bool(text) == bool(shown)


def test_a_bar_shows_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", sys.stderr)
    model().fit(X, Y, epochs=2)
    assert "2/2" in capsys.readouterr().err


LOADERS = """
import importlib
x, y = np.random.default_rng(0).normal(size=(10, 4)), np.arange(10) % 3
def made():
    model = shim.Sequential([shim.Dense(3)], inputs=(4,), backend=backend, dtype="float64")
    model.compile("adam", "softmax_cross_entropy")
    return model
expected = made().fit(x, y, batch_size=4, epochs=2, shuffle=False)["loss"]
if backend == "torch":
    import torch
    data = torch.utils.data.TensorDataset(torch.tensor(x, requires_grad=True), torch.tensor(y))
    batches = torch.utils.data.DataLoader(data, batch_size=4)
else:
    import tensorflow as tf
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
model = made()
print(np.allclose(model.fit(batches, epochs=2, validation_data=batches)["loss"], expected, rtol=1e-12),
      np.isclose(model.evaluate(batches), model.evaluate(x, y)), np.allclose(model.predict(batches), model.predict(x)))
"""


@pytest.mark.full
@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_batches_of_a_framework(backend: str) -> None:
    assert in_process(backend, LOADERS) == ["True True True"]
