"""Models and weights that go elsewhere: ONNX Runtime, Keras, PyTorch, raw variables, scikit-learn."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from impls import MODELS, shim
from impls.shim.activation_functions import ACTIVATIONS
from impls.shim.interop.onnx_layers import NOT_EXPORTED
from impls.shim.layer import Layer
from impls.shim.test_features import in_process

ERF = "ONNX Runtime has no float64 kernel of Erf, and ONNX's evaluator computes it in float32"
NOT_IN_FLOAT64 = {
    "gelu": ERF,
    "transformer": ERF,
    "rnn": "ONNX Runtime has no float64 LSTM; unrolled ones need a fixed number of steps, see `recurrent`",
}


def drawn(model: Any, seed: int = 0) -> Any:
    rng = np.random.RandomState(seed)
    shapes = {name: weight.shape for name, weight in model.declared.items()}
    model.set_weights(
        {n: rng.uniform(0.5, 1.5, s) if "variance" in n else rng.normal(0, 0.5, s) for n, s in shapes.items()}
    )
    return model


def sequential(*layers: Any, inputs: Any) -> Any:
    return shim.Sequential(layers, inputs=inputs, backend="numpy")


EXPORTED: dict[str, Any] = {
    **{
        name: lambda name=name: importlib.import_module(f"impls.{name}.shim").build()
        for name, spec in MODELS.items()
        if "shim_onnx" not in spec.absent
    },
    **{name: lambda name=name: sequential(shim.Dense(3), shim.Activation(name), inputs=(4,)) for name in ACTIVATIONS},
    "convolutions": lambda: sequential(
        shim.Conv2D(4, 3, strides=2, padding="same"), shim.DepthwiseConv2D(2, depth_multiplier=2, padding="same"),
        shim.BatchNorm(), shim.AveragePool2D(2, padding="same"), shim.Conv2D(3, 2, dilation_rate=2, padding="same"),
        shim.MaxPool2D(2, 1), shim.GlobalAveragePool2D(), inputs=(9, 12, 2),
    ),
    "dilated": lambda: sequential(  # an odd number of zeros around it, and stacks that follow it
        shim.Conv2D(3, 2, dilation_rate=3, padding="same"), shim.DepthwiseConv2D((4, 2), dilation_rate=(3, 1)),
        inputs=(11, 7, 2),
    ),
    "recurrent": lambda: sequential(
        shim.Bidirectional(lambda: shim.GRU(3, return_sequences=True)), shim.SimpleRNN(3, return_sequences=True),
        shim.LayerNorm(), shim.GRU(3, reset_after=False, return_sequences=True), shim.LSTM(2, go_backwards=True),
        inputs=(5, 3),
    ),
    "masked": lambda: sequential(
        shim.Embedding(5, 3, mask_zero=True), shim.LSTM(3, return_sequences=True), shim.GRU(2), inputs=(5,)
    ),
    "transformer": lambda: importlib.import_module("impls.transformer.shim").build(),
    "attention": lambda: sequential(
        shim.Embedding(5, 4, mask_zero=True), shim.PositionEmbedding(9),
        shim.MultiHeadAttention(4, 2, 3, causal=True, num_key_value_heads=2, rope=10.0), shim.MultiHeadAttention(2, 2),
        inputs=(7,),
    ),
    "norms": lambda: sequential(
        shim.Dense(6), shim.GroupNorm(3), shim.PReLU((1,)), shim.RMSNorm(), shim.BatchNorm(epsilon=0.2),
        shim.GlobalAveragePool1D(), shim.BatchNorm(epsilon=0.1), inputs=(5, 3),
    ),
    "sequences": lambda: sequential(  # of any length
        shim.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"), shim.SpatialDropout(0.5),
        shim.Conv1D(4, 4, strides=2, padding="same"), shim.GroupNorm(2), shim.Conv1D(3, 2, use_bias=False),
        shim.GlobalMaxPool1D(), shim.ReLU(), inputs=(None, 3),
    ),
    "larger images": lambda: sequential(  # of any size; windows larger and smaller than their strides
        shim.UpSampling2D((3, 2), "bilinear"), shim.ZeroPadding2D(((1, 2), (0, 3))),
        shim.Conv2DTranspose(3, (4, 1), (3, 2), "same", activation="tanh"),
        shim.Conv2DTranspose(2, (1, 3), (2, 1), use_bias=False), shim.UpSampling2D((1, 2)), inputs=(None, None, 2),
    ),
    "largest places": lambda: sequential(
        shim.SeparableConv2D(3, 3, padding="same"), shim.Dropout(0.5), shim.GlobalMaxPool2D(), inputs=(5, 4, 2)
    ),
    "every place": lambda: sequential(  # of videos of any length
        shim.TimeDistributed(shim.Conv2D(3, 2, padding="same")),
        shim.TimeDistributed(shim.Reshape((12, 3))), shim.TimeDistributed(shim.MultiHeadAttention(2, 2)),
        shim.TimeDistributed(shim.Flatten()), shim.TimeDistributed(shim.Dense(2)), inputs=(None, 3, 4, 2),
    ),
    "mean of what is seen": lambda: sequential(
        shim.Embedding(5, 3, mask_zero=True), shim.GlobalAveragePool1D(), inputs=(None,)
    ),
    "words of sentences": lambda: sequential(
        shim.Embedding(5, 3, mask_zero=True), shim.TimeDistributed(shim.GRU(3, return_sequences=True)),
        shim.TimeDistributed(shim.GlobalAveragePool1D()), shim.Dense(2), inputs=(2, 4),
    ),
    "two inputs": lambda: looking_at_another(),
}  # fmt: skip


def looking_at_another() -> Any:
    """Attention to the places of a second input that a third one lets it see."""
    query, value, seen = shim.Input((4, 3)), shim.Input((6, 5)), shim.Input((6,))
    mixed = shim.MultiHeadAttention(2, 2)(query, value, mask=seen)
    joined = shim.Concatenate()([mixed, shim.Add()([query, mixed])])
    return shim.Model([query, value, seen], shim.Reshape((6, 4))(joined), backend="numpy")


@functools.cache
def made(name: str) -> Any:
    return EXPORTED[name]()


def kinds(layer: Layer) -> set[type]:
    """The kind of a layer and those of the layers within it."""
    within = [kinds(inner) for inner in vars(layer).values() if isinstance(inner, Layer)]
    return {type(layer)}.union(*within)


def test_every_kind_of_layer_is_exported_or_refused_with_a_reason() -> None:
    """Whoever adds a layer either exports it below, against ONNX Runtime, or says in NOT_EXPORTED why not."""
    known = {each for each in vars(shim).values() if isinstance(each, type) and issubclass(each, Layer)} - {Layer}
    exported: set[type] = set()
    for name in EXPORTED:
        exported = exported.union(*[kinds(step.layer) for step in made(name).plan])
    assert known - exported == set(NOT_EXPORTED)
    assert all(NOT_EXPORTED.values())


class Sorted(Layer):
    def call(self, B: Any, p: Any, x: Any, run: Any) -> Any:
        return B.sort(x)


def test_a_layer_that_can_t_be_exported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyError from within the exporter would not say which of a hundred layers is meant."""
    model = sequential(shim.Dense(3), shim.TimeDistributed(Sorted(name="rows"), name="all"), inputs=(5, 3))
    with pytest.raises(ValueError, match=r"layer 'all/rows' \(Sorted\) can't be exported .* no attribute 'sort'"):
        shim.to_onnx(model)
    monkeypatch.setitem(NOT_EXPORTED, Sorted, "ONNX has no order")
    with pytest.raises(ValueError, match=r"layer 'all/rows' \(Sorted\) can't be exported to ONNX: ONNX has no order"):
        shim.to_onnx(model)
    turned = sequential(shim.MultiHeadAttention(2, 2, rope=10.0, name="turned"), inputs=(None, 3))
    with pytest.raises(ValueError, match=r"layer 'turned' .* with a fixed number of steps only"):
        shim.to_onnx(turned)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXPORTED)
