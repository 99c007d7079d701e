"""An Equinox model as its user has it: a module or `(module, state)`, written for one example or for a batch."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from typing import TYPE_CHECKING

import equinox
import jax

from impls.port import own_steps
from impls.port.equinox_layers import EQUINOX
from impls.port.errors import UserError
from impls.port.jax_models import SEED, PortOfJax, in_working_type, training_flag
from impls.port.jax_taps import ACTIVE, tap_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from impls.port.annotations import Args, Function, Kwargs, Native, Natives, Tree

    Indices = OrderedDict[str, equinox.nn.StateIndex]  # of a model's state, by path

LONG_AGO = 10**6  # steps after which an average that starts at zero no longer feels its start
AXIS = "batch"
FURTHER = ("state", "key", "rng")


def serves(made: Native) -> type[PortOfJax] | None:
    first = made[0] if isinstance(made, tuple) and made else made
    return PortOfEquinox if isinstance(first, equinox.Module) else None


class PortOfEquinox(PortOfJax):
    """Every array of a floating type in the module is a weight, in the layout of PyTorch; state is in `State`."""

    table = EQUINOX
    separator = "."
    channels_first = True

    def take_model(self, made: Native) -> None:
        self.state_of_model: Native = None
        if isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], equinox.nn.State):
            made, self.state_of_model = made
        if not isinstance(made, equinox.Module):
            raise UserError(
                f"build() has to return an equinox.Module or (module, state), it returned {type(made).__name__}"
            )
        self.indices = state_indices(made)
        if self.indices and self.state_of_model is None:
            self.state_of_model = equinox.nn.State(made)
            made = equinox.nn.delete_init_state(made)
            self.indices = state_indices(made)
        self.module = made
        self.signature = inspect.signature(type(made).__call__).parameters
        self.per_example: bool | None = None  # found out by the first call
        self.keep(made)
        for path, layer in modules_of(made):
            tap_class(type(layer), EQUINOX, is_still)
            self.add_layer(path, layer)

    def keep(self, module: Native) -> None:
        leaves = jax.tree_util.tree_flatten_with_path(equinox.filter(module, equinox.is_inexact_array))[0]
        self.names = [dotted(path) for path, _ in leaves]
        for name, (_, array) in zip(self.names, leaves, strict=True):
            self.arrays[name] = in_working_type(array)
            self.trainable.add(name)
        for name, (index, at) in statistics(self.indices).items():
            value = self.state_of_model.get(index)
            self.arrays[name] = in_working_type(value if at is None else value[at])

    def rebuilt(self, arrays: Natives) -> equinox.Module:
        """The module with these arrays in it."""
        static = equinox.partition(self.module, equinox.is_inexact_array)[1]
        return equinox.combine(self.tree_of(arrays), static)

    def tree_of(self, named: Natives) -> Tree:
        """Trainable arrays by name as the module that `equinox.filter` gives."""
        structure = jax.tree_util.tree_structure(equinox.filter(self.module, equinox.is_inexact_array))
        return jax.tree_util.tree_unflatten(structure, [named[name] for name in self.names])

    def named_of(self, tree: Tree) -> Natives:
        return dict(zip(self.names, jax.tree_util.tree_leaves(tree), strict=True))

    def train_as_user(self, step: Function, known: Natives) -> None:
        """A step of the module and its optimizer's state, whichever it gives first."""
        module = without_dropout(self.rebuilt(self.arrays))
        known = {**known, "model": module, "opt_state": self.state, "optimizer": self.optimizer}
        made = own_steps.take(step, known, ("model", "opt_state", "x", "y"))
        parts = made if isinstance(made, tuple) else (made,)
        moved = next((each for each in parts if isinstance(each, type(module))), None)
        rest = [each for each in parts if each is not moved and not is_scalar(each)]
        if moved is None or not rest:
            raise UserError("train_step(model, opt_state, x, y) has to return the new model and the new state")
        self.arrays.update(self.named_of(equinox.filter(moved, equinox.is_inexact_array)))
        self.state = rest[0]

    def state_with(self, arrays: Natives) -> Native:
        """The state with these statistics, as after a long training: averages no longer feel where they started."""
        state = self.state_of_model
        if state is None:
            return None
        state = jax.tree_util.tree_map(lambda leaf: leaf, state)  # set() takes the old one out of use
        values: dict[int, tuple[equinox.nn.StateIndex, dict[int | None, Native]]] = {}
        for name, (index, at) in statistics(self.indices).items():
            values.setdefault(id(index), (index, {}))[1][at] = arrays[name]
        for index, parts in values.values():
            places = sorted(at for at in parts if at is not None)
            value = parts[None] if None in parts else tuple([parts[at] for at in places])
            state = state.set(index, value)
        for path, index in self.indices.items():
            last = path.rpartition(".")[2]
            if last == "ema_first_time_index":
                state = state.set(index, jax.numpy.array(False))
            elif last == "batch_counter":
                state = state.set(index, jax.numpy.array(LONG_AGO))
        return state

    def run(self, arrays: Natives, args: Args, kwargs: Kwargs, training: bool) -> tuple[Native, Natives]:
        model = equinox.nn.inference_mode(self.rebuilt(arrays), value=not training)
        state = self.state_with(arrays)
        with ACTIVE.running(self, {id(layer): path for path, layer in modules_of(model)}):
            output, state = self.applied(model, (args, kwargs), state, training)
        moved = {}
        if training and state is not None:
            for name, (index, at) in statistics(self.indices).items():
                value = state.get(index)
                moved[name] = value if at is None else value[at]
        return output, moved

    def applied(
        self, model: Native, inputs: tuple[Args, Kwargs], state: Native, training: bool
    ) -> tuple[Native, Native]:
        """One call of the model for each example, as Equinox's users do; of the whole batch where that fails."""
        calls = {True: self.each_example, False: self.whole_batch}
        if self.per_example is not None:
            return calls[self.per_example](model, inputs, state, training)
        try:
            found = self.each_example(model, inputs, state, training)
            self.per_example = True
        except Exception as first:  # what a user's model raises for one example can be anything
            try:
                found = self.whole_batch(model, inputs, state, training)
            except Exception:  # then the first reason is the user's
                raise first from None
            self.per_example = False
        return found

    def each_example(
        self, model: Native, inputs: tuple[Args, Kwargs], state: Native, training: bool
    ) -> tuple[Native, Native]:
        names = self.further(state, training)
        args, kwargs = inputs
        count = len(jax.tree.leaves(inputs)[0])
        keys = jax.random.split(jax.random.key(SEED), count)

        def one(example: tuple[Args, Kwargs], key: jax.Array) -> tuple[Native, Native]:
            output = model(*example[0], **example[1], **self.arguments(names, state, key, training))
            return output if state is not None and isinstance(output, tuple) else (output, state)

        mapped = jax.vmap(one, in_axes=(0, 0), out_axes=(0, None), axis_name=self.axis_name())
        return mapped((args, kwargs), keys)

    def whole_batch(
        self, model: Native, inputs: tuple[Args, Kwargs], state: Native, training: bool
    ) -> tuple[Native, Native]:
        names = self.further(state, training)
        args, kwargs = inputs
        output = model(*args, **kwargs, **self.arguments(names, state, jax.random.key(SEED), training))
        return output if state is not None and isinstance(output, tuple) else (output, state)

    def axis_name(self) -> str:
        """The name that the model's BatchNorm gives the axis of the batch."""
        names = [layer.axis_name for _, layer in modules_of(self.module) if hasattr(layer, "axis_name")]
        return names[0] if names else AXIS

    def parameters_of_call(self) -> tuple[str, ...]:
        return tuple(name for name in super().parameters_of_call() if name not in FURTHER)

    def further(self, state: Native, training: bool) -> list[str]:
        """Which arguments besides the inputs the model's signature has."""
        return [name for name in FURTHER if name in self.signature]

    def arguments(self, names: Sequence[str], state: Native, key: jax.Array, training: bool) -> Kwargs:
        values = {"state": state, "key": key, "rng": key}
        return {**{name: values[name] for name in names}, **training_flag(self.signature, training)}


