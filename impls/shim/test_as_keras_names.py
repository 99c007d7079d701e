"""Names, options and small things of Keras: taken, or refused in a sentence that says what to write."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim import initializers, keras_names
from impls.shim.test_as_keras import X, Y, model


def test_what_keras_users_write_is_taken_or_refused_in_a_sentence() -> None:
    start = [shim.Input((3,), dtype="int32"), shim.Embedding(5, 2), shim.Bidirectional(shim.LSTM(2))]
    words = shim.Sequential([*start, shim.Dense(1, "linear")], backend="numpy")
    assert words.predict(np.ones((2, 3))).shape == (2, 1) and words.predict(np.ones((0, 3))).shape == (0, 1)
    with pytest.raises(ValueError, match="takes integers"):
        words.predict(np.full((2, 3), 1.5))
    silu = [shim.Sequential([shim.Dense(3, name)], inputs=(4,), backend="numpy") for name in ("silu", "swish")]
    np.testing.assert_array_equal(silu[0].predict(X), silu[1].predict(X))
    for kind in (shim.Conv1D, shim.Conv2D, shim.Conv2DTranspose, shim.MaxPool2D):
        assert [kind(2, 3, padding=word).padding for word in ("SAME", "Valid")] == ["same", "valid"]
    words.compile("Adam", "mse", "mae")
    assert list(words.evaluate(np.ones((2, 3)), np.ones(2), return_dict=True)) == ["loss", "mae"]
    for theirs_name, ours in (("random_normal", "normal"), ("random_uniform", "uniform")):
        assert initializers.initializer(theirs_name) is initializers.INITIALIZERS[ours]
    for theirs_name, ours in keras_names.RENAMED.items():
        assert getattr(shim, theirs_name) is getattr(shim, ours)
        assert theirs_name == "PiecewiseConstantDecay" or getattr(shim.layers, theirs_name) is getattr(shim, ours)
    assert shim.layers.Conv1D is shim.Conv1D and shim.callbacks.ModelCheckpoint is shim.ModelCheckpoint  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="Dense has no option kernel_regularizer"):
        shim.Dense(2, kernel_regularizer="l2")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="a model has one output, and loss= is a name or a function"):
        words.compile("adam", {"out": "mse"})
    with pytest.raises(ValueError, match="the parts of a list have different lengths, pad them"):
        words.predict([[1, 2], [1, 2, 3]])
    theirs = type("Huber", (), {"__module__": "keras.src.losses", "__call__": None})
    with pytest.raises(ValueError, match="loss Huber is Keras's own"):
        words.compile("adam", theirs())


def test_classes_of_losses_and_metrics_take_what_they_can() -> None:
    """What they give is held to Keras by a program; here is what they refuse."""
    assert shim.losses.MeanSquaredError() is shim.losses.mean_squared_error  # type: ignore[attr-defined]
    with pytest.raises(
        TypeError, match="Huber takes no options in the shim, got delta: a loss of your own has what it"
    ):
        shim.losses.Huber(delta=2.0)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="threshold"):
        shim.metrics.BinaryAccuracy(threshold=0.3)  # type: ignore[attr-defined]
    for place in (shim.losses, shim.metrics):
        with pytest.raises(AttributeError, match=r"has no 'Tversky': a (loss|metric) is a function .*, mae"):
            place.Tversky  # noqa: B018


def test_functions_of_two_arguments_are_refused_where_they_are_given() -> None:
    """Keras's form of a loss failed in the first step, with a count of arguments."""

    def own(y_true: Any, y_pred: Any) -> Any:
        return y_true - y_pred

    with pytest.raises(ValueError, match=r"loss own\(y_true, y_pred\) is written for Keras: .* \(B, y, outputs, w\)"):
        model(own)
    with pytest.raises(ValueError, match=r"metric own\(y_true, y_pred\) is written for Keras: .* \(B, y, outputs\)"):
        model(metrics=[own])
    whatever = model(lambda *given: given[0].mean(given[2] * given[2]), [lambda *given: given[2]])
    assert whatever.evaluate(X, np.eye(3)[Y])[0] >= 0


