"""A Haiku model as its user has it: what hk.transform or hk.transform_with_state gives, with or without variables."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING

import haiku
import jax
import numpy as np

from impls.port.errors import UserError
from impls.port.haiku_layers import HAIKU
from impls.port.jax_models import SEED, PortOfJax, in_working_type, is_number, training_flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from impls.port.annotations import Args, Function, Kwargs, Native, Natives, Shape, Tree

LONG_AGO = 10**6  # steps after which an average that starts at zero no longer feels its start
INPUT, STATE = "[input]", "[state]"


def serves(made: Native) -> type[PortOfJax] | None:
    first = made[0] if type(made) is tuple and made else made
    return PortOfHaiku if isinstance(first, (haiku.Transformed, haiku.TransformedWithState)) else None


class PortOfHaiku(PortOfJax):
    """hk.transform(f), hk.transform_with_state(f), or `(transformed, params)`, `(transformed, params, state)`."""

    table = HAIKU

    def take_model(self, made: Native) -> None:
        variables: Sequence[Tree] = ()
        if type(made) is tuple:
            made, *variables = made
        if not isinstance(made, (haiku.Transformed, haiku.TransformedWithState)):
            raise UserError(
                "build() has to return what hk.transform or hk.transform_with_state gives, "
                f"it returned {type(made).__name__}"
            )
        self.with_state = isinstance(made, haiku.TransformedWithState)
        self.transformed = made
        names = inspect.signature(made.apply).parameters
        self.streams = ("rng",) if "rng" in names else ()  # not behind hk.without_apply_rng
        self.signature = {name: names[name] for name in names if name not in ("params", "state", "rng")}
        self.homes: dict[str, tuple[str, str, str]] = {}  # tree, module and name, by path
        self.rest: Natives = {}  # what is no weight
        self.lstm_rows: dict[str, int] = {}  # of the input, in the one matrix of an LSTM
        self.given = variables

    def start(self, args: Args, kwargs: Kwargs) -> None:
        """The user's arrays, or fresh ones; which modules there are shows in a run only."""
        flags = training_flag(self.signature, True)

        def init() -> Tree:
            return self.transformed.init(jax.random.key(SEED), *args, **kwargs, **flags)

        with self.tapped():
            made = jax.eval_shape(init) if self.given else init()
        self.keep(*(self.given or (made if self.with_state else (made,))))

    def keep(self, params: Tree, state: Tree = None) -> None:
        """Arrays by `module/name`. Of a moving average only the average is one: it is carried as of long ago."""
        for module, arrays in params.items():
            for name, array in arrays.items():
                self.keep_one("params", module, name, array)
        for module, arrays in (state or {}).items():
            for name, array in arrays.items():
                self.keep_one("state", module, name, array)

    def keep_one(self, tree: str, module: str, name: str, array: Native) -> None:
        path = f"{module.replace('/~/', '/')}/{name}"
        self.homes[path] = tree, module, name
        average = module.rpartition("/")[2].endswith("_ema")
        if not is_number(array) or (average and name != "average"):
            self.rest[path] = array
            return
        if tree == "params":
            self.trainable.add(path)
        self.arrays[path] = in_working_type(array)
        if name == "w" and self.is_lstm(module):
            self.part_rows(path)

    def is_lstm(self, module: str) -> bool:
        """Whether this linear module is inside an hk.LSTM, which joins input and state before it."""
        owner = module.rpartition("/")[0].replace("/~/", "/")
        row = self.layers.get(owner, (None, None))[1]
        return row is not None and row.kind == "lstm"

    def part_rows(self, path: str) -> None:
        array = self.arrays.pop(path)
        rows = array.shape[0] - array.shape[-1] // 4
        self.lstm_rows[path] = rows
        self.trainable.remove(path)
        for end, part in ((INPUT, array[:rows]), (STATE, array[rows:])):
            self.arrays[path + end] = part
            self.trainable.add(path + end)

    def trees(self, arrays: Natives) -> tuple[Tree, Tree]:
        """The parameters and the state as Haiku takes them."""
        found: dict[str, Tree] = {"params": {}, "state": {}}
        arrays = {**self.rest, **arrays}
        for path, (tree, module, name) in self.homes.items():
            if path in self.lstm_rows:
                array = jax.numpy.concatenate([arrays[path + INPUT], arrays[path + STATE]])
            else:
                array = self.settled(path, name, arrays)
            found[tree].setdefault(module, {})[name] = array
        return found["params"], found["state"]

    def tree_of(self, named: Natives) -> Tree:
        """Trainable arrays by name as Haiku's {module: {name: array}}; an LSTM's matrix in one piece."""
        tree: Tree = {}
        for path, (kind, module, name) in self.homes.items():
            if path in self.lstm_rows:
                tree.setdefault(module, {})[name] = jax.numpy.concatenate([named[path + INPUT], named[path + STATE]])
            elif kind == "params":
                tree.setdefault(module, {})[name] = named[path]
        return tree

    def named_of(self, tree: Tree) -> Natives:
        found = {}
        for path, (kind, module, name) in self.homes.items():
            if path in self.lstm_rows:
                rows = self.lstm_rows[path]
                found[path + INPUT] = tree[module][name][:rows]
                found[path + STATE] = tree[module][name][rows:]
            elif kind == "params":
                found[path] = tree[module][name]
        return found

    def settled(self, path: str, name: str, arrays: Natives) -> Native:
        """A moving average's hidden value and counter, as a long training leaves them."""
        average = path.rpartition("/")[0] + "/average"
        if average not in arrays or path == average:
            return arrays[path]
        if name == "hidden":
            return arrays[average]
        return jax.numpy.asarray(LONG_AGO, arrays[path].dtype) if name == "counter" else arrays[path]

    def run(self, arrays: Natives, args: Args, kwargs: Kwargs, training: bool) -> tuple[Native, Natives]:
        params, state = self.trees(arrays)
        flags = training_flag(self.signature, training)
        keys = [jax.random.key(SEED) for _ in self.streams]
        with self.tapped():
            if not self.with_state:
                return self.transformed.apply(params, *keys, *args, **kwargs, **flags), {}
            output, moved = self.transformed.apply(params, state, *keys, *args, **kwargs, **flags)
        found = {}
        for path, (tree, module, name) in self.homes.items():
            if training and tree == "state" and path in self.arrays:
                found[path] = moved[module][name]
        return output, found

    def train_as_user(self, step: Function, known: Natives) -> None:
        with self.tapped():  # dropout is left out
            super().train_as_user(step, known)

    @contextlib.contextmanager
    def tapped(self) -> Iterator[None]:
        """Every module's call in its scope, and hk.dropout written down."""
        dropout = haiku.dropout

        def drop(rng: Native, rate: Native, x: Native, broadcast_dims: Shape = ()) -> Native:
            path = haiku.experimental.current_name().replace("~", "").strip("/") or "dropout"
            return self.drop(path, Rate(rate, broadcast_dims), x, True)

        haiku.dropout = drop
        try:
            with haiku.intercept_methods(self.intercept):
                yield
        finally:
            haiku.dropout = dropout

    def intercept(self, call: Function, args: Args, kwargs: Kwargs, context: Native) -> Native:
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        path = context.module.module_name.replace("/~/", "/")
        return self.enter(path, context.module, lambda: call(*args, **kwargs))


class Rate:
    """What hk.dropout was called with."""

    def __init__(self, rate: Native, broadcast_dims: Shape) -> None:
        self.rate = rate if isinstance(rate, (int, float)) else float(np.asarray(rate))
        self.broadcast_dims = broadcast_dims


__all__ = ["PortOfHaiku", "serves"]