def without_dropout(module: Native) -> Native:
    def still(node: Native) -> Native:
        return equinox.nn.inference_mode(node) if isinstance(node, equinox.nn.Dropout) else node

    return jax.tree_util.tree_map(still, module, is_leaf=lambda node: isinstance(node, equinox.nn.Dropout))


def is_scalar(value: Native) -> bool:
    return hasattr(value, "shape") and value.shape == ()


STATISTICS = {"ema_state_index": ("mean", "var"), "batch_state_index": ("mean", "var")}
COUNTERS = ("ema_first_time_index", "batch_counter")


def statistics(indices: Indices) -> OrderedDict[str, tuple[equinox.nn.StateIndex, int | None]]:
    """name -> (index, place in its value): the two of BatchNorm by their roles, others by the attribute's name."""
    found: OrderedDict[str, tuple[equinox.nn.StateIndex, int | None]] = OrderedDict()
    for path, index in indices.items():
        layer, _, last = path.rpartition(".")
        if last in STATISTICS:
            for at, role in enumerate(STATISTICS[last]):
                found[f"{layer}.{role}".lstrip(".")] = index, at
        elif last not in COUNTERS:
            found[path] = index, None
    return found


def children_of(node: Native) -> list[tuple[str | int, Native]]:
    """Attributes, items or entries of a node of the model's tree, by name."""
    if isinstance(node, equinox.Module):
        return [(name, getattr(node, name, None)) for name in node.__dataclass_fields__]
    if isinstance(node, dict):
        return list(node.items())
    if isinstance(node, (list, tuple)):
        return list(enumerate(node))
    return []


def walk(node: Native, path: str = "") -> Iterator[tuple[str, Native]]:
    yield path, node
    for name, child in children_of(node):
        yield from walk(child, f"{path}.{name}".lstrip("."))


def modules_of(module: Native) -> list[tuple[str, equinox.Module]]:
    kept = [(path, node) for path, node in walk(module) if isinstance(node, equinox.Module)]
    return [(path, node) for path, node in kept if not isinstance(node, equinox.nn.StateIndex)]


def state_indices(module: Native) -> Indices:
    return OrderedDict((path, node) for path, node in walk(module) if isinstance(node, equinox.nn.StateIndex))


def dotted(path: Sequence[Native]) -> str:
    parts = [getattr(key, "name", getattr(key, "idx", getattr(key, "key", key))) for key in path]
    return ".".join(map(str, parts))


def is_still(layer: Native, keywords: Kwargs) -> bool:
    """Whether a dropout is told, by the call or else by itself, to drop nothing."""
    told = keywords.get("inference")
    return layer.inference if told is None else told


__all__ = ["PortOfEquinox", "serves"]
