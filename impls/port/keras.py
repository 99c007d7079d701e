"""A keras.Model of a user, on any backend: layers are tapped by wrapping `call`, fused activations on their own."""

from __future__ import annotations

import functools

import keras
import numpy as np
from keras.src.backend.common import dtypes

from impls.port.base import STEPS, Port, UserError, Weight

# Keras answers float32 for two float64 arguments on every backend but TensorFlow. A port is compared in float64.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
keras.config.set_floatx("float64")  # before the user's file makes its loss


def pair(value):
    return list(value) if isinstance(value, (tuple, list)) else [value, value]


def convolution(layer):
    return {
        "window": pair(layer.kernel_size),
        "strides": pair(layer.strides),
        "padding": layer.padding,
        "dilation": pair(layer.dilation_rate),
        "groups": getattr(layer, "groups", 1),
    }


def pooling(layer):
    return {"window": pair(layer.pool_size), "strides": pair(layer.strides), "padding": layer.padding}


def recurrent(layer):
    functions = {"activation": layer.activation.__name__}
    if hasattr(layer, "recurrent_activation"):
        functions["recurrent_activation"] = layer.recurrent_activation.__name__
    return {"return_sequences": layer.return_sequences, "go_backwards": layer.go_backwards, **functions}


def function(activation):
    """The name of an activation function, with what else it needs."""
    return {"name": getattr(activation, "__name__", type(activation).__name__)}


KINDS = {
    "Dense": ("dense", lambda layer: {}),
    "Conv2D": ("conv2d", convolution),
    "DepthwiseConv2D": ("depthwise_conv2d", convolution),
    "Conv1D": ("conv1d", lambda layer: {}),
    "Conv2DTranspose": ("conv2d_transpose", lambda layer: {}),
    "BatchNormalization": ("batchnorm", lambda layer: {"epsilon": layer.epsilon, "momentum": layer.momentum}),
    "LayerNormalization": ("layernorm", lambda layer: {"epsilon": layer.epsilon}),
    "Embedding": ("embedding", lambda layer: {}),
    "LSTM": ("lstm", recurrent),
    "GRU": ("gru", lambda layer: {**recurrent(layer), "reset_after": layer.reset_after}),
    "SimpleRNN": ("simple_rnn", recurrent),
    "MaxPooling2D": ("maxpool2d", pooling),
    "AveragePooling2D": ("avgpool2d", pooling),
    "GlobalAveragePooling2D": ("adaptive_pool", lambda layer: {}),
    "Flatten": ("flatten", lambda layer: {}),
    "Dropout": ("dropout", lambda layer: {"rate": layer.rate}),
    "SpatialDropout2D": ("dropout", lambda layer: {"rate": layer.rate}),
    "ZeroPadding2D": ("pad", lambda layer: {}),
    "ReLU": ("activation", lambda layer: {"name": "relu"}),
    "LeakyReLU": ("activation", lambda layer: {"name": "leaky_relu", "slope": layer.negative_slope}),
    "ELU": ("activation", lambda layer: {"name": "elu"}),
    "Softmax": ("activation", lambda layer: {"name": "softmax"}),
    "Activation": ("activation", lambda layer: function(layer.activation)),
}
# A layer around others is one tap; operations of a functional model that a person writes as functions are taps too.
AROUND = {"Bidirectional": "bidirectional", "TimeDistributed": "time_distributed"}
KINDS.update((name, (kind, lambda layer: {})) for name, kind in AROUND.items())
OPERATIONS = {
    "Relu": lambda op: {"name": "relu"},
    "LeakyRelu": lambda op: {"name": "leaky_relu", "slope": op.negative_slope},
    "Gelu": lambda op: {"name": "gelu_tanh" if op.approximate else "gelu"},
    "Sigmoid": lambda op: {"name": "sigmoid"},
    "Tanh": lambda op: {"name": "tanh"},
    "Silu": lambda op: {"name": "silu"},
    "Elu": lambda op: {"name": "elu"},
    "Softmax": lambda op: {"name": "softmax"},
    "HardSigmoid": lambda op: {"name": "hard_sigmoid"},
}
FUSED = ("dense", "conv2d", "depthwise_conv2d", "conv1d", "conv2d_transpose")
RULES = {"SGD": "sgd", "Adam": "adam", "AdamW": "adam", "RMSprop": "rmsprop"}


def kind_of(layer):
    return next(
        (KINDS[c.__name__] for c in type(layer).__mro__ if c.__name__ in KINDS and "keras" in c.__module__), None
    )


