"""What flax, Equinox and Haiku models have in common: their arrays by name, a pure function of them, layers by scope.

A front end (`flax.py`, `equinox.py`, `haiku.py`) says what the arrays are and runs the model with them. It calls each
layer inside the recorder's scope of its path, and gives dropout back unchanged: where it drops is told, not done.
"""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from typing import TYPE_CHECKING

import jax
import numpy as np

from impls.port import jax_recorder, own_steps
from impls.port.base import Port
from impls.port.conventions import made_for
from impls.port.errors import UserError
from impls.port.jax_layers import EVAL_FLAGS, TRAIN_FLAGS, kind_of, row_of
from impls.port.low_precision import is_float64, is_floating, widened, working_type
from impls.port.recorder import Trace
from impls.port.weight import Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from impls.port.annotations import (
        Args,
        Config,
        Described,
        Function,
        Key,
        Kwargs,
        LossAndSlopes,
        Native,
        Natives,
        Read,
        Shape,
        Tree,
        Write,
    )
    from impls.port.jax_layers import Row, Table

    Errors = dict[str, list[np.ndarray]]  # factors of a run with noise, by the spelled shape

jax.config.update("jax_enable_x64", is_float64())
SEED = 0


class PortOfJax(Port):
    """A model of a JAX library. Weights are named arrays, `run` a pure function of them."""

    table: Table  # class name -> Row of impls.port.jax_layers
    separator = "/"

    def build(self) -> Native:
        made = self.program.build()
        self.arrays: Natives = OrderedDict()  # name -> array: parameters, and state that is a number
        self.trainable: set[str] = set()
        self.layers: OrderedDict[str, tuple[Native, Row | None]] = OrderedDict()  # path -> (layer, Row or None)
        self.signature: Mapping[str, inspect.Parameter] = {}  # of the model's call
        self.functions: dict[tuple[str, bool, bool], Function] = {}  # that are compiled
        self.errors: Errors | None = None  # what the outputs of layers are multiplied by in a run with noise, by shape
        self.shapes: list[Shape] = []  # of the outputs of layers in the run that goes on
        self.outputs: dict[bool, list[Shape]] = {}  # those of the last clean run in inference and in training
        self.optimizer: Native = None
        self.take_model(made)
        return made

    def take_model(self, made: Native) -> None:
        """Keep what build() returned. Raises UserError where it is no model of this library."""
        raise NotImplementedError

    def start(self, args: Args, kwargs: Kwargs) -> None:
        """Give the model its arrays where build() returned none."""

    def run(self, arrays: Natives, args: Args, kwargs: Kwargs, training: bool) -> tuple[Native, Natives]:
        """`(output, state that moved by name)`: pure, and traceable."""
        raise NotImplementedError

    # Layers

    def enter(self, path: str, layer: Native, call: Callable[[], Native]) -> Native:
        """Call a layer in its scope."""
        row = row_of(type(layer), self.table)
        self.layers.setdefault(path, (layer, row))
        with jax_recorder.scope(path):
            output = call()
        return output if row is None else self.disturb(output)

    def disturb(self, output: Native) -> Native:
        """The output with errors in it, in a run that has noise."""
        return jax.tree.map(self.disturb_one, output)

    def disturb_one(self, array: Native) -> Native:
        if not is_number(array):
            return array
        self.shapes.append(array.shape)
        fitting = (self.errors or {}).get(spelled(array.shape))
        if not fitting:
            return array
        at = self.shapes.count(array.shape) - 1  # a scan may trace its body more often than the clean run did
        return array * fitting[min(at, len(fitting) - 1)].astype(array.dtype)

    def add_layer(self, path: str, layer: Native) -> None:
        """A known layer that the model has, whether or not a trace sees its call (a cell inside a scan)."""
        row = row_of(type(layer), self.table)
        if row is not None:
            self.layers.setdefault(path, (layer, row))

    def drop(self, path: str, layer: Native, x: Native, active: bool) -> Native:
        """A dropout layer gives x back; where it is active, the recorder is told."""
        rate = float(getattr(layer, "rate", getattr(layer, "p", 0.0)))
        kind = "channels" if getattr(layer, "broadcast_dims", ()) else "elements"
        if self.trace is None or not active or not rate:
            return x
        with jax_recorder.scope(path):
            return jax_recorder.note_dropout(kind, rate, jax.numpy.asarray(x))

    def find_weights(self) -> list[Weight]:
        """Each layer's weights by its row; what no known layer owns is a weight of the user's own."""
        taken: set[str] = set()
        found: list[Weight] = []
        for path, (layer, row) in sorted(self.layers.items(), key=lambda item: item[0].count(self.separator)):
            if row is None:
                continue
            own = self.names_below(path, taken)
            shapes = {name[len(path) + 1 if path else 0 :]: np.shape(self.arrays[name]) for name in own}
            for held in row.weights(layer, shapes) if shapes else ():
                names = [path + self.separator + name if path else name for name in held.names]
                taken.update(names)
                kind = kind_of(row, layer, shapes)
                found.append(self.weight(path, kind, held.role, names, held.read, held.write))
                found[-1].slope = held.slope or found[-1].read
        rest = [name for name in self.arrays if name not in taken]
        found += [self.weight(*self.parted(name), [name], None, None) for name in rest]
        order = {name: at for at, name in enumerate(self.arrays)}
        return sorted(found, key=lambda weight: order[weight.tensors[0]])

    def names_below(self, path: str, taken: Container[str]) -> list[str]:
        start = path + self.separator if path else ""
        return [name for name in self.arrays if name.startswith(start) and name not in taken]

    def parted(self, name: str) -> tuple[str, str, str]:
        layer, _, role = name.rpartition(self.separator)
        return layer, "custom", role

    def weight(
        self, layer: str, kind: str, role: str, names: list[str], read: Read | None, write: Write | None
    ) -> Weight:
        title = names[0] if len(names) == 1 else layer + self.separator + role
        return Weight(layer, kind, role, names, read, write, trainable=names[0] in self.trainable, name=title)

    # The interface of Port

    def native(self, array: np.ndarray) -> Native:
        array = np.asarray(array)
        return jax.numpy.asarray(array, working_type() if is_floating(array) else None)

    def numpy(self, native: Native) -> np.ndarray:
        return widened(np.asarray(self.arrays[native] if isinstance(native, str) else native))

    def is_tensor(self, value: Native) -> bool:
        return isinstance(value, (jax.Array, np.ndarray))

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        old = self.arrays[tensor]
        self.arrays[tensor] = jax.numpy.asarray(np.asarray(array).reshape(old.shape), dtype=old.dtype)

    def identities(self, weight: Weight) -> list[Key]:
        return [id(self.arrays[name]) for name in weight.tensors]

    def new_trace(self, keep: int) -> Trace:
        return Trace(np.asarray, self.files, keep)

    def sums_in_any_order(self) -> bool:
        """JAX compiles a call of `jnp.mean` as one; its operations, run one by one, may add in another order."""
        return True

    def parameters_of_call(self) -> tuple[str, ...]:
        return tuple(name for name in self.signature if name not in TRAIN_FLAGS + EVAL_FLAGS and name != "self")

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        """Operation by operation, as it is watched; runs with noise, of which there are many, are compiled."""
        if not self.arrays:
            self.start(args, kwargs)
        if self.trace is not None:
            return self.watched(self.trace, args, kwargs, training)
        if self.noise is None:
            self.shapes = []
            output, moved = self.run(self.arrays, args, kwargs, training)
            self.outputs[training] = self.shapes
        else:
            output, moved = self.compiled(self.run_with_noise, training)(
                self.new_errors(training), self.arrays, args, kwargs
            )
        self.arrays.update(moved)
        return output

    def compiled(self, function: Function, training: bool) -> Function:
        """`function(errors, arrays, ..., training)` compiled, once."""
        place = function.__name__, training, self.noise is None
        if place not in self.functions:
            self.functions[place] = jax.jit(functools.partial(function, training=training))
        return self.functions[place]

    def new_errors(self, training: bool) -> Errors | None:
        """Factors for one run with noise, for the outputs of each shape in their order; None where there is none.

        They are drawn outside of what is compiled: a generator in it takes longer to compile than the model.
        """
        if self.noise is None:
            return None
        found: Errors = {}
        for shape in self.outputs.get(training, ()):
            found.setdefault(spelled(shape), []).append(self.factor(shape, int(np.prod(shape))))
        return found

    def run_with_noise(
        self, errors: Errors | None, arrays: Natives, args: Args, kwargs: Kwargs, training: bool
    ) -> tuple[Native, Natives]:
        self.errors = errors
        self.shapes = []
        try:
            return self.run(arrays, args, kwargs, training)
        finally:
            self.errors = None

    def watched(self, trace: Trace, args: Args, kwargs: Kwargs, training: bool) -> Native:
        def function(arrays: Natives, args: Args, kwargs: Kwargs) -> Native:
            return self.run(arrays, args, kwargs, training)[0]

        return jax_recorder.record(trace, function, dict(self.arrays), (args, kwargs), self.overrides)

    def finish(self, trace: Trace) -> None:
        """Operations read arrays; weights may hold several of them."""
        owners = {name: weight.name for weight in self.weights for name in weight.tensors}
        for op in trace.ops:
            for operand in op["inputs"]:
                if "weights" in operand:
                    operand["weights"] = [owners.get(name, name) for name in operand["weights"]]
        trace.calls_from_scopes(self.describe_layer)

    def describe_layer(self, path: str) -> Described | None:
        if path not in self.layers:
            return None
        layer, row = self.layers[path]
        if row is None:
            start = path + self.separator if path else ""
            inside = [w.name for w in self.weights if w.layer == path or w.layer.startswith(start)]
            return "module", type(layer).__name__, {}, inside
        names = [weight.name for weight in self.weights if weight.layer == path]
        kind = next((weight.kind for weight in self.weights if weight.layer == path), row.kind)
        return kind, type(layer).__name__, row.config(layer), names

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> LossAndSlopes:
        trained = {name: self.arrays[name] for name in self.trained()}
        rest = {name: array for name, array in self.arrays.items() if name not in trained}
        function = self.compiled(self.differentiate, not self.evaluating)
        (loss, moved), grads = function(self.new_errors(not self.evaluating), trained, rest, args, kwargs, y)
        self.arrays.update(moved)
        return loss, [grads[name] for name in trained]

    def differentiate(
        self,
        errors: Errors | None,
        trained: Natives,
        rest: Natives,
        args: Args,
        kwargs: Kwargs,
        y: Native,
        training: bool,
    ) -> tuple[tuple[Native, Natives], Natives]:
        def objective(trained: Natives) -> tuple[Native, Natives]:
            output, moved = self.run_with_noise(errors, {**rest, **trained}, args, kwargs, training)
            return self.loss(output, y), moved

        return jax.value_and_grad(objective, has_aux=True)(trained)

    def trained(self) -> list[str]:
        return [name for weight in self.weights if weight.trainable for name in weight.tensors]

    def start_training(self) -> bool:
        if not self.has_optimizer():
            return False
        if self.optimizer is None:
            self.optimizer = self.make_optimizer()
            self.update = jax.jit(self.optimizer.update)
        self.state = self.optimizer.init(self.parameters())
        return True

    def has_optimizer(self) -> bool:
        return hasattr(self.program, "make_optimizer")

    def make_optimizer(self) -> Native:
        """The user's optax transformation, whether or not its maker asks for the model."""
        make = self.program.make_optimizer
        made = made_for(make, self.model)
        made = getattr(made, "tx", made)  # nnx.Optimizer, TrainState
        if not callable(getattr(made, "init", None)) or not callable(getattr(made, "update", None)):
            raise UserError(f"make_optimizer() has to return an optax optimizer, it returned {type(made).__name__}")
        return made

    def parameters(self) -> Tree:
        """The trainable arrays as the tree that an optimizer sees, with the user's own names (masks go by them)."""
        return self.tree_of({name: self.arrays[name] for name in self.arrays if name in self.trainable})

    def tree_of(self, named: Natives) -> Tree:
        """Trainable arrays by name as the user's tree."""
        tree: Tree = {}
        for name, array in named.items():
            *folders, last = name.split(self.separator)
            place = tree
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = array
        return tree

    def named_of(self, tree: Tree) -> Natives:
        """The way back."""
        return flatten(tree, self.separator)

    def step_runs_the_model(self) -> bool:
        return True

    def train(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        own = own_steps.own_step(self.program)
        if own is not None:
            batch = own_steps.batch_of(args, kwargs, y)
            key = jax.random.key(SEED)
            self.train_as_user(own, {**batch, "key": key, "loss": getattr(self.program, "loss_fn", None)})
            return
        slopes = dict(zip(self.trained(), self.value_and_grads(args, kwargs, y)[1], strict=True))
        grads = self.tree_of({name: slopes[name] for name in self.arrays if name in self.trainable})
        updates, self.state = self.update(grads, self.state, self.parameters())
        for name, update in self.named_of(updates).items():
            self.arrays[name] = self.arrays[name] + update

    def train_as_user(self, step: Function, known: Natives) -> None:
        """The user's own step, which gives the params and the optimizer's state first."""
        known = {**known, "params": self.parameters(), "opt_state": self.state, "optimizer": self.optimizer}
        made = own_steps.take(step, known, ("params", "opt_state", "x", "y"))
        if not isinstance(made, tuple) or len(made) < 2:
            raise UserError("train_step(params, opt_state, x, y) has to return the new params and the new state first")
        self.arrays.update(self.named_of(made[0]))
        self.state = made[1]

    def describe_optimizer(self) -> Config:
        from impls.port import optax_rules

        return optax_rules.describe(self.optimizer)


def spelled(shape: Shape) -> str:
    return "x".join(map(str, shape))


def training_flag(parameters: Container[str], training: bool) -> dict[str, bool]:
    """`{"train": True}` where the model's signature has such an argument."""
    flags = {name: training for name in TRAIN_FLAGS if name in parameters}
    flags.update((name, not training) for name in EVAL_FLAGS if name in parameters)
    return flags


def flatten(tree: Tree, separator: str = "/", prefix: str = "") -> OrderedDict[str, Native]:
    """{"a": {"b": array}} as {"a/b": array}."""
    found: OrderedDict[str, Native] = OrderedDict()
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if hasattr(value, "items"):
            found.update(flatten(value, separator, name + separator))
        else:
            found[name] = value
    return found


def is_number(array: Native) -> bool:
    """Whether this is an array of a floating type: no key, counter or flag."""
    return hasattr(array, "dtype") and jax.numpy.issubdtype(array.dtype, jax.numpy.floating)


def in_working_type(array: Native) -> Native:
    """Parameters are made in float32 by default: a port is compared in float64, or in a type that was asked for."""
    return jax.numpy.asarray(array, working_type()) if array.dtype == jax.numpy.float32 else array
