"""Masks, layers applied twice, gathered gradients, averages, weights of places, several inputs, augmentation."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from impls import BACKENDS, piped, shim
from impls.shim.testing.forks import Started

FORKS = Started()  # until pytest ends: most files with such tests ask all of them


def in_process(backend: str, code: str) -> list[str]:
    """The lines that `code` prints in a process of its own; skipped where the backend is not installed."""
    engine = BACKENDS[backend].module
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    head = f"import numpy as np\nfrom impls import shim\nbackend = {backend!r}\n"
    done = FORKS.of(["impls.shim", engine], piped.QUIET).run(code=head + code)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def reader(**options: Any) -> shim.Sequential:
    layers = [
        shim.Embedding(6, 3, mask_zero=True, name="table"),
        shim.GRU(4, return_sequences=True, name="gru"),
        shim.Dense(3, name="logits"),
    ]
    model = shim.Sequential(layers, inputs=(None,), backend="numpy", dtype="float64")
    model.compile(optimizer=shim.SGD(0.5), loss="softmax_cross_entropy", metrics=("accuracy",), **options)
    return model


def test_padding_changes_neither_loss_nor_metrics_nor_gradients() -> None:
    """A masked place is as if it were not there; the tolerance is the epsilon that Keras adds to the count."""
    x, y = np.array([[1, 2, 5], [3, 4, 1]]), np.array([[0, 1, 2], [2, 2, 0]])
    padded = np.pad(x, ((0, 0), (0, 4))), np.pad(y, ((0, 0), (0, 4)))
    short, long = reader(), reader()
    for _ in range(3):
        expected, found = short.train_on_batch(x, y), long.train_on_batch(*padded)
        assert found == pytest.approx(expected, rel=1e-7)
    for name, value in short.get_weights().items():
        np.testing.assert_allclose(long.get_weights()[name], value, rtol=1e-6, atol=1e-12)


def test_a_mask_reaches_only_what_is_behind_it() -> None:
    """In a graph of two inputs the padding of one leaves the other alone."""
    words, numbers = shim.Input((4,)), shim.Input((4, 2))
    left = shim.LSTM(3, name="left")(shim.Embedding(6, 2, mask_zero=True, name="table")(words))
    right = shim.LSTM(3, name="right")(numbers)
    model = shim.Model([words, numbers], shim.Concatenate(name="both")([left, right]), backend="numpy")
    x = [np.array([[1, 2, 0, 0]]), np.random.RandomState(0).normal(size=(1, 4, 2))]
    alone = shim.Sequential([shim.LSTM(3, name="right")], inputs=(4, 2), backend="numpy")
    alone.set_weights({name: value for name, value in model.get_weights().items() if name.startswith("right/")})
    np.testing.assert_array_equal(model.predict(x)[:, 3:], alone.predict(x[1]))


def test_shares_of_attention_drop_in_sequences_of_any_length() -> None:
    """What is dropped is as large as the sequences at hand, which a model of open lengths learns from the data."""
    layers = [shim.Embedding(5, 4), shim.MultiHeadAttention(2, 2, causal=True, dropout=0.3), shim.Dense(5)]
    model = shim.Sequential(layers, inputs=(None,), backend="numpy")
    model.compile(optimizer=shim.SGD(0.1), loss="softmax_cross_entropy")
    for steps in (3, 7):
        ids = np.arange(2 * steps).reshape(2, steps) % 5
        assert np.isfinite(model.train_on_batch(ids, ids))


def test_a_layer_that_is_applied_twice_drops_other_places_each_time() -> None:
    """Both halves of a pair in one tower dropped the same units; Keras draws for each call."""
    start, drop = shim.Input((400,)), shim.Dropout(0.5)
    total = shim.Add()([drop(start), drop(shim.Activation(None)(start))])
    model = shim.Model(start, shim.PReLU()(total), backend="numpy")
    model.compile("sgd", "mean_squared_error")
    ones = np.ones((100, 400))
    assert model.train_on_batch(ones, 0 * ones) == pytest.approx(6.0, abs=0.1)  # 8 where they are the same
    assert model.fit(ones, 0 * ones, 32)["loss"][0] < 6.5 and (model.predict(ones) == 2).all()


def test_statistics_of_a_norm_that_is_applied_twice_move_twice() -> None:
    """As in Keras, where each call assigns them; the first call's batch was forgotten."""
    start, norm = shim.Input((3,)), shim.BatchNorm(momentum=0.75, name="norm")
    model = shim.Model(start, norm(shim.Dense(3, "tanh", name="a")(norm(start))), backend="numpy", dtype="float64")
    model.compile(shim.SGD(0.0), "mean_squared_error")
    x = np.random.default_rng(0).normal(3, 2, (9, 3))
    first = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    second = np.tanh(first @ model.get_weights()["a/kernel"])
    model.train_on_batch(x, x)
    moved = model.get_weights()
    expected = 0.75 * (0.25 * x.mean(0)) + 0.25 * second.mean(0)
    np.testing.assert_allclose(moved["norm/moving_mean"], expected, rtol=1e-12)
    expected = 0.75 * (0.75 + 0.25 * x.var(0)) + 0.25 * second.var(0)
    np.testing.assert_allclose(moved["norm/moving_variance"], expected, rtol=1e-12)


