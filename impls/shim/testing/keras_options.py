"""`python -m impls.shim.testing.keras_options`: gives layers of Keras each of their options, another value than usual.

`from_keras` has to compute the same with it, or to refuse the layer by the option's name. Keras runs on NumPy.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np

OTHER: dict[str, Any] = {
    "activation": "relu", "attention_axes": (1, 2), "axis": 1, "center": False, "data_format": "channels_first",
    "depth_multiplier": 2, "dilation_rate": 2, "dropout": 0.3, "epsilon": 0.3, "flash_attention": False,
    "go_backwards": True, "groups": 2, "interpolation": "bicubic", "keepdims": True, "mask_zero": True,
    "max_value": 0.5, "merge_mode": "sum", "momentum": 0.5, "negative_slope": 0.1, "noise_shape": (None, 1, 4),
    "output_padding": 0, "output_shape": 3, "padding": "same", "rate": 0.3, "recurrent_activation": "tanh",
    "recurrent_dropout": 0.3, "reset_after": False, "return_sequences": False, "return_state": True,
    "rms_scaling": True, "scale": False, "shared_axes": [1], "sliding_window": 2, "stateful": True, "strides": 2,
    "threshold": 0.2, "unroll": True, "use_bias": False, "use_gate": True, "value_dim": 4,
    "zero_output_for_mask": True,
}  # fmt: skip
# What says how a training begins or how something is computed, and not what; and what is given in any case.
LEFT_OUT = (
    "_initializer", "_regularizer", "_constraint", "seed", "name", "dtype", "trainable", "synchronized", "forget_bias",
    "weights", "input_length", "lora_rank", "lora_alpha", "column_size", "quantization_config", "renorm_clipping",
    "renorm_momentum", "renorm", "virtual_batch_size", "use_cudnn", "backward_layer", "pool_size", "size",
)  # fmt: skip
RECURRENT = ("GRU", "LSTM", "SimpleRNN")
KINDS: dict[str, tuple[Any, ...]] = {  # with what is given by place
    "Activation": ("tanh",), "AveragePooling2D": (2,), "BatchNormalization": (), "Bidirectional": (), "Conv1D": (4, 2),
    "Conv2D": (4, 2), "Conv2DTranspose": (4, 2), "Dense": (3,), "DepthwiseConv2D": (2,), "Dropout": (0.5,),
    "Embedding": (6, 4), "Flatten": (), "GRU": (3,), "GlobalAveragePooling1D": (), "GlobalAveragePooling2D": (),
    "GlobalMaxPooling1D": (), "GlobalMaxPooling2D": (), "GroupNormalization": (2,), "LSTM": (3,),
    "LayerNormalization": (), "LeakyReLU": (), "MaxPooling2D": (2,), "MultiHeadAttention": (2, 3), "PReLU": (),
    "ReLU": (), "SeparableConv2D": (4, 2), "SimpleRNN": (3,), "Softmax": (), "SpatialDropout1D": (0.5,),
    "SpatialDropout2D": (0.5,), "UpSampling2D": (2,), "ZeroPadding2D": (1,),
}  # fmt: skip
PADDED = np.array([[1, 0, 2, 0, 0], [3, 4, 5, 1, 2], [0, 0, 2, 5, 0]])


def whole(kind: str, options: dict[str, Any], rng: np.random.Generator) -> tuple[Any, np.ndarray]:
    """A model around one layer, with drawn weights, and examples for it; recurrent layers have a mask."""
    from keras import Input, Model, layers

    given = KINDS[kind] or ((layers.LSTM(2, return_sequences=True),) if kind == "Bidirectional" else ())
    always = {"return_sequences": True} if kind in RECURRENT else {}
    layer = getattr(layers, kind)(*given, **{**always, **options})
    start, x = Input((5,)), PADDED
    if kind in (*RECURRENT, "Bidirectional"):
        y = layer(layers.Embedding(6, 4, mask_zero=True)(start))
    elif kind == "Embedding":
        y = layers.GRU(2)(layer(start))
    else:
        start = Input((6, 6, 4) if "2D" in kind else (5, 4))
        x = rng.normal(size=(3, *start.shape[1:]))
        y = layer(start, start) if kind == "MultiHeadAttention" else layer(start)
    model = Model(start, y)
    model.set_weights([rng.uniform(0.3, 0.9, each.shape) for each in model.get_weights()])
    return model, x


def wrong(kind: str, option: str) -> str:
    """What is wrong with an option of a kind of layer, "" for nothing."""
    from impls import shim

    try:
        model, x = whole(kind, {option: OTHER[option]}, np.random.default_rng(0))
        theirs = np.asarray(model(x))
    except Exception:
        return ""  # Keras does not take it either
    try:
        ours = shim.from_keras(model, backend="numpy")
    except ValueError as error:
        named = option in str(error) or f"{OTHER[option]!r}" in str(error) or "outputs" in str(error)
        return "" if named else f"{kind}.{option}: {error}"
    found = ours.predict(x)
    rates = [rate for layer in ours.layers for rate, _ in layer.drops().values()]
    if option in ("dropout", "rate") and OTHER[option] not in rates:
        return f"{kind}.{option} is forgotten"
    same = found.shape == theirs.shape and np.abs(found - theirs).max() <= 1e-5 * np.abs(theirs).max()
    return "" if same else f"{kind}.{option} computes something else"


def options(kind: str) -> dict[str, inspect.Parameter]:
    """Those that a layer names itself, or hands to the one that it is made of."""
    from keras import layers

    kinds = [layers.RNN, getattr(layers, kind)] if kind in RECURRENT else [getattr(layers, kind)]
    return {name: each for found in kinds for name, each in inspect.signature(found.__init__).parameters.items()}


def main() -> None:
    """Print how many are tried, those that nothing is known about, and what is wrong."""
    os.environ["KERAS_BACKEND"] = "numpy"  # which predicts, and is loaded in a second
    import keras

    keras.config.set_floatx("float64")
    pairs = [(kind, name, each.default is each.empty) for kind in KINDS for name, each in options(kind).items()]
    tried = [(kind, name) for kind, name, _ in pairs if name in OTHER]
    unknown = {name for _, name, needed in pairs if name not in OTHER and not needed and not name.endswith(LEFT_OUT)}
    told = [wrong(kind, name) for kind, name in tried]
    print(len(tried), sorted(unknown), [each for each in told if each])


if __name__ == "__main__":
    main()
