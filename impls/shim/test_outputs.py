"""Models of several outputs: losses, weights, labels and metrics of each, as Keras has them."""

from __future__ import annotations

import ast
import importlib.util
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim.test_features import in_process

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 3))
VALUES, CLASSES = RNG.normal(size=(10, 1)), RNG.integers(0, 2, 10)


def model(form: str = "list", backend: str = "numpy", **options: Any) -> shim.Model:
    """A number, a class of two, and the hidden units that both come from."""
    start = shim.Input((3,))
    hidden = shim.Dense(4, "tanh", name="hidden")(start)
    number, kind = shim.Dense(1, name="number")(hidden), shim.Dense(2, name="kind")(hidden)
    outputs: Any = {"list": [number, kind], "dict": {"n": number, "k": kind}, "hidden": [number, hidden]}[form]
    return shim.Model(start, outputs, backend=backend, dtype="float64", **options)


def test_the_loss_is_the_weighted_sum_and_its_gradient_reaches_what_is_shared() -> None:
    """Against models of one output each, whose layers have the same weights."""
    both = model()
    both.compile(shim.SGD(0.1), ["mse", "softmax_cross_entropy"], loss_weights=[0.5, 2.0])
    parts = []
    for name, loss, labels, weight in (("number", "mse", VALUES, 0.5), ("kind", "softmax_cross_entropy", CLASSES, 2.0)):
        layers = [shim.Dense(4, "tanh", name="hidden"), shim.Dense(1 if name == "number" else 2, name=name)]
        alone = shim.Sequential(layers, inputs=(3,), backend="numpy", dtype="float64")
        before = {key: both.get_weights()[key] for key in alone.get_weights()}
        alone.set_weights(before)
        alone.compile(shim.SGD(0.1), loss)
        first = alone.train_on_batch(X, labels)
        parts.append((weight, first, {key: value - before[key] for key, value in alone.get_weights().items()}))
    before = both.get_weights()
    found = both.train_on_batch(X, [VALUES, CLASSES])
    assert found == pytest.approx([sum(w * first for w, first, _ in parts), parts[0][1], parts[1][1]])
    for key, value in both.get_weights().items():
        expected = sum(w * moved[key] for w, _, moved in parts if key in moved)
        np.testing.assert_allclose(value - before[key], expected, rtol=1e-9, atol=1e-14)


def test_labels_and_weights_go_by_place_or_by_name() -> None:
    weights = np.linspace(0, 2, 10)
    listed, named = model(), model("dict")
    listed.compile("sgd", ["mse", "softmax_cross_entropy"], [["mae"], "accuracy"])
    named.set_weights(listed.get_weights())
    named.compile("sgd", {"n": "mse", "k": "softmax_cross_entropy"}, {"n": "mae", "k": ["accuracy"]})
    one = listed.fit(X, [VALUES, CLASSES], 4, 2, sample_weight=weights, validation_split=0.2)
    other = named.fit(
        X, {"k": CLASSES, "n": VALUES}, 4, 2, sample_weight={"k": weights, "n": weights}, validation_split=0.2
    )
    renamed = {name.replace("number", "n").replace("kind", "k"): values for name, values in one.items()}
    assert renamed.keys() == other.keys() and all(renamed[name] == pytest.approx(other[name]) for name in other)
    assert list(one)[:5] == ["loss", "number_loss", "kind_loss", "kind_accuracy", "number_mae"]
    predicted, by_name = listed.predict(X, batch_size=3), named.predict(X)
    for value, key in zip(predicted, "nk", strict=True):
        np.testing.assert_allclose(value, by_name[key], rtol=1e-12)
    assert [y.shape for y in listed.predict(X[:0])] == [(0, 1), (0, 2)] and list(named(X)) == ["k", "n"]
    batches = [(X[at : at + 5], (VALUES[at : at + 5], CLASSES[at : at + 5])) for at in (0, 5)]
    np.testing.assert_allclose(listed.evaluate(batches), listed.evaluate(X, [VALUES, CLASSES]), rtol=1e-12)
    np.testing.assert_allclose(listed.predict(iter(batches))[1], predicted[1], rtol=1e-12)
    for key in "nk":  # what was compiled for the weights of one output is not taken for those of another
        fresh, labels = model("dict"), {"k": CLASSES, "n": VALUES}
        fresh.set_weights(named.get_weights())
        fresh.compile("sgd", {"n": "mse", "k": "softmax_cross_entropy"}, {"n": "mae", "k": ["accuracy"]})
        for call in ("evaluate", "train_on_batch"):
            told = [getattr(each, call)(X, labels, sample_weight={key: weights}) for each in (named, fresh)]
            assert told[0] == told[1], (key, call)


