"""Callbacks that Keras has do in the shim what they do in Keras, on logs and rates of a real training of each."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim.test_features import in_process
from impls.shim.test_shim import blobs

X, Y = blobs(20)


def model(metrics: Any = ("accuracy",), seed: int = 0) -> shim.Sequential:
    layers = [shim.Dense(5, "tanh", name="first"), shim.Dense(3, name="last")]
    found = shim.Sequential(layers, inputs=(4,), backend="numpy", dtype="float64", seed=seed)
    found.compile(shim.SGD(0.5), "softmax_cross_entropy", metrics)
    return found


# Both are given the same logs of epochs, and what each does is noted: the rate, the end, the path that is written.
KERAS = """
import os
os.environ["KERAS_BACKEND"] = "numpy"
import keras
from pathlib import Path
from types import SimpleNamespace as Named

class Shim:
    def __init__(self):
        self.optimizer, self.learning_rate, self.t, self.stop = shim.SGD(0.5), None, 0, False
        self.written = []
    rate = property(lambda self: 0.5 if self.learning_rate is None else self.learning_rate)
    def save(self, path):
        self.written.append(str(path).replace(".npz", ".keras"))

class Keras:
    def __init__(self):
        self.optimizer, self.stop_training, self.written = Named(learning_rate=0.5), False, []
        self.metrics = []
    rate = property(lambda self: self.optimizer.learning_rate)
    stop = property(lambda self: self.stop_training)
    def save(self, path, overwrite):
        self.written.append(path)

def noted(model, logs):
    return round(float(model.rate), 12), model.stop, list(model.written), {n: round(v, 12) for n, v in logs.items()}

def until_stopped(seen):
    ends = [stopped for _, stopped, *_ in seen]
    return ends[:ends.index(True) + 1] if True in ends else ends

def ours(name, logs, **options):
    if "filepath" in options:
        options["filepath"] = options["filepath"].replace(".keras", ".npz")
    model, callback, seen = Shim(), getattr(shim.callbacks, name)(**options), []
    callback.model, callback.validated = model, True
    callback.begin(model, len(logs))
    for epoch, each in enumerate(logs):
        callback.before_epoch(model, epoch)
        callback.after_epoch(model, epoch, each)
        seen.append(noted(model, each))
    callback.end(model)
    return seen

def theirs(name, logs, **options):
    model, callback, seen = Keras(), getattr(keras.callbacks, name)(**options), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, each in enumerate(logs):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, each)
        seen.append(noted(model, each))
    callback.on_train_end()
    return seen

rng = np.random.default_rng(3)
rows = rng.normal(size=(6, 14)).round(3).tolist()
cases = [("ReduceLROnPlateau", {"monitor": "loss", **options}) for options in (
    {"patience": 2, "factor": 0.5}, {"patience": 1, "factor": 0.3, "min_lr": 0.04}, {"patience": 0, "factor": 0.9},
    {"patience": 1, "cooldown": 2, "min_delta": 0.3}, {"patience": 2, "mode": "max", "factor": 0.7, "min_delta": 0.3})]
cases += [("ModelCheckpoint", {"filepath": "x.keras", "monitor": "loss", **options}) for options in (
    {}, {"save_best_only": True}, {"save_best_only": True, "mode": "max"},
    {"save_best_only": True, "initial_value_threshold": -0.5}, {"save_best_only": True, "initial_value_threshold": 0.0},
    {"save_best_only": True, "initial_value_threshold": 0.5, "mode": "max"},
    {"filepath": "{epoch:02d}-{loss:.2f}.keras"})]
cases += [("LearningRateScheduler", {"schedule": schedule}) for schedule in (
    lambda epoch: 0.1 / (epoch + 1), lambda epoch, rate: rate * 0.5 if epoch > 2 else rate)]
cases += [("EarlyStopping", {"monitor": "loss", **options}) for options in (
    {"patience": 2, "min_delta": -0.2}, {"mode": "max", "patience": 1})]  # whose sign says nothing
for name, options in cases:
    stopping = name == "EarlyStopping"
    extra = {"restore_best_weights": False} if stopping else {}
    found = [ours(name, [{"loss": v} for v in row], **options, **extra) for row in rows]
    expected = [theirs(name, [{"loss": v} for v in row], **options) for row in rows]
    if stopping:  # nothing calls it afterwards
        found, expected = [until_stopped(seen) for seen in found], [until_stopped(seen) for seen in expected]
    print(name, found == expected, options if found != expected else "")
