"""One training in every way that a user may run it: every mode, moved and cast in between, of inputs of any number."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import BACKENDS
from suites.references.case import layer, numbers
from suites.references.loss_scale import LIMIT
from suites.references.shim import Shim, Shims, agree
from suites.references.test_training import ADAM, COMPILE, COUNT, RATES, STATE, Calls, X, Y, data_of, model_of, same

MODES = (  # those that are not run by every test of this folder
    pytest.param("jax", "eager", marks=[pytest.mark.full, pytest.mark.catalogue]),
    pytest.param("tensorflow", "eager", marks=pytest.mark.full),
    pytest.param("tensorflow", "xla", marks=[pytest.mark.full, pytest.mark.catalogue]),
    pytest.param("torch", "compile", marks=[pytest.mark.full, pytest.mark.catalogue]),
)


@pytest.mark.parametrize(("backend", "mode"), MODES)
def test_every_mode_trains_as_the_loop_does(backend: str, mode: str, shims: Shims) -> None:
    """Ragged batches in fit, a batch of another size after it, weights, a schedule that acts within an epoch."""
    if importlib.util.find_spec(BACKENDS[backend].module) is None:
        pytest.skip(f"{BACKENDS[backend].module} is not installed")
    shim = shims[backend]
    shim.mode = mode
    validation = {"validation_data": [{"array": "vx"}, {"array": "vy"}, {"array": "vw"}]}
    calls: Calls = [
        COMPILE,
        ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 4, **validation}],
        ["train_on_batch", {"x": X, "y": Y}],
        ["fit", {"x": X, "y": Y, "epochs": 3, "batch_size": 3, "sample_weight": {"array": "w"}}],
        ["predict", {"x": X, "batch_size": 3}],
    ]
    same(shim, "vectors", calls)


def network(*layers: dict[str, Any], inputs: Any = ([2],), **settings: Any) -> dict[str, Any]:
    return {"layers": list(layers), "inputs": [list(each) for each in inputs], "settings": {"seed": 3, **settings}}


def test_two_inputs_in_batches(shim: Shim) -> None:
    """Each is shuffled, held out, cut into batches and predicted in step with the other."""
    model = network(
        layer("Dense", "a", units=3, activation="tanh", **{"from": [0]}),
        layer("Embedding", "b", inputs=4, units=3, **{"from": [1]}),
        layer("Add", "sum", **{"from": [2, 3]}), layer("Dropout", "drop", rate=0.3), layer("Dense", "c", units=3),
        inputs=([2], []),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(11, 2)), "ids": rng.integers(0, 4, 11), "y": rng.integers(0, 3, 11)}
    both = {"x": [X, {"array": "ids"}], "y": Y}
    calls: Calls = [
        COMPILE,
        ["fit", {**both, "epochs": 2, "batch_size": 3, "validation_split": 0.3}],
        ["predict", {"x": both["x"], "batch_size": 4}],
        ["evaluate", {**both, "batch_size": 3}],
        ["fit", {"x": [[both["x"], Y]], "epochs": 4}],
        ["train_on_batch", both],
        *STATE,
    ]
    agree(shim, model, calls, arrays, seed=1)


def test_images_of_any_size_with_dropout(shim: Shim) -> None:
    """An extent that is left open follows each batch, in both directions of the image."""
    model = network(
        layer("Conv2D", "a", filters=2, kernel_size=2, padding="same", use_bias=False),
        layer("Dropout", "drop", rate=0.4), layer("GlobalAveragePool2D", "pool"), layer("Dense", "b", units=3),
        inputs=([None, None, 1],),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(5, 3, 4, 1)), "small": rng.normal(size=(5, 2, 3, 1)), "y": rng.integers(0, 3, 5)}
    fit = ["fit", {"x": X, "y": Y, "epochs": 1, "batch_size": 2}]
    calls: Calls = [COMPILE, fit, ["train_on_batch", {"x": {"array": "small"}, "y": Y}], ["predict", {"x": X}], *STATE]
    agree(shim, model, calls, arrays, seed=1)


def test_classes_without_an_example_and_of_rows_of_labels(shim: Shim) -> None:
    """A weight belongs to a class by its number, whichever are there; a row of labels is one-hot."""
    for y, loss in (
        (np.array([2, 0, 2, 5, 0]), "softmax_cross_entropy"),
        (numbers(np.random.default_rng(1), (5, 6)).round().clip(0, 1), "sigmoid_cross_entropy"),
    ):
        arrays = {"x": np.random.default_rng(0).normal(size=(5, 2)), "y": y}
        table = {"class_weight": {"numbers": {str(at): 2.0**at for at in range(7)}}}
        calls: Calls = [
            ["compile", {"optimizer": ADAM, "loss": loss, "metrics": ["accuracy"]}],
            ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 2, **table}],
            ["train_on_batch", {"x": X, "y": Y, **table}],
            *STATE,
        ]
        agree(shim, network(layer("Dense", "a", units=6)), calls, arrays)


def test_a_move_keeps_all_that_a_training_goes_on_from(shim: Shim) -> None:
    """The epoch, the random stream, the place in the schedule, and a rate that a callback has set."""
    fit = {"x": X, "y": Y, "batch_size": 4}
    rates = {"callbacks": [["LearningRate", {"rates": RATES}]]}
    there, back = ["to", {"backend": "numpy"}], ["to", {"backend": shim.backend, "mode": shim.mode}]
    calls: Calls = [COMPILE, ["fit", {**fit, **rates, "epochs": 2}], there]
    calls += [["fit", {**fit, "epochs": 3, "resume": True}], back, ["train_on_batch", {"x": X, "y": Y}]]
    calls.append(["fit", {**fit, "epochs": 4, "resume": True}])
    same(shim, "vectors", calls)


def test_a_move_to_another_type_rounds_once_and_a_wider_one_not_at_all(shim: Shim) -> None:
    """Through float32 the weights are the nearest float32 numbers; mixed precision computes in 16 bits from then on."""
    model = network(layer("Dense", "a", units=2), inputs=([3],), dtype="float32", mode=shim.mode or None)
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 2)), rng.normal(size=2)
    arrays = {"x": np.eye(3), "start/a/kernel": kernel, "start/a/bias": bias}
    calls: Calls = [
        *[["to", {"dtype": "float64"}], ["set_weights", {"prefix": "start/"}]],  # before there are weights
        *[["to", {"dtype": "float32"}], ["weights", {}], ["to", {"dtype": "float64"}], ["weights", {}]],
        *[["to", {"dtype": "mixed_float16"}], ["predict", {"x": X}], ["weights", {}]],
    ]
    _, found = shim.run(model, calls, arrays)
    for at in (3, 5, 8):
        np.testing.assert_array_equal(found[f"{at}/a/kernel"], kernel.astype(np.float32))
    assert found["3/a/bias"].dtype == np.float32 and found["5/a/bias"].dtype == np.float64
    outputs = found["7/outputs"]
    np.testing.assert_array_equal(outputs, outputs.astype(np.float16))
    assert np.all(outputs != (kernel + bias).astype(np.float32))


def test_a_file_is_read_without_compiling(shim: Shim, tmp_path: Path) -> None:
    """Whoever only predicts needs no optimizer."""
    path = str(tmp_path / "model.npz")
    fit = ["fit", {"x": X, "y": Y, "epochs": 1, "batch_size": 4}]
    calls: Calls = [
        COMPILE,
        fit,
        ["save", {"path": path}],
        ["new", {}],
        ["load", {"path": path}],
        ["predict", {"x": X}],
    ]
    agree(shim, model_of("vectors"), [*calls, ["weights", {}]], data_of("vectors"), seed=1)


def test_a_shape_that_the_first_data_decide(shim: Shim) -> None:
    """The same weights, training and outputs as of a model that was told."""
    model = {**model_of("vectors"), "settings": {"seed": 3, "dtype": "float64", "mode": shim.mode or None}}
    fit = ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 4}]
    calls: Calls = [COMPILE, fit, ["predict", {"x": X}], *STATE]
    _, told = shim.run(model, calls, data_of("vectors"))
    _, found = shim.run({**model, "inputs": [None]}, calls, data_of("vectors"))
    assert told.keys() == found.keys()
    for name, values in told.items():
        np.testing.assert_array_equal(found[name], values)


def test_normalisation_in_mixed_precision_keeps_its_digits(shim: Shim) -> None:
    """Of channels near 1,000 a mean in 16 bits is off by a half, and the variance is no number of use."""
    kinds: dict[str, dict[str, Any]] = {
        "BatchNorm": {"momentum": 0.5}, "LayerNorm": {}, "GroupNorm": {"groups": 2}, "RMSNorm": {},
    }  # fmt: skip
    norms = [{**layer(kind, **options), "from": [0]} for kind, options in kinds.items()]
    model = network(*norms, layer("Add", "sum", **{"from": [1, 2, 3, 4]}), inputs=([2, 2, 4],))
    x = 1000.0 + np.random.default_rng(0).integers(-3, 4, (6, 2, 2, 4))
    assert np.sum(x**2) > LIMIT
    arrays = {"x": x, "y": np.random.default_rng(1).normal(size=x.shape)}
    model["settings"]["dtype"] = "mixed_float16"
    calls: Calls = [
        ["compile", {"optimizer": ["SGD", {"learning_rate": 0.01}], "loss": "mean_squared_error"}],
        *[
            ["loss_scale", {"value": 256.0}],
            ["train_on_batch", {"x": X, "y": Y}],
            ["weights", {}],
            ["predict", {"x": X}],
        ],
    ]
    calls += [["train_on_batch", {"x": X, "y": Y}], ["weights", {}]]
    _, found = agree(shim, model, calls, arrays, bound=4 * 2.0**-11)
    before, after = (value.astype(float) for name, value in found.items() if name.endswith("moving_mean"))
    expected = 0.5 * before + 0.5 * x.mean((0, 1, 2))  # of numbers that 16 bits have not
    assert (np.abs(after - expected) <= 4 * 2.0**-24 * np.abs(expected)).all()  # roundings of float32


def test_a_layer_that_is_applied_twice(shim: Shim) -> None:
    """Its gradients add up, its statistics move twice, and what it drops is drawn for each use."""
    model = network(
        {**layer("Dense", "a", units=3, use_bias=False), "from": [0]},
        {**layer("BatchNorm", "norm", momentum=0.75), "from": [1]},
        {**layer("Dropout", "drop", rate=0.4), "from": [2]}, {**layer("Dense", "again", units=3), "from": [3]},
        {"again": "norm", "from": [4]}, {"again": "drop", "from": [5]}, {"again": "again", "from": [6]},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(11, 2)), "y": rng.integers(0, 3, 11)}
    fit = ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 4}]
    calls: Calls = [COMPILE, fit, ["train_on_batch", {"x": X, "y": Y}], ["predict", {"x": X}], *STATE]
    agree(shim, model, calls, arrays)


HALVES = {
    "numpy": ("float16",),
    "torch": ("float16", "bfloat16"),
    "jax": ("float16", "bfloat16"),
    "tensorflow": ("float16",),
}


def test_causal_attention_in_mixed_precision(shim: Shim) -> None:
    """Kernels of 16 bits are others than those of float64: with a mask of padding beside it, and without one."""
    causal: dict[str, Any] = {"num_heads": 2, "key_dim": 2, "causal": True}
    rng = np.random.default_rng(0)
    x = rng.integers(-8, 9, (3, 5, 4)) / 8
    arrays = {"x": x, "other": rng.integers(0, 4, (3, 5)), "y": rng.normal(size=x.shape)}
    model = network(
        {**layer("MultiHeadAttention", "open", **causal), "from": [0]},
        {**layer("Embedding", "table", inputs=4, units=4, mask_zero=True), "from": [1]},
        {**layer("MultiHeadAttention", "masked", **causal), "from": [3]},
        {**layer("Add", "sum"), "from": [2, 4]},
        inputs=([5, 4], [5]),
    )  # fmt: skip
    both = {"x": [X, {"array": "other"}]}
    calls: Calls = [
        ["compile", {"optimizer": ["SGD", {"learning_rate": 0.1}], "loss": "mean_squared_error"}],
        ["predict", both],
        *[["loss_scale", {"value": 256.0}], ["train_on_batch", {**both, "y": Y}], ["weights", {}]],
    ]
    for kind, digits in (("float16", 11), ("bfloat16", 8)):
        if kind in HALVES[shim.backend]:
            model["settings"]["dtype"] = f"mixed_{kind}"
            agree(shim, model, calls, arrays, bound=4 * 2.0**-digits)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_corrections_of_the_first_updates_in_float32(name: str, shim: Shim) -> None:
    """1 - 0.999^t has lost four digits where it is computed in float32; the first updates are the rate, to the last."""
    arrays = {"x": np.array([[1.0, 1.0]]), "y": np.array([[-4.0]])}
    calls: Calls = [
        ["compile", {"optimizer": [name, {"learning_rate": 0.25, "epsilon": 1e-12}], "loss": "mean_absolute_error"}],
        ["fit", {"x": X, "y": Y, "epochs": 3}],
        ["train_on_batch", {"x": X, "y": Y}],
        ["weights", {}],
    ]
    model = network(layer("Dense", "unit", units=1), dtype="float32")
    agree(shim, model, calls, arrays, weights={"unit/kernel": np.zeros((2, 1)), "unit/bias": np.zeros(1)}, bound=2e-6)


def test_a_mask_goes_along_its_own_branch(shim: Shim) -> None:
    """Of two branches side by side one is masked: neither takes the mask of whatever was computed last."""
    model = network(
        layer("Embedding", "a", inputs=4, units=2, mask_zero=True, **{"from": [0]}),
        layer("Embedding", "b", inputs=4, units=2, **{"from": [1]}),
        layer("GRU", "masked", units=2, return_sequences=True, **{"from": [2]}),
        layer("GRU", "plain", units=2, return_sequences=True, **{"from": [3]}),
        layer("Add", "sum", **{"from": [4, 5]}), layer("GRU", "last", units=2),
        layer("Dense", "c", units=3), inputs=([3], [3]),
    )  # fmt: skip
    ids = np.array([[1, 0, 2], [0, 3, 0], [2, 2, 0]])
    both = {"x": [X, {"array": "other"}], "y": Y}
    calls: Calls = [COMPILE, ["train_on_batch", both], *STATE, ["predict", {"x": both["x"]}]]
    agree(shim, model, calls, {"x": ids, "other": ids[::-1].copy(), "y": np.array([0, 2, 1])})


@pytest.mark.full
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_sequence_that_goes_on_is_the_whole_one(backend: str, shims: Shims) -> None:
    """In pieces of one place and of several, each computes its own places alone: positions and rotations count on."""
    model = network(
        layer("Embedding", "table", inputs=5, units=4), layer("PositionEmbedding", "places", length=9),
        layer("MultiHeadAttention", "turned", num_heads=2, key_dim=2, causal=True, rope=10.0),
        layer("LayerNorm", "norm"),
        layer("MultiHeadAttention", "grouped", num_heads=4, key_dim=2, num_key_value_heads=2, causal=True),
        layer("Dense", "logits", units=5), inputs=([None],),
    )  # fmt: skip
    ids = np.random.default_rng(0).integers(0, 5, (3, 9))
    calls: Calls = [["extend", {"x": X, "pieces": pieces}] for pieces in ([9], [1, 4, 1, 3], [8, 1])]
    agree(shims[backend], model, calls, {"x": ids})


@pytest.mark.full
def test_what_drops_in_ways_of_its_own(shims: Shims) -> None:
    """At every place of a sequence, and in attention of any length."""
    rng = np.random.default_rng(0)
    attention = layer("MultiHeadAttention", "seen", num_heads=2, key_dim=2, dropout=0.4)
    of_any_length = network(attention, layer("GlobalAveragePool1D", "pool"), layer("Dense", "c", units=3),
                            inputs=([None, 4],))  # fmt: skip
    every_place = network(
        layer("Dense", "a", units=4), layer("TimeDistributed", "drop", layer={"kind": "Dropout", "rate": 0.4}),
        layer("GlobalAveragePool1D", "pool"), layer("Dense", "c", units=3), inputs=([3, 4],),
    )  # fmt: skip
    arrays = {"x": rng.normal(size=(5, 3, 4)), "y": rng.integers(0, 3, 5)}
    arrays["short"] = arrays["x"][:, :2].copy()
    calls: Calls = [
        COMPILE, ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 2}], ["train_on_batch", {"x": X, "y": Y}],
        ["predict", {"x": X}], *STATE,
    ]  # fmt: skip
    shorter = ["train_on_batch", {"x": {"array": "short"}, "y": Y}]
    for model, more in ((of_any_length, [shorter, *STATE]), (every_place, [])):
        agree(shims["numpy"], model, [*calls, *more], arrays, seed=1)


@pytest.mark.full
def test_shares_of_classes_and_a_training_that_is_done(shims: Shims) -> None:
    """Labels may be shares; whoever resumes where nothing is left changes nothing, and what comes next goes on."""
    shares = np.random.default_rng(0).dirichlet(np.ones(3), COUNT)
    fit = {"x": X, "y": Y, "epochs": 2, "batch_size": 4}
    plain: Any = ["compile", {"optimizer": ADAM, "loss": "softmax_cross_entropy"}]
    calls: Calls = [plain, ["fit", fit], ["fit", {**fit, "resume": True}], ["evaluate", {"x": X, "y": Y}]]
    calls += [*STATE, ["fit", {**fit, "epochs": 3, "resume": True, "sample_weight": {"array": "w"}}]]
    same(shims["numpy"], "vectors", calls, {"y": shares})
