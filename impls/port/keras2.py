"""A model of Keras 2: keras 2.x on TensorFlow 1 or 2, or the tensorflow.keras of a TensorFlow before 2.16.

Keras 2 builds a graph. The user's build() is called twice, once with its learning phase fixed to inference and once to
training, so that neither graph holds a branch; both have the same weights. A pass fetches what is to be seen, so all
operations of the graph are seen but those inside a loop, whose layer is then one operation. Valid on Python 3.6.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from impls.port.base import Port
from impls.port.conventions import made_for
from impls.port.errors import UserError
from impls.port.keras2_graph import Graph, between, is_number, kind_of, layers_of, own_weights, tensor_name, updates_of
from impls.port.libraries import library_of
from impls.port.low_precision import is_float64
from impls.port.recorder import Trace
from impls.port.weight import Weight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from impls.port.annotations import Args, Axes, Config, Function, Key, Kwargs, LossAndSlopes, Native, Natives

    # The function of a pass with its loss, which slopes are there of how many, labels and loss
    Differentiated = tuple[Function, list[int], int, tf.Tensor, tf.Tensor]

if tf.__version__.startswith("2"):
    tf.compat.v1.disable_eager_execution()
v1 = tf.compat.v1

MODES = ("inference", "training")
RULES = {"SGD": "sgd", "Adam": "adam", "RMSprop": "rmsprop"}
NUMBERS = ("lr", "learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "rho", "epsilon", "amsgrad", "decay")
CLIPPING = ("clipnorm", "clipvalue")


def backends() -> list[ModuleType]:
    """The Keras modules of this interpreter whose `backend` the user's file may use."""
    found = []
    for name in ("keras", "tensorflow.keras"):
        try:
            found.append(importlib.import_module(name).backend)
        except ImportError:
            continue
    return found