for append, empty, without in ((False, 0, 1), (True, 0, 1), (True, 0, 1), (False, 0, 1), (True, 1, 1), (False, 0, 0)):
    texts = []
    for call, path in ((ours, folder + "/ours.csv"), (theirs, folder + "/theirs.csv")):
        if empty:  # a file that is there and empty has no head line yet
            Path(path).write_text("")
        logs = [{"loss": v, "acc": 0.5, "val_loss": 2.0} for v in rows[0][:3]]
        del logs[without]["val_loss"]
        call("CSVLogger", logs, filename=path, separator=";", append=append)
        texts.append(Path(path).read_text().split())
    print("CSVLogger", texts[0] == texts[1], texts if texts[0] != texts[1] else "")
"""


@pytest.mark.full
def test_they_do_what_keras_s_do(tmp_path: Path) -> None:
    """Rates, ends, which epochs are the best so far, the lines of a file: over drawn values and each option."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    found = in_process("numpy", f"folder = {str(tmp_path)!r}\n{KERAS}")
    assert len(found) == 22
    assert [line for line in found if not line.endswith("True ")] == []


def test_a_rate_that_was_reduced_is_saved_and_goes_on(tmp_path: Path) -> None:
    """Nothing gets better by 9: the rate halves after each epoch; files of the best weights, and a resumed training."""
    plateau = shim.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=9.0)
    files = [
        shim.ModelCheckpoint(tmp_path / "runs/first/{epoch}-{accuracy:.0f}.npz"),
        shim.ModelCheckpoint(tmp_path / "best.npz", "val_loss", save_best_only=True, save_weights_only=True),
    ]
    first = model()
    history = first.fit(X, Y, epochs=4, validation_data=(X, Y), callbacks=[plateau, *files], validation_freq=2)
    assert history["learning_rate"] == [0.5, 0.5, 0.25, 0.125] and first.learning_rate == 0.0625
    assert sorted(path.name[0] for path in (tmp_path / "runs/first").iterdir()) == ["1", "2", "3", "4"]
    with pytest.raises(ValueError, match=r"names 'f1', known are epoch, loss, accuracy"):
        model().fit(X, Y, callbacks=shim.ModelCheckpoint("{f1}.npz"))
    other = model(seed=1)
    other.load_weights(tmp_path / "best.npz")
    assert other.evaluate(X, Y)[0] == min(history["val_loss"])
    with np.load(tmp_path / "best.npz") as file:
        assert file.files == list(other.get_weights())  # and no optimizer, which is twice as large
    first.save(tmp_path / "all.npz")
    resumed = model(seed=2)
    resumed.load(tmp_path / "all.npz")
    assert resumed.learning_rate == 0.0625
    again = [each.fit(X, Y, epochs=6, resume=True)["loss"] for each in (first, resumed)]
    assert again[0] == again[1]
    weights = model(seed=3)
    weights.load_weights(tmp_path / "all.npz")
    assert weights.t == 0 and weights.predict(X).tolist() != resumed.predict(X).tolist()


