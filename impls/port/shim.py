"""A model of the project's own shim, on any backend; its loss is `LOSS`, its optimizer `OPTIMIZER`, or of `compile`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np

from impls.port.base import Port
from impls.port.errors import UserError
from impls.port.low_precision import HALVES, widened, working_type
from impls.port.recorder import Trace, Watched
from impls.port.weight import Weight
from impls.shim.activation_functions import ACTIVATIONS, softmax_of_images
from impls.shim.data import fits
from impls.shim.layer import Layer, Run
from impls.shim.losses import loss_function
from impls.shim.model import Model

if TYPE_CHECKING:
    from impls.port.annotations import (
        Args,
        Arrays,
        Config,
        Configure,
        Key,
        Kind,
        Kwargs,
        LossAndSlopes,
        Native,
        Natives,
    )
    from impls.shim.backends.contract import Array, Backend

NAMES = {softmax_of_images: "softmax", **{function: name for name, function in ACTIVATIONS.items()}}


def window(layer: Native) -> Config:
    return {"window": layer.window, "strides": layer.strides, "padding": layer.padding, "dilation": layer.dilation}


def settings(layer: Native) -> Config:
    return {"epsilon": layer.epsilon}


KINDS = {
    "dense": ("dense", lambda layer: {}),
    "conv2d": ("conv2d", window),
    "depthwiseconv2d": ("depthwise_conv2d", window),
    "maxpool2d": ("maxpool2d", window),
    "averagepool2d": ("avgpool2d", window),
    "globalaveragepool2d": ("adaptive_pool", lambda layer: {}),
    "batchnorm": ("batchnorm", lambda layer: {"epsilon": layer.epsilon, "momentum": layer.momentum}),
    "layernorm": ("layernorm", settings),
    "embedding": ("embedding", lambda layer: {}),
    "lstm": ("lstm", lambda layer: {"return_sequences": layer.return_sequences}),
    "gru": ("gru", lambda layer: {"return_sequences": layer.return_sequences, "reset_after": layer.reset_after}),
    "flatten": ("flatten", lambda layer: {}),
    "dropout": ("dropout", lambda layer: {}),
}
FUSED = ("dense", "conv2d", "depthwise_conv2d")


def own_activation(layer: Native) -> Config:
    """What an activation, fused or a layer of its own, computes."""
    name = NAMES.get(layer.activation, "unknown")
    return {"name": name, "slope": 0.2} if name == "leaky_relu" else {"name": name}


def kind_of(layer: Native) -> Kind:
    if layer.kind in ("activation", "relu"):
        return "activation", own_activation
    return KINDS.get(layer.kind, (layer.kind, lambda layer: {}))


class PortOfShim(Port):
    seen = 0  # operations of the calls of layers that are over
    done = ""  # the layer whose activation was told already

    def build(self) -> Native:
        model = super().build()
        if not isinstance(model, Model):
            raise UserError(f"build() has to return a model of impls.shim, it returned {type(model).__name__}")
        if model.outputs:
            names = ", ".join(model.output_names)
            raise UserError(f"the model of the shim has several outputs ({names}): build() has to return one of one")
        dtype = working_type()
        return model.to(backend=self.backend, mode="eager", dtype=f"mixed_{dtype}" if dtype in HALVES else dtype)

    def open(self, inputs: Arrays) -> None:
        name, x = next(iter(inputs.items()))
        if self.model.input_shape is None:
            self.model.build(x.shape[1:])
        elif not fits(x.shape[1:], self.model.input_shape):
            raise UserError(f"{name} has examples of shape {x.shape[1:]}, the model takes {self.model.input_shape}")
        self.model.get_weights()  # binds the backend
        self.images = {step.layer.name: step.image for step in self.model.plan}
        for layer in self.model.layers:
            if kind_of(layer)[0] in FUSED and layer.activation:
                self.wrap(layer)
        super().open(inputs)

    def wrap(self, layer: Native) -> None:
        """A layer with an activation of its own is two calls."""
        inner, config = layer.activation, own_activation(layer)

        def activation(B: Backend, y: Array) -> Array:
            y = self.tap(layer, *kind_of(layer), y)
            self.before = y
            self.done = layer.name
            return self.tap(layer, "activation", lambda layer: config, inner(B, y), f"{layer.name}, activation")

        layer.activation = activation

    def tap(self, layer: Native, kind: str, config: Configure, output: Array, name: str = "") -> Array:
        """One call is over: tell the trace, and give the output, with errors where there is noise."""
        given = self.before
        if kind == "dropout":
            self.dropped("elements", layer.rate, given, not self.evaluating)
        trace = self.trace
        if trace is not None and self.backend != "jax":
            names = [] if name else list(layer.weights)
            trace.enter(name or layer.name)
            operands = [trace.operand(given)]
            trace.leave(name or layer.name, self.seen, kind, config(layer), names, operands, [output], layer.kind)
            self.seen = len(trace.ops)
        if self.noise is not None:
            output = output * self.model.native(self.factor(tuple(output.shape), int(np.prod(output.shape))))
        self.before = output
        return output

    def find_weights(self) -> list[Weight]:
        kinds = {name: kind_of(layer)[0] for layer in self.model.layers for name in layer.weights}
        trainable, found = set(self.model.trainable_names()), []
        for name in self.model.declared:
            layer, _, role = name.rpartition("/")
            found.append(Weight(layer, kinds[name], role, [name], trainable=name in trainable, name=name))
        return found

    def identities(self, weight: Weight) -> list[Key]:
        carry = self.model.carry
        return [id({**carry["state"], **carry["weights"]}[weight.tensors[0]])]

    def new_trace(self, keep: int) -> Trace:
        return Trace(self.numpy, self.files, keep)

    def native(self, array: np.ndarray) -> Native:
        return self.model.native(array)

    def is_tensor(self, value: Native) -> bool:
        return hasattr(value, "shape") and hasattr(value, "dtype")

    def numpy(self, native: Native) -> np.ndarray:
        if isinstance(native, str):
            return np.array(self.model.get_weights()[native])
        return widened(np.asarray(self.model.B.numpy(native)))

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        self.model.set_weights({**self.model.get_weights(), tensor: array})

    def apply(self, weights: Natives, x: Array, training: bool) -> tuple[Array, Natives]:
        """The model's outputs, taps included, and the statistics that it moves."""
        self.before = x
        self.done = ""
        self.seen = 0
        noise = {layer.name: 1.0 for layer in self.model.layers if layer.kind == "dropout"}
        run = Run(training, noise)

        def tap(layer: Layer, y: Array) -> Array:
            if self.done == layer.name:
                return y
            return self.tap(layer, *kind_of(layer), y)

        return self.model.apply(weights, x, run, tap), run.updates

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        carry = self.model.carry
        weights = {**carry["state"], **carry["weights"]}
        output, updates = self.watched(weights, args[0], training)
        for name, value in updates.items():
            carry["state"][name] = self.model.B.assign(carry["state"][name], value)
        return output

    def watched(self, weights: Natives, x: Array, training: bool) -> tuple[Array, Natives]:
        """One pass, seen by the recorder of the engine where there is a trace."""
        if self.trace is None or self.backend not in ("jax", "torch", "tensorflow"):
            return self.apply(weights, x, training)
        recorder = importlib.import_module(f"impls.port.{self.backend}_recorder")
        if self.backend == "jax":
            function = lambda weights, x: self.apply(weights, x, training)  # noqa: E731
            return recorder.record(self.trace, function, weights, (x,), self.overrides)
        if self.backend == "tensorflow":
            with recorder.recording(self.trace, self.overridden):
                return self.apply(weights, x, training)
        with recorder.Functions(Watched(self)):
            return self.apply(weights, x, training)

    def has_loss(self) -> bool:
        return hasattr(self.program, "LOSS") or self.model.optimizer is not None

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> LossAndSlopes:
        B, carry = self.model.B, self.model.carry
        loss = loss_function(self.program.LOSS) if hasattr(self.program, "LOSS") else self.model.loss

        def objective(weights: Natives) -> tuple[Array, Natives]:
            output, updates = self.apply({**carry["state"], **weights}, args[0], not self.evaluating)
            return loss(B, y, output), updates

        (value, _), grads = B.value_and_grad(objective, "eager")(carry["weights"])
        roles = {name: weight.role for name, weight in self.model.declared.items()}
        return value, [B.numpy(grads[w.name], roles[w.name]) for w in self.weights if w.trainable]

    def slope(self, tensor: Native, gradient: Native) -> np.ndarray:
        return np.array(gradient)

    def start_training(self) -> bool:
        optimizer = getattr(self.program, "OPTIMIZER", None) or self.model.optimizer
        if optimizer is None or not hasattr(self.program, "LOSS"):
            return False
        self.model.compile(optimizer=optimizer, loss=self.program.LOSS)
        return True

    def train(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        self.model.ready(args[0])
        self.model.step(args[0], y)

    def describe_optimizer(self) -> Config:
        optimizer = self.model.optimizer
        if optimizer is None or callable(optimizer.learning_rate):
            return {}
        names = ("epsilon", "momentum", "nesterov", "beta_1", "beta_2", "rho", "weight_decay")
        found = {name: getattr(optimizer, name) for name in names if hasattr(optimizer, name)}
        rule = "sgd" if optimizer.name == "plain" else optimizer.name
        found.update(rule=rule, rate=float(optimizer.learning_rate), decoupled=True, rate_inside=True)
        return {**found, "epsilon_hat": rule == "adam", "epsilon_inside": rule == "rmsprop"}
