"""What a user calls, against a loop written out in NumPy: whole trainings, with all that fit, evaluate and files do."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.references.case import layer, numbers
from suites.references.shim import Shim, Shims, agree, compare, weights_for
from suites.references.training_loop import Oracle

Calls = list[Any]
X, Y, W = {"array": "x"}, {"array": "y"}, {"array": "w"}
COUNT = 11  # in batches of 4: a ragged last one


def model_of(kind: str) -> dict[str, Any]:
    """A network with dropout, running statistics or a mask: what makes a training differ from a step.

    No bias stands right before a normalisation: its gradient is rounding alone, which Adam magnifies.
    """
    layers = {
        "vectors": [
            layer("Dense", "a", units=4, activation="tanh"), layer("BatchNorm", "norm", momentum=0.8),
            layer("Dropout", "drop", rate=0.4), layer("Dense", "b", units=3),
        ],
        "images": [
            layer("Conv2D", "a", filters=2, kernel_size=2, use_bias=False), layer("BatchNorm", "norm"),
            layer("MaxPool2D", "pool"), layer("Dropout", "drop", rate=0.3), layer("Flatten", "flat"),
            layer("Dense", "b", units=3),
        ],
        "sequences": [
            layer("Embedding", "table", inputs=5, units=2, mask_zero=True),
            layer("GRU", "gru", units=2, return_sequences=True), layer("Dropout", "drop", rate=0.2),
            layer("Dense", "b", units=3),
        ],
    }  # fmt: skip
    shapes = {"vectors": [3], "images": [3, 4, 1], "sequences": [4]}
    return {"layers": layers[kind], "inputs": [shapes[kind]], "settings": {"seed": 3}}


def data_of(kind: str, count: int = COUNT, seed: int = 0) -> dict[str, np.ndarray]:
    """Examples, labels and weights, training and held out."""
    rng = np.random.default_rng(seed)
    shape = (count, *model_of(kind)["inputs"][0])
    x = rng.integers(0, 5, shape) if kind == "sequences" else numbers(rng, shape)
    y = rng.integers(0, 3, shape if kind == "sequences" else count)
    return {"x": x, "y": y, "w": rng.uniform(0.2, 2, count)}


def held_out(kind: str) -> dict[str, np.ndarray]:
    return {f"v{name}": array for name, array in data_of(kind, 6, 1).items()}


ADAM: list[Any] = [
    "Adam",
    {"learning_rate": ["ExponentialDecay", {"learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.7}]},
]
SGD = ["SGD", {"learning_rate": 0.2, "momentum": 0.9}]
LINE: dict[str, Any] = {"layers": [layer("Dense", "unit", units=1)], "inputs": [[2]]}
COMPILE: list[Any] = ["compile", {"optimizer": ADAM, "loss": "softmax_cross_entropy", "metrics": ["accuracy"]}]
STATE: Calls = [["weights", {}], ["slots", {}]]


def same(shim: Shim, kind: str, calls: Calls, arrays: dict[str, np.ndarray] | None = None) -> tuple[Any, Any]:
    """The script on the shim and the oracle, with the state of both compared at the end."""
    return agree(shim, model_of(kind), [*calls, *STATE], {**data_of(kind), **held_out(kind), **(arrays or {})}, seed=1)


@pytest.mark.parametrize("kind", ["vectors", "images", "sequences"])
def test_fit_evaluate_predict(kind: str, shim: Shim) -> None:
    """Shuffled, ragged, with dropout and validation; a second fit goes on, and inference moves nothing."""
    calls: Calls = [
        COMPILE,
        ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 4, "validation_data": [{"array": "vx"}, {"array": "vy"}]}],
        *STATE,
        ["evaluate", {"x": X, "y": Y, "batch_size": 4}],
        ["predict", {"x": X, "batch_size": 3}],
        ["fit", {"x": X, "y": Y, "epochs": 3, "batch_size": 5, "sample_weight": W}],
        ["train_on_batch", {"x": X, "y": Y, "sample_weight": W}],
        ["evaluate", {"x": X, "y": Y}],
    ]
    same(shim, kind, calls)


def test_the_defaults_of_fit(shim: Shim) -> None:
    """An epoch of shuffled batches of 32."""
    same(shim, "vectors", [COMPILE, ["fit", {"x": X, "y": Y}]], data_of("vectors", 70))


@pytest.mark.parametrize(
    "options", [{"validation_split": 0.3}, {"shuffle": False}, {"batch_size": 1}, {"batch_size": 50}]
)
def test_the_options_of_fit(options: dict[str, Any], shim: Shim) -> None:
    fit = {"x": X, "y": Y, "epochs": 2, "batch_size": 4, **options}
    same(shim, "vectors", [COMPILE, ["fit", fit]])


@pytest.mark.parametrize("weighed", [False, True])
def test_data_for_validation_take_the_place_of_a_share(weighed: bool, shim: Shim) -> None:
    """With weights of their own; all of x is trained on; what is held out of several inputs, too."""
    data = [{"array": name} for name in ("vx", "vy", "vw")[: 3 if weighed else 2]]
    classes = {"class_weight": {"numbers": {"0": 0.5, "1": 2.0, "2": 1.5}}}
    fit = {"x": X, "y": Y, "epochs": 2, "batch_size": 4, "validation_data": data, "validation_split": 0.5, **classes}
    same(shim, "vectors", [COMPILE, ["fit", fit], ["train_on_batch", {"x": X, "y": Y, "sample_weight": W, **classes}]])


def test_a_training_that_was_stopped_goes_on(shim: Shim) -> None:
    """Early, by a callback that is used again: it starts afresh with each fit, though no loss is as low as before."""
    stopping = ["EarlyStopping", {"monitor": "loss", "key": "one"}]
    fit = {"x": X, "y": Y, "batch_size": 4, "callbacks": [["LearningRate", {"rates": RATES}], stopping]}
    high = {**fit, "epochs": len(RATES), "sample_weight": {"array": "heavy"}}
    calls: Calls = [COMPILE, ["fit", {**fit, "epochs": len(RATES)}], COMPILE, ["fit", high]]
    heavy = {"heavy": np.full(COUNT, 1000.0)}
    _, found = same(shim, "vectors", [*calls, ["fit", {"x": X, "y": Y, "epochs": len(RATES)}]], heavy)
    assert all(len(found[f"{at}/loss"]) < len(RATES) for at in (1, 3)) and len(found["4/loss"]) > 0


@pytest.mark.parametrize("kind", ["vectors", "sequences"])
def test_weights_of_classes_and_examples(kind: str, shim: Shim) -> None:
    """They scale the loss and leave the metrics and the division alone; those of classes only the loss that trains."""
    classes = {"class_weight": {"numbers": {"0": 0.5, "1": 2.0, "2": 0.0}}}
    fit = {"x": X, "y": Y, "epochs": 2, "batch_size": 4, "sample_weight": W, "validation_split": 0.25, **classes}
    calls: Calls = [COMPILE, ["fit", fit], ["evaluate", {"x": X, "y": Y, "sample_weight": W, "batch_size": 4}]]
    same(shim, kind, [*calls, ["fit", {"x": X, "y": Y, "epochs": 3, "batch_size": 4, **classes}]])


def test_batches_from_a_list(shim: Shim) -> None:
    """Of different sizes, with weights: each is one update, the epoch's loss the mean over the examples."""
    arrays = data_of("vectors")
    parts = {}
    for at, cut in enumerate((slice(5), slice(5, 8), slice(8, 9))):
        parts.update({f"{name}{at}": array[cut] for name, array in arrays.items()})
    batches = [[{"array": f"{name}{at}"} for name in "xyw"] for at in range(3)]
    same(shim, "vectors", [COMPILE, ["fit", {"x": batches, "epochs": 2}]], parts)


