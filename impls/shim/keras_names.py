"""Keras's names for what the shim calls otherwise, and what to write where it has nothing of that name."""

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

LOSSES = {  # Keras's classes of losses that the shim has under another name
    "BinaryCrossentropy": "BinaryCrossEntropy",
    "CategoricalCrossentropy": "CategoricalCrossEntropy",
    "SparseCategoricalCrossentropy": "CategoricalCrossEntropy",
}
LOSSES_WITHOUT_OPTIONS = {  # those that are a function here, by the name that `loss=` takes
    "CosineSimilarity": "cosine_similarity",
    "Huber": "huber",
    "KLDivergence": "kl_divergence",
    "MeanAbsoluteError": "mean_absolute_error",
    "MeanSquaredError": "mean_squared_error",
}
METRICS = {  # Keras's classes of metrics, by the name that `metrics=` takes
    "BinaryAccuracy": "binary_accuracy",
    "CategoricalAccuracy": "categorical_accuracy",
    "MeanAbsoluteError": "mean_absolute_error",
    "MeanSquaredError": "mean_squared_error",
    "SparseCategoricalAccuracy": "sparse_categorical_accuracy",
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
LOADING = "model.load(path) puts a file of model.save(path) into a model of the same layers"
PLACES = {  # modules and functions of Keras that the shim has not, and what there is instead
    "activations": "an activation is a name or a function (B, x)",
    "applications": "shim.from_keras(keras.applications.MobileNetV2(...)) takes one along",
    "backend": "code for all backends is written with B, the first argument of layers, losses and metrics of your own",
    "load_model": LOADING,
    "mixed_precision": 'dtype="mixed_float16" or "mixed_bfloat16" is an argument of a model',
    "ops": "code for all backends is written with B, the first argument of layers, losses and metrics of your own",
    "preprocessing": "fit(..., augment=shim.Augment(flip=True)) changes images",
    "random": "seed= of a model decides all that it draws",
    "regularizers": "weight_decay= is an option of optimizers",
}


def elsewhere(place: str, name: str, otherwise: str) -> object:
    """What `shim.<place>.<name>` is: the shim's own of that name, since Keras has them in places as `keras.layers`.

    Raises AttributeError for other names, with what there is otherwise.
    """
    public = vars(sys.modules["impls.shim"])
    own = RENAMED.get(name, name)
    if own in public.get("__all__", ()):
        return public[own]
    raise AttributeError(f"shim.{place} has no {name!r}: {otherwise}")
