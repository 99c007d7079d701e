"""Activations: functions of the backend and an array, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from impls.shim.backends.contract import Array, Backend
from impls.shim.config import looked_up

if TYPE_CHECKING:
    pass


Elementwise: TypeAlias = Callable[[Backend, Array], Array]
Nonlinearity: TypeAlias = Elementwise | str | None  # or its name


ACTIVATIONS: dict[str, Elementwise] = {
    "relu": lambda B, x: B.relu(x),
    "sigmoid": lambda B, x: B.sigmoid(x),
    "tanh": lambda B, x: B.tanh(x),
    "softmax": lambda B, x: B.softmax(x),
    "softplus": lambda B, x: B.softplus(x),
    "gelu": lambda B, x: B.gelu(x),
    "gelu_tanh": lambda B, x: B.gelu_tanh(x),
    "swish": lambda B, x: x * B.sigmoid(x),
    "leaky_relu": lambda B, x: B.where(x > 0, x, 0.2 * x),
}


def activation_function(name: Nonlinearity) -> Elementwise | None:
    """The activation called `name`, None for none; a function `(B, x)` is taken as it is."""
    if name is None or callable(name):
        return name
    if name == "linear":
        return None
    return looked_up("activation", "swish" if name == "silu" else name, ACTIVATIONS)


def softmax_of_images(B: Backend, x: Array) -> Array:
    """Softmax over the channels, wherever the backend's own layout of images has them."""
    return B.to_image(B.softmax(B.from_image(x)))


def image_activation(name: Nonlinearity) -> Elementwise | None:
    """The activation of a layer whose images have the backend's own layout; a user's function sees channels last."""
    function = activation_function(name)
    if function is ACTIVATIONS["softmax"]:
        return softmax_of_images
    if function is None or function in ACTIVATIONS.values():
        return function
    return lambda B, x: B.to_image(function(B, B.from_image(x)))
