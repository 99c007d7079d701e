"""Modes of a backend: what `auto` chooses, how often a call is traced, what eager mode does not load."""

from __future__ import annotations

import json
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim import autotune
from impls.shim.backends import numpy as numpy_backend
from impls.shim.test_features import in_process

EAGER = """
import sys
layers = [shim.Embedding(5, 3), shim.LSTM(4), shim.Dense(5)]
model = shim.Sequential(layers, inputs=(6,), backend=backend)
model.compile(optimizer=shim.Adam(0.01), loss="softmax_cross_entropy")
model.fit(np.ones((8, 6), int), np.ones(8, int), epochs=1)
model.predict(np.ones((8, 6), int))
print(sorted({"torch._dynamo", "sympy"} & sys.modules.keys()))
"""


def test_eager_training_does_not_pay_for_a_compiler() -> None:
    """Dynamo takes a second and 80 MB to import; on torch a first step is a matter of milliseconds."""
    assert in_process("torch", EAGER) == ["[]"]


def slowed(function: Any) -> Any:
    def call(*arguments: Any) -> Any:
        time.sleep(0.002)
        return function(*arguments)

    return call


def spent(step: Any) -> Any:
    """A step that leaves nothing of what it is given, as JAX's donated arrays, or torch's that are written over."""

    def call(carry: Any, *rest: Any) -> Any:
        new, value = step(carry, *rest)
        held = [array for part in new.values() for array in part.values()]
        for array in [array for part in carry.values() for array in part.values()]:
            if not any(array is each for each in held):
                array[...] = np.nan
        return new, value

    return call


def backend_of_two_modes() -> Any:
    """NumPy with a mode `lazy`, slow to train and quick to predict, and a mode `eager` that is the reverse."""
    backend = types.ModuleType("backend_of_two_modes")
    vars(backend).update(vars(numpy_backend), MODES=("eager", "lazy"))
    made = vars(numpy_backend)
    for name in ("compile", "compile_epoch", "compile_inference"):

        def form(function: Any, carry: Any, mode: str, *rest: Any, name: str = name) -> Any:
            call = made[name](function, carry, mode, *rest)
            call = call if name == "compile_inference" else spent(call)
            return slowed(call) if (mode == "lazy") != (name == "compile_inference") else call

        setattr(backend, name, form)
    return backend


def test_auto_measures_training_and_prediction_apart_and_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(autotune, "KNOWN", {})
    monkeypatch.setattr("impls.shim.network.backend_module", lambda name=None: backend_of_two_modes())
    x, y = np.random.RandomState(0).normal(size=(20, 4)), np.arange(20) % 3

    def trained(mode: str) -> tuple[Any, list[float]]:
        layers = [shim.Dense(5, "tanh"), shim.Dropout(0.5), shim.Dense(3)]
        model = shim.Sequential(layers, inputs=(4,), dtype="float64", mode=mode)
        model.compile(optimizer=shim.Adam(0.1), loss="softmax_cross_entropy")
        losses = model.fit(x, y, epochs=3, batch_size=8)["loss"]
        model.predict(x)
        model.train_on_batch(x, y)
        return model, losses

    model, losses = trained("auto")
    assert model.choices == {"epoch": "eager", "predict": "lazy", "step": "eager"}
    model.summary()
    assert "auto: predict by lazy" in capsys.readouterr().out
    assert losses == trained("eager")[1], "measuring has to leave no trace"
    assert len(json.loads((tmp_path / "triptych" / "choices.json").read_text())) == 3
    monkeypatch.setattr(autotune.Chooser, "measure", lambda *_: pytest.fail("what is in the file was measured again"))
    monkeypatch.setattr(autotune, "KNOWN", {})
    assert trained("auto")[0].choices == model.choices


TRACES = """
layers = [shim.Embedding(9, 3, mask_zero=True), shim.LSTM(4, return_sequences=True), shim.BatchNorm(), shim.Dense(3)]
model = shim.Sequential(layers, inputs=(5,), backend=backend, mode=mode)
optimizer = shim.Adam(shim.ExponentialDecay(0.1, 2, 0.5))
model.compile(optimizer=optimizer, loss="softmax_cross_entropy", metrics=["accuracy"])
rng = np.random.default_rng(0)
def everything():
    x, y = rng.integers(0, 9, (10, 5)), rng.integers(0, 3, (10, 5))
    schedule = shim.LearningRate(lambda epoch: 0.1 / (epoch + 1))
    model.fit(x, y, epochs=2, batch_size=4, validation_data=(x, y), callbacks=[schedule])
    model.train_on_batch(x[:4], y[:4])
    model.evaluate(x, y)
    model.predict(x)
    model.set_weights(model.get_weights())
everything()
first = model.traces
everything()
everything()
print(first > 0, model.traces - first)
"""


@pytest.mark.parametrize(
    ("backend", "mode"),
    [
        pytest.param("jax", "jit", marks=pytest.mark.full),
        pytest.param("tensorflow", "graph", marks=pytest.mark.full),
        pytest.param("tensorflow", "xla", marks=[pytest.mark.full, pytest.mark.catalogue]),
        pytest.param("torch", "compile", marks=[pytest.mark.full, pytest.mark.catalogue]),
    ],
)
@pytest.mark.one_in(2)
def test_nothing_is_traced_again_that_the_user_did_not_change(backend: str, mode: str) -> None:
    """New data, another rate, a callback, weights put in: shapes are the same, so the compiled calls are."""
    assert in_process(backend, f"mode = {mode!r}\n" + TRACES) == ["True 0"]
