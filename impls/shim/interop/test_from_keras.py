"""Models of Keras become models of the shim: the same predictions and the same training step in float64."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

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
OPTIONS = """
import os
os.environ["KERAS_BACKEND"] = "numpy"  # which predicts, and is loaded in a second
import keras
keras.config.set_floatx("float64")
L, O, S, rng = keras.layers, keras.optimizers, keras.optimizers.schedules, np.random.default_rng(0)

def drawn(model):
    model.set_weights([rng.uniform(0.5, 1.5, v.shape) if "variance" in v.path else rng.normal(0, 0.5, v.shape)
                       for v in model.weights])
    return model

def predicts(name, model, *x):
    ours = shim.from_keras(drawn(model), backend="numpy")
    theirs, found = np.asarray(model(list(x) if x[1:] else x[0])), ours.predict(list(x) if x[1:] else x[0])
    off = np.abs(theirs - found).max() / np.abs(theirs).max()
    print(name, off < 1e-5 or off)  # Keras computes some of it in float32
    return ours

images = keras.Sequential([
    L.Input((8, 6, 2)), L.ZeroPadding2D(((1, 0), (0, 2))),
    L.Conv2D(4, 3, strides=(2, 1), padding="same", use_bias=False, activation="relu6"),
    L.BatchNormalization(momentum=0.7, epsilon=0.3), L.MaxPooling2D(3, strides=1, padding="same"),
    L.AveragePooling2D(2, strides=1), L.DepthwiseConv2D(2, dilation_rate=2, depth_multiplier=2), L.LeakyReLU(0.05),
    L.UpSampling2D((2, 1), interpolation="bilinear"), L.GroupNormalization(4, epsilon=0.5), L.PReLU(shared_axes=[1, 2]),
    L.ReLU(max_value=0.6),
    L.Conv2DTranspose(3, (3, 2), strides=2, padding="same", trainable=False, name="frozen"),
    L.LayerNormalization(epsilon=0.4), L.Dropout(0.3), L.SpatialDropout2D(0.2, name="spatial"),
    L.SeparableConv2D(3, 2, strides=2, depth_multiplier=2, activation="tanh"),
    L.GlobalMaxPooling2D()])
ours = predicts("images", images, rng.normal(size=(3, 8, 6, 2)) * 3)
drops = {name: each for layer in ours.layers for name, each in layer.drops().items()}
frozen = [layer.name for layer in ours.layers if not layer.trainable]
print("options", ours.layers[2].momentum, frozen,
      sorted(rate for rate, _ in drops.values()), drops["spatial"][1][:2])
words = keras.Sequential([
    L.Input((6,)), L.Embedding(7, 4, mask_zero=True), L.GRU(3, reset_after=False, return_sequences=True),
    L.GRU(4, return_sequences=True), L.SimpleRNN(4, activation="relu", return_sequences=True),
    L.Bidirectional(L.LSTM(2, return_sequences=True)), L.LSTM(3)])
predicts("words", words, np.array([[1, 4, 2, 0, 0, 0], [3, 6, 1, 2, 5, 0], [2, 2, 2, 2, 2, 2]]))
back = keras.Sequential([L.Input((5, 3)), L.SimpleRNN(4, go_backwards=True, activation=None), L.Dense(2, "gelu")])
predicts("backwards", back, rng.normal(size=(3, 5, 3)))
start, seen = L.Input((8, 3)), L.Input((4, 4))
h = L.Conv1D(3, 2, strides=2)(L.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="silu")(start))
h = L.MultiHeadAttention(2, 3)(h, h, attention_mask=seen, use_causal_mask=False)
h = L.MultiHeadAttention(2, 3, value_dim=2, use_bias=False, dropout=0.25, name="last")(h, h, use_causal_mask=True)
mask = rng.integers(0, 2, (3, 4, 4)) | np.eye(4, dtype=int)
ours = predicts("attention", keras.Model([start, seen], L.Flatten()(h)), rng.normal(size=(3, 8, 3)), mask)
print("dropout", ours.get_layer("last").drops())
start = L.Input((6, 4))
h = L.SpatialDropout1D(0.15, name="rows")(start)
image = L.Activation("swish")(L.Reshape((2, 3, 4))(h))
ends = [L.GlobalAveragePooling1D()(h), L.GlobalMaxPooling1D()(h), L.GlobalAveragePooling2D()(image)]
ours = predicts("places", keras.Model(start, L.Concatenate()(ends)), rng.normal(size=(3, 6, 4)))
print("dropout", ours.get_layer("rows").drops())
ours = shim.from_keras(words, "numpy", "eager", "float32")
print("asked for", ours.backend_argument, ours.mode_argument, ours.dtype)

