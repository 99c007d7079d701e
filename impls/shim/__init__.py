"""One model source on TensorFlow, PyTorch, JAX and NumPy.

    from impls import shim

    model = shim.Sequential([shim.Dense(8, activation="relu"), shim.Dense(1)], inputs=(4,), backend="torch")
    model.compile(optimizer=shim.Adam(0.01), loss="sigmoid_cross_entropy")
    model.fit(x, y, epochs=10)

The backend is named by the argument, by TRIPTYCH_BACKEND or in ~/.triptych/triptych.json, in that order.
Importing this package loads no framework.
"""

import importlib
from typing import Any

from impls.shim import models, utils
from impls.shim.attention import MultiHeadAttention, PositionEmbedding, RMSNorm, TiedHead
from impls.shim.augment import Augment
from impls.shim.callbacks import Callback, Checkpoint, CSVLog, EarlyStopping, LearningRate, ProgressBar
from impls.shim.config import backend_module, backend_name, installed
from impls.shim.further_layers import (
    Conv1D,
    Conv2DTranspose,
    GlobalAveragePool1D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    PReLU,
    SeparableConv2D,
    SpatialDropout,
    TimeDistributed,
    UpSampling2D,
    ZeroPadding2D,
)
from impls.shim.image_layers import AveragePool2D, Conv2D, DepthwiseConv2D, GlobalAveragePool2D, MaxPool2D
from impls.shim.keras_callbacks import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from impls.shim.keras_names import PLACES, RENAMED
from impls.shim.key_value_cache import KeyValueCache
from impls.shim.layer import Add, Input, Layer
from impls.shim.layers import (
    Activation,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    ReLU,
    Reshape,
)
from impls.shim.model import Model
from impls.shim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from impls.shim.recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from impls.shim.schedules import CosineDecay, ExponentialDecay, PiecewiseConstant
from impls.shim.sequential import Sequential

LAZY = {  # what needs another library or is rarely needed: its module is imported at the first use
    "Classifier": "interop.sklearn",
    "from_keras": "interop.keras",
    "Regressor": "interop.sklearn",
    "export_weights": "interop.weights",
    "import_weights": "interop.weights",
    "to_onnx": "interop.onnx",
}


def __getattr__(name: str) -> Any:
    if name in RENAMED:
        return globals()[RENAMED[name]]
    if name in PLACES:
        raise AttributeError(f"the shim has no {name!r}: {PLACES[name]}")
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"impls.shim.{LAZY[name]}"), name)


__all__ = [
    "GRU",
    "LSTM",
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Add",
    "Augment",
    "AveragePool2D",
    "BatchNorm",
    "Bidirectional",
    "CSVLog",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "CosineDecay",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "ExponentialDecay",
    "Flatten",
    "GlobalAveragePool1D",
    "GlobalAveragePool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GroupNorm",
    "Input",
    "KeyValueCache",
    "LambdaCallback",
    "Layer",
    "LayerNorm",
    "LearningRate",
    "LearningRateScheduler",
    "MaxPool2D",
    "Model",
    "ModelCheckpoint",
    "MultiHeadAttention",
    "PReLU",
    "PiecewiseConstant",
    "PositionEmbedding",
    "ProgressBar",
    "RMSNorm",
    "RMSprop",
    "ReLU",
    "ReduceLROnPlateau",
    "Reshape",
    "SeparableConv2D",
    "Sequential",
    "SimpleRNN",
    "SpatialDropout",
    "TerminateOnNaN",
    "TiedHead",
    "TimeDistributed",
    "UpSampling2D",
    "ZeroPadding2D",
    "backend_module",
    "backend_name",
    "installed",
    "models",
    "utils",
]
