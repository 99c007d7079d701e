"""A tf.Module of a user as what `impls.port.functions` serves: `params`, and a function of them.

Its variables are found as attributes and in lists and dicts of them. While it runs, tensors stand in their places, so
that gradients and the record of a pass see the numbers that it was given.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from impls.port.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from impls.port.annotations import Native, Natives


def as_functions(model: Native) -> Native:
    """The module as an object with `params` and `forward`; anything else as it is."""
    import tensorflow as tf

    if not isinstance(model, tf.Module) or not callable(model) or hasattr(model, "forward"):
        return model
    return Functions(model, tf)


class Functions:
    """`params` are the variables by the paths of their places."""

    def __init__(self, module: Native, tf: Native) -> None:
        self.module = module
        self.tf = tf
        self.params = {path: self.value(variable) for path, variable in self.places()}
        if not self.params:
            raise UserError(f"the tf.Module {type(module).__name__} has no variables: make them in its __init__")

    def value(self, variable: Native) -> np.ndarray:
        return variable.numpy()

    def places(self) -> list[tuple[str, Native]]:
        """`[(path, variable)]`: each variable once, where it is first found."""
        found, seen = [], set()
        for path, _, _, variable in self.held(self.module, "", set()):
            if id(variable) not in seen:
                seen.add(id(variable))
                found.append((path, variable))
        return found

    def held(self, owner: Native, prefix: str, done: set[int]) -> Iterator[tuple[str, Native, Native, Native]]:
        """`(path, owner, key, variable)` of every place that holds a variable."""
        if id(owner) in done:
            return
        done.add(id(owner))
        for key, part in parts_of(owner):
            path = f"{prefix}{key}"
            if isinstance(part, self.tf.Variable):
                yield path, owner, key, part
            elif isinstance(part, (self.tf.Module, list, tuple, dict)):
                yield from self.held(part, path + "/", done)

    def forward(self, params: Natives, *args: Native, **kwargs: Native) -> Native:
        with self.standing_in(params):
            return self.module(*args, **kwargs)

    @contextlib.contextmanager
    def standing_in(self, params: Natives) -> Iterator[None]:
        """The tensors of `params` in the places of the variables, which come back."""
        kept = list(self.held(self.module, "", set()))
        first = {id(variable): path for path, variable in self.places()}
        try:
            for _, owner, key, variable in kept:
                put(owner, key, params[first[id(variable)]])
            yield
        finally:
            for _, owner, key, variable in kept:
                put(owner, key, variable)


def parts_of(owner: Native) -> list[tuple[Native, Native]]:
    """`[(key, part)]` of a module, a list, a tuple or a dict."""
    if isinstance(owner, dict):
        return list(owner.items())
    if isinstance(owner, (list, tuple)):
        return list(enumerate(owner))
    return [(key, part) for key, part in vars(owner).items() if not key.startswith("_")]


def put(owner: Native, key: Native, value: Native) -> None:
    """Put a value into its place."""
    if isinstance(owner, tuple):
        raise UserError("a tf.Module that keeps variables in a tuple can't be followed: keep them in a list")
    if isinstance(owner, (dict, list)):
        owner[key] = value
    else:
        owner.__dict__[key] = value
