"""What holds where a user says nothing, copied from Keras 3's documentation (and the papers it cites), not the shim.

The tests leave these arguments out, so that another default shows; `LAYERS` is by the shim's name of the layer.
"""

from __future__ import annotations

from typing import Any

_DENSE = {"activation": None, "use_bias": True}
_CONVOLUTION = {**_DENSE, "strides": 1, "padding": "valid", "dilation_rate": 1}
_POOLING = {"pool_size": 2, "strides": None, "padding": "valid"}
_RECURRENT = {"return_sequences": False, "go_backwards": False}

LAYERS: dict[str, dict[str, Any]] = {
    "AveragePool2D": _POOLING,
    "Conv1D": _CONVOLUTION,
    "Conv2DTranspose": {**_DENSE, "strides": 1, "padding": "valid"},
    "GroupNorm": {"groups": 32, "epsilon": 1e-3},
    "PReLU": {"shared_axes": None},
    "SeparableConv2D": {**_CONVOLUTION, "depth_multiplier": 1},
    "UpSampling2D": {"size": 2, "interpolation": "nearest"},
    "ZeroPadding2D": {"padding": 1},
    "BatchNorm": {"momentum": 0.99, "epsilon": 1e-3},
    "Conv2D": _CONVOLUTION,
    "Dense": _DENSE,
    "DepthwiseConv2D": {**_CONVOLUTION, "depth_multiplier": 1},
    "Embedding": {"mask_zero": False},
    "GRU": {**_RECURRENT, "reset_after": True},
    "LSTM": _RECURRENT,
    "LayerNorm": {"epsilon": 1e-3},
    "MaxPool2D": _POOLING,
    "MultiHeadAttention": {
        "value_dim": None, "dropout": 0.0, "use_bias": True, "output_shape": None, "causal": False, "rope": None,
        "num_key_value_heads": None, "masked": False,
    },
    "RMSNorm": {"epsilon": 1e-6},
    "SimpleRNN": {**_RECURRENT, "activation": "tanh"},
}  # fmt: skip
DROPS = {
    "Dropout": "rate",
    "SpatialDropout": "rate",
    "MultiHeadAttention": "dropout",
}  # the option that says how many it drops

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    "Adam": {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "AdamW": {"learning_rate": 1e-3, "weight_decay": 0.004, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "RMSprop": {"learning_rate": 1e-3, "rho": 0.9, "epsilon": 1e-7},
    "Adagrad": {"learning_rate": 1e-3, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
}

EVERY_OPTIMIZER: dict[str, Any] = {
    "gradient_accumulation_steps": None, "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None,
}  # fmt: skip

FIT: dict[str, Any] = {
    "epochs": 1, "batch_size": 32, "shuffle": True, "validation_split": 0.0, "initial_epoch": 0, "resume": False,
}  # fmt: skip
EARLY_STOPPING: dict[str, Any] = {
    "monitor": "val_loss", "patience": 0, "min_delta": 0.0, "higher": None, "restore_best_weights": True,
    "mode": "auto",
}  # fmt: skip

KERNEL, RECURRENT_KERNEL, TABLE = "glorot_uniform", "orthogonal", "uniform"

FIRST_WEIGHTS: dict[str, str] = {  # initializers by the short name of a weight; a gate's bias apart
    "kernel": KERNEL,
    "recurrent_kernel": RECURRENT_KERNEL,
    "embeddings": TABLE,
    "bias": "zeros",
    "gamma": "ones",
    "beta": "zeros",
    "moving_mean": "zeros",
    "moving_variance": "ones",
}

Scale = tuple[str, float | tuple[float, str]]
INITIALIZERS: dict[str, Scale] = {  # the law, and its number: a constant, a deviation, or a variance over fans
    "zeros": ("constant", 0.0),
    "ones": ("constant", 1.0),
    "uniform": ("uniform", 0.05),  # the limit
    "normal": ("normal", 0.05),  # the deviation
    "glorot_uniform": ("uniform", (2.0, "inputs + outputs")),  # Glorot and Bengio (2010)
    "glorot_normal": ("truncated", (2.0, "inputs + outputs")),
    "he_uniform": ("uniform", (2.0, "inputs")),  # He et al. (2015)
    "he_normal": ("truncated", (2.0, "inputs")),
    "lecun_uniform": ("uniform", (1.0, "inputs")),  # LeCun et al. (1998)
    "lecun_normal": ("truncated", (1.0, "inputs")),
    "orthogonal": ("orthogonal", 1.0),  # Saxe et al. (2014)
}