def test_onnx_runtime_computes_the_same_numbers(name: str, dtype: str, tmp_path: Path) -> None:
    """In float64 ONNX's own evaluator does where ONNX Runtime has no kernel."""
    pytest.importorskip("onnxruntime")
    if dtype == "float64" and name in NOT_IN_FLOAT64:
        pytest.skip(NOT_IN_FLOAT64[name])
    model = drawn(made(name).to(backend="numpy", dtype=dtype))
    columns = {column: values(model, at, dtype) for at, column in enumerate(model.input_names)}
    found = run_onnx(model, columns, tmp_path / "model.onnx")
    given = list(columns.values()) if len(columns) > 1 else columns["x"]
    truth = model.predict(given) if dtype == "float64" else model.to(dtype="float64").predict(given)
    assert found.dtype == dtype and found.shape == truth.shape
    unit = float(np.finfo(dtype).eps)
    assert np.linalg.norm(found - truth) <= 100 * unit * np.linalg.norm(truth)


def values(model: Any, at: int, dtype: str) -> np.ndarray:
    """Five examples of one input: rows of a table, what may be seen (an input of one axis), or numbers."""
    free = 3 if len(model.input_shapes[at]) == 3 else 7
    shape = (5, *(free if extent is None else extent for extent in model.input_shapes[at]))
    rng = np.random.RandomState(at + 1)
    if isinstance(model.reader(at), shim.Embedding):
        return rng.randint(0, 5, shape)
    if at and len(shape) == 2:
        return rng.randint(0, 2, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def run_onnx(model: Any, columns: dict[str, np.ndarray], path: Path) -> np.ndarray:
    """What ONNX Runtime makes of an exported model, or ONNX's evaluator where that has no kernel in float64."""
    runtime, reference = importlib.import_module("onnxruntime"), importlib.import_module("onnx.reference")
    shim.to_onnx(model, path)
    try:
        evaluator = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
        if model.dtype == "float32":
            raise
        evaluator = reference.ReferenceEvaluator(str(path))
    (found,) = evaluator.run(None, columns)
    return np.asarray(found)


def test_a_free_number_of_steps_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    model = sequential(shim.SimpleRNN(2), inputs=(None, 3))
    with pytest.raises(ValueError, match="can be exported with a fixed number of steps only"):
        shim.to_onnx(model, tmp_path / "model.onnx")


KERAS = """
import importlib, os
os.environ["KERAS_BACKEND"] = backend
import keras
keras.config.set_floatx("float64")
def error(a, b):
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)
rng = np.random.default_rng(0)
for name in ("seed", "mlp", "cnn", "rnn"):
    theirs = importlib.import_module(f"impls.{name}.tf_keras").build()
    ours = importlib.import_module(f"impls.{name}.shim").build().to(backend="numpy", dtype="float64")
    shape = (4, *(6 if n is None else n for n in ours.input_shape))
    x = rng.integers(0, 97, shape) if name == "rnn" else rng.normal(size=shape)
    shim.import_weights(ours, theirs)
    print(error(keras.ops.convert_to_numpy(theirs(x)), ours.predict(x)) < 1e-12)
    ours.set_weights({n: w + 0.01 for n, w in ours.get_weights().items()})
    shim.export_weights(ours, theirs)
    print(error(keras.ops.convert_to_numpy(theirs(x)), ours.predict(x)) < 1e-12)
"""


@pytest.mark.full
@pytest.mark.parametrize("backend", ["tensorflow"])
def test_weights_from_and_to_keras(backend: str) -> None:
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    assert in_process(backend, KERAS)[-8:] == ["True"] * 8


TORCH = """
import torch
from torch import nn
def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)
class Last(nn.Module):
    def forward(self, x):
        return x[0]
class First(nn.Module):
    def forward(self, x):
        return x.permute(0, 3, 1, 2)
rng = np.random.default_rng(0)
images = nn.Sequential(
    First(), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, eps=1e-3), nn.Conv2d(4, 8, 2, groups=4), nn.Flatten(),
    nn.Linear(8 * 3 * 2, 3),
)
layers = [shim.Conv2D(4, 3), shim.BatchNorm(), shim.DepthwiseConv2D(2, 2), shim.Flatten(), shim.Dense(3)]
cases = [(images, layers, (6, 5, 2), rng.normal(size=(4, 6, 5, 2)), "NCHW")]
text = nn.Sequential(
    nn.Embedding(9, 3), nn.LSTM(3, 4, batch_first=True), Last(), nn.GRU(4, 5, batch_first=True, bidirectional=True),
    Last(), nn.LayerNorm(10, eps=1e-3), nn.RNN(10, 3, batch_first=True), Last(),
)
layers = [shim.Embedding(9, 3), shim.LSTM(4, return_sequences=True),
          shim.Bidirectional(lambda: shim.GRU(5, return_sequences=True)), shim.LayerNorm(),
          shim.SimpleRNN(3, return_sequences=True)]
cases += [(text, layers, (6,), rng.integers(0, 9, (4, 6)), "NHWC")]
for theirs, layers, shape, x, flatten in cases:
    theirs = theirs.double().eval()
    ours = shim.Sequential(layers, inputs=shape, backend="numpy", dtype="float64")
    run = lambda: theirs(torch.as_tensor(x)).detach().numpy()
    shim.import_weights(ours, theirs, flatten)
    print(error(run(), ours.predict(x)) < 1e-12)
    ours.set_weights({n: w + 0.01 for n, w in ours.get_weights().items()})
    shim.export_weights(ours, theirs, flatten)
    print(error(run(), ours.predict(x)) < 1e-12)
"""


def test_weights_from_and_to_pytorch() -> None:
    """Both orders of flattened images, both biases of its recurrent layers, both directions."""
    assert in_process("torch", TORCH) == ["True"] * 4


def test_weights_in_an_order_that_cannot_be_matched_are_refused() -> None:
    """BatchNorm has a number for each feature; behind a flattened image PyTorch's stand in the order C, H, W."""
    layers = [shim.Conv2D(2, 3), shim.Flatten(), shim.BatchNorm(name="norm"), shim.Dense(2)]
    model = shim.Sequential(layers, inputs=(6, 5, 2), backend="numpy")
    module = SimpleNamespace(named_modules=list, state_dict=dict)
    with pytest.raises(ValueError, match="flattened as NCHW can be read by Dense layers only, not by norm"):
        shim.import_weights(model, module, flatten="NCHW")


def test_weights_from_and_to_variables_and_files(tmp_path: Path) -> None:
    """Raw TensorFlow's programs keep a dict of variables by canonical names; here the variables are stand-ins."""

    class Variable:
        def __init__(self, value: np.ndarray) -> None:
            self.value = value

        def assign(self, value: np.ndarray) -> None:
            self.value = value

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return self.value

    ours = sequential(shim.Dense(3, name="hidden"), inputs=(2,))
    raw = {name: Variable(np.full(w.shape, 0.5)) for name, w in ours.declared.items()}
    shim.import_weights(ours, raw)
    assert (ours.get_weights()["hidden/kernel"] == 0.5).all()
    drawn(ours)
    shim.export_weights(ours, raw)
    shim.export_weights(ours, tmp_path / "weights.npz")
    other = sequential(shim.Dense(3, name="hidden"), inputs=(2,))
    shim.import_weights(other, str(tmp_path / "weights.npz"))
    for name, value in ours.get_weights().items():
        np.testing.assert_array_equal(np.asarray(raw[name]), value)
        np.testing.assert_array_equal(other.get_weights()[name], value)
    with pytest.raises(ValueError, match=r"hidden/kernel has shape \(4, 3\), got \(2, 3\)"):
        shim.import_weights(sequential(shim.Dense(3, name="hidden"), inputs=(4,)), raw)
    with pytest.raises(ValueError, match=r"weights come from a dict, an \.npz file, a Keras model or a PyTorch module"):
        shim.import_weights(ours, 7)


@pytest.mark.full
@pytest.mark.parametrize("name", ["Classifier", "Regressor"])
@pytest.mark.one_in(2)
def test_scikit_learns_own_checks(name: str) -> None:
    checks = importlib.import_module("sklearn.utils.estimator_checks")
    checks.check_estimator(getattr(shim, name)(backend="numpy"))


def test_a_classifier_of_names_survives_pickling() -> None:
    """pickle is what scikit-learn's users save estimators with; nothing compiled may be in it."""
    rng = np.random.RandomState(0)
    labels = np.array(["ash", "oak", "elm"])[rng.randint(0, 3, 90)]
    x = rng.normal(0, 0.3, (90, 3)) + (labels[:, None] == np.array(["ash", "oak", "elm"]))
    estimator = shim.Classifier(backend="numpy", epochs=30).fit(x, labels)
    assert estimator.score(x, labels) > 0.9
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(x), estimator.predict_proba(x))
    shares = estimator.predict_proba(1e6 * x)  # logits whose exponentials no number is large enough for
    np.testing.assert_allclose(shares.sum(1), 1.0)


