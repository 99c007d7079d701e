"""A keras.Model of a user, on any backend: layers are seen by wrapping `call`, what they compute by the engine."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras.src.utils import naming

from impls import private_apis
from impls.port import keras_optimizers, own_steps
from impls.port.base import Port
from impls.port.conventions import made_for
from impls.port.errors import ServedElsewhere, UserError
from impls.port.keras_layers import CELLS, RENAMED, function, kind_of, layout
from impls.port.keras_schedules import config_of
from impls.port.keras_types import float64_everywhere
from impls.port.libraries import looks_like_functions
from impls.port.low_precision import widened, working_type
from impls.port.weight import Weight
from impls.replacing import replaced

if TYPE_CHECKING:
    from collections.abc import Callable

    from impls.port.annotations import (
        Args,
        Arrays,
        Config,
        Described,
        Engine,
        Function,
        Key,
        Kwargs,
        LossAndSlopes,
        MaybeWays,
        Native,
        Shape,
    )
    from impls.port.recorder import Trace

private_apis.check(__name__)


class PortOfKeras(Port):
    conditions = staticmethod(float64_everywhere)
    forget_names = staticmethod(naming.reset_uids)

    def build(self) -> Native:
        keras.utils.set_random_seed(0)
        self.engine = ENGINES[self.backend]()
        model = super().build()
        if not isinstance(model, keras.Model):
            if looks_like_functions(model):  # trained by Keras's optimizer, say
                raise ServedElsewhere(model)
            raise UserError(f"build() has to return a keras.Model, it returned {type(model).__name__}")
        self.compiled_with: Native = getattr(model, "optimizer", None)
        self.paths: dict[int, str] = {}  # by the identity of a layer
        self.layers: dict[str, keras.Layer] = {}
        self.common_draws: dict[str, Function] = {}  # what draws random numbers, by name
        patch_random(self)
        return model

    def open(self, inputs: Arrays) -> None:
        self.convene(inputs)  # layers come to be in the first call
        self.name_layers(self.model, "")
        for path, layer in self.layers.items():
            self.wrap(path, layer)
        self.weights = self.find_weights()
        self.read_into_clean()

    def name_layers(self, parent: keras.Layer, prefix: str) -> None:
        """A path for every layer: the names of those around it and its own."""
        for layer in parent._layers:
            if id(layer) in self.paths or layer is self.model or not isinstance(layer, keras.Layer):
                continue
            path = prefix + layer.name
            count = 2
            while path in self.layers:
                path = f"{prefix}{layer.name}#{count}"
                count += 1
            self.paths[id(layer)] = path
            self.layers[path] = layer
            self.name_layers(layer, path + "/")

    def wrap(self, path: str, layer: keras.Layer) -> None:
        kind, config = kind_of(layer) or ("module", lambda layer: {})
        inner = layer.call
        innermost = not any(isinstance(part, keras.Layer) for part in layer._layers)
        activation: Native = getattr(layer, "activation", None)
        fused = callable(activation) and kind not in ("activation", "lstm", "gru", "simple_rnn", "module")
        if fused and getattr(activation, "__name__", "") != "linear":
            layer.activation = self.wrapped_activation(path, activation)

        def call(*args: Native, **options: Native) -> Native:
            with self.engine.layer(self, path, kind, config(layer), type(layer).__name__, (args, options)) as seen:
                output = inner(*args, **options)
                output = self.disturb(output) if innermost else output
                return seen(output)

        layer.call = call

    def wrapped_activation(self, path: str, inner: Function) -> Function:
        """A layer with an activation of its own is two calls."""
        name = getattr(inner, "__name__", type(inner).__name__)

        def activation(x: Native) -> Native:
            around = self.engine.layer(self, f"{path}, activation", "activation", function(inner), name, ((x,), {}))
            with around as seen:
                return seen(self.disturb(inner(self.disturb(x))))

        activation.__name__ = name
        return activation

    def disturb(self, output: Native) -> Native:
        """The output with errors in it, where there is noise."""
        if self.noise is None:
            return output
        return keras.tree.map_structure(self.disturb_one, output)

    def disturb_one(self, tensor: Native) -> Native:
        if not self.is_tensor(tensor) or not keras.backend.is_float_dtype(
            keras.backend.standardize_dtype(tensor.dtype)
        ):
            return tensor
        shape = tuple(int(n) for n in tensor.shape)
        return tensor * self.native(self.factor(shape, int(np.prod(shape))))

    def is_tensor(self, value: Native) -> bool:
        return keras.ops.is_tensor(value)

    def find_weights(self) -> list[Weight]:
        owners = {}
        for path, layer in [("", self.model), *self.layers.items()]:
            for variable in layer._trainable_variables + layer._non_trainable_variables:
                owners[id(variable)] = (path, layer)
        trainable = {id(variable) for variable in self.model.trainable_variables}
        found, names = [], set()
        for variable in self.model.weights:
            if "seed_generator" in variable.path or "int" in str(variable.dtype) or "bool" in str(variable.dtype):
                continue
            path, layer = owners.get(id(variable), ("", self.model))
            weight = self.weight(path, layer, variable, id(variable) in trainable)
            while weight.name in names:
                weight.name += "'"
            names.add(weight.name)
            found.append(weight)
        return found

    def weight(self, path: str, layer: keras.Layer, variable: keras.Variable, trainable: bool) -> Weight:
        kind = (kind_of(layer) or (CELLS.get(type(layer).__name__, "custom"), None))[0]
        if type(layer).__name__ in CELLS:
            path = path.rpartition("/")[0] or path
        role = RENAMED.get(variable.name, variable.name) if kind.startswith("depthwise") else variable.name
        ways: MaybeWays = layout(layer, variable) or (None, None)
        name = f"{path}/{variable.name}".lstrip("/")
        if kind == "custom" and id(variable) in {id(v) for v in layer._non_trainable_variables} and not trainable:
            kind = "buffer" if variable.trainable is False else kind
        return Weight(path, kind, role, [variable], *ways, trainable, name=name)

    def identities(self, weight: Weight) -> list[Key]:
        return [self.engine.identity(variable) for variable in weight.tensors]

    def parameters_of_call(self) -> tuple[str, ...]:
        if getattr(self.model, "_functional", None) is not None or hasattr(self.model, "_inputs_struct"):
            return ()
        return tuple(inspect.signature(type(self.model).call).parameters)

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        return self.engine.call(self, args, kwargs, training)

    def new_trace(self, keep: int) -> Trace:
        return self.engine.new_trace(self, keep)

    def native(self, array: np.ndarray) -> Native:
        array = np.asarray(array)
        dtype = {"f": working_type(), "b": "bool"}.get(array.dtype.kind, "int64")
        return keras.ops.convert_to_tensor(array, dtype)

    def numpy(self, native: Native) -> np.ndarray:
        return widened(np.asarray(keras.ops.convert_to_numpy(native)))

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        tensor.assign(np.ascontiguousarray(array))

    def finish(self, trace: Trace) -> None:
        self.engine.finish(self, trace)

    def describe_layer(self, path: str) -> Described | None:
        """What `Trace.calls_from_scopes` asks."""
        layer = self.layers.get(path)
        if layer is None:
            owner = self.layers.get(path.partition(", ")[0])
            return ("activation", "activation", function(owner.activation), []) if owner is not None else None
        kind, config = kind_of(layer) or ("module", lambda layer: {})
        return kind, type(layer).__name__, config(layer), self.names_in(layer)

    def names_in(self, layer: keras.Layer) -> list[str]:
        inside = {id(variable) for variable in layer.variables}
        return [weight.name for weight in self.weights if id(weight.tensors[0]) in inside]

    def has_loss(self) -> bool:
        return hasattr(self.program, "loss_fn") or self.compiled_with is not None

    def sums_in_any_order(self) -> bool:
        return self.backend == "jax"

    def slopes_with_penalty(self) -> bool:
        return not self.squares()

    def full_loss(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> Native:
        """The loss; `whole`: with what layers and regularisers add to it."""
        output = self.model(*args, **kwargs, training=not self.evaluating)
        if not hasattr(self.program, "loss_fn"):
            return self.compiled_loss(args[0] if args else kwargs, output, y, whole)
        loss = self.loss(output, y)
        return sum(self.model.losses, loss) if whole else loss

    def loss(self, output: Native, y: Native) -> Native:
        """The user's function; the loss that `compile` knows by this name, a mean; or what it was compiled with."""
        if not hasattr(self.program, "loss_fn"):
            return self.compiled_loss(None, output, y, False)
        named = self.program.loss_fn
        return keras.ops.mean(keras.losses.get(named)(y, output)) if isinstance(named, str) else super().loss(output, y)

    def compiled_loss(self, x: Native, output: Native, y: Native, whole: bool) -> Native:
        """What `fit` makes small; without the penalties of layers, which Keras's own adds to it, unless `whole`."""
        loss = self.model.compute_loss(x, y, output)
        adds = type(self.model).compute_loss.__module__.startswith("keras.")
        return loss - sum(self.model.losses) if adds and self.model.losses and not whole else loss

    def watching(self) -> Native:
        return self.engine.watching(self)

    def penalty(self) -> float:
        losses = self.model.losses  # asked for once: some are computed by it
        return float(sum(np.asarray(self.numpy(loss)) for loss in losses)) if losses else 0.0

    def squares(self) -> dict[str, float]:
        """`{weight name: factor}` of weights whose squares are added to the loss; {} where anything else is, too."""
        found = {}
        for weight in self.weights:
            regularizer: Native = getattr(weight.tensors[0], "regularizer", None)
            if type(regularizer).__name__ == "L2":
                found[weight.name] = float(regularizer.l2)
        return found if len(found) == len(self.model.losses) else {}

    def trained(self) -> list[keras.Variable]:
        return [weight.tensors[0] for weight in self.weights if weight.trainable]

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> LossAndSlopes:
        loss, slopes = self.engine.gradients(self, self.trained(), args, kwargs, y, whole)
        self.fresh = slopes if whole or not self.model.losses else None
        return loss, slopes

    def start_training(self) -> bool:
        made = self.compiled_with is not None or hasattr(self.program, "make_optimizer")
        if hasattr(self.program, "make_optimizer"):
            maker = self.program.make_optimizer
            self.optimizer = made_for(maker, self.model)
        elif made:
            self.optimizer = type(self.compiled_with).from_config(config_of(self.compiled_with))
        if made and not self.optimizer.built:
            self.optimizer.build(self.trained())
        if made and self.steps_itself():
            self.compile_for_steps()
        return made

    def steps_itself(self) -> bool:
        """Whether the user's file has a `train_step`, or their model has one that is not Keras's."""
        if own_steps.own_step(self.program) is not None:
            return True
        step = type(self.model).train_step
        return not step.__module__.startswith("keras.")

    def step_runs_the_model(self) -> bool:
        return self.steps_itself()

    def compile_for_steps(self) -> None:
        """As its user would before `fit`: a `train_step` asks the model for its optimizer and its loss."""
        if self.backend == "jax":
            raise UserError("the user's own train_step can't be followed on JAX: try --backend-a or --backend-b")
        loss = self.loss_of_labels if hasattr(self.program, "loss_fn") else self.model.loss
        self.model.compile(optimizer=self.optimizer, loss=loss, run_eagerly=True)

    def loss_of_labels(self, y: Native, output: Native) -> Native:
        return self.loss(output, y)

    def train(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        """From the gradient of the same weights that was just looked at, where it is the one that a step takes."""
        own = own_steps.own_step(self.program)
        if own is not None:
            known = {"model": self.model, "optimizer": self.optimizer, **own_steps.batch_of(args, kwargs, y)}
            known.update({"loss": self.program.loss_fn} if hasattr(self.program, "loss_fn") else {})
            own_steps.take(own, known, ("model", "optimizer", "x", "y"))
            self.fresh = None
            return
        if self.steps_itself():
            self.model.train_step(own_steps.batch_of(args, kwargs, y)["batch"])
            self.fresh = None
            return
        slopes = self.fresh if self.fresh is not None else self.value_and_grads(args, kwargs, y)[1]
        self.optimizer.apply(slopes, self.trained())
        self.fresh = None

    def describe_optimizer(self) -> Config:
        optimizer = getattr(self, "optimizer", None)
        if optimizer is None:
            return {}
        variables = {weight.name: weight.tensors[0] for weight in self.weights if weight.trainable}
        return keras_optimizers.describe(optimizer, variables, self.squares())


def patch_random(port: PortOfKeras) -> None:
    """Dropout is left out and told; other random numbers are those that both sides get."""
    random: Native = importlib.import_module(f"keras.src.backend.{port.backend}.random")

    def dropout(inputs: Native, rate: float, noise_shape: Native = None, seed: Native = None) -> Native:
        kind = "elements" if noise_shape is None else "channels"
        return port.engine.dropped(port, kind, rate, inputs)

    def normal(
        shape: Shape, mean: Native = 0.0, stddev: Native = 1.0, dtype: str | None = None, seed: Native = None
    ) -> Native:
        made = port.draws.normal(shape) * np.asarray(stddev) + np.asarray(mean)
        return keras.ops.cast(port.native(made), dtype or keras.config.floatx())

    def uniform(
        shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: str | None = None, seed: Native = None
    ) -> Native:
        made = port.draws.uniform(shape) * (maxval - minval) + minval
        return keras.ops.cast(port.native(made), dtype or keras.config.floatx())

    initial = random.dropout
    for place in (random, keras.src.backend.random):
        if getattr(place, "dropout", None) is initial or place is random:
            place.dropout = dropout
    port.common_draws = {"normal": normal, "uniform": uniform}


def common_draws(port: PortOfKeras) -> contextlib.AbstractContextManager[None]:
    """Random numbers of layers are common ones while a pass runs; a first call initialises weights with its own."""
    return replaced([(keras.src.backend.random, name, draw) for name, draw in port.common_draws.items()])


def engine(name: str) -> Callable[[], Engine]:
    """Loads the module of one backend when it is asked for."""
    return lambda: importlib.import_module("impls.port.keras_engines").ENGINES[name]()


ENGINES = {name: engine(name) for name in ("tensorflow", "torch", "jax")}