def test_a_training_ends_on_a_loss_that_is_no_number_and_functions_are_called(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[Any] = []
    calls = shim.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))),
        on_epoch_begin=lambda epoch, logs: seen.append(f"{epoch} begins"),
        on_train_begin=lambda logs: seen.append("begin"),
        on_train_end=lambda logs: seen.append("end"),
    )
    broken = model(metrics=())
    broken.set_weights([np.full(weight.shape, np.inf) for weight in broken.get_weights().values()])
    with np.errstate(all="ignore"):
        history = broken.fit(X, Y, epochs=5, callbacks=[shim.TerminateOnNaN(), calls])
    assert len(history["loss"]) == 1 and seen == ["begin", "0 begins", (0, ["loss"]), "end"]
    assert "Epoch 1: Invalid loss, terminating training" in capsys.readouterr().err
    for loss, ends in ((np.inf, True), (-np.inf, True), (1e308, False)):
        broken.stop = False
        shim.TerminateOnNaN().after_epoch(broken, 0, {"loss": loss})
        assert broken.stop is ends, loss


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: shim.ModelCheckpoint("best.keras"), r"the shim saves \.npz files, such as 'best\.npz', got 'best\.ke"),
        (lambda: shim.ModelCheckpoint("a.npz", save_freq=5), "save_freq is 'epoch', since fit calls by epoch: got 5"),
        (lambda: shim.ReduceLROnPlateau(factor=1.0), "factor is between 0 and 1, got 1.0"),
        (lambda: shim.LambdaCallback(on_train_batch_end=print), "fit calls by epoch, not on_train_batch_end"),
        (lambda: model().save("m.keras"), r"the shim saves \.npz files, such as 'm\.npz', got 'm\.keras'"),
        (lambda: model().save_weights("m.weights.h5"), r"such as 'm\.npz', got 'm\.weights\.h5'"),
        (lambda: model().fit(X, Y, callbacks=shim.ReduceLROnPlateau()), "ReduceLROnPlateau watches 'val_loss': known"),
        (
            lambda: shim.layers.Layer(input_shape=(4,)),
            r"has no option input_shape: the model begins with shim\.Input",
        ),
    ],
)
def test_what_is_not_so_here_says_what_to_write(make: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_rate_of_a_schedule_is_not_reduced() -> None:
    scheduled = model()
    scheduled.compile(shim.SGD(shim.ExponentialDecay(0.1, 5, 0.5)), "softmax_cross_entropy")
    with pytest.raises(ValueError, match="which this optimizer has from a schedule: give it a number"):
        scheduled.fit(X, Y, validation_data=(X, Y), callbacks=shim.ReduceLROnPlateau())
    told: list[float] = []
    scheduled.fit(X, Y, callbacks=shim.LearningRate(lambda epoch, rate: told.append(rate) or rate))  # type: ignore[func-returns-value]
    scheduled.compile(shim.SGD(shim.ExponentialDecay(0.1, 5, 0.5)), "softmax_cross_entropy")
    scheduled.fit(X, Y, epochs=2)
    scheduled.fit(X, Y, callbacks=shim.LearningRate(lambda epoch, rate: told.append(rate) or rate))  # type: ignore[func-returns-value]
    assert told == pytest.approx([0.1, 0.1 * 0.5**0.4])  # that of the next update, the first one and the third


@pytest.mark.parametrize("rate", [0.0, None])
def test_a_file_puts_all_back_that_it_has(rate: float | None, tmp_path: Path) -> None:
    """A rate of 0 is one; where a file has none, that of the training before does not go on."""
    one, other = model(), model(seed=1)
    for each in (one, other):
        each.compile(shim.SGD(0.5, momentum=0.9), "softmax_cross_entropy")
        each.fit(X, Y, epochs=2 if each is one else 1)
        each.learning_rate = 0.3
    one.learning_rate, one.loss_scale.value, one.loss_scale.good = rate, 8.0, 3
    one.save(tmp_path / "all.npz")
    other.load(tmp_path / "all.npz")
    assert (other.learning_rate, other.t, other.epoch) == (rate, one.t, 2)
    assert (other.loss_scale.value, other.loss_scale.good) == (8.0, 3)
    plain = model(seed=2)
    plain.load_weights(tmp_path / "all.npz")
    for name, weight in one.get_weights().items():
        np.testing.assert_array_equal(plain.get_weights()[name], weight)
        np.testing.assert_array_equal(other.get_slots()[f"m/{name}"], one.get_slots()[f"m/{name}"])


def test_a_model_within_another_brings_its_statistics() -> None:
    base = shim.Sequential([shim.BatchNorm(), shim.Dense(2)], inputs=(4,), backend="numpy", dtype="float64")
    base.compile("sgd", "mse")
    base.fit(X, np.zeros((20, 2)), epochs=3)
    chain = shim.Sequential([base, shim.Dense(2)], backend="numpy", dtype="float64")
    for name, weight in base.get_weights().items():
        np.testing.assert_array_equal(chain.get_weights()[name], weight)
    assert chain.get_layer(index=0) is base.layers[0]
    assert chain.count_params() == sum(weight.size for weight in chain.get_weights().values())


def test_layers_are_added_and_taken_away() -> None:
    """A base whose head is replaced keeps what it learnt; the model is compiled again."""
    chain = shim.Sequential(backend="numpy", dtype="float64")
    chain.add(shim.Input((4,)))
    for layer in (shim.layers.Dense(5, "tanh", name="first"), shim.Dense(3)):
        chain.add(layer)
    chain.compile("sgd", "softmax_cross_entropy")
    chain.fit(X, Y)
    before = chain.get_weights()
    assert chain.pop() is layer
    chain.add(shim.GroupNorm(5, name="norm"))
    chain.add(shim.Dense(2, name="head"))
    after = chain.get_weights()
    assert list(after) == ["first/kernel", "first/bias", "norm/gamma", "norm/beta", "head/kernel", "head/bias"]
    np.testing.assert_array_equal(after["first/kernel"], before["first/kernel"])
    with pytest.raises(ValueError, match=r"not compiled: call compile\("):
        chain.fit(X, Y)
    chain.compile("sgd", "mse")
    assert len(chain.fit(X, np.zeros((20, 2)))["loss"]) == 1
    with pytest.raises(ValueError, match="an Input comes before the layers"):
        chain.add(shim.Input((3,)))
    outer = shim.Sequential([chain], backend="numpy", dtype="float64")
    outer.add(shim.Dense(1, name="last"))
    kept = outer.get_weights()
    outer.add(shim.Dense(1, name="end"))
    assert all(np.array_equal(weight, outer.get_weights()[name]) for name, weight in kept.items())
    np.testing.assert_array_equal(kept["head/kernel"], chain.get_weights()["head/kernel"])
    with pytest.raises(ValueError, match="the model has no layers"):
        shim.Sequential(inputs=(4,), backend="numpy").predict(X)
