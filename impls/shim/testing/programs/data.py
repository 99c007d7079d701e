"""Data in every form that fit, evaluate and predict take: arrays, frames, tensors, streams of batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from impls.shim.testing.programs.library import EitherModel, Found, Library, Made, Options, Program, plain

RNG = np.random.default_rng(11)
X = RNG.normal(size=(10, 4))
Y = RNG.integers(0, 3, 10)
W = RNG.uniform(0.3, 2, 10)
CUTS = (slice(0, 4), slice(4, 8), slice(8, 10))


def classifier(k: Library, loss: str = "sparse_categorical_crossentropy") -> Made:
    layers = [k.layers.Dense(5, "tanh", name="first"), k.layers.Dense(3, "softmax", name="last")]
    model = k.draw(k.Sequential([k.Input((4,)), *layers]))
    model.compile(k.optimizers.SGD(0.3, momentum=0.5), loss, metrics=["accuracy"])
    return model


def trained(k: Library, model: EitherModel, *data: Made, **fit: Made) -> Found:
    """What a fit tells, and where it leads."""
    history = model.fit(*data, shuffle=False, verbose=0, **fit)
    return plain({"history": history.history, "epochs": history.epoch, "weights": k.state(model)})


def in_every_form(k: Library, folder: Path) -> Found:
    """Lists, frames, tensors and numbers of other types; labels as numbers, columns and rows."""
    import pandas
    import torch

    forms: Options = {
        "arrays": X,
        "float32": X.astype("float32").astype("float64"),
        "frame": pandas.DataFrame(X, columns=list("abcd")),
        "tensor": torch.tensor(X),
        "column of a list": np.array(X.tolist()),
    }
    found = {name: trained(k, classifier(k), x, Y, batch_size=4, epochs=2) for name, x in forms.items()}
    labels: Options = {
        "column": Y[:, None], "floats": Y.astype(float), "column of floats": Y[:, None] * 1.0,
        "series": pandas.Series(Y), "tensor of labels": torch.tensor(Y),
    }  # fmt: skip
    for name, y in labels.items():
        found[name] = trained(k, classifier(k), X, y, batch_size=4, epochs=2)
    shares = RNG_SHARES
    rows = {"one-hot": np.eye(3)[Y], "one-hot integers": np.eye(3, dtype=int)[Y], "shares": shares}
    for name, y in rows.items():
        found[name] = trained(k, classifier(k, "categorical_crossentropy"), X, y, batch_size=4, epochs=2)
    single = k.draw(k.Sequential([k.Input((4,)), k.layers.Dense(1, name="unit")]))
    single.compile(k.optimizers.SGD(0.1), "mse")
    for name, y in {"flat": W, "column": W[:, None]}.items():
        found[f"numbers, {name}"] = trained(k, single, X, y, batch_size=4, epochs=2)
    return found


RNG_SHARES = RNG.dirichlet(np.ones(3), 10)


def of_unknown_shapes(k: Library, folder: Path) -> Found:
    """The first batch decides, and is trained on; ids come as floats."""

    def made(*layers: Made) -> Made:
        model = k.Sequential([*layers, k.layers.Dense(3, "softmax", kernel_initializer="ones", name="last")])
        model.compile(k.optimizers.SGD(0.3), "sparse_categorical_crossentropy")
        return model

    found = {"stream": trained(k, made(), batches()), "items": trained(k, made(), items(), epochs=2)}
    found["arrays"] = trained(k, made(), X, Y, batch_size=4, epochs=2)
    for name, ids in {"integers": Y, "floats": Y.astype(float)}.items():
        table = k.layers.Embedding(3, 2, embeddings_initializer="ones", name="table")
        found[name] = trained(k, made(table), ids, Y, batch_size=4)
    return found


def by_the_names_of_optimizers(k: Library, folder: Path) -> Found:
    """In letters of any case, with Keras's defaults, and where none is said."""
    found = {}
    for name in ("sgd", "adam", "Adagrad", "RMSprop", "AdamW", ""):
        model = classifier(k)
        said = {"optimizer": name} if name else {}
        model.compile(**said, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        found[name] = trained(k, model, X, Y, batch_size=4, epochs=3)
    return found


def batches(weighted: bool = False) -> Iterator[Made]:
    """Three batches, the last one smaller."""
    for cut in CUTS:
        yield (X[cut], Y[cut], W[cut]) if weighted else (X[cut], Y[cut])


def endless() -> Iterator[Made]:
    while True:
        yield from batches()


def items(weighted: bool = False) -> Made:
    """Keras's own kind of data set: a length and items, and a call at the end of an epoch."""
    import keras

    class Items(keras.utils.PyDataset):  # type: ignore[misc]
        ended = 0

        def __len__(self) -> int:
            return len(CUTS)

        def __getitem__(self, at: int) -> Made:
            return list(batches(weighted))[at]

        def on_epoch_end(self) -> None:
            self.ended += 1

    return Items()


def loader() -> Made:
    import torch

    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    return torch.utils.data.DataLoader(data, batch_size=4)


def of_streams(k: Library, folder: Path) -> Found:
    """Each epoch in order; with a number of steps the next epoch goes on where the last one ended."""
    ended = items()
    classes = {0: 0.5, 1: 2.0, 2: 1.25}
    found = {
        "generator": trained(k, classifier(k), batches()),
        "with weights": trained(k, classifier(k), batches(True)),
        "endless": trained(k, classifier(k), endless(), epochs=3, steps_per_epoch=2),
        "items": trained(k, classifier(k), ended, epochs=2),
        "weighed items": trained(k, classifier(k), items(True), epochs=2),
        "loader": trained(k, classifier(k), loader(), epochs=2),
        "classes": trained(k, classifier(k), items(), epochs=2, class_weight=classes),
        "validated": trained(k, classifier(k), X, Y, epochs=2, batch_size=4, validation_data=items()),
        "validated in steps": trained(k, classifier(k), X, Y, epochs=3, validation_data=items(), validation_steps=2),
        "validated by a generator": trained(k, classifier(k), X, Y, validation_data=batches(), validation_steps=3),
        "validated by some": trained(
            k, classifier(k), X, Y, epochs=2, batch_size=4, validation_data=(X, Y), validation_steps=2
        ),
        "in steps": trained(k, classifier(k), X, Y, epochs=4, batch_size=3, steps_per_epoch=2),
    }
    # The shim goes round; Keras warns that an epoch is short, so it is given a stream that goes round.
    data: tuple[Made, ...] = (X, Y) if k.name == "shim" else (endless(),)
    found["round"] = trained(k, classifier(k), *data, epochs=4, batch_size=4, steps_per_epoch=2)
    return {**found, "ended": ended.ended - (k.name == "keras")}  # which calls it before the first epoch, too


def judged_and_predicted(k: Library, folder: Path) -> Found:
    """From streams too; the labels of what is predicted are left out."""
    model = classifier(k)
    parts = (X[:3], X[3:4])
    unlabelled = (part if k.name == "shim" else (part,) for part in parts)
    return plain({
        "evaluated": model.evaluate(items(), verbose=0),
        "of a generator": model.evaluate(endless(), steps=2, verbose=0),
        "by name": model.evaluate(batches(True), verbose=0, return_dict=True),
        "of an array": model.evaluate(X, Y, sample_weight=W, batch_size=3, verbose=0),
        "some of an array": model.evaluate(X, Y, batch_size=3, steps=2, verbose=0),
        "some predicted": model.predict(X, batch_size=3, steps=2, verbose=0),
        "of one batch": model.test_on_batch(X, Y),
        "predicted": model.predict(items(), verbose=0),
        "in steps": model.predict(endless(), steps=2, verbose=0),
        "without labels": model.predict(unlabelled, verbose=0),
        "in batches": model.predict(X, batch_size=3, verbose=0),
        "one batch": model.predict_on_batch(X),
        "called": k.called(model, X),
        "none": k.outputs(model, X[:0]),
    })  # fmt: skip


def by_the_names_of_inputs(k: Library, folder: Path) -> Found:
    left, right = k.Input((4,), name="left"), k.Input((2,), name="right")
    both = k.layers.concatenate([k.layers.Dense(3, "tanh", name="a")(left), k.layers.Dense(2, name="b")(right)])
    model = k.draw(k.Model([left, right], k.layers.Dense(1, name="end")(both)))
    model.compile(k.optimizers.SGD(0.1), "mse")
    given = {
        "right": X[:, :2] ** 2,
        "left": X,
    }
    single = k.draw(k.Model(left, k.layers.Dense(1, name="alone")(left)))
    return plain({
        "both": trained(k, model, given, W, batch_size=4, epochs=2),
        "predicted": model.predict(given, verbose=0),
        "listed": model.predict([X, X[:, :2]], verbose=0),
        "alone": single.predict({"left": X}, verbose=0),
    })  # fmt: skip


def options_of_fit(k: Library, folder: Path) -> Found:
    """The last share held out, data beside it, weights of examples and classes, epochs from a number on."""
    found: dict[str, Found] = {}
    every: dict[str, Options] = {
        "held out": {"validation_split": 0.3},
        "beside": {"validation_data": (X[:5], Y[:5]), "validation_batch_size": 2},
        "beside, weighted": {"validation_data": (X[:5], Y[:5], W[:5])},
        "seldom": {"validation_data": (X[:5], Y[:5]), "validation_freq": 2},
        "after some": {"validation_data": (X[:5], Y[:5]), "validation_freq": [1, 3]},
        "weights": {"sample_weight": W, "validation_split": 0.3},
        "classes": {"class_weight": {0: 0.5, 1: 2.0, 2: 1.25}, "validation_split": 0.3},
        "later": {"initial_epoch": 1, "validation_data": (X[:5], Y[:5]), "validation_freq": 2},
        "later, after some": {"initial_epoch": 1, "validation_data": (X[:5], Y[:5]), "validation_freq": [1, 3]},
    }
    for name, options in every.items():
        model = classifier(k)
        first = trained(k, model, X, Y, batch_size=4, epochs=3, **options)
        found[name] = {"first": first, "again": trained(k, model, X, Y, epochs=1)}
    shares = np.full((len(Y), 3), 0.1) + 0.7 * np.eye(3)[Y]  # of the classes: a row has the weight of its largest
    factors = {0: 0.5, 1: 2.0, 2: 1.25}
    model = classifier(k, "categorical_crossentropy")
    found["shares"] = trained(k, model, X, shares, batch_size=4, epochs=2, class_weight=factors)
    return found


PROGRAMS: dict[str, Program] = {
    "in every form": in_every_form,
    "of streams": of_streams,
    "of unknown shapes": of_unknown_shapes,
    "by the names of optimizers": by_the_names_of_optimizers,
    "judged and predicted": judged_and_predicted,
    "by the names of inputs": by_the_names_of_inputs,
    "with the options of fit": options_of_fit,
}