def test_one_seed_for_all_models() -> None:
    def first(**options: Any) -> np.ndarray:
        made = shim.Sequential([shim.Dense(3)], inputs=(4,), backend="numpy", **options)
        return np.array(made.get_weights()["dense/kernel"])

    usual = first()
    shim.utils.set_random_seed(5)
    try:
        drawn = np.random.random()
        np.testing.assert_array_equal(first(), first(seed=5))
        assert (first() != usual).any()
        shim.utils.set_random_seed(5)
        assert np.random.random() == drawn
    finally:
        shim.utils.set_random_seed(0)
    np.testing.assert_array_equal(first(), usual)


def test_rows_of_classes() -> None:
    rows = shim.utils.to_categorical([[1], [3]])
    np.testing.assert_array_equal(rows, np.eye(4)[[1, 3]])
    assert shim.utils.to_categorical([], 3).shape == (0, 3)
    with pytest.raises(ValueError, match="classes are 0 to 2, got -1 to 3"):
        shim.utils.to_categorical([3, -1], 3)


def test_classes_of_keras_at_other_places_say_what_to_write() -> None:
    for place, name in (("models", "load_model"), ("utils", "plot_model")):
        with pytest.raises(AttributeError, match=f"shim.{place} has no '{name}': "):
            getattr(getattr(shim, place), name)
    with pytest.raises(AttributeError, match=r"shim.callbacks has no 'TensorBoard': any that the shim does not have"):
        shim.callbacks.TensorBoard  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"shim.optimizers has no 'Nadam': known are Adagrad, Adam, AdamW"):
        shim.optimizers.Nadam  # type: ignore[attr-defined]  # noqa: B018


def test_a_symbol_has_its_shape_and_small_names_are_there() -> None:
    """A guide of Keras reads `x.shape[-1]` of what a layer gave, and names its models."""
    start = shim.Input((6, 4), name="words")
    both = shim.Bidirectional(shim.GRU(3, return_sequences=True))(start)
    assert start.shape == (None, 6, 4) and both.shape == (None, 6, 6)
    pooled = shim.GlobalAveragePool1D()(shim.layers.concatenate([both, start]))
    assert pooled.shape[-1] == 10
    end = shim.layers.add([shim.Dense(10, name="last")(pooled), pooled])
    found = shim.Model(start, end, backend="numpy", dtype="float64", name="toy")
    x, y = np.ones((5, 6, 4)), np.zeros((5, 10))
    found.compile("sgd", "mse")
    assert found.fit(x, y, epochs=2) is found.history and found.name == "toy"
    np.testing.assert_array_equal(found.predict_on_batch(x), found.predict(x))
    assert found.test_on_batch(x, y) == found.evaluate(x, y) and len(found.get_weights()) == 8
    assert shim.optimizers.schedules.CosineDecay is shim.CosineDecay
    with pytest.raises(ValueError, match="concatenate: along the last axis, got axis=1"):
        shim.layers.concatenate([both, start], axis=1)
    for name, instead in keras_names.PLACES.items():
        with pytest.raises(AttributeError, match=f"the shim has no '{name}': {re.escape(instead)}"):
            getattr(shim, name)
    for name, instead in keras_names.MEMBERS.items():
        with pytest.raises(AttributeError, match=f"a model of the shim has no '{name}': {re.escape(instead)}"):
            getattr(found, name)


def test_options_of_gathering_and_averaging_are_named_and_end_where_they_say() -> None:
    """By position they would move what stands behind them: SGD's momentum would become an option of averages."""
    options = inspect.signature(shim.SGD).parameters
    for name in ("gradient_accumulation_steps", "use_ema", "ema_momentum", "ema_overwrite_frequency"):
        assert options[name].kind is inspect.Parameter.KEYWORD_ONLY, name
    assert [shim.SGD(ema_momentum=share).ema_momentum for share in (0, 1)] == [0, 1]
    assert shim.SGD(gradient_accumulation_steps=2, ema_overwrite_frequency=1).overwrites is False
    for wrong in ({"ema_momentum": 1.001}, {"ema_overwrite_frequency": 0}, {"gradient_accumulation_steps": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            shim.SGD(**wrong)
