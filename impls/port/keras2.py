"""A model of Keras 2: keras 2.x on TensorFlow 1 or 2, or the tensorflow.keras of a TensorFlow before 2.16.

Keras 2 builds a graph. The user's build() is called twice, once with its learning phase fixed to inference and once to
training, so that neither graph holds a branch; both have the same weights. A pass fetches what is to be seen, so all
operations of the graph are seen but those inside a loop, whose layer is then one operation. Valid on Python 3.6.
"""

import importlib
import inspect
from collections import OrderedDict

import numpy as np
import tensorflow as tf

from impls import private_apis
from impls.port import vocabulary
from impls.port.base import Port, UserError, Weight
from impls.port.keras_layers import KINDS
from impls.port.recorder import Trace

private_apis.check(__name__)

if tf.__version__.startswith("2"):
    tf.compat.v1.disable_eager_execution()
v1 = tf.compat.v1

MODES = ("inference", "training")
RULES = {"SGD": "sgd", "Adam": "adam", "RMSprop": "rmsprop"}
NUMBERS = ("lr", "learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "rho", "epsilon", "amsgrad", "decay")
CLIPPING = ("clipnorm", "clipvalue")
READS = ("ReadVariableOp", "Identity", "VariableV2", "VarHandleOp", "Variable")
UNSEEN = ("NoOp", "Assert", "Shape", "Pack", "StridedSlice", "Const", "Placeholder", "PlaceholderWithDefault")
TOLD = ("transpose_a", "transpose_b", "strides", "padding", "dilations", "ksize", "epsilon", "alpha", "keep_dims")
NAMES = {"keep_dims": "keepdim", "dilations": "dilation", "ksize": "window", "alpha": "slope"}
SECOND = {"Sum": "axis", "Mean": "axis", "Max": "axis", "Min": "axis", "Transpose": "axes", "Reshape": "shape",
          "ExpandDims": "axis", "Pad": "widths", "Tile": "counts"}  # fmt: skip


def backends():
    """The Keras modules of this interpreter whose `backend` the user's file may use."""
    found = []
    for name in ("keras", "tensorflow.keras"):
        try:
            found.append(importlib.import_module(name).backend)
        except ImportError:
            continue
    return found


def compute_in_float64():
    """TensorFlow 1's fused batch normalisation knows float32 only: written out, the same formula in float64."""

    def normalise(x, scale, offset, mean=None, variance=None, epsilon=0.001, data_format="NHWC", is_training=True,
                  name=None):  # fmt: skip
        axes = [0, 1, 2]
        if is_training:
            mean, variance = tf.nn.moments(x, axes)
        found = tf.nn.batch_normalization(x, tf.cast(mean, x.dtype), tf.cast(variance, x.dtype), offset, scale, epsilon)
        count = tf.cast(tf.size(x) / tf.size(mean), x.dtype)
        moved = variance * count / (count - 1) if is_training else variance
        return found, mean, moved

    fused = v1.nn.fused_batch_norm

    def either(x, scale, offset, *args, **kwargs):
        if x.dtype != tf.float64 or kwargs.get("data_format", "NHWC") != "NHWC":
            return fused(x, scale, offset, *args, **kwargs)
        return normalise(x, scale, offset, *args, **kwargs)

    v1.nn.fused_batch_norm = either
    try:
        inner = importlib.import_module("keras.backend.tensorflow_backend")
    except ImportError:
        return  # only tensorflow.keras is here

    def in_training(x, gamma, beta, reduction_axes, epsilon=1e-3):
        return normalise(x, gamma, beta, epsilon=epsilon)

    def in_inference(x, mean, var, beta, gamma, axis=-1, epsilon=1e-3):
        return tf.nn.batch_normalization(x, mean, var, beta, gamma, epsilon)

    inner._fused_normalize_batch_in_training = in_training
    for module in (inner, importlib.import_module("keras").backend):
        module.batch_normalization = in_inference


compute_in_float64()


def cast_to_float64(backend):
    """Keras 2 writes float32 in places (the sample size of BatchNormalization) where its float type is meant."""
    inner = getattr(backend.cast, "inner", backend.cast)

    def cast(x, dtype):
        return inner(x, "float64" if dtype == "float32" else dtype)

    cast.inner = inner
    backend.cast = cast


class PortOfKeras2(Port):
    """The tensor of a weight is the variable of the graph for training; `twins` holds that of the other graph."""

    def build(self):
        self.drops = {mode: [] for mode in MODES}
        self.models = {}
        self.functions = {}
        self.optimizer = None
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

    def checked(self, model):
        if not hasattr(model, "layers") or not hasattr(model, "get_config"):
            raise UserError("build() has to return a model of Keras, it returned {}".format(type(model).__name__))
        if not getattr(model, "inputs", None):
            raise UserError("the model has no inputs yet: give its first layer an input_shape, or call build()")
        return model

    def leave_dropout_out(self, backend):
        """Dropout gives its input back; what it would have dropped is kept by mode."""

        def dropout(x, *args, **kwargs):
            rate = kwargs.get("rate", kwargs.get("level", args[0] if args else 0.5))
            if isinstance(rate, (int, float)):
                self.drops[self.building].append((x, float(rate)))
            return tf.identity(x)

        backend.dropout = dropout
        for name in ("tensorflow.python.keras.layers.core", "tensorflow_core.python.keras.layers.core"):
            try:
                importlib.import_module(name).nn.dropout = dropout
            except (ImportError, AttributeError):
                continue

    # Weights

    def find_weights(self):
        found = []
        twins = zip(layers_of(self.models["training"]), layers_of(self.models["inference"]))
        trained = {id(variable) for variable in self.models["training"].trainable_weights}
        self.twins = {}
        for (path, layer), (_, twin) in twins:
            kind = kind_of(layer)[0]
            for variable, other in zip(own_weights(layer), own_weights(twin)):
                role = variable.name.partition(":")[0].rpartition("/")[2]
                role = {"depthwise_kernel": "kernel"}.get(role, role) if kind.startswith("depthwise") else role
                self.twins[id(variable)] = other
                trainable = id(variable) in trained
                found.append(Weight(path, kind, role, [variable], trainable=trainable, name=path + "/" + role))
        return found

    def identities(self, weight):
        return [tensor_name(variable) for variable in self.both(weight)]

    def both(self, weight):
        """A weight's variable in the graph for training, and in that for inference."""
        return weight.tensors[0], self.twins[id(weight.tensors[0])]

    def native(self, array):
        return np.asarray(array, np.float64) if np.asarray(array).dtype.kind == "f" else np.asarray(array)

    def numpy(self, native):
        return native if isinstance(native, (np.ndarray, np.generic)) else self.K.get_value(native)

    def is_tensor(self, value):
        return isinstance(value, (np.ndarray, np.generic))

    def assign(self, tensor, array):
        for variable in (tensor, self.twins[id(tensor)]):
            self.K.set_value(variable, np.ascontiguousarray(array))

    # Passes

    def feed(self, model, args, kwargs):
        values = list(kwargs.values()) if kwargs else list(args)
        if len(values) == 1 and isinstance(values[0], (list, dict)):
            values = list(values[0].values()) if isinstance(values[0], dict) else values[0]
        if len(values) != len(model.inputs):
            raise UserError("the model has {} inputs, the data have {}".format(len(model.inputs), len(values)))
        return values

    def call(self, args, kwargs, training):
        mode = MODES[training]
        model = self.models[mode]
        values = self.feed(model, args, kwargs)
        if self.trace is not None:
            found = self.watched(mode, values)
        else:
            found = self.function("pass", mode, model.inputs, model.outputs, updates_of(model, training))(values)
        return found[0] if len(found) == 1 else list(found)

    def function(self, name, mode, inputs, outputs, updates=()):
        """A function of Keras, made once."""
        if (name, mode) not in self.functions:
            self.functions[name, mode] = self.K.function(list(inputs), list(outputs), updates=list(updates))
        return self.functions[name, mode]

    def new_trace(self, keep):
        return Trace(np.asarray, self.files, keep)

    def watched(self, mode, values):
        """The same pass with every tensor between inputs and outputs fetched."""
        model = self.models[mode]
        ops = between([tensor.op for tensor in model.inputs], [tensor.op for tensor in model.outputs])
        wanted = OrderedDict((tensor.name, tensor) for op in ops for tensor in op.outputs if is_number(tensor))
        wanted.update((tensor.name, tensor) for tensor in model.outputs)
        updates = updates_of(model, mode == "training")
        fetched = self.K.function(list(model.inputs), list(wanted.values()), updates=updates)(values)
        arrays = dict(zip(wanted, fetched))
        Graph(self, mode, arrays).tell(ops, values)
        return [arrays[tensor.name] for tensor in model.outputs]

    # Loss and training

    def has_loss(self):
        return hasattr(self.program, "loss_fn") or bool(getattr(self.models["training"], "loss", None))

    def loss_tensor(self, mode, y):
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

    def differentiated(self, y):
        mode = MODES[not self.evaluating]
        if ("loss", mode) not in self.functions:
            labels, loss = self.loss_tensor(mode, y)
            variables = [self.both(weight)[self.evaluating] for weight in self.weights if weight.trainable]
            slopes = tf.gradients(loss, variables)
            kept = [at for at, slope in enumerate(slopes) if slope is not None]
            dense = [tf.convert_to_tensor(slopes[at]) for at in kept]
            model = self.models[mode]
            made = self.K.function(list(model.inputs) + [labels], [loss] + dense, updates=list(updates_of(model, True)))
            self.functions["loss", mode] = made, kept, len(variables), labels, loss
        return self.functions["loss", mode]

    def value_and_grads(self, args, kwargs, y, whole=True):
        made, kept, count, _, _ = self.differentiated(y)
        values = self.feed(self.models[MODES[not self.evaluating]], args, kwargs)
        found = made(values + [y])
        slopes = [None] * count
        for at, slope in zip(kept, found[1:]):
            slopes[at] = slope
        return np.asarray(found[0]), slopes

    def start_training(self):
        model = self.models["training"]
        if self.optimizer is None:
            self.optimizer = self.make_optimizer(model)
            if self.optimizer is None:
                return False
            self.updates = None
        elif self.updates is not None:
            for variable, value in self.fresh:
                self.K.set_value(variable, value)
        return True

    def make_optimizer(self, model):
        maker = getattr(self.program, "make_optimizer", None)
        if maker is None:
            return getattr(model, "optimizer", None)
        return maker(model) if inspect.signature(maker).parameters else maker()

    def train(self, args, kwargs, y):
        model = self.models["training"]
        if self.updates is None:
            _, _, _, labels, loss = self.differentiated(y)
            variables = [weight.tensors[0] for weight in self.weights if weight.trainable]
            steps = self.optimizer.get_updates(loss=loss, params=variables)
            self.updates = self.K.function(list(model.inputs) + [labels], [loss], updates=list(steps))
            self.fresh = [(variable, self.K.get_value(variable)) for variable in self.optimizer.weights]
        self.updates(self.feed(model, args, kwargs) + [y])

    def describe_optimizer(self):
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
        if type(self.optimizer).__module__.startswith(("keras.", "tensorflow.")):
            found["library"] = "keras"
        return dict(found, epsilon_hat=rule == "adam", rate_inside=True, epsilon_inside=False)

    def unit(self):
        return 2.0**-53


class Graph:
    """The operations of one pass, told to a trace from what was fetched."""

    def __init__(self, port, mode, arrays):
        self.trace = port.trace
        self.port = port
        self.model = port.models[mode]
        self.drops = port.drops[mode]
        self.arrays = arrays
        self.known = {}  # tensor name -> operand
        self.paths = {scope_of(layer): path for path, layer in layers_of(self.model)}

    def tell(self, ops, values):
        for tensor, value in zip(self.model.inputs, values):
            self.known[tensor.name] = self.trace.operand(value)
        for weight in self.port.weights:
            for variable in self.port.both(weight):
                self.known[tensor_name(variable)] = {"weights": [weight.name]}
        for op in ops:
            self.tell_one(op)
        for tensor in self.model.outputs:
            self.trace.remember(self.arrays[tensor.name], self.operand(tensor))
        self.tell_dropouts()
        self.trace.calls_from_scopes(self.describe)

    def tell_one(self, op):
        kept = [tensor for tensor in op.outputs if tensor.name in self.arrays]
        if op.type in READS and len(op.inputs) == 1 and "weights" in self.known.get(op.inputs[0].name, {}):
            self.known[op.outputs[0].name] = self.known[op.inputs[0].name]
            return
        if op.type == "Identity" and op.inputs[0].name in self.known:
            self.known[op.outputs[0].name] = self.known[op.inputs[0].name]
            return
        if not kept or op.type in UNSEEN:
            return
        self.trace.scope = self.scope(op)
        operands = [self.operand(tensor) for tensor in op.inputs]
        settings = attributes(op)
        if op.type in SECOND and len(operands) > 1 and "literal" in operands[1]:
            settings[SECOND[op.type]] = operands[1]["literal"]
        name = vocabulary.TENSORFLOW.get(op.type, op.type.lower())
        ids = self.trace.op(op.type, name, operands, settings, [self.arrays[tensor.name] for tensor in kept])
        for tensor, at in zip(kept, ids):
            self.known[tensor.name] = {"value": at}
        self.trace.scope = []

    def operand(self, tensor):
        if tensor.name in self.known:
            return self.known[tensor.name]
        constant = tf.get_static_value(tensor) if hasattr(tf, "get_static_value") else static_value(tensor)
        if constant is not None and np.asarray(constant).dtype.kind in "biuf":
            return {"literal": np.asarray(constant).tolist()}
        if tensor.name in self.arrays:
            return {"value": self.trace.value(self.arrays[tensor.name])}
        return {"literal": None}

    def scope(self, op):
        """The layers whose name scopes the operation is in."""
        parts = op.name.split("/")[:-1]
        return [self.paths[part] for part in parts if part in self.paths]

    def describe(self, path):
        layer = next((layer for name, layer in layers_of(self.model) if name == path), None)
        if layer is None:
            return None
        kind, config = kind_of(layer)
        names = [weight.name for weight in self.port.weights if weight.layer == path]
        return kind, type(layer).__name__, config, names

    def tell_dropouts(self):
        if self.model is not self.port.models["training"]:
            return
        for tensor, rate in self.drops:
            known = self.known.get(tensor.name)
            if known is not None and rate:
                self.trace.dropout(rate, "elements", None, True, self.layer_of(tensor), known.get("value"))

    def layer_of(self, tensor):
        scope = self.scope(tensor.op)
        return scope[-1] if scope else ""


def backend_of(model):
    """The `backend` module of the Keras that this model is of."""
    outer = "tensorflow.keras" if type(model).__module__.startswith("tensorflow") else "keras"
    return importlib.import_module(outer).backend


def layers_of(model, prefix=""):
    """`(path, layer)` of every layer, those of a model inside a model too."""
    found = []
    for layer in model.layers:
        found.append((prefix + layer.name, layer))
        if hasattr(layer, "layers"):
            found += layers_of(layer, prefix + layer.name + "/")
    return canonical(found) if not prefix else found


def canonical(pairs):
    """Automatic names count on from graph to graph (dense_1, dense_3): here they count by class, from the first."""
    counts = {}
    found = []
    for path, layer in pairs:
        stem = layer.name.rstrip("0123456789").rstrip("_")
        automatic = stem.replace("_", "") == type(layer).__name__.lower()
        if automatic:
            counts[stem] = counts.get(stem, 0) + 1
            number = counts[stem]
            path = path[: len(path) - len(layer.name)] + (stem if number == 1 else "{}_{}".format(stem, number))
        found.append((path, layer))
    return found


def scope_of(layer):
    """The name that the graph gives a layer's operations in front; a second graph of one name counts on."""
    try:
        return layer.get_output_at(0).op.name.partition("/")[0]
    except (AttributeError, RuntimeError, IndexError):
        return layer.name


def own_weights(layer):
    return [] if hasattr(layer, "layers") else list(layer.weights)


def kind_of(layer):
    """`(kind, configuration)`."""
    for ancestor in type(layer).__mro__:
        if ancestor.__name__ in KINDS and "keras" in ancestor.__module__:
            kind, config = KINDS[ancestor.__name__]
            try:
                return kind, config(layer)
            except AttributeError:  # Keras 3 calls it otherwise
                return kind, {}
    return "custom" if own_weights(layer) else "module", {}


def tensor_name(variable):
    """The name of the tensor that a graph reads a variable's value or handle by."""
    handle = getattr(variable, "handle", None)
    return (handle if handle is not None else getattr(variable, "_variable", variable)).name


def updates_of(model, training):
    """What a pass in training moves: running statistics."""
    if not training:
        return []
    found = []
    for _, layer in layers_of(model):
        updates = layer.updates
        found += updates if isinstance(updates, (list, tuple)) else []
    return list(OrderedDict((id(update), update) for update in found).values())


def between(first, last):
    """The operations that lead to `last`, in an order in which each comes after what it reads; loops are left out."""
    seen, order, ends = set(), [], set(first)

    def visit(op):
        waiting = [(op, False)]
        while waiting:
            here, done = waiting.pop()
            if done:
                order.append(here)
                continue
            if here in seen:
                continue
            seen.add(here)
            waiting.append((here, True))
            if here not in ends:
                waiting.extend((tensor.op, False) for tensor in here.inputs)

    for op in last:
        visit(op)
    return [op for op in order if op._get_control_flow_context() is None and op not in ends]


def is_number(tensor):
    return tensor.dtype.base_dtype in (tf.float64, tf.float32, tf.int32, tf.int64, tf.bool)


def attributes(op):
    found = {}
    for name in TOLD:
        try:
            value = op.get_attr(name)
        except ValueError:
            continue
        if isinstance(value, bytes):
            value = value.decode()
        found[NAMES.get(name, name)] = list(value) if isinstance(value, (list, tuple)) else value
    return {name: value for name, value in found.items() if isinstance(value, (str, int, float, list, bool))}


def static_value(tensor):
    from tensorflow.python.framework import tensor_util

    return tensor_util.constant_value(tensor)