OF_ESTIMATORS: dict[str, dict[str, Any]] = {
    "as they are": {},
    "units": {"hidden": (4, 3)},
    "layers": {"layers": lambda outputs: [shim.Dense(5, "tanh"), shim.BatchNorm(), shim.Dense(outputs)]},
    "optimizer": {"optimizer": shim.SGD(0.3, momentum=0.5)},
    "epochs": {"epochs": 3},
    "batches": {"batch_size": 4},
    "type": {"dtype": "float32"},
    "seed": {"random_state": 7},
    "mode": {"mode": "auto"},
}


@pytest.mark.parametrize("kind", [shim.Classifier, shim.Regressor])
@pytest.mark.parametrize("name", OF_ESTIMATORS)
def test_an_estimator_is_the_model_of_its_options(name: str, kind: Any) -> None:
    """Trained twice, and after pickling, it is what a model is that is made by hand."""
    options = {"backend": "numpy", "epochs": 2, **OF_ESTIMATORS[name]}
    rng = np.random.default_rng(0)
    x, classify = rng.normal(size=(11, 3)), kind is shim.Classifier
    y = rng.integers(0, 3, 11) if classify else rng.normal(size=11)
    estimator = kind(**options)
    for _ in range(2):  # the second time begins anew
        estimator.fit(x, y)
    outputs = 3 if classify else 1
    dense = [*(shim.Dense(units, "relu") for units in options.get("hidden", (32,))), shim.Dense(outputs)]
    layers = options["layers"](outputs) if "layers" in options else dense
    seed = int(np.random.RandomState(options.get("random_state", 0)).randint(2**31 - 1))
    where = {"backend": options["backend"], "mode": options.get("mode"), "dtype": options.get("dtype", "float64")}
    model = shim.Sequential(layers, inputs=(3,), seed=seed, **where)
    model.compile(options.get("optimizer", shim.Adam(0.01)), "softmax_cross_entropy" if classify else "mse")
    history = model.fit(x, y if classify else y[:, None], options.get("batch_size", 32), options["epochs"])
    assert estimator.history_["loss"] == history["loss"]
    expected = model.predict(x)
    for each in (estimator, pickle.loads(pickle.dumps(estimator)) if "layers" not in options else estimator):
        found = each.predict(x)
        np.testing.assert_array_equal(found, expected.argmax(-1) if classify else expected[:, 0])
        assert found.dtype == (np.int64 if classify else expected.dtype)
        rebuilt = each._model
        place = (model.backend_argument, model.mode, model.dtype)
        assert (rebuilt.backend_argument, rebuilt.mode, rebuilt.dtype) == place
