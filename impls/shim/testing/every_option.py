"""A program that brings models of Keras into the shim with each option at another value, and prints what it finds."""

from __future__ import annotations

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