RATES = [0.3, 3.0, 0.3, 0.2, 4.0, 0.2, 0.1, 0.1, 0.1]  # losses that rise and fall
STOPPING: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "patience": {"patience": 2},
    "more patience than epochs": {"patience": 50, "monitor": "loss"},
    "on the training loss": {"monitor": "loss", "patience": 1},
    "by a metric": {"monitor": "val_accuracy", "higher": True, "patience": 2},
    "by much": {"patience": 3, "min_delta": 0.05},
    "without going back": {"patience": 2, "restore_best_weights": False},
    "by a metric, by much": {"monitor": "accuracy", "higher": True, "min_delta": 0.15, "patience": 1},
}


@pytest.mark.parametrize("name", STOPPING)
def test_early_stopping(name: str, shim: Shim) -> None:
    """It ends in the epoch in which the oracle's ends, with the weights, the statistics and the count of that."""
    if shim.backend != "numpy" and name not in ("patience", "by a metric"):
        pytest.skip("it is one code for all backends")
    watching = [["LearningRate", {"rates": RATES}], ["EarlyStopping", STOPPING[name]], ["Lines", {}]]
    fit = {
        "x": X, "y": Y, "epochs": len(RATES), "batch_size": 4, "callbacks": watching,
        "validation_data": [{"array": "vx"}, {"array": "vy"}],
    }  # fmt: skip
    told, found = same(shim, "vectors", [COMPILE, ["fit", fit]])
    monitor = STOPPING[name].get("monitor", "val_loss")
    sign = -1 if STOPPING[name].get("higher") else 1
    ((best_epoch, best, waited),) = told[1]["stopping"]
    losses = sign * found[f"1/{monitor}"]
    assert best == losses[best_epoch] and waited == len(losses) - 1 - best_epoch
    (lines,) = told[1]["lines"]
    logs = sorted(["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"])
    epochs = [note for at in range(len(losses)) for note in (["before", at], ["after", at, logs])]
    assert lines == [["begin", len(RATES)], *epochs, ["end"]]


