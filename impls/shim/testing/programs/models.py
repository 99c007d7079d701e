"""Models that change and stand in one another: layers added and taken away, weights that come along, files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from impls.shim.testing.programs.library import EitherModel, Found, Keras, Library, Made, Program, plain

RNG = np.random.default_rng(3)
X = RNG.normal(size=(6, 4))
Y = RNG.normal(size=(6, 2))
IMAGES = RNG.normal(size=(2, 4, 5, 3))
SERIES = RNG.normal(size=(3, 5, 4))


def chain(k: Library, *more: Made) -> Made:
    return k.draw(k.Sequential([k.Input((4,)), k.layers.Dense(3, "tanh", name="first"), *more]))


def fitted(k: Library, model: EitherModel) -> Found:
    """Outputs, and where two epochs lead."""
    model.compile(k.optimizers.SGD(0.1), "mse")
    outputs = model.predict(X, verbose=0)
    y = np.ones_like(outputs)
    history = model.fit(X, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    return plain({"outputs": outputs, "history": history, "weights": k.state(model)})


def grown_and_cut(k: Library, folder: Path) -> Found:
    """What stands keeps its weights, drawn, trained or set; what is new begins anew."""
    empty = k.Sequential()
    empty.add(k.Input((4,)))
    for units in (3, 2):
        empty.add(k.layers.Dense(units, "relu" if units == 3 else None, name=f"dense{units}"))
    found = {"from nothing": fitted(k, k.draw(empty))}
    model = chain(k, k.layers.Dense(2, name="last"))
    found["before"] = fitted(k, model)
    taken = model.pop()
    held = k.state(model)
    found["taken"] = [taken.name, held, plain(model.predict(X, verbose=0))]
    model.add(k.layers.Dense(1, name="other"))
    weights = {**k.named(model), "other/kernel": np.full((3, 1), 0.5), "other/bias": np.zeros(1)}
    kept = {name: each.tolist() for name, each in k.named(model).items() if name.startswith("first/")}
    k.put(model, weights)
    found["grown"] = [kept == held, fitted(k, model)]
    late = k.Sequential([k.layers.Dense(2, name="late")])  # the first data decide
    late.add(k.layers.Dense(1, name="later"))
    late.build((None, 4) if k.name == "keras" else (4,))
    found["late"] = fitted(k, k.draw(late))
    return found


def within_one_another(k: Library, folder: Path) -> Found:
    """A model in a graph and in a chain, with the weights that it has; one of several outputs."""

    def ones(name: str) -> Made:
        return k.layers.Dense(1, use_bias=False, kernel_initializer="ones", name=name)

    base = chain(k, k.layers.Dense(2, name="last"))
    found = {"base": fitted(k, base)}
    start = k.Input((4,))
    models = {
        "in a graph": k.Model(start, ones("end")(base(start))),
        "in a chain": k.Sequential([base, ones("behind")]),
        "behind a layer": k.Sequential([k.Input((4,)), k.layers.Activation("tanh"), base]),
    }
    for name, model in models.items():
        found[name] = plain(model.predict(X, verbose=0))
    unknown = k.Sequential([k.layers.Dense(2, kernel_initializer="ones", name="unknown")])  # until it is applied
    found["of an unknown shape"] = plain(k.Model(start, unknown(start)).predict(X, verbose=0))
    left, right = k.Input((4,)), k.Input((4,))
    hidden = k.layers.Dense(3, "tanh", name="hidden")(left)
    two = k.draw(k.Model(left, [k.layers.Dense(1, name="a")(hidden), hidden]))
    outer = k.Model(right, k.layers.concatenate(two(right)))
    found["of several"] = plain([two.predict(X, verbose=0), outer.predict(X, verbose=0)])
    return found


def frozen_and_looked_up(k: Library, folder: Path) -> Found:
    """Layers by name and by place; what is frozen stays, and counts as weights none the less."""
    model = chain(k, k.layers.Dense(2, name="last"))
    model.trainable = False
    model.get_layer("last").trainable = True
    if k.name == "keras":  # where a model that is frozen trains nothing, whatever its layers say
        model.trainable = True
        model.get_layer("first").trainable = False
    found: dict[str, Found] = {"fitted": fitted(k, model), "count": model.count_params()}
    found["names"] = [model.get_layer("first").name, model.get_layer(index=1).name]
    found["trainable"] = [model.trainable, model.get_layer(index=0).trainable]
    given = [np.full(each.shape, 0.25 * (at + 1)) for at, each in enumerate(k.named(model).values())]
    model.set_weights(given)
    return {**found, "set": k.state(model), "predicted": plain(model.predict(X, verbose=0))}


def shapes_that_the_data_decide(k: Library, folder: Path) -> Found:
    """Sums of extents that are not known; symbols tell their shapes, sums and layers in small letters."""
    left, right = k.Input((None, 4)), k.Input((1, 4))
    total = k.layers.add([left, k.layers.Dense(4, name="dense")(right)])
    model = k.draw(k.Model([left, right], total + left))
    found: dict[str, Found] = {"shapes": [list(total.shape), list(k.layers.Dense(2)(total).shape)]}
    found["sum"] = model.predict([SERIES, SERIES[:, :1]], verbose=0)
    both = k.layers.concatenate([left, total], axis=-1, name="both")
    found["side"] = k.Model([left, right], both).predict([SERIES, SERIES[:, :1]], verbose=0).shape
    return plain({**found, "side shape": list(both.shape)})


def applied_twice(k: Library, folder: Path) -> Found:
    """Statistics of a norm that two inputs share move twice in a step, in the order in which it is applied."""
    left, right = k.Input((4,)), k.Input((4,))
    norm = k.layers.BatchNormalization if k.name == "keras" else k.layers.BatchNorm
    shared = norm(momentum=0.8, name="norm")
    both = k.layers.concatenate([shared(left), shared(right)])
    model = k.Model([left, right], k.layers.Dense(2, kernel_initializer="ones", name="end")(both))
    model.compile(k.optimizers.SGD(0.1), "mse")
    losses = [float(model.train_on_batch([X, X * 3 + 1], Y)) for _ in range(2)]
    return plain({"losses": losses, "weights": k.state(model), "outputs": model.predict([X, X], verbose=0)})


def functions_of_one_s_own(k: Library, folder: Path) -> Found:
    """Activations that are functions see channels last, whatever the layer computes in; "linear" is none."""

    def shares(ops: Made, x: Made) -> Made:
        return x / (1 + ops.sum(x * x, -1, keepdims=True))

    own = k.activation(shares)
    layers = [
        k.layers.Conv2D(2, 2, activation=own, name="a"), k.layers.Conv2D(3, 1, activation="linear", name="b"),
        k.layers.Activation(own), k.layers.Flatten(), k.layers.Dense(2, own, name="c"), k.layers.Activation("linear"),
    ]  # fmt: skip
    model = k.draw(k.Sequential([k.Input((4, 5, 3)), *layers]))
    model.compile(k.optimizers.SGD(0.1), "mse")
    losses = [float(model.train_on_batch(IMAGES, np.ones((2, 2)))) for _ in range(2)]
    return plain({"losses": losses, "outputs": model.predict(IMAGES, verbose=0), "weights": k.state(model)})


def of_both_directions(k: Library, folder: Path) -> Found:
    """A layer, and not what makes one, is taken in both directions; weights go in as a list."""
    layers = k.layers
    for_all = [
        k.Input((5, 4)),
        layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
        layers.Bidirectional(layers.GRU(3)),
    ]
    model = k.Sequential(for_all)
    held = model.get_weights()
    held = list(held.values()) if isinstance(held, dict) else held
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, np.shape(each)) for each in held])
    return plain({"shapes": [np.shape(each) for each in held], "outputs": model.predict(SERIES, verbose=0)})


def files(k: Library, folder: Path) -> Found:
    """A model goes on from its file, at the rate that a callback has set; a file of weights is one of a model's too."""

    def made() -> Made:
        model = chain(k, k.layers.Dense(2, name="last"))
        model.compile(k.optimizers.SGD(0.1, momentum=0.9), "mse")
        return model

    def train(model: EitherModel, callbacks: Made = ()) -> Found:
        model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0, callbacks=list(callbacks))
        return k.state(model)

    model = made()
    slower = k.callbacks.LearningRateScheduler(lambda epoch: 0.02)  # a rate that the file has too
    found: dict[str, Found] = {"first": train(model, [slower])}
    whole, weights = folder / f"model{k.suffix}", folder / f"weights{k.weights_suffix}"
    model.save(whole)
    model.save_weights(weights)
    found["went on"] = train(model)
    found["from the file"] = train(k.read(whole, made))
    found["weights"] = k.state(k.read(weights, made))
    other = made()
    other.load_weights(whole)
    return {**found, "weights of a model": k.state(other)}


