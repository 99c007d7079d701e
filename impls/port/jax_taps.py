"""Layers of a JAX library call the port whose model runs."""

from __future__ import annotations

import contextlib
import functools
import warnings
from typing import TYPE_CHECKING

from impls.port.jax_layers import row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from impls.port.annotations import Kwargs, Native
    from impls.port.jax_layers import Table
    from impls.port.jax_models import PortOfJax


class Active:
    """The port whose model runs, and the paths of its layers by identity; nothing between runs."""

    def __init__(self) -> None:
        self.port: PortOfJax | None = None
        self.paths: dict[int, str] = {}

    @contextlib.contextmanager
    def running(self, port: PortOfJax, paths: dict[int, str]) -> Iterator[None]:
        self.port = port
        self.paths = paths
        try:
            yield
        finally:
            self.port = None
            self.paths = {}


ACTIVE = Active()
TAPPED: set[type] = set()


def tap_class(cls: type, table: Table, is_still: Callable[[Native, Kwargs], bool]) -> None:
    """Let every call of a class of layers go through the port that is active, once.

    `table` has the rows of the library's layers; `is_still(layer, keywords)`: whether a dropout drops nothing now.
    """
    owner = next(c for c in (*cls.__mro__, object) if c is object or "__call__" in c.__dict__)
    if owner in TAPPED or owner is object:
        return
    TAPPED.add(owner)
    inner = owner.__dict__["__call__"]

    @functools.wraps(inner)
    def call(self: Native, *args: Native, **kwargs: Native) -> Native:
        path = ACTIVE.paths.get(id(self))
        port = ACTIVE.port
        if path is None or port is None:
            return inner(self, *args, **kwargs)
        row = row_of(type(self), table)
        if row is not None and row.kind == "dropout":
            port.layers.setdefault(path, (self, row))
            return port.drop(path, self, args[0], not is_still(self, kwargs))
        return port.enter(path, self, lambda: inner(self, *args, **kwargs))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Equinox's, that its layers are not to be changed
        type.__setattr__(owner, "__call__", call)