@pytest.mark.parametrize("of_batches", [False, True])
def test_augmentation_is_another_one_in_each_epoch_and_of_training_alone(of_batches: bool, shims: Shims) -> None:
    """It starts from the images as they were, draws before the shuffling, and leaves labels and validation alone."""
    arrays = {**data_of("images"), **held_out("images")}
    batch = [X, Y, W]
    parts = {"x": [batch, batch[:2]]}
    data: dict[str, Any] = parts if of_batches else {"x": X, "y": Y, "sample_weight": W, "batch_size": 4}
    fit = {**data, "epochs": 3, "augment": True, "validation_data": [{"array": "vx"}, {"array": "vy"}]}
    agree(shims["numpy"], model_of("images"), [COMPILE, ["fit", fit], *STATE], arrays, seed=1)


HEIGHTS = [5.0, 4.0, 3.95, 4.2, 4.1, 3.9, 3.9, 3.0, 3.1, 3.05, 2.99, 3.2, 3.3, 3.1, 3.4, 3.5]  # falls, waits, ties
RISING = [1.0, 1.1, 1.2, 1.6, 1.7, 1.75, 1.8, 1.85]  # by less and by more than a step that counts
WATCHED: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "one": {"patience": 1},
    "three": {"patience": 3},
    "four": {"patience": 4},
    "by much": {"patience": 3, "min_delta": 0.06},
    "by exactly as much as it falls": {"patience": 2, "min_delta": 1.0},
    "upwards": {"patience": 2, "higher": True},
    "upwards, by much": {"patience": 8, "higher": True, "min_delta": 0.3},
    "without going back": {"patience": 2, "restore_best_weights": False},
}