def test_an_output_without_a_loss_is_handed_out_alone() -> None:
    """And may be what another layer reads: it must not be thrown away after that."""
    found = model("hidden")
    found.compile("sgd", ["mse", None])
    assert found.fit(X, [VALUES]).keys() == {"loss"} and found.evaluate(X, [VALUES, None]) >= 0
    weights = found.get_weights()
    np.testing.assert_allclose(found.predict(X)[1], np.tanh(X @ weights["hidden/kernel"] + weights["hidden/bias"]))


def test_a_model_of_several_outputs_within_another() -> None:
    start = shim.Input((3,))
    number, kind = model()(start)
    outer = shim.Model(start, [shim.Dense(1, name="more")(kind), number], backend="numpy", dtype="float64")
    np.testing.assert_array_equal(outer.predict(X)[1], model().predict(X)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.compile("sgd", {"numbr": "mse"}), r"keys \['numbr'\], .* outputs are called \['number', 'kind'\]"),
        (lambda m: m.compile("sgd", "mse", ["mae"]), "the model has 2 outputs: metrics is a list of 2"),
        (lambda m: m.compile("sgd", "mse", loss_weights=2.0), "the model has 2 outputs: loss_weights is a list of 2"),
        (lambda m: m.compile("sgd", [None, None]), "no output has a loss"),
        (lambda m: m.fit(X, VALUES), "y is a list of 2, or a dictionary by their names, number"),
        (lambda m: m.fit(X, [VALUES, CLASSES + 5]), "labels are integers from 0 to 1, got 5 to 6"),
        (lambda m: m.fit(X, [VALUES, CLASSES[:4]]), "x has 10 examples, y of 'kind' has 4"),
        (lambda m: m.fit(X, {"number": VALUES}), "y of 'kind' is missing"),
        (lambda m: m.fit(X, [VALUES, CLASSES], class_weight={0: 1.0, 1: 2.0}), "class_weight is for models of one"),
        (lambda m: m.extend(X, shim.KeyValueCache()), "a cache is for models of one output, this one has number, kind"),
        (lambda m: shim.to_onnx(m), "a file has one output, this model has number, kind"),
        (lambda m: shim.Model(start := shim.Input((3,)), [start]), "comes from a layer, not from an Input itself"),
        (lambda m: shim.Sequential([shim.Dense(1)]).compile("sgd", "mse", loss_weights=[2.0]), "of several outputs"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(call: Any, message: str) -> None:
    found = model()
    found.compile("sgd", ["mse", "softmax_cross_entropy"])
    with pytest.raises(ValueError, match=message):
        call(found)


def test_weighted_metrics_are_means_of_weighted_examples() -> None:
    """Over the epoch, and not the mean of the batches' means; the name of a metric that is there twice is Keras's."""
    chain = shim.Sequential([shim.Dense(1)], inputs=(3,), backend="numpy", dtype="float64")
    chain.compile("sgd", "mse", ["mae"], weighted_metrics=["mae", "mse"])
    weights = np.linspace(0, 3, 10)
    errors = (chain.predict(X) - VALUES)[:, 0]
    found = chain.evaluate(X, VALUES, batch_size=4, sample_weight=weights, return_dict=True)
    assert found == pytest.approx({
        "loss": (weights * errors**2).mean(), "mae": np.abs(errors).mean(),
        "weighted_mae": (weights * np.abs(errors)).sum() / weights.sum(),
        "mse": (weights * errors**2).sum() / weights.sum(),
    })  # fmt: skip
    frozen = chain.fit(X, VALUES, 4, 1, sample_weight=weights, callbacks=shim.LearningRate(lambda epoch: 0.0))
    assert frozen["weighted_mae"][0] == pytest.approx(found["weighted_mae"])
    with pytest.raises(ValueError, match="gives a value for each example, not one for a batch"):
        chain.compile("sgd", "mse", weighted_metrics=[lambda B, y, outputs: B.mean(outputs)])
        chain.evaluate(X, VALUES)


IDS, STEPS = RNG.integers(0, 4, (10, 5)), RNG.normal(size=(10, 5, 3))
IDS[:, 0] = 1  # no sequence is empty
PLACES, NUMBERS = RNG.integers(0, 2, (10, 5)), RNG.normal(size=(10, 5, 1))


def reader(*names: str, dtype: str = "float64") -> shim.Model:
    """Classes of the places of a masked sequence, numbers of those of another without a mask, or one of the two."""
    ids, steps = shim.Input((5,)), shim.Input((5, 3))
    outputs = {
        "numbers": (steps, shim.Dense(1, name="numbers")(steps)),
        "places": (ids, shim.Dense(2, name="places")(shim.Embedding(4, 3, mask_zero=True, name="table")(ids))),
    }
    chosen = [outputs[name] for name in names]
    starts, ends = [start for start, _ in chosen], [end for _, end in chosen]
    alone = len(names) == 1
    return shim.Model(starts[0] if alone else starts, ends[0] if alone else ends, backend="numpy", dtype=dtype)


@pytest.mark.parametrize("of", ["examples", "places"])
def test_metrics_of_masked_places_with_weights(of: str) -> None:
    """Plain ones are means over the places that are kept, weighted ones by their weights; over all batches."""
    table = shim.Embedding(4, 3, mask_zero=True, embeddings_initializer="random_normal")
    found = shim.Sequential([table, shim.Dense(2)], inputs=(5,), backend="numpy", dtype="float64")
    found.compile("sgd", "mse", ["mae"], weighted_metrics=["mae", "mse"])
    y, w = NUMBERS * [1.0, 0.5], RNG.uniform(0.3, 2, (10, 5) if of == "places" else 10)
    errors, kept = found.predict(IDS) - y, (IDS != 0) * 1.0
    weights = kept * (w if of == "places" else w[:, None])
    told = found.evaluate(IDS, y, batch_size=10, sample_weight=w, return_dict=True)
    size, square = np.abs(errors).mean(-1), (errors**2).mean(-1)
    expected = {"loss": (weights * square).sum() / kept.sum(), "mae": (kept * size).sum() / kept.sum()}
    expected |= {
        "weighted_mae": (weights * size).sum() / weights.sum(),
        "mse": (weights * square).sum() / weights.sum(),
    }
    assert told == pytest.approx(expected, rel=1e-6)  # Keras's epsilon


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_each_output_is_judged_as_if_it_were_alone(dtype: str) -> None:
    """By its own mask, weights and metrics, and in the type of the weights: one of another output would be no error."""
    examples = {"numbers": (STEPS, NUMBERS, np.linspace(0, 3, 10)), "places": (IDS, PLACES, np.linspace(2, 1, 10))}
    losses = {"places": "softmax_cross_entropy", "numbers": "mse"}  # told in the order of the outputs
    both = reader("numbers", "places", dtype="float32")
    both.compile(shim.SGD(0.0), losses, {"places": "accuracy"}, loss_weights=[0.0, 2.0])
    both.to(dtype=dtype)  # whose labels go along
    off = 1e-12 if dtype == "float64" else 1e-6
    x, y, w = (list(each) for each in zip(*examples.values(), strict=True))
    found, predicted = both.evaluate(x, y, sample_weight=w, return_dict=True), both.predict(x)
    assert list(found) == ["loss", "numbers_loss", "places_loss", "places_accuracy"]
    assert both.train_on_batch(x, y, w) == pytest.approx(list(found.values()), rel=off)
    for at, (name, own) in enumerate(examples.items()):
        alone = reader(name, dtype=dtype)
        alone.set_weights({key: both.get_weights()[key] for key in alone.get_weights()})
        alone.compile("sgd", losses[name], ["accuracy"] if name == "places" else [])
        expected = np.atleast_1d(alone.evaluate(own[0], own[1], sample_weight=own[2]))
        assert [found[key] for key in found if key.startswith(name)] == pytest.approx(expected.tolist(), rel=off)
        np.testing.assert_array_equal(predicted[at], alone.predict(own[0]))
        assert predicted[at].dtype == both.dtype
    assert found["loss"] == pytest.approx(2 * found["places_loss"])


def test_an_output_that_has_metrics_alone_has_labels() -> None:
    found = model()
    found.compile("sgd", [None, "softmax_cross_entropy"], [["mae"], []])
    told = found.evaluate(X, [VALUES, CLASSES], return_dict=True)
    assert told == {"loss": told["loss"], "number_mae": pytest.approx(np.abs(found.predict(X)[0] - VALUES).mean())}
    both = np.eye(2)[CLASSES]
    found.set_weights({**found.get_weights(), "kind/kernel": np.zeros((4, 2)), "kind/bias": np.array([0.25, 0.75])})
    # An accuracy is by its own loss, from one half on; a loss that has no weight counts once.
    chosen: list[Any] = [[], "accuracy"]
    judges = {"metrics": chosen, "weighted_metrics": chosen, "loss_weights": {"kind": 2.0}}
    found.compile("sgd", ["mse", "binary_crossentropy"], **judges)
    told = found.evaluate(X, [VALUES, both], return_dict=True)
    assert told["loss"] == pytest.approx(told["number_loss"] + 2 * told["kind_loss"])
    assert told["kind_weighted_accuracy"] == told["kind_accuracy"]
    assert told["kind_accuracy"] == pytest.approx((both == [False, True]).mean())


FORMS = """
layers = {"hidden": 4, "number": 1, "kind": 2}
def made(mode=None):
    start = shim.Input((3,))
    hidden = shim.Dense(4, "tanh", name="hidden")(start)
    outputs = {"n": shim.Dense(1, name="number")(hidden), "k": shim.Dense(2, name="kind")(hidden)}
    return shim.Model(start, outputs, backend=backend, dtype="float64", mode=mode)
x, y = np.sin(np.arange(30.0)).reshape(10, 3), {"n": np.cos(np.arange(10.0)), "k": np.arange(10) % 2}
def values(mode):
    model = made(mode)
    model.compile("adam", {"n": "mse", "k": "softmax_cross_entropy"}, {"n": "mae"}, loss_weights={"n": 0.3, "k": 1.0},
                  weighted_metrics={"k": "accuracy"})
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, sample_weight=np.arange(10.0))
    return {**history, **{key: value.tolist() for key, value in model.predict(x, batch_size=4).items()}}
for mode in MODES:
    print(values(mode))
"""
MODES: dict[str, list[str]] = {
    "tensorflow": ["graph", "eager", "xla"],
    "torch": ["eager", "compile", "auto"],
    "jax": ["jit", "eager"],
}


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_every_engine_and_mode_computes_the_same(backend: str) -> None:
    expected = ast.literal_eval(in_process("numpy", FORMS.replace("MODES", "[None]"))[-1])
    lines = in_process(backend, FORMS.replace("MODES", repr(MODES[backend])))[-len(MODES[backend]) :]
    for line in lines:
        found = ast.literal_eval(line)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-12, atol=1e-14)


KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras
keras.config.set_floatx("float64")
L, C = keras.layers, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
rng = np.random.default_rng(0)
def check(title, outputs, loss, y, x=None, weights=None, **options):
    model = keras.Model(starts, outputs)
    model.compile(keras.optimizers.Adam(0.01), loss, **options)
    ours = shim.from_keras(model, backend="numpy")
    if "metrics" in options:  # which do not come along
        losses = [shim.losses.CategoricalCrossEntropy(True) if each is C else each for each in loss]
        ours.compile(shim.Adam(0.01), losses, **options)
    pair = model.evaluate(x, y, verbose=0, sample_weight=weights), ours.evaluate(x, y, sample_weight=weights)
    both = model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0, sample_weight=weights).history, \\
        ours.fit(x, y, epochs=2, batch_size=4, shuffle=False, sample_weight=weights).history
    predicted = model.predict(x, verbose=0), ours.predict(x)
    if isinstance(outputs, dict):
        predicted = [[each[key] for key in sorted(each)] for each in predicted]
    print(title, np.allclose(*pair, rtol=1e-6), both[0].keys() == both[1].keys(),
          all(np.allclose(both[0][k], both[1][k], rtol=1e-6) for k in both[1]),
          max(np.abs(a - b).max() for a, b in zip(*predicted)) < 1e-6)