model = drawn(keras.Sequential([L.Input((3,)), L.Dense(4, "relu"), L.Dense(3, "softmax")]))
own = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}
rms, start = {"rho": 0.8, "epsilon": 0.01}, {"initial_accumulator_value": 0.3, "epsilon": 0.01}
for kind, options in [
    ("Adam", {**own, "clipvalue": 0.5}), ("SGD", {"momentum": 0.7, "nesterov": True, "clipnorm": 0.3}),
    ("RMSprop", {**rms, "global_clipnorm": 0.4}), ("Adagrad", start), ("AdamW", {**own, "weight_decay": 0.02}),
]:
    theirs = getattr(O, kind)(0.03, **options)
    model.compile(theirs, "mse")
    theirs.build(model.trainable_variables)
    for variable in theirs.variables[2:]:
        variable.assign(rng.normal(size=variable.shape))
    theirs.iterations.assign(7)
    ours = shim.from_keras(model, backend="numpy")
    slots = list(ours.get_slots().values())
    given = [np.asarray(v) for v in theirs.variables[2:]]
    equal = all(any(np.array_equal(a, b) for b in given) for a in slots) and len(slots) == len(given)
    words = {"m": "momentum", "v": "velocity", "accumulator": "accumulator"}  # at the end of Keras's names
    placed = [any(words[name.partition("/")[0]] in v.path.rpartition("_")[2] and np.array_equal(slot, np.asarray(v))
                  for v in theirs.variables[2:]) for name, slot in ours.get_slots().items()]
    print(kind, ours.optimizer == getattr(shim, kind)(0.03, **options), equal, ours.t == 7, all(placed))
for theirs in (S.CosineDecay(0.1, 9, 0.2, warmup_target=0.3, warmup_steps=4), S.CosineDecay(0.1, 5, 0.3),
               S.ExponentialDecay(0.1, 3, 0.5, staircase=True), S.ExponentialDecay(0.1, 3, 0.5),
               S.PiecewiseConstantDecay([3, 5], [0.3, 0.2, 0.1])):
    model.compile(O.SGD(theirs), "mse")
    rate = shim.from_keras(model, backend="numpy").optimizer.learning_rate
    print(type(theirs).__name__, max(abs(float(theirs(step)) - float(rate(step))) for step in range(20)) < 1e-7)
x, classes = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
hot = np.eye(3)[classes]
for theirs, y in ((keras.losses.SparseCategoricalCrossentropy(), classes), (keras.losses.MeanAbsoluteError(), hot),
                  (keras.losses.SparseCategoricalCrossentropy(from_logits=True), classes),
                  (keras.losses.CategoricalCrossentropy(label_smoothing=0.2), hot),
                  (keras.losses.BinaryCrossentropy(label_smoothing=0.2), hot),
                  (keras.losses.BinaryCrossentropy(from_logits=True), hot),
                  (keras.losses.Huber(), hot * 4), (keras.losses.KLDivergence(), hot),
                  (keras.losses.CosineSimilarity(), hot)):
    model.compile("sgd", theirs)
    found = shim.from_keras(model, backend="numpy").evaluate(x, y)
    print(theirs.name, abs(float(theirs(y, np.asarray(model(x)))) - found) < 1e-6)