class PortOfKeras(Port):
    def build(self):
        keras.utils.set_random_seed(0)
        model = super().build()
        if not isinstance(model, keras.Model):
            raise UserError(f"build() has to return a keras.Model, it returned {type(model).__name__}")
        if self.backend == "torch":
            import torch

            torch.set_num_threads(1)
        self.compiled_with = getattr(model, "optimizer", None)
        return model

    def open(self, x):
        if not self.model.built:
            self.model(self.native(x))  # layers come to be in the first call
        self.layers = [layer for layer in self.model._flatten_layers(include_self=False) if layer is not self.model]
        for layer in self.layers:
            self.wrap(layer)
        for operation in getattr(self.model, "operations", []):
            if not isinstance(operation, keras.Layer) and type(operation).__name__ in OPERATIONS:
                self.wrap_operation(operation)
        super().open(x)

    def wrap(self, layer):
        """Tap `layer` if it is of a known kind, or holds weights of its own."""
        known = kind_of(layer)
        if known is None and not layer._trainable_variables and not layer._non_trainable_variables:
            return
        kind, config = known or ("module", lambda layer: {})
        fused = kind in FUSED and getattr(layer.activation, "__name__", "") != "linear"
        if fused:
            self.wrap_activation(layer, kind, config)
        inner = layer.call

        def call(*args, **options):
            if kind == "dropout":
                self.switched_off.append(layer.name)
                return args[0]
            if layer.name in self.inside:
                return inner(*args, **options)
            self.inside.append(layer.name)
            self.given[layer.name] = args[0] if args else None
            output = inner(*args, **options)
            self.inside.pop()
            return (
                output
                if fused
                else self.tap(layer.name, kind, config(layer), layer, args[0] if args else output, output)
            )

        layer.call = call

    def wrap_operation(self, operation):
        """Tap a function such as `keras.activations.gelu(x)` in a functional model."""
        inner, config = operation.call, OPERATIONS[type(operation).__name__](operation)

        def call(x, *args, **options):
            return self.tap(operation.name, "activation", config, None, x, inner(x, *args, **options))

        operation.call = call

    def wrap_activation(self, layer, kind, config):
        """A layer with an activation of its own is two taps."""
        inner = layer.activation

        def activation(x):
            here = self.inside.pop()
            x = self.tap(layer.name, kind, config(layer), layer, self.given[layer.name], x)
            output = self.tap(f"{layer.name}, activation", "activation", function(inner), None, x, inner(x))
            self.inside.append(here)
            return output

        activation.__name__ = getattr(inner, "__name__", type(inner).__name__)
        layer.activation = activation

    def tap(self, name, kind, config, layer, given, output):
        if any(kind_of(known) for known in self.known_around(name)):
            return output
        first = output[0] if isinstance(output, (tuple, list)) else output
        if self.records is not None:
            names = [self.name_of(v) for v in layer.weights if "seed_generator" not in v.path] if layer else []
            self.record(name, kind, config, names, given, first)
        if self.noise is None or not keras.backend.is_float_dtype(keras.backend.standardize_dtype(first.dtype)):
            return output
        shape = tuple(first.shape)
        noisy = first * self.native(self.factor(shape, int(max(np.prod(shape), np.prod(tuple(given.shape))))))
        return (noisy, *output[1:]) if isinstance(output, (tuple, list)) else noisy

    def known_around(self, name):
        """The layers that this call is inside of, its own not counted."""
        own = name.partition(",")[0]
        return [layer for layer in self.layers if layer.name in self.inside and layer.name != own]

    def name_of(self, variable):
        return self.names[variable.path]

    @functools.cached_property
    def names(self):
        """`layer/weight` for each variable's path, unless two would have it."""
        paths = [variable.path for variable in self.model.weights if "seed_generator" not in variable.path]
        inner = {path: path.removeprefix(self.model.name + "/") for path in paths}
        short = {path: "/".join([inner[path].split("/")[0], path.split("/")[-1]]) for path in paths}
        return short if len(set(short.values())) == len(paths) else inner

    def find_weights(self):
        own = lambda layer: layer.weights if kind_of(layer) else layer._trainable_variables  # noqa: E731
        owner = {}
        last = (*AROUND.values(), None)  # an LSTM comes before its cell, and before what is around it
        for layer in sorted(self.layers, key=lambda layer: (kind_of(layer) or last[-1:])[0] in last):
            for variable in own(layer):
                owner.setdefault(id(variable), layer)
        trainable, found = {id(v) for v in self.model.trainable_variables}, []
        for variable in self.model.weights:
            if "seed_generator" in variable.path:
                continue
            layer = owner.get(id(variable))
            kind = (kind_of(layer) if layer is not None else None) or ("custom", None)
            layer_name = self.name_of(variable).rpartition("/")[0]
            weight = Weight(
                layer_name,
                kind[0],
                variable.name,
                [variable],
                trainable=id(variable) in trainable,
                name=self.name_of(variable),
            )
            found.append(weight)
        return found

    def call(self, x, training):
        self.inside, self.given = [], {}
        return self.model(x, training=training)

    def native(self, array):
        return keras.ops.convert_to_tensor(array, "float64" if array.dtype.kind == "f" else "int64")

    def numpy(self, native):
        return np.array(keras.ops.convert_to_numpy(native))

    def assign(self, tensor, array):
        tensor.assign(np.ascontiguousarray(array))

    def has_loss(self):
        return hasattr(self.program, "loss_fn") or self.compiled_with is not None

    def full_loss(self, x, y, output):
        if not hasattr(self.program, "loss_fn"):
            return self.model.compute_loss(x, y, output)
        return sum(self.model.losses, self.loss(output, y))

    def value_and_grads(self, x, y):
        variables = [weight.tensors[0] for weight in self.weights if weight.trainable]
        return GRADIENTS[keras.backend.backend()](self, variables, x, y)

    def start_training(self):
        made = self.compiled_with is not None or hasattr(self.program, "make_optimizer")
        if hasattr(self.program, "make_optimizer"):
            self.optimizer = self.program.make_optimizer()
        elif made:
            self.optimizer = type(self.compiled_with).from_config(self.compiled_with.get_config())
        return made

    def train(self, x, y):
        variables = [weight.tensors[0] for weight in self.weights if weight.trainable]
        self.optimizer.apply(self.value_and_grads(x, y)[1], variables)

    def describe_optimizer(self):
        optimizer = getattr(self, "optimizer", None)
        rule = RULES.get(type(optimizer).__name__)
        if rule is None:
            return {}
        config = optimizer.get_config()
        rate = config["learning_rate"]
        if config.get("clipnorm") or config.get("global_clipnorm") or config.get("clipvalue"):
            return {}
        names = ("epsilon", "momentum", "nesterov", "beta_1", "beta_2", "rho")
        found = {"rule": rule, **rates(rate), **{name: config[name] for name in names if name in config}}
        found.update(weight_decay=config.get("weight_decay") or 0.0, decoupled=True)
        return {**found, "epsilon_hat": rule == "adam", "rate_inside": True, "epsilon_inside": rule == "rmsprop"}