PADDED = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0], [1, 1, 2, 2, 3]])
OTHERS = np.array([[1, 2, 0, 0, 0], [4, 5, 1, 2, 3], [1, 1, 2, 2, 0]])


def under_masks(k: Library, folder: Path) -> Found:
    """Which places the loss, the statistics of a norm and a recurrence count behind layers where masks meet or end."""
    made = Keras()  # both begin with Keras's model: the names of weights within layers are each one's own
    layers = made.layers
    ways: dict[str, Callable[[Made, Made, Made], Made]] = {
        "sum of two": lambda a, b, c: layers.Add()([a, b]),
        "sum with one without": lambda a, b, c: layers.Add()([c, a]),
        "side by side": lambda a, b, c: layers.Concatenate()([b, a]),
        "side by side with one without": lambda a, b, c: layers.Concatenate()([a, c]),
        "residual": lambda a, b, c: layers.Add()([a, layers.GRU(4, return_sequences=True)(a)]),
        "both ways": lambda a, b, c: layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True))(a),
        "norm of a sum": lambda a, b, c: layers.BatchNormalization(momentum=0.7)(layers.Add()([a, b])),
        "reshaped": lambda a, b, c: layers.Reshape((5, 4))(a),
        "convolved": lambda a, b, c: layers.Conv1D(4, 3, padding="same")(a),
        "attention": lambda a, b, c: layers.MultiHeadAttention(2, 2)(c, a),
        "at every place": lambda a, b, c: layers.TimeDistributed(layers.Dense(3, "tanh"))(a),
    }
    found = {}
    x, y = [PADDED, OTHERS, SERIES], [SERIES[..., :2], Y[:3]]
    for name, way in ways.items():
        inputs = made.Input((5,)), made.Input((5,)), made.Input((5, 4))
        a, b = (layers.Embedding(6, 4, mask_zero=True)(each) for each in inputs[:2])
        hidden = way(a, b, layers.Dense(4)(inputs[2]))
        rest = [layers.Dense(2)(layers.Flatten()(each)) for each in (a, b, inputs[2])]  # every input is read
        model = made.Model(inputs, [layers.Dense(2)(hidden), layers.Add()([layers.LSTM(2)(hidden), *rest])])
        rng = np.random.default_rng(0)
        model.set_weights([rng.uniform(0.05, 0.4, each.shape) for each in model.get_weights()])
        model.compile(made.optimizers.SGD(0.02), "mse")
        model = k.converted(model)
        before = model.evaluate(x, y, verbose=0)
        model.fit(x, y, epochs=2, shuffle=False, verbose=0)
        found[name] = [before, model.evaluate(x, y, verbose=0)]
    return plain({**found, **of_sentences(k)})