@pytest.mark.parametrize("name", WATCHED)
def test_early_stopping_of_a_known_curve(name: str, shims: Shims) -> None:
    """Every argument on a curve that falls, waits, ties and rises: the epoch it ends in, the best one, the weights."""
    arrays = {"x": np.eye(2), "y": np.ones((2, 1))}
    for heights in (HEIGHTS, HEIGHTS[::-1], RISING):
        watching = [
            ["LearningRate", {"rates": heights}],
            ["EarlyStopping", {**WATCHED[name], "monitor": "learning_rate"}],
        ]
        compile_ = ["compile", {"optimizer": ["Adam", {}], "loss": "mean_squared_error"}]
        fit = ["fit", {"x": X, "y": Y, "epochs": len(heights), "shuffle": False, "callbacks": watching}]
        calls: Calls = [compile_, fit, ["weights", {}]]
        told, found = agree(shims["numpy"], LINE, calls, arrays)
        ((best_epoch, best, waited),) = told[1]["stopping"]
        seen = found["1/learning_rate"] * (-1 if WATCHED[name].get("higher") else 1)
        assert best == seen[best_epoch] and waited == len(seen) - 1 - best_epoch


def test_what_stays_the_same_has_not_got_better(shim: Shim) -> None:
    """At a rate of 0 every epoch is as good as the first, which stays the best one."""
    arrays = {"x": np.eye(2), "y": np.ones((2, 1))}
    still = [["LearningRate", {"rates": [0.0] * 6}], ["EarlyStopping", {"patience": 3, "monitor": "loss"}]]
    compile_ = ["compile", {"optimizer": SGD, "loss": "mean_squared_error"}]
    fit = ["fit", {"x": X, "y": Y, "epochs": 6, "shuffle": False, "callbacks": still}]
    told, found = agree(shim, LINE, [compile_, fit], arrays)
    assert told[1]["stopping"][0][0] == 0 and len(found["1/loss"]) == 4


def test_two_callbacks_may_stop(shim: Shim) -> None:
    """One that would go on does not undo what another one ended."""
    watching = [["EarlyStopping", {"monitor": "loss"}], ["EarlyStopping", {"monitor": "val_loss", "patience": 8}]]
    fit = {"x": X, "y": Y, "epochs": 9, "batch_size": 4, "callbacks": [["LearningRate", {"rates": RATES}], *watching]}
    same(shim, "vectors", [COMPILE, ["fit", {**fit, "validation_split": 0.3}]])


def test_a_rate_that_a_callback_sets_holds_until_the_next_compile(shim: Shim) -> None:
    fit = {"x": X, "y": Y, "batch_size": 4}
    rates = [["LearningRate", {"rates": [0.5, 0.05]}]]
    decayed = ["compile", {**COMPILE[1], "optimizer": ["AdamW", {**ADAM[1], "weight_decay": 0.3}]}]  # by that rate too
    calls: Calls = [decayed, ["fit", {**fit, "epochs": 2, "callbacks": rates}], ["fit", {**fit, "epochs": 3}]]
    calls += [["train_on_batch", {"x": X, "y": Y}], decayed, ["fit", {**fit, "epochs": 1}]]
    same(shim, "vectors", calls)


def test_compiling_again_starts_the_optimizer_afresh(shim: Shim) -> None:
    """The same, another one, another loss, frozen layers and thawed ones: no slot, step or epoch is left over."""
    fit = ["fit", {"x": X, "y": Y, "epochs": 1, "batch_size": 4}]
    adagrad = ["compile", {"optimizer": ["Adagrad", {"learning_rate": 0.1}], "loss": "softmax_cross_entropy"}]
    frozen = ["freeze", {"names": ["a", "norm"]}]
    thawed = ["freeze", {"names": ["a", "norm"], "trainable": True}]
    calls: Calls = [COMPILE, fit, COMPILE, fit, adagrad, fit, adagrad, fit, frozen, COMPILE, fit, *STATE]
    told, _ = same(shim, "vectors", [*calls, thawed, COMPILE, fit, ["facts", {}]])
    facts = told[-3]
    assert (facts["t"], facts["epoch"]) == (3, 1)