starts = L.Input((3,))
h = L.Dense(4, "tanh", name="hidden")(starts)
a, b = L.Dense(1, name="number")(h), L.Dense(2, name="kind")(h)
x, n, k = rng.normal(size=(10, 3)), rng.normal(size=(10, 1)), rng.integers(0, 2, 10)
w = rng.uniform(size=10)
check("list", [a, b], ["mse", C], [n, k], x, loss_weights=[0.3, 2.0])
check("names", [a, b], {"number": "mae", "kind": C}, [n, k], x, loss_weights={"kind": 0.3, "number": 2.0})
check("dictionary", {"second": a, "first": b}, {"second": "mse", "first": C}, {"second": n, "first": k}, x)
check("one for all", [a, b], "mse", [n, rng.normal(size=(10, 2))], x)
check("metrics", [a, b], ["mse", C], [n, k], x, w, metrics=[["mae", "mse"], ["accuracy"]])
check("weighted", [a, b], ["mse", C], [n, k], x, [w, w[::-1].copy()], metrics=[["mae"], ["accuracy"]],
      weighted_metrics=[["mae", "mse"], ["accuracy"]], loss_weights=[0.5, 0.25])
inner = keras.Model(starts, [b, a], name="inner")
shared = L.Dense(3, name="shared")
first, second = L.Input((3,)), L.Input((3,))
p, q = inner(shared(first))
r, s = inner(shared(second))
starts = [first, second]
check("nested, shared", [L.Add(name="sum")([p, r]), L.Concatenate(name="both")([q, s])], ["mse", "mae"],
      [rng.normal(size=(10, 2)), rng.normal(size=(10, 2))], [x, x[::-1].copy()], loss_weights=[1.0, 3.0])
