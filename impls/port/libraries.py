"""Whose an optimizer is, and what a library's engine lacks."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impls.port.annotations import Config, Native

LIBRARIES = {"keras": "keras", "tensorflow": "keras", "torch": "torch"}  # package of an optimizer -> whose it is


def what_engines_lack() -> contextlib.AbstractContextManager[object]:
    """In the worker of a TensorFlow model, what that has no float64 kernel for."""
    if os.environ.get("TRIPTYCH_BACKEND") != "tensorflow":
        return contextlib.ExitStack()
    from impls.port import tensorflow_kernels

    return tensorflow_kernels.with_formulas()


def looks_like_functions(model: Native) -> bool:
    """Whether a model is one of plain functions: it has `params` and `forward`, or is a tf.Module that is called."""
    names = [f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(model).__mro__]
    return callable(getattr(model, "forward", None)) or ("tensorflow.Module" in names and callable(model))


def library_of(optimizer: Native) -> Config:
    """`{"library": NAME}` where an optimizer is a library's own; {} for a rule of the user."""
    package = type(optimizer).__module__.partition(".")[0]
    return {"library": LIBRARIES[package]} if package in LIBRARIES else {}