def trained_on(batch: int, **options: Any) -> tuple[dict[str, Any], list[Any]]:
    """The weights after one epoch of SGD, and after each of its steps."""
    rng = np.random.default_rng(0)
    x, y, steps = rng.normal(size=(12, 3)), rng.normal(size=(12, 2)), []
    model = shim.Sequential([shim.Dense(2, name="a")], inputs=(3,), backend="numpy", dtype="float64")
    model.compile(shim.SGD(0.1, **options), "mean_squared_error")
    for at in range(0, 12, batch):
        model.train_on_batch(x[at : at + batch], y[at : at + batch])
        steps.append(model.get_weights()["a/kernel"])
    model.compile(shim.SGD(0.1, **options), "mean_squared_error")
    return model.get_slots(), steps


def test_gradients_of_several_steps_are_one_update_of_their_mean() -> None:
    """Half a batch twice is the whole batch; weights stand still in between."""
    _, halves = trained_on(3, gradient_accumulation_steps=2)
    _, whole = trained_on(6)
    np.testing.assert_array_equal(halves[1], halves[2])
    np.testing.assert_allclose(halves[1::2], whole, rtol=1e-13)


def test_an_average_of_the_weights_takes_their_place_after_fit() -> None:
    """It starts at the weights after the first step, and is forgotten by a new `compile`."""
    held, steps = trained_on(4, use_ema=True, ema_momentum=0.75)
    assert not held["average/a/kernel"].any()
    expected = 0.75 * (0.75 * steps[0] + 0.25 * steps[1]) + 0.25 * steps[2]
    rng = np.random.default_rng(0)
    model = shim.Sequential([shim.Dense(2, name="a")], inputs=(3,), backend="numpy", dtype="float64")
    model.compile(shim.SGD(0.1, use_ema=True, ema_momentum=0.75), "mean_squared_error")
    model.fit(rng.normal(size=(12, 3)), rng.normal(size=(12, 2)), batch_size=4, shuffle=False)
    np.testing.assert_allclose(model.get_weights()["a/kernel"], expected, rtol=1e-13)
    model.compile(shim.SGD(0.1, use_ema=True), "mean_squared_error")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=2, initial_epoch=2)  # nothing is averaged yet
    np.testing.assert_allclose(model.get_weights()["a/kernel"], expected, rtol=1e-13)


def test_an_average_takes_the_weights_place_every_so_many_updates() -> None:
    """Of updates, and not of steps that only gather; what comes after starts from the average."""
    options = {"use_ema": True, "ema_momentum": 0.75}
    _, free = trained_on(3, **options)
    _, steps = trained_on(3, ema_overwrite_frequency=2, **options)
    np.testing.assert_array_equal(steps[0], free[0])
    np.testing.assert_allclose(steps[1], 0.75 * free[0] + 0.25 * free[1], rtol=1e-13)
    assert abs(steps[2] - free[2]).max() > 1e-3
    _, gathered = trained_on(2, ema_overwrite_frequency=2, gradient_accumulation_steps=2, **options)
    _, whole = trained_on(4, ema_overwrite_frequency=2, **options)
    np.testing.assert_allclose(gathered[1], whole[0], rtol=1e-13)
    np.testing.assert_allclose(gathered[2], gathered[1], rtol=1e-13)
    np.testing.assert_allclose(gathered[3], whole[1], rtol=1e-13)
    _, never = trained_on(2, ema_overwrite_frequency=4, gradient_accumulation_steps=2, **options)
    _, plain = trained_on(2, gradient_accumulation_steps=2, **options)
    np.testing.assert_array_equal(never[-1], plain[-1])


def test_options_of_accumulation_and_averages_are_checked() -> None:
    with pytest.raises(ValueError, match="gradient_accumulation_steps is 2 or more"):
        shim.Adam(gradient_accumulation_steps=1)
    assert shim.Adam(use_ema=True, ema_momentum=0).ema_momentum == 0  # the bound itself is a share
    with pytest.raises(ValueError, match="CosineDecay: decay_steps is above 0, got 0"):
        shim.CosineDecay(0.1, 0)
    assert shim.CosineDecay(0.1, 1)(1) == 0
    with pytest.raises(ValueError, match="ema_momentum is a share between 0 and 1, got 2"):
        shim.Adam(use_ema=True, ema_momentum=2)
    with pytest.raises(ValueError, match="ema_overwrite_frequency is 1 or more, or None, got 0"):
        shim.Adam(use_ema=True, ema_overwrite_frequency=0)


