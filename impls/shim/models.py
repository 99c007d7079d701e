"""Where Keras has `Model` and `Sequential` a second time: `from triptych.shim.models import Sequential`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impls.shim.keras_names import LOADING, elsewhere
from impls.shim.model import Model
from impls.shim.sequential import Sequential

__all__ = ["Model", "Sequential"]

if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> object:
        return elsewhere("models", name, LOADING)
