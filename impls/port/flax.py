"""Models of flax as their users have them: linen modules, with or without variables, a TrainState; nnx modules."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from typing import TYPE_CHECKING

import jax
from flax import linen, nnx
from flax.training.train_state import TrainState

from impls.port import own_steps
from impls.port.conventions import made_for
from impls.port.errors import UserError
from impls.port.flax_layers import FLAX
from impls.port.jax_layers import row_of
from impls.port.jax_models import SEED, PortOfJax, flatten, in_working_type, is_number, training_flag
from impls.port.jax_taps import ACTIVE, tap_class
from impls.port.low_precision import working_type

if TYPE_CHECKING:
    from impls.port.annotations import Args, Function, Kwargs, Native, Natives, Tree

STREAMS = (
    "params",
    "dropout",
    "noise",
    "sample",
    "gaussian",
    "droppath",
    "drop_path",
    "stochastic_depth",
    "carry",
    "default",
)


def use_working_type() -> None:
    """Layers make their parameters and first carries in float64 (`working_type`) unless the user says otherwise.

    flax has no such setting: the default of `param_dtype` is written in every class.
    """
    for module in (linen, nnx):
        for cls in vars(module).values():
            if isinstance(cls, type) and "param_dtype" in inspect.signature(cls.__init__).parameters:  # type: ignore[misc]
                set_default(cls, "param_dtype", jax.numpy.dtype(working_type()).type)


def set_default(cls: type, name: str, value: object) -> None:
    """Another default for an argument of a class's __init__, and for the field of a dataclass behind it."""
    init: Native = inspect.unwrap(cls.__init__)  # type: ignore[misc]  # of this very class
    if name in (init.__kwdefaults__ or {}):
        init.__kwdefaults__[name] = value
    names = init.__code__.co_varnames[: init.__code__.co_argcount]
    defaults = list(init.__defaults__ or ())
    if name in names and len(names) - names.index(name) <= len(defaults):
        defaults[names.index(name) - len(names)] = value
        init.__defaults__ = tuple(defaults)
    field = getattr(cls, "__dataclass_fields__", {}).get(name)
    if field is not None:
        field.default = value
        type.__setattr__(cls, name, value)


use_working_type()  # before the user's file makes its layers


def serves(made: Native) -> type[PortOfJax] | None:
    """Which front end serves what build() returned, or None."""
    if isinstance(made, nnx.Module):
        return PortOfNnx
    first = made[0] if isinstance(made, tuple) and made else made
    if isinstance(first, linen.Module) or hasattr(made, "apply_fn"):
        return PortOfLinen
    return None


