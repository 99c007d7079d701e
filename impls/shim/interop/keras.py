"""A Keras 3 model as a model of the shim: its layers, weights, optimizer and the optimizer's state.

Sequential and functional models, nested ones and shared layers too, of one output. Importing this loads no Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from impls import shim
from impls.shim import losses
from impls.shim.layers import Elementwise, Layer, Symbol
from impls.shim.losses import Loss
from impls.shim.network import DTYPES
from impls.shim.optimizers import Optimizer
from impls.shim.schedules import Schedule

if TYPE_CHECKING:
    import keras

Kind = Callable[..., Layer]  # a class of the shim's layers

PLAIN = {  # activations by Keras's names; any other is refused
    "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softmax": "softmax", "softplus": "softplus", "gelu": "gelu",
    "silu": "swish", "swish": "swish", "leaky_relu": "leaky_relu",
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


def recurrent(kind: Kind, **built_in: Any) -> Callable[[keras.Layer], Layer]:
    def make(layer: keras.Layer) -> Layer:
        need(layer, return_state=False, stateful=False, use_bias=True, dropout=0, recurrent_dropout=0)
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
    return shim.Bidirectional(lambda: made(layer.forward_layer))  # type: ignore[arg-type,return-value]


def attention(layer: keras.Layer) -> Layer:
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


CONVERSIONS: dict[str, Callable[[keras.Layer], Layer]] = {
    "Activation": lambda layer: shim.Activation(activation(layer)),
    "Add": lambda layer: shim.Add(),
    "AveragePooling2D": pooling(shim.AveragePool2D),
    "BatchNormalization": batch_norm,
    "Bidirectional": bidirectional,
    "Concatenate": concatenate,
    "Conv1D": conv1d,
    "Conv2D": lambda layer: shim.Conv2D(layer.filters, **windowed(layer)),
    "Conv2DTranspose": conv2d_transpose,
    "Dense": dense,
    "DepthwiseConv2D": lambda layer: shim.DepthwiseConv2D(depth_multiplier=layer.depth_multiplier, **windowed(layer)),
    "Dropout": lambda layer: shim.Dropout(layer.rate),
    "Embedding": embedding,
    "Flatten": lambda layer: shim.Flatten(),
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
    "PReLU": lambda layer: shim.PReLU(layer.shared_axes),
    "ReLU": relu,
    "Reshape": lambda layer: shim.Reshape(layer._inbound_nodes[0].outputs[0].shape[1:]),
    "SeparableConv2D": lambda layer: shim.SeparableConv2D(
        layer.filters, depth_multiplier=layer.depth_multiplier, **windowed(layer)
    ),
    "SimpleRNN": recurrent(shim.SimpleRNN),
    "Softmax": lambda layer: shim.Activation("softmax"),
    "SpatialDropout1D": lambda layer: shim.SpatialDropout(layer.rate),
    "SpatialDropout2D": lambda layer: shim.SpatialDropout(layer.rate),
    "TimeDistributed": lambda layer: shim.TimeDistributed(made(layer.layer)),
    "UpSampling2D": up_sampling2d,
    "ZeroPadding2D": zero_padding2d,
}


def made(layer: keras.Layer) -> Layer:
    """The layer of the shim that computes what a layer of Keras does, without its weights."""
    if type(layer).__name__ not in CONVERSIONS or not type(layer).__module__.startswith("keras."):
        raise refuse(layer, f"known are {', '.join(CONVERSIONS)}")
    found = CONVERSIONS[type(layer).__name__](layer)
    found.trainable = bool(layer.trainable)
    return found


class Walk:
    """A graph of Keras on its way to one of the shim: each layer once, whatever reads it."""

    def __init__(self) -> None:
        self.layers: dict[int, tuple[keras.Layer, Layer]] = {}  # by the id of Keras's layer
        self.names: set[str] = set()

    def layer(self, layer: keras.Layer) -> Layer:
        if id(layer) not in self.layers:
            found = made(layer)
            found.name = self._free(layer.name)
            self.layers[id(layer)] = layer, found
        return self.layers[id(layer)][1]

    def _free(self, name: str) -> str:
        """A name that no other layer has: nested models may use one twice."""
        found, count = name, 0
        while found in self.names:
            count += 1
            found = f"{name}_{count}"
        self.names.add(found)
        return found

    def outputs(self, model: keras.Model, inputs: list[Symbol]) -> Symbol:
        """The output of a functional model, its inputs being these symbols."""
        graph = functional(model)
        if len(graph.outputs) != 1:
            raise UnsupportedError(f"model {model.name!r} has {len(graph.outputs)} outputs, the shim's have one")
        known = {id(tensor): symbol for tensor, symbol in zip(graph.inputs, inputs, strict=True)}
        needed = nodes_behind(graph)
        for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
            for node in nodes:
                if id(node) in needed:
                    known[id(node.outputs[0])] = self._applied(node, known)
        return known[id(graph.outputs[0])]

    def _applied(self, node: keras.Operation, known: dict[int, Symbol]) -> Symbol:
        layer = node.operation
        if len(node.outputs) != 1:
            raise refuse(layer, f"it has {len(node.outputs)} outputs")
        sources = [known[id(tensor)] for tensor in read_by(node)]
        if hasattr(layer, "_functional") or hasattr(layer, "_nodes_by_depth"):
            return self.outputs(layer, sources)
        found: Any = self.layer(layer)
        if type(layer).__name__ != "MultiHeadAttention":
            return found(sources if len(sources) > 1 else sources[0])  # type: ignore[no-any-return]
        kwargs = node.arguments.kwargs
        mask = sources.pop() if kwargs.get("attention_mask") is not None else None
        found.causal = bool(kwargs.get("use_causal_mask"))
        query, *others = sources
        same = all(other is query for other in others)
        return found(query if same else sources, mask)  # type: ignore[no-any-return]


ATTENTION = ("query", "value", "key", "attention_mask")  # what a call of an attention may name


def read_by(node: keras.Operation) -> list[keras.KerasTensor]:
    """The tensors that a call reads, but the masks that Keras hands on, which the shim's layers hand on themselves."""
    found: list[keras.KerasTensor] = []
    for argument in node.arguments.args:
        found += [
            each for each in (argument if isinstance(argument, (list, tuple)) else [argument]) if is_symbolic(each)
        ]
    named = {name: value for name, value in node.arguments.kwargs.items() if is_symbolic(value)}
    found += [named.pop(name) for name in ATTENTION if name in named]
    other = [name for name in named if not name.endswith("mask")]
    if other:
        raise refuse(node.operation, f"it is called with {', '.join(other)}")
    return found


