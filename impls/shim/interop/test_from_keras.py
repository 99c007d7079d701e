"""Models of Keras become models of the shim: the same predictions and the same training step in float64."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from impls.shim.test_features import in_process
from impls.shim.testing.every_option import OPTIONS

HEAD = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras.src.backend.common import dtypes
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # Keras computes float64 in float32 in places without it
keras.config.set_floatx("float64")
L, rng = keras.layers, np.random.default_rng(0)

def apart(a, b):
    return float(np.linalg.norm(np.ravel(a - b)) / np.linalg.norm(np.ravel(a)))

def drawn(variable):
    if "variance" in variable.path or variable.path.endswith("gamma"):
        return rng.uniform(0.5, 1.5, variable.shape)
    return rng.normal(0, 1 / max(np.prod(variable.shape[:-1]) ** 0.5, 1), variable.shape)

def check(model, x, y, optimizer, loss, limits=None):
    model.set_weights([drawn(variable) for variable in model.weights])
    model.compile(optimizer, loss)
    model.train_on_batch(x, y)  # so that the optimizer has a state
    ours = shim.from_keras(model, backend=backend)
    limit = limits(model, x, y) if limits else 1e-11
    found = [apart(model.predict(x, verbose=0), ours.predict(x))]
    found.append(apart(np.array(float(model.train_on_batch(x, y))), np.array(ours.train_on_batch(x, y))))
    found.append(apart(model.predict(x, verbose=0), ours.predict(x)))
    theirs = shim.from_keras(model, backend=backend).get_weights()
    found += [apart(theirs[name], weight) for name, weight in ours.get_weights().items()]
    print(ours.t == 2 and max(found) < limit or (found, limit))
"""
FUNCTIONAL = """
inner = keras.Sequential([L.Input((4,)), L.Dense(4, activation="gelu", name="d"), L.BatchNormalization()])
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
# The weight of a layer whose sums are rounded: errors of random sign grow with the root of the terms.
def rounded(weight):
    terms = max(np.prod(weight.shape[:-1]), 1)
    return weight * (1 + terms**0.5 * 2.0**-53 * rng.uniform(-1, 1, weight.shape))

def results(model, x, y):
    found = [model.predict(x, verbose=0), np.array(float(model.train_on_batch(x, y))), model.predict(x, verbose=0)]
    return [*found, *model.get_weights()]

# Four times as far as roundings in all layers move any result of Keras: statistics of three images amplify them.
def moved(model, x, y):
    kept = [*model.weights, *model.optimizer.variables]
    values, twins = [np.array(variable) for variable in kept], []
    for change in (np.copy, rounded, rounded, rounded):
        model.set_weights([change(value) for value in values[:len(model.weights)]])
        twins.append(results(model, x, y))
        for variable, value in zip(kept, values):
            variable.assign(value)
    return 4 * max(apart(a, b) for twin in twins[1:] for a, b in zip(twins[0], twin))

model = keras.applications.{name}(input_shape=(32, 32, 3), weights=None, classes=5)
check(model, rng.normal(size=(3, 32, 32, 3)), rng.integers(0, 5, 3), keras.optimizers.SGD(0.01, momentum=0.9),
      "sparse_categorical_crossentropy", moved)
"""
GATHERED = """
rounded = 8 * 2.0**-24  # Keras computes schedules in float32
x, y = rng.normal(size=(12, 4)), rng.integers(0, 3, 12)
for name, options in (("SGD", {"momentum": 0.9}), ("AdamW", {"global_clipnorm": 0.5})):
    for more in ({"gradient_accumulation_steps": 3}, {"use_ema": True, "ema_momentum": 0.8},
                 {"use_ema": True, "gradient_accumulation_steps": 2, "ema_overwrite_frequency": 2}):
        model = keras.Sequential([L.Input((4,)), L.Dense(5, activation="tanh"), L.Dense(3)])
        rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        model.compile(getattr(keras.optimizers, name)(rate, **options, **more),
                      keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.train_on_batch(x, y)
        ours = shim.from_keras(model, backend=backend)
        for batch in (4, 6):  # ends within a group of steps, and goes on from there
            model.fit(x, y, batch, 2, shuffle=False, verbose=0)
            ours.fit(x, y, batch, 2, shuffle=False)
            theirs = shim.from_keras(model, backend=backend)
            found = [apart(theirs.get_weights()[n], w) for n, w in ours.get_weights().items()]
            held = [np.abs(theirs.get_slots()[n] - w).max() for n, w in ours.get_slots().items()]
            if not (max(found) < rounded and max(held) < rounded and ours.t == theirs.t):
                print(name, more, batch, max(found), max(held), ours.t, theirs.t)
print("done")
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
REFUSED_OPTIONS = (
    "kernel_regularizer", "activity_regularizer", "recurrent_constraint", "gamma_constraint", "noise_shape",
    "data_format", "axis", "sliding_window", "loss_weights", "reduction", "ignore_class", "axis",
    "axis", "stateful", "keepdims", "Adam with amsgrad", "RMSprop with centered", "RMSprop with momentum", "metric AUC",
    "metric crossentropy", "metric off", "threshold=0.3",
)  # fmt: skip
EXPECTED = [
    "images True", "options 0.7 ['frozen'] [0.2, 0.3] (1, 1)", "words True", "backwards True", "attention True",
    "dropout {'last': (0.25, (2, 4, 4))}", "places True", "dropout {'rows': (0.15, (1, 4))}",
    "asked for numpy eager float32",
    *(f"{kind} True True True True" for kind in ("Adam", "SGD", "RMSprop", "Adagrad", "AdamW")),
    *(f"{name} True" for name in (
        "CosineDecay", "CosineDecay", "ExponentialDecay", "ExponentialDecay", "PiecewiseConstantDecay",
        "sparse_categorical_crossentropy", "mean_absolute_error", "sparse_categorical_crossentropy",
        "categorical_crossentropy", "binary_crossentropy", "binary_crossentropy", "huber_loss", "kl_divergence",
        "cosine_similarity",
    )),
    "a function True",
    *["metrics True"] * 6,
    "without decay ['kept/bias', 'masked/bias']",
    "without decay ['kept/kernel']",
    "without decay ['kept/bias', 'masked/bias', 'masked/kernel']",
    "optimizers []", "losses []",
    *(f"refused {option} True" for option in REFUSED_OPTIONS),
    "defaults True ['EarlyStopping.restore_best_weights']",
]  # fmt: skip


@pytest.fixture(autouse=True)
def keras_is_here() -> None:
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec("torch") is None:
        pytest.skip("keras or torch is not installed")


def test_every_option_comes_along() -> None:
    """None is a default: a layer, an optimizer, a schedule or a loss that loses one computes something else."""
    assert in_process("numpy", OPTIONS) == EXPECTED


@pytest.mark.full
@pytest.mark.catalogue
def test_every_option_of_every_layer_is_taken_or_refused() -> None:
    """One that is dropped in silence computes something else; an option that Keras has newly has to be looked at."""
    command = [sys.executable, "-m", "impls.shim.testing.keras_options"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    tried, _, others = done.stdout.partition(" ")
    assert int(tried) > 100 and others == "[] []\n"


@pytest.mark.full
def test_models_of_every_kind() -> None:
    """Nested, shared, of several inputs, sequences with masks, images; weights and the optimizer's state come along."""
    assert in_process("numpy", HEAD + FUNCTIONAL + SEQUENCE + IMAGES) == ["True"] * 3


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_accumulated_gradients_and_averaged_weights_are_keras_s(backend: str) -> None:
    """Through whole trainings, from a state within a group of steps."""
    assert in_process(backend, HEAD + GATHERED) == ["done"]


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