def of_sentences(k: Library) -> dict[str, Found]:
    """A layer at every sentence has the mask of its words; what normalises does so sentence by sentence."""
    layers = Keras().layers
    ways: dict[str, Callable[[], Made]] = {
        "last word": lambda: layers.LSTM(3),
        "every word": lambda: layers.GRU(3, return_sequences=True),
        "both ways": lambda: layers.Bidirectional(layers.SimpleRNN(2)),
        "normalised": lambda: layers.BatchNormalization(momentum=0.7),
    }
    found = {}
    words, rng = np.stack([PADDED, OTHERS], 1), np.random.default_rng(0)  # (3, 2, 5)
    for name, way in ways.items():
        table = layers.Embedding(6, 4, mask_zero=True)
        chain = [table, layers.TimeDistributed(way()), layers.Dense(2)]
        ends = [layers.Flatten()] if name in ("last word", "both ways") else []  # Keras's loss takes no mask of words
        model = Keras().Sequential([Keras().Input((2, 5)), *chain, *ends])
        model.set_weights([rng.uniform(0.05, 0.4, each.shape) for each in model.get_weights()])
        model.compile(Keras().optimizers.SGD(0.02), "mse")
        model = k.converted(model)
        y = np.ones(np.shape(model.predict(words, verbose=0)))
        told = [model.train_on_batch(words, y) for _ in range(2)]
        found[f"sentences, {name}"] = [plain(told), model.evaluate(words, y, verbose=0)]
    return found


PROGRAMS: dict[str, Program] = {
    "grown and cut": grown_and_cut,
    "within one another": within_one_another,
    "frozen and looked up": frozen_and_looked_up,
    "shapes that the data decide": shapes_that_the_data_decide,
    "functions of one's own": functions_of_one_s_own,
    "applied twice": applied_twice,
    "of both directions": of_both_directions,
    "under masks": under_masks,
    "files": files,
}