def test_compiling_with_one_thing_changed(shim: Shim) -> None:
    """Another loss alone, other metrics alone, another rate alone: what was compiled before is void."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(5, 2)), "y": rng.normal(size=(5, 1))}
    data = {"x": X, "y": Y, "batch_size": 2}
    first = {"optimizer": SGD, "loss": "mean_squared_error", "metrics": ["mean_absolute_error"]}
    calls: Calls = []
    for change in ({}, {"loss": "huber"}, {"metrics": ["mean_squared_error"]}, {"optimizer": ["SGD", {}]}):
        first = {**first, **change}
        calls += [
            ["compile", first],
            ["fit", {**data, "epochs": 2}],
            ["evaluate", data],
            ["train_on_batch", {"x": X, "y": Y}],
        ]
    agree(shim, LINE, [*calls, *STATE], arrays)


def test_a_file_holds_all_that_goes_on(shim: Shim, tmp_path: Path) -> None:
    """Weights, statistics, slots, the schedule's place, the random stream and the epoch: a resumed training is one."""
    path = str(tmp_path / "model.npz")
    fit = {"x": X, "y": Y, "batch_size": 4}
    calls: Calls = [
        COMPILE,
        ["fit", {**fit, "epochs": 2, "callbacks": [["Checkpoint", {"path": path}]]}],
        ["train_on_batch", {"x": X, "y": Y}],
        ["new", {}],
        COMPILE,
        ["load", {"path": path}],
        *STATE,
        ["fit", {**fit, "epochs": 4, "resume": True}],
        ["save", {"path": path}],
        ["file", {"path": path}],
        ["facts", {}],
    ]
    told, found = same(shim, "vectors", calls)
    file, facts = told[10], told[11]
    assert (facts["t"], facts["epoch"]) == (file["t"], file["epoch"]) == (12, 4)
    assert file["rng"] == facts["stream"]
    saved = {name.removeprefix("10/").partition("/")[2]: each for name, each in found.items() if name.startswith("10/")}
    last = {name[3:]: each for name, each in found.items() if name.startswith(("12/", "13/"))}
    compare(saved, last, 0.0)
    assert saved.keys() == last.keys()


@pytest.mark.parametrize(
    "backends", [("numpy", "torch"), pytest.param(("tensorflow", "jax", "numpy"), marks=pytest.mark.full)]
)
def test_a_training_moves_between_backends_by_file(backends: tuple[str, ...], shims: Shims, tmp_path: Path) -> None:
    """Each goes on from what the one before it saved, and the whole is the oracle's."""
    path, arrays = str(tmp_path / "model.npz"), data_of("images")
    described = model_of("images")
    described["settings"]["dtype"] = "float64"
    start, stream = weights_for(shims[backends[0]], described, 1)
    oracle = Oracle(described, start, stream)
    oracle.do(*COMPILE)
    sent = {**arrays, **{f"start/{name}": each for name, each in start.items()}}
    begin = ["set_weights", {"prefix": "start/"}]
    for at, backend in enumerate(backends, 1):
        fit: dict[str, Any] = {"epochs": 2 * at, "batch_size": 4, "resume": True}
        calls: Calls = [COMPILE, begin, ["fit", {"x": X, "y": Y, **fit}], *STATE, ["save", {"path": path}]]
        _, found = shims[backend].run(described, calls, sent)
        expected = oracle.do("fit", {"x": arrays["x"], "y": arrays["y"], **fit})
        truth = {f"2/{name}": each for name, each in expected.items()}
        truth |= {f"3/{name}": each for name, each in oracle.weights.items()}
        truth |= {f"4/{name}": each for name, each in oracle.do("slots", {}).items()}
        compare(found, truth)
        begin = ["load", {"path": path}]


def test_a_training_moves_between_backends_in_memory(shim: Shim) -> None:
    """There and back, in the middle of a training, with other data in between."""
    fit = {"x": X, "y": Y, "batch_size": 4}
    there = ["to", {"backend": "numpy"}]
    back = ["to", {"backend": shim.backend, "mode": shim.mode}]
    calls: Calls = [COMPILE, ["fit", {**fit, "epochs": 1}], there, ["fit", {**fit, "epochs": 2, "resume": True}]]
    calls += [["predict", {"x": X}], back, *STATE, ["train_on_batch", {"x": X, "y": Y}]]
    rates = [["LearningRate", {"rates": RATES}]]  # by the numbers of the epochs, of which the first three are left out
    same(shim, "images", [*calls, ["fit", {**fit, "epochs": 4, "initial_epoch": 3, "callbacks": rates}]])