model.compile("sgd", keras.losses.kl_divergence)
print("a function", shim.from_keras(model, backend="numpy").loss is shim.losses.kl_divergence)
"""
OPTIONS += """
def off(theirs, ours):  # names, and the largest difference of values
    return sorted(theirs) != sorted(ours) or max(abs(theirs[name] - ours[name]) for name in theirs)

M, outputs = keras.metrics, keras.Model(model.inputs, [model.layers[0].output, model.outputs[0]])
logits, w, four = keras.losses.BinaryCrossentropy(from_logits=True), rng.uniform(0.5, 2, 6), rng.normal(size=(6, 4))
known = ["accuracy", M.MeanAbsoluteError(name="far"), M.mean_squared_error, "mae", M.CategoricalAccuracy()]
for judged, y, loss, plain, weighted in (
    (model, hot, "mse", known, ["accuracy"]), (model, classes, "sparse_categorical_crossentropy", ["acc"], None),
    (model, hot, "mae", None, [M.BinaryAccuracy(name="yes"), "mse"]),
    (keras.Sequential([model, L.Dense(1, kernel_initializer="ones")]), hot[:, :1], logits, ["accuracy"], ["acc"]),
    (outputs, [four, hot], ["mse", "categorical_crossentropy"], [["mae"], ["accuracy", "mse"]], [[], ["accuracy"]]),
    (outputs, [four, hot], "mae", {model.layers[1].name: "accuracy"}, {model.layers[0].name: ["mse"]}),
):
    judged.compile("sgd", loss, metrics=plain, weighted_metrics=weighted)
    given = {"sample_weight": [w, w] if judged is outputs else w, "return_dict": True, "verbose": 0}
    ours = shim.from_keras(judged, backend="numpy")
    print("metrics", off(judged.evaluate(x, y, **given), ours.evaluate(x, y, **given)) < 1e-6)

kept, masked = L.Dense(4, "tanh", name="kept"), L.Dense(3, name="masked")
decayed = keras.Sequential([L.Input((3,)), kept, masked])
for chosen in ({"var_names": ["bias"]}, {"var_list": [kept.kernel]},
               {"var_names": ["bias"], "var_list": [masked.kernel]}):
    theirs = O.AdamW(0.1, weight_decay=0.5)
    theirs.exclude_from_weight_decay(**chosen)
    decayed.compile(theirs, "mse")
    excluded = shim.from_keras(decayed, backend="numpy").optimizer.exclude_from_weight_decay
    print("without decay", sorted(excluded))

def refused(what, layers=(), optimizer="sgd", loss="mse", shape=(4, 4), **more):
    model = keras.Sequential([L.Input(shape, batch_size=2), *layers, L.Dense(2)])
    model.compile(optimizer, loss, **more)
    try:
        shim.from_keras(model, backend="numpy")
        print("taken", what)
    except ValueError as error:
        print("refused", what, what in str(error))

def changed(default):  # other values of an option
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        return ["sum", "mean_with_sample_weight", None]
    return [0.375]

def dropped(kinds, compiled, ours):  # options that another value of neither changes what comes out nor is refused for
    found = []
    for kind in kinds:
        bases = [base for base in kind.__mro__ if "__init__" in vars(base) and base.__module__.startswith("keras")]
        options = {name: p.default for base in bases for name, p in inspect.signature(base.__init__).parameters.items()
                   if p.default is not p.empty and name not in ("name", "dtype", "loss_scale_factor")}
        model.compile(**compiled(kind()))
        usual = ours(shim.from_keras(model, backend="numpy"))
        for name, default in options.items():
            for value in [2] if name in COUNTS else changed(default):
                model.compile(**compiled(kind(**{name: value, **({"use_ema": True} if "ema_" in name else {})})))
                try:
                    other = ours(shim.from_keras(model, backend="numpy"))
                    if other == (usual if "ema_" not in name else dataclasses.replace(usual, use_ema=True)):
                        found.append(f"{kind.__name__}.{name}={value}")
                except ValueError as error:
                    found += [] if name in str(error) else [f"{kind.__name__}.{name} is {error}"]
    return found