class PortOfLinen(PortOfJax):
    """A linen module; `(module, variables)`; or a TrainState, whose optimizer is then the model's."""

    table = FLAX

    def take_model(self, made: Native) -> None:
        self.variables = None
        self.compiled_with = None  # the optimizer of a TrainState
        if isinstance(made, tuple) and len(made) == 2:
            made, self.variables = made
        elif hasattr(made, "apply_fn"):
            made = self.take_train_state(made)
        if not isinstance(made, linen.Module):
            raise UserError(
                "build() has to return a flax.linen.Module, (module, variables) or a TrainState, "
                f"it returned {type(made).__name__}"
            )
        self.module = made
        self.signature = inspect.signature(type(made).__call__).parameters
        if self.variables is not None:
            self.keep(self.variables)

    def take_train_state(self, state: Native) -> Native:
        """The module that a TrainState's apply_fn is the method of; its params, batch statistics and optimizer."""
        module = getattr(state.apply_fn, "__self__", None)
        self.variables = {"params": state.params}
        if getattr(state, "batch_stats", None) is not None:
            self.variables["batch_stats"] = state.batch_stats
        self.compiled_with = state.tx
        return module

    def start(self, args: Args, kwargs: Kwargs) -> None:
        streams = {name: jax.random.key(SEED + at) for at, name in enumerate(STREAMS)}
        flags = training_flag(self.signature, False)
        self.keep(jax.jit(functools.partial(self.module.init, **flags))(streams, *args, **kwargs))

    def keep(self, variables: Tree) -> None:
        """Arrays by path inside their collection; with the collection's name in front where two have one path."""
        variables = linen.meta.unbox(dict(variables))
        if "params" not in variables and variables:
            raise UserError(f"the variables hold {', '.join(variables)}: {{'params': ..., ...}} is expected")
        self.homes: dict[str, tuple[str, str]] = {}  # collection and path, by name
        self.rest: Natives = {}  # what is no number: counters and keys
        for collection, tree in variables.items():
            for path, array in flatten(tree).items():
                name = path if path not in self.arrays else f"{collection}/{path}"
                self.homes[name] = collection, path
                if not is_number(array):
                    self.rest[name] = array
                    continue
                self.arrays[name] = in_working_type(array)
                if collection == "params":
                    self.trainable.add(name)

    def tree(self, arrays: Natives) -> Tree:
        """The variables as linen takes them."""
        variables: Tree = {}
        for name, array in {**self.rest, **arrays}.items():
            collection, path = self.homes[name]
            *folders, last = path.split("/")
            place = variables.setdefault(collection, {})
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = array
        return variables

    def run(self, arrays: Natives, args: Args, kwargs: Kwargs, training: bool) -> tuple[Native, Natives]:
        variables = self.tree(arrays)
        mutable = [collection for collection in variables if collection != "params"] if training else []
        streams = {name: jax.random.key(SEED + at) for at, name in enumerate(STREAMS)}
        flags = training_flag(self.signature, training)
        with linen.intercept_methods(self.intercept):
            output, moved = self.module.apply(variables, *args, rngs=streams, mutable=mutable, **kwargs, **flags)
        names = {home: name for name, home in self.homes.items()}
        found: Natives = {}
        for collection, tree in moved.items():
            for path, array in flatten(tree).items():
                name = names.get((collection, path))
                if name is not None and name in self.arrays:
                    found[name] = array
        return output, found

    def intercept(self, call: Function, args: Args, kwargs: Kwargs, context: Native) -> Native:
        layer = context.module
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        path = "/".join(layer.path)
        row = row_of(type(layer), FLAX)
        if row is not None and row.kind == "dropout":
            still = linen.merge_param("deterministic", layer.deterministic, given(args, kwargs))
            self.layers.setdefault(path, (layer, row))
            return self.drop(path, layer, args[0], not still)
        return self.enter(path, layer, lambda: call(*args, **kwargs))

    def has_optimizer(self) -> bool:
        return self.compiled_with is not None or super().has_optimizer()

    def make_optimizer(self) -> Native:
        return super().make_optimizer() if self.compiled_with is None else self.compiled_with

    def train_as_user(self, step: Function, known: Natives) -> None:
        """A step of params and their optimizer's state, or of a TrainState, with dropout left out."""
        with linen.intercept_methods(self.intercept):
            if not takes_train_state(step):
                super().train_as_user(step, known)
                return
            made = own_steps.take(step, {**known, "state": self.train_state()}, ("state", "batch"))
        state = next((each for each in (made if isinstance(made, tuple) else (made,)) if hasattr(each, "params")), None)
        if state is None:
            raise UserError("train_step(state, ...) has to return the new TrainState")
        self.arrays.update(self.named_of(state.params))
        self.state = state.opt_state
        for path, array in flatten(getattr(state, "batch_stats", None) or {}).items():
            self.arrays[next(name for name, home in self.homes.items() if home == ("batch_stats", path))] = array

    def train_state(self) -> Native:
        """The user's own, or one of theirs that is made of what they gave, with the numbers of now."""
        numbers = {"params": self.parameters(), "opt_state": self.state}
        tree = self.tree(self.arrays)
        numbers.update({"batch_stats": tree["batch_stats"]} if "batch_stats" in tree else {})
        if hasattr(self.model, "apply_fn"):
            return self.model.replace(**numbers)
        kind = WithAverages if "batch_stats" in tree else TrainState
        return kind(step=0, apply_fn=self.module.apply, tx=self.optimizer, **numbers)


class WithAverages(TrainState):  # type: ignore[misc]  # flax's classes have no types
    """What users of BatchNorm write, by the name that they give it."""

    batch_stats: Native


def takes_train_state(step: Function) -> bool:
    asked = [own_steps.WHAT.get(name) for name in inspect.signature(step).parameters]
    return "state" in asked and "opt_state" not in asked