def is_symbolic(value: object) -> bool:
    return hasattr(value, "_keras_history")


def nodes_behind(graph: keras.Model) -> set[int]:
    """The ids of the calls that lead from a model's inputs to its output."""
    producers = {id(node.outputs[0]): node for nodes in graph._nodes_by_depth.values() for node in nodes}
    inputs = {id(tensor) for tensor in graph.inputs}
    waiting, needed = [graph.outputs[0]], set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in inputs:
            continue
        node = producers[id(tensor)]
        if id(node) not in needed:
            needed.add(id(node))
            waiting += read_by(node)
    return needed


def functional(model: keras.Model) -> keras.Model:
    """The graph of a model."""
    graph = getattr(model, "_functional", model)
    if not hasattr(graph, "_nodes_by_depth"):
        raise UnsupportedError(
            f"model {model.name!r} ({type(model).__name__}) has no graph of layers: a built Sequential or "
            "functional model is needed"
        )
    return graph


def from_keras(
    model: keras.Model,
    backend: str | None = None,
    mode: str | None = None,
    dtype: str | None = None,
    device: str = "cpu",
) -> shim.Model:  # fmt: skip
    """A Keras 3 model, Sequential or functional, as a model of the shim with its weights.

    A compiled one is compiled here too, with the state of its optimizer. Raises ValueError that names the first layer
    that the shim does not have. `dtype`: the model's own where none is given.
    """
    graph, walk = functional(model), Walk()
    inputs = [shim.Input(tensor.shape[1:], tensor.name) for tensor in graph.inputs]
    output = walk.outputs(model, list(inputs))
    policy = str(model.dtype_policy.name)
    found = shim.Model(inputs, output, backend, mode, dtype or (policy if policy in DTYPES else "float32"), device)
    names: dict[int, str] = {}
    weights = {}
    for theirs, ours in walk.layers.values():
        for name, variable in paired(theirs, ours):
            weights[name] = np.asarray(variable)
            names[id(variable)] = name
    found.set_weights(weights)
    if getattr(model, "compiled", False) and model.optimizer is not None:
        adopt(found, model, names)
    return found


def paired(theirs: keras.Layer, ours: Layer) -> list[tuple[str, keras.Variable]]:
    """The names of a layer's weights with Keras's variables, which come in the same order."""
    variables = [v for v in theirs.weights if "seed_generator" not in v.path]
    shapes = [tuple(v.shape) for v in variables]
    if shapes != [weight.shape for weight in ours.weights.values()]:
        raise refuse(theirs, f"its weights have the shapes {shapes}")
    return list(zip(ours.weights, variables, strict=True))