import dataclasses, inspect
from impls.shim.interop import keras_training
COUNTS = ("gradient_accumulation_steps", "ema_overwrite_frequency", "ignore_class", "axis")
print("optimizers", dropped([getattr(O, name) for name in keras_training.SLOTS],
                            lambda optimizer: {"optimizer": optimizer, "loss": "mse"}, lambda found: found.optimizer))
print("losses", dropped([getattr(keras.losses, name) for name in keras_training.LOSSES],
                        lambda loss: {"loss": loss}, lambda found: found.loss))
ridge, positive, E = keras.regularizers.L2(0.1), keras.constraints.NonNeg(), keras.losses
refused("kernel_regularizer", [L.Dense(3, kernel_regularizer=ridge)])
refused("activity_regularizer", [L.Bidirectional(L.LSTM(3, activity_regularizer=ridge))])
refused("recurrent_constraint", [L.GRU(3, recurrent_constraint=positive)])
refused("gamma_constraint", [L.TimeDistributed(L.BatchNormalization(gamma_constraint=positive))])
refused("noise_shape", [L.Dropout(0.5, noise_shape=(None, 1, 4))])
refused("data_format", [L.Flatten(data_format="channels_first")])
refused("axis", [L.Softmax(axis=1)])
if "sliding_window" in L.MultiHeadAttention(2, 3).get_config():
    a = L.Input((4, 4))
    refused("sliding_window", [keras.Model(a, L.MultiHeadAttention(2, 3, sliding_window=2)(a, a))])
else:
    print("refused sliding_window True")
refused("loss_weights", loss_weights=[2.0])
refused("reduction", loss=E.MeanSquaredError(reduction="sum"))
refused("ignore_class", loss=E.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0))
refused("axis", loss=E.CategoricalCrossentropy(axis=1))
refused("axis", [L.LayerNormalization(axis=1)])
refused("stateful", [L.LSTM(2, stateful=True)])
refused("keepdims", [L.GlobalMaxPooling1D(keepdims=True)])
refused("Adam with amsgrad", optimizer=O.Adam(amsgrad=True))
refused("RMSprop with centered", optimizer=O.RMSprop(centered=True))
refused("RMSprop with momentum", optimizer=O.RMSprop(momentum=0.5))
refused("metric AUC", metrics=[M.AUC()])
refused("metric crossentropy", metrics=["crossentropy"])
refused("metric off", metrics=[off])
refused("threshold=0.3", metrics=[M.BinaryAccuracy(threshold=0.3)])
"""
OPTIONS += """
RENAMED = {"BatchNorm": "BatchNormalization", "LayerNorm": "LayerNormalization", "GroupNorm": "GroupNormalization",
           "MaxPool2D": "MaxPooling2D", "AveragePool2D": "AveragePooling2D"}

def defaults(*functions):
    return {p.name: p.default for function in functions for p in inspect.signature(function).parameters.values()
            if p.default is not p.empty and p.name != "name"}

def of_class(kind):
    return defaults(*[vars(base)["__init__"] for base in kind.__mro__[-2::-1] if "__init__" in vars(base)])

def plain(value):  # 2 is (2, 2), "zeros" is "Zeros", nothing has many names
    value = value.lower() if isinstance(value, str) else value
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value or None

pairs = [(name, of_class(kind), of_class(getattr(room, RENAMED.get(name, name))))
         for name, kind in {**vars(shim), **vars(shim.callbacks)}.items() if inspect.isclass(kind)
         for room in (L, O, S, keras.callbacks) if hasattr(room, RENAMED.get(name, name))]
pairs += [(name, defaults(getattr(shim.Model, name)), defaults(getattr(keras.Model, name)))
          for name in ("compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch")]
both = [(f"{name}.{key}", plain(ours[key]), plain(theirs[key]))
        for name, ours, theirs in pairs for key in ours.keys() & theirs.keys()]
print("defaults", len(both) > 150, sorted({name for name, one, other in both if one != other}))
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