def test_a_log_of_commas_is_the_history(shim: Shim, tmp_path: Path) -> None:
    """A header once, a line an epoch, every digit; a second training continues it, and so does one from the start."""
    path = str(tmp_path / "log.csv")
    fit = {"x": X, "y": Y, "batch_size": 4, "callbacks": [["CSVLog", {"path": path}]], "validation_split": 0.2}
    calls: Calls = [COMPILE, ["fit", {**fit, "epochs": 2}], ["fit", {**fit, "epochs": 3, "resume": True}]]
    calls.append(["text", {"path": path}])
    told, found = same(shim, "vectors", [*calls, COMPILE, ["fit", {**fit, "epochs": 1}], ["text", {"path": path}]])
    rows = list(csv.DictReader(io.StringIO(told[6])))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 0]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert [float(row[name]) for row in rows] == [*found[f"1/{name}"], *found[f"2/{name}"], *found[f"5/{name}"]]


def test_more_examples_than_one_internal_batch(shim: Shim) -> None:
    """Predictions are made 4,096 at a time, evaluations 1,024: the seams do not show, nor does a rest of one."""
    rng = np.random.default_rng(0)
    for count in (4097, 8192):
        arrays = {"x": rng.normal(size=(count, 2)), "y": rng.normal(size=(count, 1))}
        calls: Calls = [
            ["compile", {"optimizer": SGD, "loss": "mean_absolute_error", "metrics": ["mean_squared_error"]}],
            ["predict", {"x": X}],
            ["evaluate", {"x": X, "y": Y}],
        ]
        agree(shim, LINE, calls, arrays)


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_estimators(kind: str, shim: Shim) -> None:
    """scikit-learn's face trains what the model trains: classes in order of their numbers, shares, labels back."""
    if shim.backend != "numpy":
        pytest.skip("it is one code for all backends")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(13, 2))
    classify = kind == "Classifier"
    y = np.array([7, -3, 15] * 4 + [-3]) if classify else rng.normal(size=13)
    options: dict[str, Any] = {"hidden": [3, 2], "epochs": 2, "batch_size": 5}
    arrays = {"x": x, "y": y}
    (seed,), found = shim.run(LINE, [["estimator", {"kind": kind, "x": X, "y": Y, **options}]], arrays)
    outputs = 3 if classify else 1
    hidden = [
        layer("Dense", "dense", units=3, activation="relu"),
        layer("Dense", "dense_1", units=2, activation="relu"),
    ]
    layers = [*hidden, layer("Dense", "dense_2", units=outputs)]
    described = {"layers": layers, "inputs": [[2]], "settings": {"seed": seed, "dtype": "float64"}}
    (facts, _), first = shim.run(described, [["facts", {}], ["weights", {}]])
    oracle = Oracle(described, {n.removeprefix("1/"): w for n, w in first.items()}, facts["stream"])
    loss = "softmax_cross_entropy" if classify else "mean_squared_error"
    oracle.do("compile", {"optimizer": ["Adam", {"learning_rate": 0.01}], "loss": loss})
    targets = np.searchsorted([-3, 7, 15], y) if classify else y[:, None]
    history = oracle.do("fit", {"x": x, "y": targets, "epochs": 2, "batch_size": 5})
    outputs_of = oracle.do("predict", {"x": x})["outputs"]
    truth = {f"0/{name}": each for name, each in oracle.weights.items()} | {"0/loss": history["loss"]}
    if classify:
        shares = np.exp(outputs_of) / np.exp(outputs_of).sum(1, keepdims=True)
        truth |= {"0/shares": shares, "0/predicted": np.array([-3, 7, 15])[shares.argmax(1)]}
    else:
        truth["0/predicted"] = outputs_of[:, 0]
    compare(found, truth)