words, seen = L.Input((5, 3)), L.Input((5,), dtype="bool")
t = L.LSTM(4, return_sequences=True)(words, mask=seen)
starts = [words, seen]
mask = np.arange(5) < rng.integers(1, 6, (10, 1))
check("mask", [L.GRU(3, name="late")(t), L.Bidirectional(L.LSTM(2), name="ways")(words, mask=seen)], ["mse", "mse"],
      [rng.normal(size=(10, 3)), rng.normal(size=(10, 4))], [rng.normal(size=(10, 5, 3)), mask])
for options in ({"query_mask": seen}, {"key_mask": seen}):
    try:
        shim.from_keras(keras.Model(starts, L.MultiHeadAttention(2, 3, name="heads")(words, words, **options)))
    except ValueError as error:
        print(error)
"""


@pytest.mark.full
@pytest.mark.catalogue
def test_keras_computes_the_same() -> None:
    """Losses, weights of losses and of examples, metrics, names, predictions; through `from_keras`."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    lines = in_process("torch", KERAS)
    titles = ["list", "names", "dictionary", "one for all", "metrics", "weighted", "nested, shared", "mask"]
    refused = "layer 'heads' (MultiHeadAttention) cannot become a layer of the shim: it is called with "
    expected = [f"{title} True True True True" for title in titles]
    assert lines == [*expected, refused + "query_mask", refused + "key_mask"]
