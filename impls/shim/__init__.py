"""One model source on TensorFlow, PyTorch, JAX and NumPy.

    from impls import shim

    model = shim.Sequential([shim.Dense(8, activation="relu"), shim.Dense(1)], inputs=(4,), backend="torch")
    model.compile(optimizer=shim.Adam(0.01), loss="sigmoid_cross_entropy")
    model.fit(x, y, epochs=10)

The backend is named by the argument, by TRIPTYCH_BACKEND or in ~/.triptych/triptych.json, in that order.
Importing this package loads no framework.
"""

from impls.shim.config import backend_module, backend_name, installed
from impls.shim.layers import (
    LSTM,
    Activation,
    Add,
    AveragePool2D,
    BatchNorm,
    Concatenate,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    LayerNorm,
    MaxPool2D,
    ReLU,
    Reshape,
)
from impls.shim.model import Input, Model, Sequential
from impls.shim.optimizers import SGD, Adam, ExponentialDecay, RMSprop

__all__ = [
    "LSTM",
    "SGD",
    "Activation",
    "Adam",
    "Add",
    "AveragePool2D",
    "BatchNorm",
    "Concatenate",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "ExponentialDecay",
    "Flatten",
    "GlobalAveragePool2D",
    "Input",
    "Layer",
    "LayerNorm",
    "MaxPool2D",
    "Model",
    "RMSprop",
    "ReLU",
    "Reshape",
    "Sequential",
    "backend_module",
    "backend_name",
    "installed",
]