def rates(rate):
    """The learning rate of each step: exactly, and as Keras computes a schedule, in float32."""
    if not isinstance(rate, dict):
        return {"rate": float(rate)}
    schedule = keras.optimizers.schedules.deserialize(rate)
    found = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(STEPS)]
    config = rate["config"]
    exact = found
    if rate["class_name"] == "ExponentialDecay" and not config["staircase"]:
        powers = [config["decay_rate"] ** (step / config["decay_steps"]) for step in range(STEPS)]
        exact = [config["initial_learning_rate"] * power for power in powers]
    return {"rate": exact[0], "rates": exact, "rates32": found}


def tensorflow_gradients(port, variables, x, y):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = port.full_loss(x, y, port.call(x, True))
    slopes = tape.gradient(loss, [variable.value for variable in variables])
    return loss, [None if slope is None else tf.convert_to_tensor(slope) for slope in slopes]


def torch_gradients(port, variables, x, y):
    import torch

    loss = port.full_loss(x, y, port.call(x, True))
    return loss, torch.autograd.grad(loss, [variable.value for variable in variables], allow_unused=True)


def jax_gradients(port, variables, x, y):
    import jax

    state = [variable.value for variable in port.model.non_trainable_variables]

    def objective(values):
        pairs = zip([*variables, *port.model.non_trainable_variables], [*values, *state], strict=True)
        with keras.StatelessScope(list(pairs)):
            return port.full_loss(x, y, port.call(x, True))

    return jax.value_and_grad(objective)([variable.value for variable in variables])


GRADIENTS = {"tensorflow": tensorflow_gradients, "torch": torch_gradients, "jax": jax_gradients}