def given(args: Args, kwargs: Kwargs) -> bool | None:
    """The `deterministic` of a call of Dropout."""
    return kwargs.get("deterministic", args[1] if len(args) > 1 else None)


class PortOfNnx(PortOfJax):
    """An nnx module. Its train() and eval() are called, and a `train` or the like of its signature is given."""

    table = FLAX

    def take_model(self, made: Native) -> None:
        if not isinstance(made, nnx.Module):
            raise UserError(f"build() has to return a flax.nnx.Module, it returned {type(made).__name__}")
        self.signature = inspect.signature(type(made).__call__).parameters
        self.graph, state = nnx.split(made)
        self.flat: OrderedDict[tuple[str | int, ...], Native] = OrderedDict(nnx.to_flat_state(state))
        self.homes: dict[str, tuple[str | int, ...]] = {}  # path by name
        for path, variable in self.flat.items():
            array = variable.get_value()
            if is_number(array):
                name = "/".join(map(str, path))
                self.homes[name] = path
                self.arrays[name] = in_working_type(array)
                if isinstance(variable, nnx.Param):
                    self.trainable.add(name)
        for path, node in nnx.iter_graph(made):
            if isinstance(node, nnx.Module):
                tap_class(type(node), FLAX, is_still)
                self.add_layer("/".join(map(str, path)), node)

    def start_training(self) -> bool:
        made = super().start_training()
        if made and own_steps.own_step(self.program) is not None:
            self.stepped = self.module_of(self.arrays)  # whom the user's step moves
            for _, node in nnx.iter_graph(self.stepped):
                if isinstance(node, nnx.Dropout):
                    node.rate = 0.0
            self.stepping = made_for(self.program.make_optimizer, self.stepped)
            if not isinstance(self.stepping, nnx.Optimizer):
                self.stepping = nnx.Optimizer(self.stepped, self.stepping, wrt=nnx.Param)
        return made

    def train_as_user(self, step: Function, known: Natives) -> None:
        """A step that moves the module itself, by an nnx.Optimizer."""
        self.stepped.train()
        known = {**known, "model": self.stepped, "optimizer": self.stepping, "opt_state": self.stepping}
        own_steps.take(step, known, ("model", "optimizer", "x", "y"))
        moved = dict(nnx.to_flat_state(nnx.state(self.stepped)))
        self.arrays.update((name, moved[path].get_value()) for name, path in self.homes.items())

    def module_of(self, arrays: Natives) -> Native:
        """The user's module with these numbers in it."""
        values = {path: variable.get_value() for path, variable in self.flat.items()}
        values.update((path, arrays[name]) for name, path in self.homes.items())
        flat = {path: variable.replace(values[path]) for path, variable in self.flat.items()}
        return nnx.merge(self.graph, nnx.from_flat_state(list(flat.items())))

    def run(self, arrays: Natives, args: Args, kwargs: Kwargs, training: bool) -> tuple[Native, Natives]:
        model = self.module_of(arrays)
        set_mode(model, training)
        with ACTIVE.running(self, paths_of(model)):
            output = model(*args, **kwargs, **training_flag(self.signature, training))
        moved = dict(nnx.to_flat_state(nnx.state(model)))
        state = [name for name in self.homes if name not in self.trainable] if training else []
        return output, {name: moved[self.homes[name]].get_value() for name in state}


def set_mode(model: Native, training: bool) -> None:
    """nnx's own train() and eval(): `deterministic` and `use_running_average` of every layer that has them."""
    if training:
        model.train()
    else:
        model.eval()


def paths_of(model: Native) -> dict[int, str]:
    paths: dict[int, str] = {}
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Module):
            paths.setdefault(id(node), "/".join(map(str, path)))
    return paths


def is_still(layer: Native, keywords: Kwargs) -> bool:
    """Whether a dropout is told, by the call or else by itself, to drop nothing."""
    return bool(first_set(keywords.get("deterministic"), layer.deterministic))


def first_set(*values: bool | None) -> bool | None:
    return next((value for value in values if value is not None), None)


__all__ = ["PortOfLinen", "PortOfNnx", "serves"]
