"""PyTensor, the living heir of Theano: a graph of symbols, differentiated, rewritten and compiled."""

from __future__ import annotations

import pytensor

from impls.shim.backends import symbolic_tensor
from impls.shim.backends.contract import Array
from impls.shim.backends.symbolic_ops import *  # noqa: F403
from impls.shim.backends.symbolic_tensor import Extents

NAME = "pytensor"


def _symbol(dtype: str, extents: Extents) -> Array:
    return pytensor.tensor.tensor(dtype=dtype, shape=extents)


def _scan(*args: Array, **options: object) -> Array:
    return pytensor.scan(*args, **options, return_updates=False)


_engine = symbolic_tensor.Engine(pytensor, pytensor.tensor, _symbol, _scan)

compile, compile_epoch, compile_inference = _engine.compile, _engine.compile_epoch, _engine.compile