SLOTS = {  # our optimizer, its slots by the attributes of Keras's that hold them
    "SGD": (shim.SGD, {"m": "momentums"}, ("momentum", "nesterov")),
    "Adam": (shim.Adam, {"m": "_momentums", "v": "_velocities"}, ("beta_1", "beta_2", "epsilon")),
    "AdamW": (shim.AdamW, {"m": "_momentums", "v": "_velocities"}, ("beta_1", "beta_2", "epsilon")),
    "RMSprop": (shim.RMSprop, {"v": "_velocities"}, ("rho", "epsilon")),
    "Adagrad": (shim.Adagrad, {"accumulator": "_accumulators"}, ("initial_accumulator_value", "epsilon")),
}


EVERY_SLOT = {"gathered": "_accumulated_gradients", "average": "_model_variables_moving_average"}  # of any optimizer


def optimizer_from(theirs: keras.Optimizer) -> Optimizer:
    """Keras's optimizer as ours. Raises ValueError for one, or an option, that the shim does not have."""
    name = type(theirs).__name__
    options = theirs.get_config()
    built_in = {"amsgrad": False, "centered": False, "ema_overwrite_frequency": None}
    wrong = [key for key, value in built_in.items() if options.get(key, value) != value]
    if name == "RMSprop" and options.get("momentum"):
        wrong.append("momentum")
    if name not in SLOTS or wrong:
        raise UnsupportedError(f"optimizer {name}{' with ' + wrong[0] if wrong else ''}: known are {', '.join(SLOTS)}")
    kind, _, own = SLOTS[name]
    taken = {key: options[key] for key in own}
    for key in ("weight_decay", "clipvalue", "clipnorm", "global_clipnorm"):
        if options.get(key) is not None:
            taken[key] = options[key]
    taken["gradient_accumulation_steps"] = options.get("gradient_accumulation_steps")
    taken["use_ema"] = options.get("use_ema", False)
    taken["ema_momentum"] = options.get("ema_momentum", 0.99)
    rate = options["learning_rate"]
    return kind(learning_rate=schedule_from(rate) if isinstance(rate, dict) else float(rate), **taken)  # type: ignore[no-any-return]


def schedule_from(described: dict[str, Any]) -> Schedule:
    """A schedule from Keras's description of it."""
    name, o = described["class_name"], described["config"]
    if name == "ExponentialDecay":
        return shim.ExponentialDecay(o["initial_learning_rate"], o["decay_steps"], o["decay_rate"], o["staircase"])
    if name == "CosineDecay":
        return shim.CosineDecay(
            o["initial_learning_rate"], o["decay_steps"], o["alpha"], o["warmup_target"], o["warmup_steps"]
        )
    if name == "PiecewiseConstantDecay":
        return shim.PiecewiseConstant(o["boundaries"], o["values"])
    raise UnsupportedError(f"schedule {name}: known are ExponentialDecay, CosineDecay, PiecewiseConstantDecay")


LOSSES: dict[str, Callable[[dict[str, Any]], str | Loss]] = {
    "SparseCategoricalCrossentropy": lambda o: losses.CategoricalCrossEntropy(o["from_logits"]),
    "CategoricalCrossentropy": lambda o: losses.CategoricalCrossEntropy(o["from_logits"], o["label_smoothing"]),
    "BinaryCrossentropy": lambda o: losses.BinaryCrossEntropy(o["from_logits"], o["label_smoothing"]),
    "MeanSquaredError": lambda o: "mean_squared_error",
    "MeanAbsoluteError": lambda o: "mean_absolute_error",
}


def loss_from(theirs: str | keras.Loss) -> str | Loss:
    """Keras's loss as ours: a name, or an object of the kinds of `LOSSES`."""
    if isinstance(theirs, str):
        return theirs
    name = type(theirs).__name__
    if name not in LOSSES:
        raise UnsupportedError(f"loss {name}: known are {', '.join(LOSSES)}, and names")
    return LOSSES[name](theirs.get_config())


def adopt(found: shim.Model, model: keras.Model, names: dict[int, str]) -> None:
    """Compile as Keras's model is, with the state of its optimizer."""
    theirs = model.optimizer
    found.compile(optimizer_from(theirs), loss_from(model.loss))
    slots = found.fresh_slots()
    if theirs.built:
        for slot, attribute in {**SLOTS[type(theirs).__name__][1], **EVERY_SLOT}.items():
            for variable, state in zip(theirs._trainable_variables, getattr(theirs, attribute, ()), strict=False):
                if f"{slot}/{names[id(variable)]}" in slots:
                    slots[f"{slot}/{names[id(variable)]}"] = np.asarray(state)
    found.set_slots(slots, int(np.asarray(theirs._iterations)))
