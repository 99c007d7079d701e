"""Theano 1.0.5, of 2020: the same graph of symbols as its heir's, compiled as C++.

Its own sigmoid is 1 from 19 on and its softplus x from 16 on, in float64 too: wrong by up to 6e-9 and 1e-7. Both are
written out here.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

os.environ.setdefault("THEANO_FLAGS", "blas.ldflags=")  # it would look for BLAS in a part of NumPy that is gone

import theano
import theano.tensor

from impls.shim.backends import symbolic_tensor
from impls.shim.backends.contract import Array
from impls.shim.backends.symbolic_ops import *  # noqa: F403
from impls.shim.backends.symbolic_tensor import Extents

# A scan's loop is C that an old Cython wrote and no Python of today compiles: without it Theano loops in Python.
if sys.version_info >= (3, 11):  # noqa: UP036 (this module runs on 3.10 too, in the environment that has Theano)
    sys.modules["theano.scan_module.scan_perform_ext"] = None  # type: ignore[assignment]

NAME = "theano"


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + theano.tensor.tanh(0.5 * x))


def _softplus(x: Array) -> Array:
    T = theano.tensor
    return T.switch(x > 0, x, 0) + T.log1p(T.exp(T.switch(x > 0, -x, x)))


def _symbol(dtype: str, extents: Extents) -> Array:
    return theano.tensor.TensorType(dtype, [n == 1 for n in extents])()


def _scan(*args: Array, **options: object) -> Array:
    return theano.scan(*args, **options)[0]


if not theano.config.cxx:
    raise ImportError(
        "backend 'theano' compiles C++ and found no g++: install one, or name it by THEANO_FLAGS=cxx=PATH"
    )
_tensor = SimpleNamespace(
    **{**vars(theano.tensor), "abs": theano.tensor.abs_, "sigmoid": _sigmoid, "softplus": _softplus}
)
_engine = symbolic_tensor.Engine(theano, _tensor, _symbol, _scan)

compile, compile_epoch, compile_inference = _engine.compile, _engine.compile_epoch, _engine.compile
