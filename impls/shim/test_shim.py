"""The shim as a user meets it, on NumPy: choosing a backend, training, callbacks, files, and what bad input says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim import config


def test_importing_the_shim_loads_no_framework() -> None:
    code = "import sys, impls.shim; print([m for m in ('tensorflow', 'torch', 'jax', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_argument_beats_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_HOME", str(tmp_path))
    monkeypatch.delenv("TRIPTYCH_BACKEND", raising=False)
    assert config.backend_name() == config.installed()[0]
    (tmp_path / "triptych.json").write_text(json.dumps({"backend": "jax"}))
    assert config.backend_name() == "jax"
    monkeypatch.setenv("TRIPTYCH_BACKEND", "torch")
    assert config.backend_name() == "torch"
    assert config.backend_name("numpy") == "numpy"
    monkeypatch.setenv("TRIPTYCH_MODE", "auto")
    for given, expected in ((None, "auto"), ("eager", "eager")):
        model = shim.Sequential([shim.Dense(1)], inputs=(2,), backend="numpy", mode=given)
        model.bind()
        assert model.mode == expected


def test_an_unknown_backend_is_named_with_its_place_and_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_BACKEND", "tensrflow")
    with pytest.raises(ValueError, match=r"unknown backend 'tensrflow' \(from TRIPTYCH_BACKEND\): known are numpy, "):
        shim.backend_module()


def test_a_missing_framework_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(ImportError, match="backend 'torch' needs torch, which is not installed: pip install torch"):
        shim.backend_module("torch")


def small(seed: int = 0, **options: Any) -> shim.Sequential:
    layers = [shim.Dense(6, "relu", name="first"), shim.Dropout(0.2), shim.Dense(3, name="last")]
    model = shim.Sequential(layers, inputs=(4,), backend="numpy", dtype="float64", seed=seed)
    model.compile(optimizer=shim.Adam(0.01), loss="softmax_cross_entropy", metrics=("accuracy",), **options)
    return model


def blobs(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(0)
    y = rng.randint(0, 3, count)
    return rng.normal(0, 0.5, (count, 4)) + np.eye(3, 4)[y] * 2, y


def test_training_learns_and_reports_every_epoch() -> None:
    x, y = blobs()
    model = small()
    history = model.fit(x, y, epochs=30, batch_size=16, validation_split=0.2)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 30 for values in history.values())
    assert model.evaluate(x, y, return_dict=True)["accuracy"] > 0.9


def test_early_stopping_sees_every_epoch_and_restores_the_best_weights() -> None:
    x, y = blobs()

    class Recorder(shim.Callback):
        def begin(self, model: Any, epochs: int) -> None:
            self.weights: list[Any] = []

        def after_epoch(self, model: Any, epoch: int, logs: dict[str, float]) -> None:
            self.weights.append(model.get_weights())

    model, recorder = small(), Recorder()
    stopping = shim.EarlyStopping("val_loss", patience=2)
    history = model.fit(
        x[:40], np.roll(y[:40], 1), epochs=200, validation_data=(x[40:], y[40:]), callbacks=[recorder, stopping]
    )
    best = int(np.argmin(history["val_loss"]))
    assert stopping.best_epoch == best and len(history["loss"]) == best + 4 - 1 < 200
    for name, value in model.get_weights().items():
        np.testing.assert_array_equal(value, recorder.weights[best][name])


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """Weights, slots, update count, shuffling and dropout all go on where they stopped."""
    x, y = blobs()
    whole = small().fit(x, y, epochs=6, batch_size=16)["loss"]
    first = small()
    start = first.fit(x, y, epochs=3, batch_size=16, callbacks=[shim.Checkpoint(tmp_path / "model.npz")])["loss"]
    resumed = small(seed=5)
    resumed.load(tmp_path / "model.npz")
    assert start + resumed.fit(x, y, epochs=6, batch_size=16, resume=True)["loss"] == whole


def test_a_file_of_another_model_or_no_model_is_refused(tmp_path: Path) -> None:
    small().save(tmp_path / "model.npz")
    other = shim.Sequential([shim.Dense(2, name="first")], inputs=(4,), backend="numpy")
    with pytest.raises(
        ValueError, match=r"weights of another model: this one misses first/bias|does not know last/bias"
    ):
        other.load(tmp_path / "model.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match=r"broken\.npz is not a saved model"):
        other.load(tmp_path / "broken.npz")
    model = small()
    model.compile(optimizer=shim.RMSprop(), loss="softmax_cross_entropy")
    before = {name: weight + 1 for name, weight in model.get_weights().items()}
    model.set_weights(before)
    with pytest.raises(ValueError, match=r"model\.npz: optimizer state of another model"):
        model.load(tmp_path / "model.npz")
    assert all(np.array_equal(before[name], value) for name, value in model.get_weights().items())


def test_a_save_that_is_interrupted_leaves_the_file_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or a kill in the middle of an epoch's checkpoint, costs that checkpoint alone."""
    model, path = small(), tmp_path / "model.npz"
    model.save(path)
    before = path.read_bytes()

    def interrupted(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(OSError, match="no space left"):
        model.save(path)
    assert path.read_bytes() == before


def test_a_move_takes_the_new_backends_own_mode() -> None:
    """The mode of the old one may be unknown there."""
    model = shim.Sequential([shim.Dense(3)], inputs=(4,), backend="jax", mode="jit")
    model.to(backend="numpy")
    assert model.predict(X).shape == (6, 3)


def test_frozen_layers_stay_as_they_are() -> None:
    x, y = blobs()
    model = small()
    before = model.get_weights()
    model.layers[0].trainable = False
    model.compile(optimizer=shim.SGD(0.1, momentum=0.9), loss="softmax_cross_entropy")
    model.fit(x, y)
    after = model.get_weights()
    np.testing.assert_array_equal(before["first/kernel"], after["first/kernel"])
    assert not np.array_equal(before["last/kernel"], after["last/kernel"])
    assert set(model.get_slots()) == {"m/last/kernel", "m/last/bias"}
    trained = sum(before[name].size for name in ("last/kernel", "last/bias"))
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    shown = [line.split() for line in lines[0].splitlines() if "Dense" in line]
    weights = [before[f"{name}/kernel"].shape for name in ("first", "last")]
    expected = [[f"({out},)", f"{(given + 1) * out}"] for given, out in weights]
    assert [row[-2:] for row in shown] == expected
    assert lines[0].endswith(f"{model.count_params():,} parameters, {trained:,} of them trained")


def test_a_residual_block_shares_and_adds() -> None:
    """Branches meet, a shared layer has one set of weights, and the sum is what NumPy says."""
    start = shim.Input((4,))
    shared = shim.Dense(4, name="shared")
    twice = shared(shared(start))
    model = shim.Model(start, shim.Add(name="sum")([twice, start]), backend="numpy", dtype="float64")
    k, b = model.get_weights()["shared/kernel"], model.get_weights()["shared/bias"]
    x = np.random.RandomState(0).normal(size=(3, 4))
    np.testing.assert_allclose(model.predict(x), (x @ k + b) @ k + b + x, rtol=1e-12)
    assert list(model.declared) == ["shared/kernel", "shared/bias"]


@pytest.mark.parametrize("loss", ["huber", "mean_absolute_error", "mean_squared_error", "sigmoid_cross_entropy"])
def test_a_float32_model_stays_one(loss: str) -> None:
    """A constant that NumPy takes for float64 would train in another precision, and slower, than was asked for."""
    model = shim.Sequential([shim.Dense(4, "leaky_relu"), shim.Dense(3)], inputs=(4,), backend="numpy")
    model.compile(optimizer=shim.Adam(clipvalue=0.1), loss=loss)
    model.fit(np.ones((6, 4)), np.ones((6, 3)), epochs=1, batch_size=4)
    kept = {**model.get_weights(), **model.get_slots()}
    assert {array.dtype.name for array in kept.values()} == {"float32"}


def test_class_weights_and_sample_weights_multiply() -> None:
    x, y = blobs(8)
    weights, classes = np.linspace(0, 1, 8), {0: 1.0, 1: 0.0, 2: 3.0}
    one, other = small(), small()
    one.fit(x, y, sample_weight=weights, class_weight=classes)
    other.fit(x, y, sample_weight=weights * np.array([classes[c] for c in y.tolist()]))
    np.testing.assert_array_equal(one.get_weights()["last/kernel"], other.get_weights()["last/kernel"])


def test_batches_from_an_iterable_train_as_the_array_does() -> None:
    x, y = blobs(10)
    model = shim.Sequential([shim.Dense(3)], inputs=(4,), backend="numpy", dtype="float64")
    model.compile(optimizer=shim.SGD(0.1), loss="softmax_cross_entropy")
    first = model.get_weights()
    losses = model.fit(x, y, epochs=2, batch_size=4, shuffle=False)["loss"]
    model.set_weights(first)
    model.compile(optimizer=shim.SGD(0.1), loss="softmax_cross_entropy")
    batches = [(x[at : at + 4], y[at : at + 4]) for at in (0, 4, 8)]
    np.testing.assert_allclose(model.fit(batches, epochs=2)["loss"], losses, rtol=1e-12)
    with pytest.raises(ValueError, match="a generator is empty after one epoch"):
        model.fit(iter(batches), epochs=2)


X, Y = blobs(6)
WRONG = {
    "features": (X[:, :3], Y, r"x has examples of shape \(3,\), but layer 'first' \(Dense\) takes \(4,\)"),
    "rank": (X[0], Y, r"x has examples of shape \(\), but layer 'first'"),
    "text": (X.astype(str), Y, "x has dtype <U"),
    "nan": (np.where(X[2, 1] == X, np.nan, X), Y, r"x holds nan at \(2, 1\)"),
    "infinity": (np.where(X[2, 1] == X, -np.inf, X), Y, r"x holds -inf at \(2, 1\)"),
    "count": (X, Y[:5], "x has 6 examples, y has 5"),
    "label": (X, Y + 3, "labels are integers from 0 to 2, got 3 to 5"),
    "a negative label": (X, Y - 1, "labels are integers from 0 to 2, got -1 to 1"),
    "the label after the last": (X, np.where(np.arange(6) == 4, 3, 0), "labels are integers from 0 to 2, got 0 to 3"),
    "fraction": (X, Y + 0.5, "y has dtype float64, but softmax cross-entropy takes integer labels"),
    "one-hot": (X, np.eye(4)[Y], r"y has labels of shape \(4,\), but the loss compares \(\)"),
}


@pytest.mark.parametrize("problem", WRONG)
def test_bad_data_is_named_before_any_work(problem: str) -> None:
    x, y, message = WRONG[problem]
    model = small()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(x, y)
    with pytest.raises(ValueError, match=message):
        model.evaluate(x, y)
    assert all(np.array_equal(before[name], value) for name, value in model.get_weights().items())


def test_other_mistakes_say_what_to_do() -> None:
    unbuilt = shim.Sequential([shim.Dense(2)], backend="numpy")
    with pytest.raises(ValueError, match="the model has no shapes yet: give `inputs=`"):
        unbuilt.get_weights()
    with pytest.raises(ValueError, match=r"not compiled: call compile\("):
        unbuilt.fit(X, Y)
    with pytest.raises(ValueError, match="unknown loss 'mze': known are softmax_cross_entropy"):
        unbuilt.compile(optimizer=shim.SGD(), loss="mze")
    with pytest.raises(ValueError, match="unknown optimizer 'adamm': known are adagrad"):
        unbuilt.compile(optimizer="adamm", loss="mse")
    with pytest.raises(ValueError, match="unknown mode 'graf' of backend 'numpy': known are eager"):
        shim.Sequential([shim.Dense(2)], inputs=(4,), backend="numpy", mode="graf").predict(X)
    with pytest.raises(ValueError, match=r"layer 'conv2d' \(Conv2D\) needs examples of 3 axes, got shape \(4,\)"):
        shim.Sequential([shim.Conv2D(2, 3)], inputs=(4,), backend="numpy")
    for rate in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"a dropout rate is in \[0, 1\), got "):
            shim.Dropout(rate)


def test_two_backends_are_alive_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another framework is installed, a model on it and one on NumPy take turns, in a process of their own."""
    other = next((name for name in ("torch", "jax", "tensorflow") if name in config.installed()), None)
    if other is None:
        pytest.skip("no framework is installed")
    code = f"""
import numpy as np
from impls import shim
x = np.ones((2, 4), "float32")
models = [shim.Sequential([shim.Dense(2)], inputs=(4,), backend=name) for name in ("numpy", "{other}")]
first, second = [model.predict(x) for model in models + models][2:]
assert np.abs(first - second).max() < 1e-5
"""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stderr