HUB = (
    HEAD.replace("import keras\n", "import keras, keras_hub\n")
    + """
sizes = dict(vocabulary_size=20, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16,
             max_sequence_length=12, dropout=0.0)
columns = {"token_ids": rng.integers(0, 20, (5, 9)), "segment_ids": rng.integers(0, 2, (5, 9)),
           "padding_mask": (np.arange(9) < np.array([9, 4, 1, 7, 8])[:, None]).astype(int)}
gpt = keras_hub.models.GPT2Backbone(**sizes)
bert = keras_hub.models.BertBackbone(**sizes)
distilled = keras_hub.models.DistilBertBackbone(**sizes)
language = keras_hub.models.GPT2CausalLM(backbone=gpt)
for inputs, output in (
    (gpt.inputs, gpt.output), (bert.inputs, bert.output["sequence_output"]), (language.inputs, language.output),
    (bert.inputs, bert.output["pooled_output"]), (distilled.inputs, distilled.output),
):
    model = keras.Model(list(inputs), output)
    y = rng.integers(0, 8, (5, 9) if len(output.shape) == 3 else 5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    check(model, [columns[tensor.name] for tensor in inputs], y, keras.optimizers.SGD(0.1), loss)
given = [columns[tensor.name] for tensor in bert.inputs]
ours, theirs = shim.from_keras(bert, backend=backend).predict(given), bert.predict(dict(columns), verbose=0)
print(ours.keys() == theirs.keys() and all(np.allclose(ours[key], theirs[key], rtol=1e-9) for key in theirs))
try:
    shim.from_keras(keras_hub.models.LlamaBackbone(20, 1, 2, 8, 16, 2))
except ValueError as error:
    print(str(error)[:55])
"""
)


@pytest.mark.full
def test_backbones_of_keras_hub_predict_and_train_the_same() -> None:
    """GPT-2 (its causal language model too), BERT with both outputs, DistilBERT; another is refused by its layer."""
    if importlib.util.find_spec("keras_hub") is None:
        pytest.skip("keras-hub is not installed")
    *equal, refused = in_process("torch", HUB)[-7:]
    assert equal == ["True"] * 6
    assert refused == "layer 'transformer_layer_0' (LlamaTransformerDecoder) c"