def compute_in_float64() -> None:
    """TensorFlow 1's fused batch normalisation knows float32 only: written out, the same formula in float64."""

    def normalise(
        x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor | None = None,
        variance: tf.Tensor | None = None, epsilon: float = 0.001, data_format: str = "NHWC",
        is_training: bool = True, name: str | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:  # fmt: skip
        axes = [0, 1, 2]
        if is_training:
            mean, variance = tf.nn.moments(x, axes)
        found = tf.nn.batch_normalization(x, tf.cast(mean, x.dtype), tf.cast(variance, x.dtype), offset, scale, epsilon)
        count = tf.cast(tf.size(x) / tf.size(mean), x.dtype)
        moved = variance * count / (count - 1) if is_training else variance
        return found, mean, moved

    fused = v1.nn.fused_batch_norm

    def either(
        x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, *args: Native, **kwargs: Native
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if x.dtype != tf.float64 or kwargs.get("data_format", "NHWC") != "NHWC":
            return fused(x, scale, offset, *args, **kwargs)
        return normalise(x, scale, offset, *args, **kwargs)

    v1.nn.fused_batch_norm = either
    try:
        inner = importlib.import_module("keras.backend.tensorflow_backend")
    except ImportError:
        return  # only tensorflow.keras is here

    def in_training(
        x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, reduction_axes: Axes, epsilon: float = 1e-3
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return normalise(x, gamma, beta, epsilon=epsilon)

    def in_inference(
        x: tf.Tensor,
        mean: tf.Tensor,
        var: tf.Tensor,
        beta: tf.Tensor,
        gamma: tf.Tensor,
        axis: int = -1,
        epsilon: float = 1e-3,
    ) -> tf.Tensor:
        return tf.nn.batch_normalization(x, mean, var, beta, gamma, epsilon)

    vars(inner)["_fused_normalize_batch_in_training"] = in_training
    for module in (inner, importlib.import_module("keras").backend):
        vars(module)["batch_normalization"] = in_inference


compute_in_float64()


def cast_to_float64(backend: ModuleType) -> None:
    """Keras 2 writes float32 in places (the sample size of BatchNormalization) where its float type is meant."""
    inner = getattr(backend.cast, "inner", backend.cast)

    def cast(x: tf.Tensor, dtype: str) -> tf.Tensor:
        return inner(x, "float64" if dtype == "float32" else dtype)

    vars(cast)["inner"] = inner
    vars(backend)["cast"] = cast


class PortOfKeras2(Port):
    """The tensor of a weight is the variable of the graph for training; `twins` holds that of the other graph."""

    def build(self) -> Native:
        if not is_float64():
            raise UserError("a model of Keras 2 is compared in float64 only")
        self.drops: dict[str, list[tuple[tf.Tensor, float]]] = {mode: [] for mode in MODES}
        self.models: Natives = {}  # by mode
        self.functions: dict[tuple[str, str], Function] = {}
        self.losses: dict[str, Differentiated] = {}  # by mode
        self.optimizer: Native = None
        self.updates: Function | None = None  # a step of the optimizer
        self.fresh: list[tuple[Native, Native]] = []  # variables of the optimizer, and what they start from
        for at, mode in enumerate(MODES):
            self.building = mode
            for backend in backends():
                backend.set_floatx("float64")
                backend.set_learning_phase(at)
                cast_to_float64(backend)
                self.leave_dropout_out(backend)
            np.random.seed(0)
            self.models[mode] = self.checked(self.program.build())
        self.K = backend_of(self.models["inference"])
        return self.models["inference"]

    def checked(self, model: Native) -> Native:
        if not hasattr(model, "layers") or not hasattr(model, "get_config"):
            raise UserError("build() has to return a model of Keras, it returned {}".format(type(model).__name__))
        if not getattr(model, "inputs", None):
            raise UserError("the model has no inputs yet: give its first layer an input_shape, or call build()")
        return model

    def leave_dropout_out(self, backend: ModuleType) -> None:
        """Dropout gives its input back; what it would have dropped is kept by mode."""

        def dropout(x: tf.Tensor, *args: Native, **kwargs: Native) -> tf.Tensor:
            rate = kwargs.get("rate", kwargs.get("level", args[0] if args else 0.5))
            if isinstance(rate, (int, float)):
                self.drops[self.building].append((x, float(rate)))
            return tf.identity(x)

        vars(backend)["dropout"] = dropout
        for name in ("tensorflow.python.keras.layers.core", "tensorflow_core.python.keras.layers.core"):
            try:
                importlib.import_module(name).nn.dropout = dropout
            except (ImportError, AttributeError):
                continue

    # Weights

    def find_weights(self) -> list[Weight]:
        found = []
        twins = zip(layers_of(self.models["training"]), layers_of(self.models["inference"]))
        trained = {id(variable) for variable in self.models["training"].trainable_weights}
        self.twins: dict[int, Native] = {}
        for (path, layer), (_, twin) in twins:
            kind = kind_of(layer)[0]
            for variable, other in zip(own_weights(layer), own_weights(twin)):
                role = variable.name.partition(":")[0].rpartition("/")[2]
                role = {"depthwise_kernel": "kernel"}.get(role, role) if kind.startswith("depthwise") else role
                self.twins[id(variable)] = other
                trainable = id(variable) in trained
                found.append(Weight(path, kind, role, [variable], trainable=trainable, name=path + "/" + role))
        return found

    def identities(self, weight: Weight) -> list[Key]:
        return [tensor_name(variable) for variable in self.both(weight)]

    def both(self, weight: Weight) -> tuple[Native, Native]:
        """A weight's variable in the graph for training, and in that for inference."""
        return weight.tensors[0], self.twins[id(weight.tensors[0])]

    def native(self, array: np.ndarray) -> Native:
        return np.asarray(array, np.float64) if np.asarray(array).dtype.kind == "f" else np.asarray(array)

    def numpy(self, native: Native) -> np.ndarray:
        return np.asarray(native) if isinstance(native, (np.ndarray, np.generic)) else self.K.get_value(native)

    def is_tensor(self, value: Native) -> bool:
        return isinstance(value, (np.ndarray, np.generic))

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        for variable in (tensor, self.twins[id(tensor)]):
            self.K.set_value(variable, np.ascontiguousarray(array))

    # Passes

    def feed(self, model: Native, args: Args, kwargs: Kwargs) -> list[Native]:
        values = list(kwargs.values()) if kwargs else list(args)
        if len(values) == 1 and isinstance(values[0], (list, dict)):
            values = list(values[0].values()) if isinstance(values[0], dict) else values[0]
        if len(values) != len(model.inputs):
            raise UserError("the model has {} inputs, the data have {}".format(len(model.inputs), len(values)))
        return values

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        mode = MODES[training]
        model = self.models[mode]
        values = self.feed(model, args, kwargs)
        if self.trace is not None:
            found = self.watched(self.trace, mode, values)
        else:
            found = self.function("pass", mode, model.inputs, model.outputs, updates_of(model, training))(values)
        return found[0] if len(found) == 1 else list(found)

    def function(
        self,
        name: str,
        mode: str,
        inputs: Sequence[tf.Tensor],
        outputs: Sequence[tf.Tensor],
        updates: Sequence[Native] = (),
    ) -> Function:
        """A function of Keras, made once."""
        if (name, mode) not in self.functions:
            self.functions[name, mode] = self.K.function(list(inputs), list(outputs), updates=list(updates))
        return self.functions[name, mode]

    def new_trace(self, keep: int) -> Trace:
        return Trace(np.asarray, self.files, keep)

    def watched(self, trace: Trace, mode: str, values: Sequence[Native]) -> list[Native]:
        """The same pass with every tensor between inputs and outputs fetched."""
        model = self.models[mode]
        ops = between([tensor.op for tensor in model.inputs], [tensor.op for tensor in model.outputs])
        wanted = OrderedDict((tensor.name, tensor) for op in ops for tensor in op.outputs if is_number(tensor))
        wanted.update((tensor.name, tensor) for tensor in model.outputs)
        updates = updates_of(model, mode == "training")
        fetched = self.K.function(list(model.inputs), list(wanted.values()), updates=updates)(values)
        arrays = dict(zip(wanted, fetched))
        Graph(self, trace, mode, arrays).tell(ops, values)
        return [arrays[tensor.name] for tensor in model.outputs]

    # Loss and training

    def has_loss(self) -> bool:
        return hasattr(self.program, "loss_fn") or bool(getattr(self.models["training"], "loss", None))

    def loss_tensor(self, mode: str, y: Native) -> tuple[tf.Tensor, tf.Tensor]:
        model = self.models[mode]
        labels = v1.placeholder("float64" if y.dtype.kind == "f" else "int64", [None] * y.ndim)
        output = model.outputs[0] if len(model.outputs) == 1 else list(model.outputs)
        if hasattr(self.program, "loss_fn"):
            found = self.loss(output, labels)
        else:
            name = model.loss if not isinstance(model.loss, (list, dict)) else next(iter(model.loss))
            module = importlib.import_module(type(model).__module__.partition(".engine")[0] + ".losses")
            found = (module.get(name) if isinstance(name, str) else name)(labels, output)
        if found.shape.ndims:
            found = tf.reduce_mean(found)
        return labels, found

    def differentiated(self, y: Native) -> Differentiated:
        mode = MODES[not self.evaluating]
        if mode not in self.losses:
            labels, loss = self.loss_tensor(mode, y)
            variables = [self.both(weight)[self.evaluating] for weight in self.weights if weight.trainable]
            slopes = tf.gradients(loss, variables)
            kept = [at for at, slope in enumerate(slopes) if slope is not None]
            dense = [tf.convert_to_tensor(slopes[at]) for at in kept]
            model = self.models[mode]
            made = self.K.function(list(model.inputs) + [labels], [loss] + dense, updates=list(updates_of(model, True)))
            self.losses[mode] = made, kept, len(variables), labels, loss
        return self.losses[mode]

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> LossAndSlopes:
        made, kept, count, _, _ = self.differentiated(y)
        values = self.feed(self.models[MODES[not self.evaluating]], args, kwargs)
        found = made(values + [y])
        slopes: list[Native] = [None] * count
        for at, slope in zip(kept, found[1:]):
            slopes[at] = slope
        return np.asarray(found[0]), slopes

    def start_training(self) -> bool:
        model = self.models["training"]
        if self.optimizer is None:
            self.optimizer = self.make_optimizer(model)
            if self.optimizer is None:
                return False
        elif self.updates is not None:
            for variable, value in self.fresh:
                self.K.set_value(variable, value)
        return True

    def make_optimizer(self, model: Native) -> Native:
        maker = getattr(self.program, "make_optimizer", None)
        if maker is None:
            return getattr(model, "optimizer", None)
        return made_for(maker, model)

    def train(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        model = self.models["training"]
        if self.updates is None:
            _, _, _, labels, loss = self.differentiated(y)
            variables = [weight.tensors[0] for weight in self.weights if weight.trainable]
            steps = self.optimizer.get_updates(loss=loss, params=variables)
            self.updates = self.K.function(list(model.inputs) + [labels], [loss], updates=list(steps))
            self.fresh = [(variable, self.K.get_value(variable)) for variable in self.optimizer.weights]
        self.updates(self.feed(model, args, kwargs) + [y])

    def describe_optimizer(self) -> Config:
        if self.optimizer is None:
            return {}
        config = self.optimizer.get_config()
        rule = RULES.get(type(self.optimizer).__name__)
        found = {name: config[name] for name in NUMBERS + CLIPPING if config.get(name) is not None}
        rate = found.pop("lr", found.pop("learning_rate", 0.0))
        if not isinstance(rate, (int, float, np.floating)) or found.pop("decay", 0.0):
            return {}
        found.update(rule=rule, class_name=type(self.optimizer).__name__, rate=float(rate), weight_decay=0.0)
        found = {name: float(value) if isinstance(value, np.floating) else value for name, value in found.items()}
        found.update(library_of(self.optimizer))
        return dict(found, epsilon_hat=rule == "adam", rate_inside=True, epsilon_inside=False)

    def unit(self) -> float:
        return 2.0**-53


def backend_of(model: Native) -> ModuleType:
    """The `backend` module of the Keras that this model is of."""
    outer = "tensorflow.keras" if type(model).__module__.startswith("tensorflow") else "keras"
    return importlib.import_module(outer).backend
