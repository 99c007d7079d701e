"""Layers of Keras 3 as layers of the shim: a function for each kind; what the shim has not is refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from impls import shim
from impls.shim.activation_functions import Elementwise
from impls.shim.layer import Layer

if TYPE_CHECKING:
    import keras

Kind: TypeAlias = Callable[..., Layer]  # a class of the shim's layers

PLAIN = {  # activations by Keras's names; any other is refused
    "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softmax": "softmax", "softplus": "softplus", "gelu": "gelu",
    "gelu_approximate": "gelu_tanh", "silu": "swish", "swish": "swish", "leaky_relu": "leaky_relu",
}  # fmt: skip


class UnsupportedError(ValueError):
    """What the shim does not have; the message names the layer."""


def refuse(layer: keras.Layer, why: str) -> UnsupportedError:
    return UnsupportedError(f"layer {layer.name!r} ({type(layer).__name__}) cannot become a layer of the shim: {why}")


def capped(limit: float) -> Elementwise:
    """min(max(x, 0), limit)."""
    return lambda B, x: B.relu(x) - B.relu(x - limit)


def activation(layer: keras.Layer, function: Any = None) -> Any:
    """The shim's name or function of an activation, None for the identity."""
    function = layer.activation if function is None else function
    name = getattr(function, "__name__", type(function).__name__)
    if function is None or name == "linear":
        return None
    if name == "relu6":
        return capped(6.0)
    if name not in PLAIN:
        raise refuse(layer, f"no activation {name!r}")
    return PLAIN[name]


def need(layer: keras.Layer, **expected: Any) -> None:
    """Refuse a layer whose options are not those that the shim's layer has built in."""
    for name, value in expected.items():
        found = getattr(layer, name, value)
        values = value if isinstance(value, list) else [value]
        if found not in values:
            raise refuse(layer, f"{name}={found!r}, known is {' or '.join(map(repr, values))}")


def unpenalised(layer: keras.Layer) -> None:
    """Refuse what changes a training and no prediction: penalties in the loss, limits on the weights."""
    for name, value in layer.get_config().items():
        if name.endswith(("_regularizer", "_constraint")) and value is not None:
            raise refuse(layer, f"{name} is given, and the shim has none")


def windowed(layer: keras.Layer) -> dict[str, Any]:
    need(layer, data_format="channels_last", groups=1)
    return {
        "kernel_size": layer.kernel_size, "strides": layer.strides, "padding": layer.padding,
        "dilation_rate": layer.dilation_rate, "activation": activation(layer), "use_bias": layer.use_bias,
    }  # fmt: skip


def pooling(kind: Kind) -> Callable[[keras.Layer], Layer]:
    def make(layer: keras.Layer) -> Layer:
        need(layer, data_format="channels_last")
        return kind(layer.pool_size, layer.strides, layer.padding)

    return make


def pooling_of_all(kind: Kind) -> Callable[[keras.Layer], Layer]:
    def make(layer: keras.Layer) -> Layer:
        need(layer, data_format="channels_last", keepdims=False)
        return kind()

    return make


def dense(layer: keras.Layer) -> Layer:
    return shim.Dense(layer.units, activation(layer), layer.use_bias)


def conv1d(layer: keras.Layer) -> Layer:
    options = windowed(layer)
    for name in ("kernel_size", "strides", "dilation_rate"):
        options[name] = options[name][0]
    return shim.Conv1D(layer.filters, **options)


def conv2d_transpose(layer: keras.Layer) -> Layer:
    need(layer, output_padding=None, dilation_rate=(1, 1))
    options = windowed(layer)
    del options["dilation_rate"]
    return shim.Conv2DTranspose(layer.filters, **options)


def batch_norm(layer: keras.Layer) -> Layer:
    need(layer, center=True, scale=True)
    last_axis(layer)
    return shim.BatchNorm(layer.momentum, layer.epsilon)


def last_axis(layer: keras.Layer) -> None:
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    nodes = getattr(layer, "_inbound_nodes", ())
    rank = len(nodes[0].outputs[0].shape) if nodes else 0
    if len(axes) != 1 or axes[0] not in (-1, rank - 1):
        raise refuse(layer, f"axis={layer.axis}, known is the last one")


def layer_norm(layer: keras.Layer) -> Layer:
    need(layer, center=True, scale=True, rms_scaling=False)
    last_axis(layer)
    return shim.LayerNorm(layer.epsilon)


def group_norm(layer: keras.Layer) -> Layer:
    need(layer, center=True, scale=True)
    last_axis(layer)
    return shim.GroupNorm(layer.groups, layer.epsilon)


def relu(layer: keras.Layer) -> Layer:
    need(layer, negative_slope=[0, None], threshold=[0, None])
    return shim.ReLU() if layer.max_value is None else shim.Activation(capped(float(layer.max_value)))


def leaky_relu(layer: keras.Layer) -> Layer:
    slope = float(layer.negative_slope)
    return shim.Activation(lambda B, x: B.where(x > 0, x, x * slope))


def recurrent(kind: Kind, **built_in: Any) -> Callable[..., Layer]:
    def make(layer: keras.Layer, within: bool = False) -> Layer:
        need(layer, return_state=False, stateful=False, use_bias=True, dropout=0, recurrent_dropout=0)
        if not within:
            need(layer, zero_output_for_mask=False)
        for name, value in built_in.items():
            if getattr(getattr(layer, name), "__name__", "") != value:
                raise refuse(layer, f"{name} is not {value}")
        options = {"return_sequences": layer.return_sequences, "go_backwards": layer.go_backwards}
        if kind is shim.GRU:
            options["reset_after"] = layer.reset_after
        if kind is shim.SimpleRNN:
            options["activation"] = activation(layer)
        return kind(layer.units, **options)

    return make


