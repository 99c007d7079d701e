"""What to write for the names that a Keras user types, where the shim has them under another name or not as a class."""

from __future__ import annotations

import sys

RENAMED = {  # what Keras calls them
    "AveragePooling2D": "AveragePool2D",
    "BatchNormalization": "BatchNorm",
    "GlobalAveragePooling1D": "GlobalAveragePool1D",
    "GlobalAveragePooling2D": "GlobalAveragePool2D",
    "GlobalMaxPooling1D": "GlobalMaxPool1D",
    "GlobalMaxPooling2D": "GlobalMaxPool2D",
    "GroupNormalization": "GroupNorm",
    "LayerNormalization": "LayerNorm",
    "MaxPooling2D": "MaxPool2D",
    "PiecewiseConstantDecay": "PiecewiseConstant",
    "RMSNormalization": "RMSNorm",
    "SpatialDropout1D": "SpatialDropout",
    "SpatialDropout2D": "SpatialDropout",
}

OPTIONS = "(from_logits=..., label_smoothing=...)"
CLASSES = (
    '"{}", "softmax_cross_entropy" where the model gives logits, or '
    f"shim.losses.CategoricalCrossEntropy{OPTIONS} with options"
)
LOSSES = {  # Keras's classes of losses, and what is written as loss= instead
    "BinaryCrossentropy": (
        '"binary_crossentropy", "sigmoid_cross_entropy" where the model gives logits, or '
        f"shim.losses.BinaryCrossEntropy{OPTIONS} with options"
    ),
    "CategoricalCrossentropy": CLASSES.format("categorical_crossentropy"),
    "CosineSimilarity": '"cosine_similarity"',
    "Huber": '"huber", whose delta is 1',
    "KLDivergence": '"kl_divergence"',
    "MeanAbsoluteError": '"mae"',
    "MeanSquaredError": '"mse"',
    "SparseCategoricalCrossentropy": CLASSES.format("sparse_categorical_crossentropy"),
}
METRICS = {  # the same of metrics=
    "Accuracy": '"accuracy"',
    "BinaryAccuracy": '"binary_accuracy"',
    "CategoricalAccuracy": '"categorical_accuracy"',
    "MeanAbsoluteError": '"mae"',
    "MeanSquaredError": '"mse"',
    "SparseCategoricalAccuracy": '"sparse_categorical_accuracy"',
}


MEMBERS = {  # of a model of Keras, and what there is instead
    "export": "shim.to_onnx(model, path) writes what runs without the shim",
    "inputs": "the symbols of Input are yours to keep",
    "make_predict_function": "mode= of the model says how its functions are compiled",
    "make_train_function": "mode= of the model says how its functions are compiled",
    "metrics_names": "the keys of model.history.history are the names",
    "non_trainable_weights": "model.get_weights() has all of them by name",
    "to_json": "a model is its program, and model.save(path) keeps what it learned",
    "trainable_variables": "model.get_weights() has all of them by name",
    "trainable_weights": "model.get_weights() has all of them by name",
    "variables": "model.get_weights() has all of them by name",
    "weights": "model.get_weights() has them by name, model.set_weights() takes them",
}
PLACES = {  # modules and functions of Keras that the shim has not, and what there is instead
    "activations": "an activation is a name or a function (B, x)",
    "applications": "shim.from_keras(keras.applications.MobileNetV2(...)) takes one along",
    "backend": "code for all backends is written with B, the first argument of layers, losses and metrics of your own",
    "load_model": "model.load(path) puts a file of model.save(path) into a model of the same layers",
    "mixed_precision": 'dtype="mixed_float16" or "mixed_bfloat16" is an argument of a model',
    "models": "write shim.Model and shim.Sequential",
    "ops": "code for all backends is written with B, the first argument of layers, losses and metrics of your own",
    "preprocessing": "fit(..., augment=shim.Augment(flip=True)) changes images",
    "random": "seed= of a model decides all that it draws",
    "regularizers": "weight_decay= is an option of optimizers",
    "utils": "labels are taken in every form, seed= of a model decides what it draws, model.summary() shows it",
}


def elsewhere(place: str, name: str, otherwise: str) -> object:
    """What `shim.<place>.<name>` is: the shim's own of that name, since Keras has them in places as `keras.layers`.

    Raises AttributeError for other names, with what to write instead, or what there is otherwise.
    """
    public = vars(sys.modules["impls.shim"])
    if name in public.get("__all__", ()):
        return public[name]
    start = f"shim.{place} has no {name!r}: "
    strings = {"losses": LOSSES, "metrics": METRICS}.get(place, {})
    if name in strings:
        raise AttributeError(f"{start}write {'loss' if place == 'losses' else 'metrics'}={strings[name]}")
    if name in RENAMED:
        raise AttributeError(f"{start}Keras's {name} is called shim.{RENAMED[name]} here")
    raise AttributeError(start + otherwise)
