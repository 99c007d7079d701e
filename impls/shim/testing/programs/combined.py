"""Options together: trainings of drawn combinations in which each option of a subject meets each of all others.

Each training is a fit, what is done with the model then, another fit, and everything that judges and predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from impls.shim.testing.pairwise import Row, drawn
from impls.shim.testing.programs.library import EitherModel, Found, Keras, Library, Made, Options, Program, plain

RNG = np.random.default_rng(23)
COUNT = 11
X, OTHER = RNG.normal(size=(COUNT, 4)), RNG.normal(size=(COUNT, 2))
CLASSES, PLACES = RNG.integers(0, 3, COUNT), RNG.integers(0, 3, (COUNT, 5))
NUMBERS, BITS = RNG.normal(size=(COUNT, 2)), RNG.integers(0, 2, (COUNT, 1))
IDS = RNG.integers(1, 6, (COUNT, 5)) * (np.arange(5) < RNG.integers(2, 6, (COUNT, 1)))  # 0 behind the end of each
W, V, OF_PLACES = RNG.uniform(0.3, 2, COUNT), RNG.uniform(0.3, 2, COUNT), RNG.uniform(0.3, 2, (COUNT, 5))
FACTORS = {0: 0.5, 1: 2.0, 2: 1.25}


@dataclass(frozen=True)
class Task:
    """A network, its data, and how it may be judged."""

    make: Callable[[Library], Made]
    x: Made
    y: Made
    loss: Callable[[Library], Made]
    metrics: Made
    weighted: Made
    weights: Made  # of the examples, or of places
    compiled: Options = field(default_factory=dict)
    classes: bool = False  # whether classes may have weights


def chain(k: Library, *layers: Made) -> Made:
    return k.Sequential([k.Input((4,)), k.layers.Dense(4, "tanh", name="first"), *layers])


def classifier(k: Library) -> Made:
    return chain(k, k.layers.Dense(3, "softmax", name="last"))


def regressor(k: Library) -> Made:
    norm = k.layers.BatchNormalization if k.name == "keras" else k.layers.BatchNorm
    layers = [
        norm(momentum=0.7, name="first"),
        k.layers.Dense(3, "tanh", name="hidden"),
        k.layers.Dense(2, name="last"),
    ]
    return k.Sequential([k.Input((4,)), *layers])


def yes_or_no(k: Library) -> Made:
    return chain(k, k.layers.Dense(1, "sigmoid", name="last"))


def tagger(k: Library) -> Made:
    layers = [k.layers.Embedding(6, 3, mask_zero=True, name="table"), k.layers.Dense(3, name="last")]
    return k.Sequential([k.Input((5,)), *layers])


def of_two_inputs(k: Library) -> Made:
    left, right = k.Input((4,), name="left"), k.Input((2,), name="right")
    both = k.layers.concatenate([k.layers.Dense(3, "tanh", name="first")(left), right])
    return k.Model([left, right], k.layers.Dense(2, name="last")(both))


def of_two_outputs(k: Library) -> tuple[Made, Made, Made]:
    start = k.Input((4,), name="start")
    hidden = k.layers.Dense(4, "tanh", name="first")(start)
    return start, k.layers.Dense(2, name="number")(hidden), k.layers.Dense(3, "softmax", name="kind")(hidden)


def listed(k: Library) -> Made:
    start, number, kind = of_two_outputs(k)
    return k.Model(start, [number, kind])


def by_keys(k: Library) -> Made:
    start, number, kind = of_two_outputs(k)
    return k.Model(start, {"n": number, "k": kind})


SPARSE = "sparse_categorical_crossentropy"
TASKS = {
    "classes": Task(classifier, X, CLASSES, lambda k: SPARSE, ["accuracy"], ["accuracy"], W, classes=True),
    "numbers": Task(regressor, X, NUMBERS, lambda k: "mse", ["mae", "mse"], ["mae"], W),
    "yes or no": Task(
        yes_or_no, X, BITS, lambda k: "binary_crossentropy", ["accuracy"], ["mae"], W, classes=True
    ),
    "places": Task(tagger, IDS, PLACES, lambda k: k.classes(True, from_logits=True), [], [], OF_PLACES),
    "inputs": Task(of_two_inputs, {"left": X, "right": OTHER}, NUMBERS, lambda k: "mae", ["mse"], ["mse"], W),
    "outputs": Task(
        listed, X, [NUMBERS, CLASSES], lambda k: ["mse", SPARSE], [["mae"], ["accuracy"]],
        [["mse"], ["accuracy"]], [W, V], {"loss_weights": [0.4, 1.5]},
    ),
    "keys": Task(
        by_keys, X, {"k": CLASSES, "n": NUMBERS}, lambda k: {"k": SPARSE, "n": "mae"}, {"n": ["mae", "mse"]},
        {"k": ["accuracy"]}, {"n": W, "k": V}, {"loss_weights": {"n": 1.5, "k": 0.4}},
    ),
}  # fmt: skip

LEVELS: dict[str, list[str]] = {
    "task": list(TASKS),
    "optimizer": ["SGD", "nesterov", "Adam", "AdamW", "RMSprop", "Adagrad"],
    "update": ["", "by norm", "by all norms", "by value", "averaged", "averaged, seldom", "gathered"],
    "rate": ["", "falling", "rising and falling", "in stairs"],
    "source": ["arrays", "batches", "steps of arrays", "steps of batches"],
    "size": ["4", "5", "11", ""],
    "weights": ["", "examples", "classes"],
    "metrics": ["", "metrics", "weighted", "both"],
    "validation": ["", "split", "data", "weighted data", "seldom", "after some", "batches", "some batches"],
    "callback": ["", "early", "best", "later", "plateau", "rate", "rates", "kept", "two"],
    "epochs": ["1", "2", "3", "from 1 to 4"],
    "between": ["", "file", "weights", "compiled", "frozen", "moved", "from Keras"],
}  # fmt: skip


RULES: dict[str, Options] = {
    "SGD": {},
    "nesterov": {"momentum": 0.7, "nesterov": True},
    "Adam": {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4},
    "AdamW": {"weight_decay": 0.1},
    "RMSprop": {"rho": 0.8, "epsilon": 1e-3},
    "Adagrad": {"initial_accumulator_value": 0.3},
}
UPDATES: dict[str, Options] = {
    "": {},
    "by norm": {"clipnorm": 0.1},
    "by all norms": {"global_clipnorm": 0.1},
    "by value": {"clipvalue": 0.05},
    "averaged": {"use_ema": True, "ema_momentum": 0.7},
    "averaged, seldom": {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 4},
    "gathered": {"gradient_accumulation_steps": 2},
}


def optimizer(k: Library, row: Row) -> Made:
    s = k.optimizers.schedules
    stairs = s.PiecewiseConstantDecay if k.name == "keras" else s.PiecewiseConstant
    rates: dict[str, Callable[[], Made]] = {
        "": lambda: 0.05,
        "falling": lambda: s.ExponentialDecay(0.1, 4, 0.5),
        "rising and falling": lambda: s.CosineDecay(0.02, 9, 0.1, warmup_target=0.1, warmup_steps=4),
        "in stairs": lambda: stairs([2, 5], [0.1, 0.05, 0.02]),
    }
    kind = getattr(k.optimizers, row["optimizer"].replace("nesterov", "SGD"))
    return kind(rates[row["rate"]](), **RULES[row["optimizer"]], **UPDATES[row["update"]])


def callbacks(k: Library, name: str, folder: Path) -> list[Made]:
    c = k.callbacks
    stopping: dict[str, Options] = {
        "early": {"min_delta": 0.3, "restore_best_weights": False},
        "best": {"min_delta": 0.3, "patience": 2, "restore_best_weights": True},
        "later": {"mode": "max", "restore_best_weights": True},
    }
    if name in stopping:
        return [c.EarlyStopping(monitor="loss", **stopping[name])]
    plateau = c.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.3, cooldown=1, min_lr=0.01)
    file = folder / ("best" + k.suffix)
    made: dict[str, list[Made]] = {
        "": [],
        "plateau": [plateau],
        "rate": [c.LearningRateScheduler(lambda epoch: 0.2 / (epoch + 2))],
        "rates": [c.LearningRateScheduler(lambda epoch, rate: rate * 0.7)],
        "kept": [c.ModelCheckpoint(str(file), "loss", save_best_only=True)],
        "two": [plateau, c.EarlyStopping(monitor="loss", patience=2, restore_best_weights=True)],
    }
    return made[name]


def rows(data: Made, at: Made) -> Made:
    """Some examples of arrays, of lists or of dictionaries of them."""
    if isinstance(data, dict):
        return {name: rows(each, at) for name, each in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)([rows(each, at) for each in data])
    return data[at]


def batched(data: tuple[Made, ...], size: int) -> Made:
    """Keras's own kind of data set."""
    import keras

    class Items(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return -(-COUNT // size)

        def __getitem__(self, at: int) -> Made:
            return rows(data, slice(at * size, (at + 1) * size))

    return Items()


def endless(data: tuple[Made, ...], size: int) -> Iterator[Made]:
    while True:
        for at in range(0, COUNT, size):
            yield rows(data, slice(at, at + size))


def tuples(data: Made) -> Made:
    """Lists as the tuples that Keras wants in a batch."""
    return tuple(data) if isinstance(data, list) else data


def validation(task: Task, name: str) -> Options:
    some = rows((task.x, task.y), slice(0, 7))
    every: dict[str, Options] = {
        "": {},
        "split": {"validation_split": 0.4},
        "data": {"validation_data": some, "validation_batch_size": 3},
        "weighted data": {"validation_data": (*some, rows(task.weights, slice(0, 7)))},
        "seldom": {"validation_data": some, "validation_freq": 2},
        "after some": {"validation_data": some, "validation_freq": [1, 3, 4]},
        "batches": {"validation_data": batched((task.x, tuples(task.y), tuples(task.weights)), 4)},
        "some batches": {"validation_data": some, "validation_batch_size": 3, "validation_steps": 2},
    }
    return every[name]


def fitted(k: Library, model: EitherModel, task: Task, row: Row, watching: list[Made]) -> Found:
    """What a fit of these options tells, and where it leads."""
    size = int(row["size"] or 32)
    data: tuple[Made, ...] = (task.x, task.y)
    options = validation(task, row["validation"])
    if row["weights"] == "classes":
        options["class_weight"] = FACTORS
    # The shim goes round the arrays; Keras warns that an epoch is short, so it is given a stream that goes round.
    batches = row["source"].endswith("batches") or (row["source"] != "arrays" and k.name == "keras")
    if row["weights"] == "examples" and batches:
        data = (*data, task.weights)
    elif row["weights"] == "examples":
        options["sample_weight"] = task.weights
    if batches:
        data = tuple([tuples(each) for each in data])
        stream = endless(data, size) if row["source"].startswith("steps") else batched(data, size)
        data = (stream,)
    elif row["size"]:
        options["batch_size"] = size
    if row["source"].startswith("steps"):
        options["steps_per_epoch"] = 2
        options.setdefault("validation_batch_size", size)
    first, _, last = row["epochs"].removeprefix("from ").rpartition(" to ")
    options |= {"epochs": int(last), "initial_epoch": int(first or 0)}
    history = model.fit(*data, shuffle=False, verbose=0, callbacks=watching, **options)
    return plain({"history": history.history, "epochs": history.epoch, "weights": k.state(model)})


def started(k: Library, task: Task, row: Row) -> Made:
    """The model with drawn weights, compiled."""
    model = k.draw(task.make(k))
    k.put(model, {name: abs(w) if "variance" in name else w for name, w in k.named(model).items()})
    return compiled(k, model, task, row)


def compiled(k: Library, model: EitherModel, task: Task, row: Row) -> Made:
    options = dict(task.compiled)
    if row["metrics"] in ("metrics", "both"):
        options["metrics"] = task.metrics
    if row["metrics"] in ("weighted", "both"):
        options["weighted_metrics"] = task.weighted
    model.compile(optimizer(k, row), task.loss(k), **options)
    return model


def frozen(model: Made, row: Row) -> Made:
    """The model, whose first layer stays as it is where the options say so."""
    model.layers[-3 if row["task"] in ("outputs", "keys") else -2].trainable = row["between"] != "frozen"
    return model


def changed(k: Library, model: Made, task: Task, row: Row, folder: Path) -> Made:
    """The model after what is done between two fits."""
    path, weights = folder / ("model" + k.suffix), folder / ("model" + k.weights_suffix)
    if row["between"] == "file":
        model.save(path)
        return k.read(path, lambda: started(k, task, row))
    if row["between"] == "weights":
        model.save_weights(weights)
        return k.read(weights, lambda: started(k, task, row))
    if row["between"] in ("frozen", "compiled"):
        return compiled(k, frozen(model, row), task, row)
    if row["between"] == "moved" and k.name == "shim":
        model.to("torch", "eager")
    return k.converted(model) if row["between"] == "from Keras" else model


def whole(k: Library, row: Row, folder: Path) -> Found:
    """Everything that a model of these options gives."""
    task, size = TASKS[row["task"]], int(row["size"] or 3)
    folder.mkdir()
    beginner = Keras() if row["between"] == "from Keras" else k
    model = started(beginner, task, row)
    watching = callbacks(beginner, row["callback"], folder)
    found: dict[str, Found] = {"first": fitted(beginner, model, task, row, watching)}
    model = changed(k, model, task, row, folder)
    if row["between"] == "from Keras":
        watching = callbacks(k, row["callback"], folder)
    found["again"] = fitted(k, model, task, row, watching)  # by the same callbacks, which begin anew
    if row["callback"] == "kept":
        best = k.read(folder / ("best" + k.suffix), lambda: compiled(k, frozen(started(k, task, row), row), task, row))
        found["kept"] = k.state(best)
    given: Options = {"sample_weight": task.weights} if row["weights"] == "examples" else {}
    found["evaluated"] = model.evaluate(task.x, task.y, batch_size=size, verbose=0, return_dict=True, **given)
    found["tested"] = model.test_on_batch(task.x, task.y, return_dict=True, **given)
    found["predicted"] = model.predict(task.x, batch_size=size, verbose=0)
    if row["weights"] == "classes":
        given = {"class_weight": FACTORS}
    found["step"] = model.train_on_batch(task.x, task.y, return_dict=True, **given)
    return plain({**found, "weights": k.state(model)})


def possible(row: Row) -> bool:
    """Whether both take it: Keras splits no batches and weighs no classes of generators."""
    if row["weights"] == "classes" and not TASKS[row["task"]].classes:
        return False
    if row["source"] != "arrays" and row["validation"] == "split":
        return False
    if row["source"].startswith("steps") and row["weights"] == "classes":
        return False
    if row["callback"] == "kept" and row["between"] == "frozen":  # the best may be of the time before
        return False
    # A schedule leaves no rate to set, and Keras's files of weights have the optimizer's rate and count.
    changes = [bool(row["rate"]), row["callback"] in ("plateau", "rate", "rates", "two"), row["between"] == "weights"]
    return sum(changes) < 2


ROWS = drawn(LEVELS, possible)


def together(rows: list[Row]) -> Program:
    def program(k: Library, folder: Path) -> Found:
        return {str(row): whole(k, row, folder / str(at)) for at, row in enumerate(rows)}

    return program


PROGRAMS: dict[str, Program] = {"that meet first": together(ROWS[:60]), "that meet later": together(ROWS[60:])}