def bidirectional(layer: keras.Layer) -> Layer:
    need(layer, merge_mode="concat")
    # Keras sets zero_output_for_mask of layers within; the shim's own leaves those outputs 0 too.
    return shim.Bidirectional(lambda: made(layer.forward_layer, True))  # type: ignore[arg-type,return-value]


def attention(layer: keras.Layer) -> Layer:
    options = layer.get_config()
    for name, known in (("attention_axes", (None, (1,))), ("sliding_window", (None,)), ("use_gate", (None, False))):
        if options.get(name) not in known:
            raise refuse(layer, f"{name}={options[name]!r}, known is {known[-1]}")
    if layer._output_shape and len(layer._output_shape) != 1:
        raise refuse(layer, f"output_shape={layer._output_shape}")
    return shim.MultiHeadAttention(
        layer._num_heads, layer._key_dim, layer._value_dim, layer._dropout, layer._use_bias,
        layer._output_shape[0] if layer._output_shape else None,
    )  # fmt: skip


def embedding(layer: keras.Layer) -> Layer:
    return shim.Embedding(layer.input_dim, layer.output_dim, mask_zero=layer.mask_zero)


def concatenate(layer: keras.Layer) -> Layer:
    need(layer, axis=[-1, len(layer._inbound_nodes[0].outputs[0].shape) - 1])
    return shim.Concatenate()


def zero_padding2d(layer: keras.Layer) -> Layer:
    need(layer, data_format="channels_last")
    return shim.ZeroPadding2D(layer.padding)


def up_sampling2d(layer: keras.Layer) -> Layer:
    need(layer, data_format="channels_last", interpolation=["nearest", "bilinear"])
    return shim.UpSampling2D(layer.size, layer.interpolation)


def dropout(layer: keras.Layer) -> Layer:
    need(layer, noise_shape=None)
    return shim.Dropout(layer.rate)


def flatten(layer: keras.Layer) -> Layer:
    need(layer, data_format="channels_last")
    return shim.Flatten()


def softmax(layer: keras.Layer) -> Layer:
    last_axis(layer)
    return shim.Activation("softmax")


CONVERSIONS: dict[str, Callable[..., Layer]] = {
    "Activation": lambda layer: shim.Activation(activation(layer)),
    "Add": lambda layer: shim.Add(),
    "AveragePooling2D": pooling(shim.AveragePool2D),
    "BatchNormalization": batch_norm,
    "Bidirectional": bidirectional,
    "Concatenate": concatenate,
    "CachedMultiHeadAttention": attention,
    "Conv1D": conv1d,
    "Conv2D": lambda layer: shim.Conv2D(layer.filters, **windowed(layer)),
    "Conv2DTranspose": conv2d_transpose,
    "Dense": dense,
    "DepthwiseConv2D": lambda layer: shim.DepthwiseConv2D(depth_multiplier=layer.depth_multiplier, **windowed(layer)),
    "Dropout": dropout,
    "Embedding": embedding,
    "Flatten": flatten,
    "GRU": recurrent(shim.GRU, activation="tanh", recurrent_activation="sigmoid"),
    "GlobalAveragePooling1D": pooling_of_all(shim.GlobalAveragePool1D),
    "GlobalAveragePooling2D": pooling_of_all(shim.GlobalAveragePool2D),
    "GlobalMaxPooling1D": pooling_of_all(shim.GlobalMaxPool1D),
    "GlobalMaxPooling2D": pooling_of_all(shim.GlobalMaxPool2D),
    "GroupNormalization": group_norm,
    "LSTM": recurrent(shim.LSTM, activation="tanh", recurrent_activation="sigmoid"),
    "LayerNormalization": layer_norm,
    "LeakyReLU": leaky_relu,
    "MaxPooling2D": pooling(shim.MaxPool2D),
    "MultiHeadAttention": attention,
    "PositionEmbedding": lambda layer: shim.PositionEmbedding(layer.sequence_length),
    "PReLU": lambda layer: shim.PReLU(layer.shared_axes),
    "ReLU": relu,
    "Reshape": lambda layer: shim.Reshape(layer._inbound_nodes[0].outputs[0].shape[1:]),
    "ReversibleEmbedding": embedding,
    "SeparableConv2D": lambda layer: shim.SeparableConv2D(
        layer.filters, depth_multiplier=layer.depth_multiplier, **windowed(layer)
    ),
    "SimpleRNN": recurrent(shim.SimpleRNN),
    "Softmax": softmax,
    "SpatialDropout1D": lambda layer: shim.SpatialDropout(layer.rate),
    "SpatialDropout2D": lambda layer: shim.SpatialDropout(layer.rate),
    "TimeDistributed": lambda layer: shim.TimeDistributed(made(layer.layer)),
    "UpSampling2D": up_sampling2d,
    "ZeroPadding2D": zero_padding2d,
}


def made(layer: keras.Layer, *within: bool) -> Layer:
    """The layer of the shim that computes what a layer of Keras does, without its weights."""
    if type(layer).__name__ not in CONVERSIONS or type(layer).__module__.split(".")[0] not in ("keras", "keras_hub"):
        raise refuse(layer, f"known are {', '.join(CONVERSIONS)}")
    unpenalised(layer)
    found = CONVERSIONS[type(layer).__name__](layer, *within)
    found.trainable = bool(layer.trainable)
    return found
