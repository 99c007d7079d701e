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
    later = twice.fit(X, Y, epochs=5, initial_epoch=3, validation_split=0.2)
    assert later.epoch == [3, 4] and list(later.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert twice.fit(X, Y, epochs=5, initial_epoch=3).epoch == [3, 4]  # where nothing is waited for in between


def test_resuming_goes_on_to_a_total_and_says_when_nothing_is_left(tmp_path: Path) -> None:
    one = model()
    one.fit(X, Y, epochs=2)
    one.save(tmp_path / "model.npz")
    other = model()
    other.load(tmp_path / "model.npz")
    assert other.fit(X, Y, epochs=3, resume=True).epoch == [2]
    with pytest.warns(UserWarning, match="nothing is left to train: 3 of 3 epochs are done"):
        assert other.fit(X, Y, epochs=3, resume=True) == {}
    other.compile("sgd", "softmax_cross_entropy")
    assert other.fit(X, Y, epochs=1, resume=True).epoch == [0]  # compiled again, it begins again


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
    bars = capsys.readouterr().err.split("\r")[1:]
    assert [bar[:36] for bar in bars] == [f"[{'=' * 15:30}] 1/2", f"[{'=' * 30}] 2/2"]


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
@pytest.mark.one_in(2)
def test_batches_of_a_framework(backend: str) -> None:
    assert in_process(backend, LOADERS) == ["True True True"]


def test_symbols_go_where_keras_takes_them() -> None:
    """`attention(x, x)` took the second one for a mask, `a + b` was a tuple; both computed something else."""
    start = shim.Input((4, 6))
    attention = shim.MultiHeadAttention(2, 3, name="attention")
    keras_way = shim.Model(start, start + attention(start, start, use_causal_mask=True), backend="numpy")
    ours = shim.MultiHeadAttention(2, 3, causal=True, name="attention")
    other = shim.Model(start, shim.Add()([start, ours(start)]), backend="numpy")
    other.set_weights(keras_way.get_weights())
    x = np.random.default_rng(1).normal(size=(3, 4, 6))
    np.testing.assert_array_equal(keras_way.predict(x), other.predict(x))
    seen = shim.Input((5, 6))
    two = [shim.MultiHeadAttention(2, 3, name="attention") for _ in range(2)]
    named = shim.Model([start, seen], two[0](start, seen), backend="numpy")
    listed = shim.Model([start, seen], two[1]([start, seen]), backend="numpy")
    listed.set_weights(named.get_weights())
    pair = [x, np.random.default_rng(2).normal(size=(3, 5, 6))]
    np.testing.assert_array_equal(named.predict(pair), listed.predict(pair))
    with pytest.raises(ValueError, match="Dense is applied to symbols, which begin with Input"):
        shim.Dense(2)(x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"layer 'add' \(Add\) cannot add examples of the shapes"):
        shim.Model([start, other_start := shim.Input((4, 5))], start + other_start)


def test_a_model_within_another_brings_its_weights() -> None:
    """They were drawn again, so that a base that was trained or loaded was lost; a base may stand in a Sequential."""
    base = model()
    base.fit(X, Y, epochs=1)
    start = shim.Input((4,))
    tuned = shim.Model(start, shim.Dense(2)(base(start)), backend="numpy", dtype="float64")
    chain = shim.Sequential([base, shim.Dense(2)], backend="numpy", dtype="float64")
    for name, weight in base.get_weights().items():
        np.testing.assert_array_equal(tuned.get_weights()[name], weight)
        np.testing.assert_array_equal(chain.get_weights()[name], weight)
    chain.trainable = False
    assert not chain.trainable
    chain.get_layer("dense").trainable = True
    assert chain.trainable  # as long as any layer is
    chain.compile("sgd", "mse")
    assert chain.trainable_names() == ["dense/kernel", "dense/bias"]
    assert chain.count_params() == sum(weight.size for weight in chain.get_weights().values())


class AsInKeras(shim.Callback):
    """Ends the second epoch."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_train_begin(self, logs: Any) -> None:
        self.seen.append("begin")

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.seen.append(f"{epoch} begins")

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.seen.append(f"{epoch} {sorted(logs)}")
        self.model.stop_training = epoch == 1  # type: ignore[attr-defined]

    def on_train_end(self, logs: Any) -> None:
        self.seen.append(f"end {sorted(logs)} {self.params}")


def test_callbacks_of_keras_s_form_are_called() -> None:
    """One that derives from ours was never called, without a word."""
    mine = AsInKeras()
    model().fit(X, Y, epochs=5, callbacks=mine)
    first = ["begin", "0 begins", "0 ['accuracy', 'loss']"]
    assert mine.seen == [*first, "1 begins", "1 ['accuracy', 'loss']", "end ['accuracy', 'loss'] {'epochs': 5}"]
    later = AsInKeras()
    model().fit(X, Y, epochs=5, initial_epoch=4, callbacks=later)
    assert later.seen[1] == "4 begins" and later.seen[-1] == mine.seen[-1]  # the epochs are those of the whole training
    never = type("Never", (shim.Callback,), {"on_train_batch_end": None})
    with pytest.raises(ValueError, match="callback Never has on_train_batch_end, which fit does not call"):
        model().fit(X, Y, callbacks=[never()])
    with pytest.raises(ValueError, match=r"a callback is a shim\.Callback, got object"):
        model().fit(X, Y, callbacks=[object()])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("monitor", "mode", "rises"),
    [("val_accuracy", "auto", True), ("acc", "auto", True), ("loss", "auto", False), ("accuracy", "min", False),
     ("loss", "max", True), ("val_AUC", "auto", True), ("val_kind_categorical_accuracy", "auto", True)],
)  # fmt: skip
def test_early_stopping_knows_which_way_is_better(monitor: str, mode: str, rises: bool) -> None:
    """An accuracy was watched as a loss where nothing was said: the training ended at its best."""
    assert shim.EarlyStopping(monitor, mode=mode).higher is rises
    assert shim.EarlyStopping(monitor, higher=not rises).higher is not rises


def test_a_value_that_stays_is_no_better_one() -> None:
    """The loss of one batch at a rate of 0 is the same number in each epoch: a training would never end."""
    found = model()
    found.compile(shim.SGD(0.0), "softmax_cross_entropy")
    stopping = shim.EarlyStopping("loss", patience=2)
    assert found.fit(X, Y, len(X), 9, shuffle=False, callbacks=stopping).epoch == [0, 1, 2] and stopping.best_epoch == 0


def test_batches_of_an_iterable_have_class_weights() -> None:
    """They were left out, as were weights of examples and a share for validation."""
    classes, one, other = {0: 1.0, 1: 5.0, 2: 0.5}, model(), model()
    batches = [(X[at : at + 4], Y[at : at + 4]) for at in range(0, len(X), 4)]
    one.fit(batches, class_weight=classes)
    other.fit(X, Y, 4, class_weight=classes, shuffle=False)
    np.testing.assert_allclose(one.get_weights()["last/bias"], other.get_weights()["last/bias"], rtol=1e-12)
    for wrong in ({"sample_weight": np.ones(len(X))}, {"validation_split": 0.5}):
        with pytest.raises(ValueError, match="an iterable of batches takes no sample_weight and no validation_split"):
            one.fit(batches, **wrong)
    with pytest.raises(ValueError, match="class_weight is a dictionary"):
        one.fit(X, Y, class_weight=[1.0, 2.0, 3.0])