def test_class_weights_hold_for_every_place_of_a_sequence() -> None:
    x, y = np.random.RandomState(0).randint(1, 6, (4, 5)), np.random.RandomState(1).randint(0, 3, (4, 5))
    classes, examples = {0: 1.0, 1: 0.0, 2: 3.0}, np.linspace(1, 2, 4)
    each = examples[:, None] * np.vectorize(classes.get)(y)
    one, other = reader(), reader()
    one.fit(x, y, sample_weight=examples, class_weight=classes)
    other.fit(x, y, sample_weight=each)
    np.testing.assert_array_equal(one.get_weights()["logits/kernel"], other.get_weights()["logits/kernel"])
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\): one weight for each of 4 examples"):
        one.fit(x, y, sample_weight=np.ones(3))


def two_inputs() -> shim.Model:
    first, second = shim.Input((3,)), shim.Input((2,))
    total = shim.Add(name="sum")([shim.Dense(2, name="left")(first), shim.Dense(2, name="right")(second)])
    model = shim.Model([first, second], total, backend="numpy", dtype="float64")
    model.compile(optimizer=shim.Adam(0.1), loss="mean_squared_error")
    return model


def test_a_model_of_several_inputs() -> None:
    rng = np.random.RandomState(0)
    model, x = two_inputs(), [rng.normal(size=(9, 3)), rng.normal(size=(9, 2))]
    w = model.get_weights()
    expected = x[0] @ w["left/kernel"] + x[1] @ w["right/kernel"]
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)
    history = model.fit(x, np.zeros((9, 2)), epochs=50, batch_size=4, validation_split=0.2)
    assert history["loss"][-1] < 0.2 * history["loss"][0] and len(history["val_loss"]) == 50
    with pytest.raises(ValueError, match="the model has 2 inputs: x is a list of 2 arrays"):
        model.predict(x[0])
    with pytest.raises(ValueError, match=r"different numbers of examples: {'x/0': 9, 'x/1': 8}"):
        model.predict([x[0], x[1][:8]])
    with pytest.raises(ValueError, match=r"x/1 has examples of shape \(3,\), but layer 'right' \(Dense\) takes \(2,\)"):
        model.predict([x[0], x[0]])
    with pytest.raises(ValueError, match="the inputs of a model are all the Inputs that lead to its output"):
        shim.Model([shim.Input((2,)), start := shim.Input((2,))], shim.Dense(1)(start))


def test_augmentation_flips_shifts_and_turns() -> None:
    rng, images = np.random.default_rng(0), np.random.RandomState(0).normal(size=(400, 5, 5, 2))
    flipped = shim.Augment(flip=True)(images, rng)
    mirrored = (flipped == images[:, :, ::-1]).all((1, 2, 3))
    assert ((flipped == images).all((1, 2, 3)) | mirrored).all() and 150 < mirrored.sum() < 250

    class Whole:
        """Draws the largest values of a range: one pixel down and right, a quarter turn."""

        uniform = staticmethod(lambda low, high, size: np.full(size, high))
        random = staticmethod(np.ones)

    shifted = shim.Augment(shift=1)(images, Whole())  # type: ignore[arg-type]
    np.testing.assert_allclose(shifted[:, 1:, 1:], images[:, :-1, :-1])
    turned = shim.Augment(rotation=90)(images, Whole())  # type: ignore[arg-type]
    assert any(np.allclose(turned, np.rot90(images, way, (1, 2))) for way in (1, -1))


ONE_FILTER = """
def trained(backend):
    layers = [shim.Conv1D(1, 3, padding="same", name="conv")]
    model = shim.Sequential(layers, inputs=(6, 2), backend=backend, dtype="float64", mode=None, seed=1)
    model.compile(optimizer=shim.SGD(0.1), loss="mean_squared_error")
    model.set_weights({"conv/kernel": np.arange(6.0).reshape(3, 2, 1) / 7, "conv/bias": np.zeros(1)})
    x = np.cos(np.arange(24.0)).reshape(2, 6, 2)
    model.train_on_batch(x, x[..., :1])
    return model.get_weights()["conv/kernel"]
print(float(np.abs(trained(backend) - trained("numpy")).max()))
def predicted(backend):
    largest = lambda B, x: B.softmax(x)
    layers = [shim.Conv2D(3, 1, activation=largest), shim.MaxPool2D(1), shim.Activation(largest), shim.Conv2D(1, 1)]
    model = shim.Sequential(layers, inputs=(4, 2, 2), backend=backend, dtype="float64", seed=0)
    return model.predict(np.random.default_rng(0).normal(size=(2, 4, 2, 2)))
print(float(np.abs(predicted(backend) - predicted("numpy")).max()))
"""


@pytest.mark.full
def test_images_on_torch_are_trained_with_one_filter_and_a_function_sees_their_channels_last() -> None:
    """PyTorch's slow_conv2d raises for the gradient of a turned weight: `grad_weight must be contiguous`.

    An activation that the user wrote looks at the last axis, which is not that of channels in PyTorch's own layout.
    """
    trained, predicted = in_process("torch", ONE_FILTER)[-2:]
    assert float(trained) < 1e-14
    assert float(predicted) < 1e-14
