"""Models and weights that go elsewhere: ONNX Runtime, Keras, PyTorch, raw variables, scikit-learn."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from impls import MODELS, shim
from impls.shim.layers import ACTIVATIONS
from impls.shim.test_features import in_process

NO_KERNEL = {"cnn", "convolutions", "dilated", "softplus", "gelu", "transformer"}  # of ONNX Runtime on CPU in float64


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
        shim.Dense(4), shim.GroupNorm(2), shim.PReLU((1,)), shim.RMSNorm(), shim.GlobalAveragePool1D(), inputs=(5, 3)
    ),
}  # fmt: skip


def test_a_layer_that_can_t_be_exported_is_named() -> None:
    """A KeyError from within the exporter would not say which of a hundred layers is meant."""
    model = sequential(shim.Dense(3), shim.Conv1D(2, 2, name="causal"), inputs=(5, 3))
    with pytest.raises(ValueError, match=r"layer 'causal' \(Conv1D\) can't be exported to ONNX yet"):
        shim.to_onnx(model)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXPORTED)
def test_onnx_runtime_computes_the_same_numbers(name: str, dtype: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    if dtype == "float64" and name in NO_KERNEL:
        pytest.skip(f"ONNX Runtime has no float64 kernel that {name} needs")
    if dtype == "float64" and name == "rnn":
        pytest.skip("ONNX Runtime has no float64 LSTM; unrolled ones need a fixed number of steps, see `recurrent`")
    model = drawn(EXPORTED[name]().to(backend="numpy", dtype=dtype))
    shape = (5, *(7 if extent is None else extent for extent in model.input_shape))
    rng = np.random.RandomState(1)
    ids = isinstance(model.reader(0), shim.Embedding)
    x: Any = rng.randint(0, 5, shape) if ids else rng.normal(size=shape).astype(dtype)
    shim.to_onnx(model, tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x})
    truth = model.predict(x) if dtype == "float64" else model.to(dtype="float64").predict(x)
    assert found.dtype == dtype and found.shape == truth.shape
    unit = float(np.finfo(dtype).eps)
    assert np.linalg.norm(found - truth) <= 100 * unit * np.linalg.norm(truth)


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
