"""What the tables of layers of flax, Equinox and Haiku share: a row, and where a layer holds a weight.

A row is `class name: Row(kind, configuration, weights)`. `configuration(layer)` gives the numbers of its formula.
`weights(layer, shapes)` gives a `Held` for each canonical weight; `shapes` has the shape of every array that the
layer owns, by its path inside the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from impls.port.ways import folded, gates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impls.port.annotations import Axes, Config, Configure, Native, Read, Shape, Shapes, Write

    Holders = Callable[[Native, Shapes], list["Held"]]
    Table = dict[str, "Row"]

TRAIN_FLAGS = ("train", "training", "is_training")  # arguments of a model that are true in training
EVAL_FLAGS = ("deterministic", "inference", "evaluate", "eval_mode")  # and false in it

NORM_ROLES = {
    "scale": "gamma",
    "weight": "gamma",
    "bias": "beta",
    "offset": "beta",
    "mean": "moving_mean",
    "var": "moving_variance",
}
ROLES = {
    "kernel": "kernel",
    "weight": "kernel",
    "w": "kernel",
    "bias": "bias",
    "b": "bias",
    "embedding": "embeddings",
    "embeddings": "embeddings",
}


class Row(NamedTuple):
    """One class of layers."""

    kind: str
    config: Configure
    weights: Holders


class Held:
    """One canonical weight: its role, the arrays in the layer that hold it, the way from them and back to them.

    `slope`: the way from their gradients, where that is another one.
    """

    def __init__(
        self,
        role: str,
        names: list[str],
        read: Read | None = None,
        write: Write | None = None,
        slope: Read | None = None,
    ) -> None:
        self.role = role
        self.names = names
        self.read = read
        self.write = write
        self.slope = slope


class OneBias:
    """A GRU's biases where z and r have one: canonical are (2, 3 units), of z, r, h of the input and of the recurrent.

    `first` are the 3 units numbers of all gates, `last` those that h has on the recurrent side.
    """

    @staticmethod
    def read(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """z and r have none on the recurrent side."""
        return np.stack([first, np.concatenate([np.zeros(2 * len(last)), last])])

    @staticmethod
    def slope(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Of z and r only the sum of both biases counts: each of them has its gradient."""
        return np.stack([first, np.concatenate([first[: 2 * len(last)], last])])

    @staticmethod
    def write(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`first` and `last` of canonical ones."""
        units = array.shape[1] // 3
        last = array[1, 2 * units :]
        return array[0] + np.concatenate([array[1, : 2 * units], np.zeros_like(last)]), last


def nothing(layer: Native) -> Config:
    return {}


def plain(roles: Mapping[str, str]) -> Holders:
    """Every array is a weight, in the layout that it has."""

    def weights(layer: Native, shapes: Shapes) -> list[Held]:
        return [Held(roles.get(name, name), [name]) for name in shapes]

    return weights


def epsilon(layer: Native) -> Config:
    return {"epsilon": float(layer.epsilon if hasattr(layer, "epsilon") else layer.eps)}


def groups_of_norm(layer: Native) -> Config:
    return {**epsilon(layer), "groups": getattr(layer, "num_groups", None) or getattr(layer, "groups", 1)}


def batch_norm(layer: Native) -> Config:
    return {**epsilon(layer), "momentum": float(layer.momentum)}


def rate(layer: Native) -> Config:
    return {"rate": float(layer.rate)}


def as_list(value: Native, axes: int = 2) -> Native:
    """2 means (2, 2), and a word stays a word."""
    if value is None:
        return [1] * axes
    if isinstance(value, int):
        return [value] * axes
    if isinstance(value, str):
        return value
    return [list(each) if isinstance(each, tuple) else each for each in value]


def groups_of(layer: Native) -> int:
    return getattr(layer, "feature_group_count", getattr(layer, "groups", 1)) or 1


def depthwise(layer: Native, kernel: Shape) -> bool:
    """Whether each group of this (*window, in of a group, out) is one channel."""
    return kernel[-2] == 1 and groups_of(layer) > 1


def convolution_weights(name: str) -> Holders:
    """(*window, in, out); a depthwise kernel is (*window, channels, multiplier) in Keras."""

    def weights(layer: Native, shapes: Shapes) -> list[Held]:
        shape = shapes[name]
        if not (depthwise(layer, shape) or isinstance_by_name(layer, "DepthwiseConvND")):
            return plain(ROLES)(layer, shapes)
        channels = shape[-1] // layer.channel_multiplier if hasattr(layer, "channel_multiplier") else groups_of(layer)
        kernel = depthwise_kernel(name, shape, channels)
        return [kernel, *plain(ROLES)(layer, without(shapes, name))]

    return weights


def depthwise_kernel(name: str, shape: Shape, channels: int) -> Held:
    canonical = (*shape[:-2], channels, shape[-1] // channels)
    return Held("kernel", [name], *folded(shape, canonical))


def isinstance_by_name(layer: Native, name: str) -> bool:
    return any(c.__name__ == name for c in type(layer).__mro__)


def kind_of(row: Row, layer: Native, shapes: Shapes) -> str:
    """`conv2d` and the like by the kernel's axes."""
    if row.kind not in ("conv", "conv_transpose"):
        return row.kind
    kernel = next(shapes[name] for name in ("kernel", "weight", "w") if name in shapes)
    axes = len(kernel) - 2
    if row.kind == "conv_transpose":
        return f"conv{axes}d_transpose"
    per_group = kernel[1] if "weight" in shapes else kernel[-2]
    one = per_group == 1 and (groups_of(layer) > 1 or isinstance_by_name(layer, "DepthwiseConvND"))
    return f"depthwise_conv{axes}d" if one else f"conv{axes}d"


def without(shapes: Shapes, *names: str) -> Shapes:
    return {name: shape for name, shape in shapes.items() if name not in names}


def blocks(role: str, names: list[str], order: Sequence[int] | None = None) -> Held:
    """A weight whose blocks along the last axis are arrays: the gates of a recurrent layer."""
    order = order or range(len(names))
    back = np.argsort(list(order))

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([arrays[at] for at in order], -1)

    def write(array: np.ndarray) -> list[np.ndarray]:
        parts = np.split(array, len(names), -1)
        return [parts[at] for at in back]

    return Held(role, names, read, write)


def reordered(role: str, name: str, order: Axes, transpose: bool = False) -> Held:
    """A weight whose gates lie in another order in one array, or in its transpose."""
    return Held(role, [name], *gates(order, transpose))


ZRN = (1, 0, 2)  # where z, r, n lie in r, z, n


LIBRARIES = ("flax", "equinox", "haiku")


def row_of(cls: type, table: Table) -> Row | None:
    """The row of a library's class, or of one that a user's class is made of: a user's own `Conv` may be anything."""
    own = (c for c in cls.__mro__ if c.__module__.partition(".")[0] in LIBRARIES)
    return next((table[c.__name__] for c in own if c.__name__ in table), None)
