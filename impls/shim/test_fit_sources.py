"""Steps of an epoch, of a validation and of a prediction; streams that go on; inputs by name; layers at every place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim.losses import CategoricalCrossEntropy
from impls.shim.test_as_keras import Items, X, Y, model

WEIGHTS = np.random.default_rng(1).uniform(0.1, 4, 20)


def trained_on(batches: list[Any]) -> dict[str, np.ndarray]:
    """The weights after a step on each batch, in turn."""
    found = model()
    for batch in batches:
        found.train_on_batch(*batch)
    return found.get_weights()


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-14)


def parts(size: int) -> list[tuple[Any, ...]]:
    return [(X[at : at + size], Y[at : at + size], WEIGHTS[at : at + size]) for at in range(0, 20, size)]


def test_an_epoch_of_so_many_steps_goes_on_where_the_last_one_ended() -> None:
    """Of five batches three an epoch: 0 1 2, then 3 4 0; a ragged last batch is a step too."""
    whole = parts(4)
    expected = trained_on([whole[at % 5] for at in range(9)])
    arrays, listed = model(), model()
    arrays.fit(X, Y, 4, 3, shuffle=False, sample_weight=WEIGHTS, steps_per_epoch=3)
    listed.fit(whole, epochs=3, steps_per_epoch=3)
    same(arrays.get_weights(), expected)
    same(listed.get_weights(), expected)
    ragged = model()
    ragged.fit(X, Y, 8, 1, shuffle=False, sample_weight=WEIGHTS, steps_per_epoch=4)
    same(ragged.get_weights(), trained_on([*parts(8), parts(8)[0]]))
    changed = model()
    changed.fit(X, Y, 4, 1, shuffle=False, steps_per_epoch=5, augment=lambda x, rng: -x)
    same(changed.get_weights(), trained_on([(-x, y) for x, y, _ in whole]))


def test_steps_of_shuffled_arrays_are_another_order_in_each_round() -> None:
    """One batch of all examples has the same loss in any order; batches of one are seen by what they do."""
    seen: list[list[int]] = []

    class Noting(shim.Sequential):
        def step_on(self, columns: dict[str, np.ndarray]) -> Any:
            (at,) = np.flatnonzero((columns["x"] == X).all(1))
            assert columns["y"] == Y[at] and columns["w"] == WEIGHTS[at]
            seen[-1].append(int(at))
            return super().step_on(columns)

        def epochs(self, count: int, **options: Any) -> list[list[int]]:
            seen.clear()
            for _ in range(count):
                seen.append([])
                self.fit(X, Y, 1, sample_weight=WEIGHTS, steps_per_epoch=20, **options)
            return list(seen)

    found = Noting([shim.Dense(3)], inputs=(4,), backend="numpy", dtype="float64")
    found.compile("sgd", "softmax_cross_entropy")
    first, second = found.epochs(2)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second and list(range(20)) not in (first, second)
    assert found.epochs(1, shuffle=False) == [list(range(20))]


def test_a_generator_that_goes_on_and_the_end_of_a_dataset() -> None:
    """The batch that decides the shapes is trained on, no batch is lost between epochs, and the dataset is told."""

    def endless() -> Iterator[Any]:
        for at in range(100):
            yield X[at % 20 : at % 20 + 1], Y[at % 20 : at % 20 + 1]

    found = model()
    shapeless = shim.Sequential([shim.Dense(5, "tanh", name="first"), shim.Dense(3, name="last")], backend="numpy",
                                dtype="float64")  # fmt: skip
    shapeless.compile("sgd", "softmax_cross_entropy", ["accuracy"])
    expected = trained_on([(X[at : at + 1], Y[at : at + 1]) for at in range(6)])
    for each in (found, shapeless):
        each.fit(endless(), epochs=2, steps_per_epoch=3)
        same(each.get_weights(), expected)
    items, ends = Items(), []
    watch = shim.LearningRate(lambda epoch: ends.append(items.ended) or 0.01)  # type: ignore[func-returns-value]
    model().fit(items, epochs=3, callbacks=[watch], verbose=0)
    assert ends == [0, 1, 2] and items.ended == 3
    model().fit(items, epochs=2, steps_per_epoch=2)
    assert items.ended == 5


def test_a_generator_of_one_epoch_is_not_asked_for_two() -> None:
    """The second one would train on nothing."""
    with pytest.raises(ValueError, match="a generator is empty after one epoch: give steps_per_epoch="):
        model().fit(iter(parts(4)), epochs=2)
    assert model().fit(iter(parts(4)), epochs=2, initial_epoch=1).epoch == [1]


def test_steps_of_validation_evaluation_and_prediction() -> None:
    """So many batches and no more; those of a generator after them are still there."""
    found, batches = model(), parts(4)
    counts = WEIGHTS[:8]
    expected = found.evaluate(X[:8], Y[:8], sample_weight=counts)
    assert found.evaluate(iter(batches), steps=2) == pytest.approx(expected, rel=1e-12)
    assert found.evaluate(batches) == pytest.approx(found.evaluate(X, Y, sample_weight=WEIGHTS), rel=1e-12)
    source = iter([batch[:2] for batch in batches])
    np.testing.assert_array_equal(found.predict(source, steps=2), found.predict(X[:8]))
    np.testing.assert_array_equal(found.predict(source), found.predict(X[8:]))
    np.testing.assert_array_equal(found.predict(iter([[*batch] for batch in batches])), found.predict(X))
    assert found.test_on_batch(X[:8], Y[:8], counts) == pytest.approx(expected, rel=1e-12)
    assert found.evaluate(X, Y, 4, sample_weight=WEIGHTS, steps=2) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(found.predict(X, 4, steps=2), found.predict(X[:8]))
    many = np.tile(X, (3, 1))
    assert len(found.predict(many, steps=1)) == 32  # Keras's batch
    assert found.evaluate(many, np.tile(Y, 3), steps=1) == pytest.approx(found.evaluate(many[:32], np.tile(Y, 3)[:32]))
    for data in (Items(), (X, Y)):
        history = found.fit(X, Y, 20, 1, validation_data=data, validation_steps=2, validation_batch_size=4)
        assert history["val_loss"][0] == pytest.approx(found.evaluate(X[:8], Y[:8])[0], rel=1e-12)


def test_validation_comes_after_the_epochs_that_were_asked_for() -> None:
    """Its values are those of a training that is judged by hand after these epochs."""
    frequencies: list[tuple[Any, tuple[int, ...]]] = [(2, (1, 3)), (3, (2,)), ([1, 4], (0, 3))]
    for frequency, epochs in frequencies:
        once, by_hand = model(), model()
        history = once.fit(X, Y, 4, 5, shuffle=False, validation_data=(X[:7], Y[:7]), validation_freq=frequency)
        expected = []
        for epoch in range(5):
            by_hand.fit(X, Y, 4, 1, shuffle=False)
            if epoch in epochs:
                expected.append(by_hand.evaluate(X[:7], Y[:7])[0])
        np.testing.assert_allclose(history["val_loss"], expected, rtol=1e-12)


def test_values_keep_the_order_of_the_metrics() -> None:
    found = model(metrics=["accuracy", "sparse_categorical_accuracy", lambda B, y, outputs: B.mean(outputs) * 0 - 5.0])
    loss, *rest = found.evaluate(X, Y)
    assert rest == [(found.predict(X).argmax(1) == Y).mean()] * 2 + [-5.0] and loss > 0


def test_labels_with_several_ones_are_shares() -> None:
    """The first one alone would be learnt, and nobody would see that the second is not."""
    several = np.eye(3)[Y] + np.eye(3)[(Y + 1) % 3]
    found = model(CategoricalCrossEntropy(from_logits=True), [])
    z = found.predict(X)
    logs = z - np.log(np.exp(z).sum(-1, keepdims=True))
    assert found.evaluate(X, several) == pytest.approx(-(several * logs).sum(-1).mean(), rel=1e-12)


TYPES = ("bool", "uint8", "int8", "int16", "uint32", "int64", "float16", "float32", "float64")


@pytest.mark.parametrize("kind", TYPES)
def test_numbers_of_every_type_train_alike(kind: str) -> None:
    """Zeros and ones of any width: as inputs, as labels yes or no and of classes, and as weights of examples."""
    x, y, w = (X > 0) * 1.0, (Y > 0) * 1.0, np.arange(20) % 2 * 1.0

    def trained(kind: str, loss: str, columns: bool) -> Any:
        layers = [shim.Dense(3, "tanh", name="first"), shim.Dense(1 if columns else 3, name="last")]
        found = shim.Sequential(layers, (4,), "numpy", dtype="float64")
        found.compile("sgd", loss, ["accuracy"])
        labels = (y[:, None] if columns else y).astype(kind)
        history = found.fit(x.astype(kind), labels, 8, 2, sample_weight=w.astype(kind), class_weight={0: 1.5, 1: 0.5})
        return history, found.evaluate(x.astype(kind), labels), found.predict(x.astype(kind)).tolist()

    for loss, columns in (("sigmoid_cross_entropy", True), ("softmax_cross_entropy", False), ("mae", True)):
        assert trained(kind, loss, columns) == trained("float64", loss, columns)


def test_inputs_by_name_in_any_order() -> None:
    left, right = shim.Input((3,), "west"), shim.Input((3,), "east")  # not the order of the alphabet
    both = shim.Concatenate()([shim.Dense(2, name="a")(left), shim.Dense(2, name="b")(right)])
    found = shim.Model([left, right], both, backend="numpy", dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    np.testing.assert_array_equal(found.predict({"east": x[1], "west": x[0]}), found.predict([x[0], x[1]]))


def test_of_several_inputs_the_first_one_is_changed() -> None:
    """Whether arrays or batches are given."""
    x, y = np.random.default_rng(0).normal(size=(2, 6, 3)), np.ones((6, 2))
    found: list[dict[str, np.ndarray]] = []
    cases: list[list[Any]] = [[[-x[0], x[1]], y], [[x[0], x[1]], y], [[([x[0], x[1]], y)], None]]
    for given, labels in cases:
        left, right = shim.Input((3,)), shim.Input((3,))
        both = shim.Add()([shim.Dense(2, "tanh")(left), shim.Dense(2)(right)])
        each = shim.Model([left, right], both, backend="numpy", dtype="float64")
        each.compile("SGD", "mse")
        each.fit(given, labels, shuffle=False, augment=(lambda x, rng: -x) if found else None)
        found.append(each.get_weights())
    same(found[1], found[0])
    same(found[2], found[0])


def test_dropout_at_every_place_is_that_of_the_whole() -> None:
    """The same stream drops the same places; masks of another example would give another loss."""
    losses, x = [], np.random.default_rng(0).normal(size=(7, 4, 3))
    frozen = [
        shim.Dropout(0.4, trainable=False),
        shim.TimeDistributed(shim.Dropout(0.4, trainable=False)),
    ]  # of weights
    for layer in (shim.Dropout(0.4), shim.TimeDistributed(shim.Dropout(0.4)), *frozen):
        found = shim.Sequential([layer, shim.Dense(2, name="unit")], inputs=(4, 3), backend="numpy", dtype="float64")
        found.compile("sgd", "mse")
        losses.append(found.fit(x, np.ones((7, 4, 2)), 3, 3)["loss"])
    np.testing.assert_allclose(losses[1:], [losses[0]] * 3, rtol=1e-12)


def test_a_gradient_beyond_float16_is_an_update_where_its_scaled_one_is_within() -> None:
    """The scale of a long training may lie far below 1: 204,800 of float32 is 12,800 in float16."""
    found = shim.Sequential([shim.Dense(1, name="unit")], inputs=(1,), backend="numpy", dtype="mixed_float16")
    found.compile(shim.SGD(2.0**-10), "mse")
    found.set_weights({"unit/kernel": np.zeros((1, 1)), "unit/bias": np.zeros(1)})
    found.loss_scale.value = 2.0**-4
    found.train_on_batch(np.full((1, 1), 256.0), np.full((1, 1), 400.0))
    assert found.t == 1 and found.loss_scale.value == 2.0**-4
    assert found.get_weights()["unit/kernel"] == pytest.approx(200.0)


def test_the_loss_of_an_epoch_in_float16_is_the_mean_of_its_steps() -> None:
    found, by_hand = (shim.Sequential([shim.Dense(3)], (4,), "numpy", dtype="mixed_float16") for _ in range(2))
    for each in (found, by_hand):
        each.compile("sgd", "softmax_cross_entropy")
    history = found.fit(X, Y, 8, shuffle=False)
    steps = [by_hand.train_on_batch(X[at : at + 8], Y[at : at + 8]) for at in (0, 8, 16)]
    assert history["loss"] == pytest.approx([np.average(steps, weights=[8, 8, 4])], rel=1e-6)
