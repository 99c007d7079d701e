"""Models of Keras become models of the shim: the same predictions and the same training step in float64."""

from __future__ import annotations

import importlib.util

import pytest

from impls.shim.test_features import in_process

HEAD = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras.src.backend.common import dtypes
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # Keras computes float64 in float32 in places without it
keras.config.set_floatx("float64")
L, rng = keras.layers, np.random.default_rng(0)
limit = 1e-11

def apart(a, b):
    return float(np.linalg.norm(np.ravel(a - b)) / np.linalg.norm(np.ravel(a)))

def drawn(variable):
    if "variance" in variable.path or variable.path.endswith("gamma"):
        return rng.uniform(0.5, 1.5, variable.shape)
    return rng.normal(0, 1 / max(np.prod(variable.shape[:-1]) ** 0.5, 1), variable.shape)

def check(model, x, y, optimizer, loss):
    model.set_weights([drawn(variable) for variable in model.weights])
    model.compile(optimizer, loss)
    model.train_on_batch(x, y)  # so that the optimizer has a state
    ours = shim.from_keras(model, backend=backend)
    found = [apart(model.predict(x, verbose=0), ours.predict(x))]
    found.append(apart(np.array(float(model.train_on_batch(x, y))), np.array(ours.train_on_batch(x, y))))
    found.append(apart(model.predict(x, verbose=0), ours.predict(x)))
    theirs = shim.from_keras(model, backend=backend).get_weights()
    found += [apart(theirs[name], weight) for name, weight in ours.get_weights().items()]
    print(ours.t == 2 and max(found) < limit or found)
"""
FUNCTIONAL = """
inner = keras.Sequential([L.Input((4,)), L.Dense(4, activation="gelu", name="d"), L.LayerNormalization()])
a, b, shared = L.Input((4,)), L.Input((4,)), L.Dense(4)
h = L.Add()([inner(shared(a)), shared(b)])
h = L.Dense(5, name="d", activation="relu")(L.Concatenate()([h, inner(b)]))
rate = keras.optimizers.schedules.CosineDecay(0.0, 20, warmup_target=0.1, warmup_steps=3)
check(keras.Model([a, b], L.Dense(3)(h)), [rng.normal(size=(6, 4)), rng.normal(size=(6, 4))], rng.integers(0, 3, 6),
      keras.optimizers.Adam(rate, global_clipnorm=0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
"""
SEQUENCE = """
start = L.Input((6,))
h = L.Embedding(9, 4, mask_zero=True)(start)
h = L.MultiHeadAttention(2, 3)(h, h, use_causal_mask=True)
h = L.Bidirectional(L.GRU(3))(L.LSTM(5, return_sequences=True)(h))
check(keras.Model(start, L.Dense(2)(h)), rng.integers(1, 9, (5, 6)), rng.normal(size=(5, 2)),
      keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "mse")
"""
IMAGES = """
start = L.Input((8, 8, 3))
h = L.PReLU(shared_axes=[1, 2])(L.Conv2D(6, 3, strides=2, padding="same")(L.ZeroPadding2D(1)(start)))
h = L.UpSampling2D(2, interpolation="bilinear")(L.GroupNormalization(3)(h))
h = L.Conv2DTranspose(3, 3, strides=2, padding="same")(L.SeparableConv2D(4, 3, padding="same")(h))
h = L.GlobalMaxPooling2D()(L.ReLU(max_value=1.0)(h))
check(keras.Model(start, L.Dense(2, activation="softmax")(h)), rng.normal(size=(4, 8, 8, 3)),
      np.eye(2)[rng.integers(0, 2, 4)], keras.optimizers.AdamW(0.01), "categorical_crossentropy")
"""
APPLICATION = """
limit = 1e-9  # statistics of three images, of one place each at the end, amplify rounding from layer to layer
model = keras.applications.{name}(input_shape=(32, 32, 3), weights=None, classes=5)
check(model, rng.normal(size=(3, 32, 32, 3)), rng.integers(0, 5, 3), keras.optimizers.SGD(0.01, momentum=0.9),
      "sparse_categorical_crossentropy")
"""
REFUSED = """
for model in (
    keras.Sequential([L.Input((4,)), L.Dense(2), L.UnitNormalization(name="odd")]),
    keras.Sequential([L.Input((4, 4, 4)), L.Conv2D(4, 3, groups=2, name="grouped")]),
    keras.Sequential([L.Dense(2)], name="unbuilt"),
):
    try:
        shim.from_keras(model)
    except ValueError as error:
        print(str(error)[:60])
"""


@pytest.fixture(autouse=True)
def keras_is_here() -> None:
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec("torch") is None:
        pytest.skip("keras or torch is not installed")


@pytest.mark.full
def test_models_of_every_kind() -> None:
    """Nested, shared, of several inputs, sequences with masks, images; weights and the optimizer's state come along."""
    assert in_process("numpy", HEAD + FUNCTIONAL + SEQUENCE + IMAGES) == ["True"] * 3


@pytest.mark.full
def test_what_the_shim_lacks_is_named() -> None:
    assert in_process("numpy", HEAD + REFUSED) == [
        "layer 'odd' (UnitNormalization) cannot become a layer of the",
        "layer 'grouped' (Conv2D) cannot become a layer of the shim: ",
        "model 'unbuilt' (Sequential) has no graph of layers: a built",
    ]


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50"])
def test_applications(name: str) -> None:
    assert in_process("torch", HEAD + APPLICATION.format(name=name)) == ["True"]
