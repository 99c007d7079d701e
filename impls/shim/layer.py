"""A layer, and what it is made with: a pure function of (parameters, x). It remembers its configuration and its shapes.

`build` declares the weights for an input shape (without the batch) and returns the output shape. `call` takes the
backend B, one flat dict of parameters, the inputs and the `Run`; weights are looked up by names bound in `build`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from impls.shim.backends.contract import Array, Arrays, Backend, Shape
from impls.shim.initializers import Draw, Initializer, initializer
from impls.shim.key_value_cache import KeyValueCache

if TYPE_CHECKING:
    import numpy as np


class Weight(NamedTuple):
    """A weight or a running statistic: canonical shape, first values, and the role that decides its native layout."""

    shape: tuple[int, ...]
    draw: Draw
    role: str
    trainable: bool


class Run:
    """One pass through a model: its mode, the noise drawn for it, the statistics it updates.

    `mask` is that of the value at hand, (N, T) or None; `masks` those of all inputs of a layer that `reads_masks`;
    `unroll` makes recurrence straight code (None: as B likes). `cache` holds what attention keeps of places that went
    before, see `impls.shim.generation`.
    """

    __slots__ = ("cache", "mask", "masks", "noise", "training", "unroll", "updates")

    def __init__(self, training: bool, noise: Arrays | None = None, unroll: bool | None = None) -> None:
        self.training, self.noise, self.unroll = training, noise or {}, unroll
        self.updates: Arrays = {}
        self.mask: Array = None
        self.masks: list[Array] = [None]
        self.cache: KeyValueCache | None = None


def noise_key(name: str, again: int) -> str:
    """The column that holds the noise called `name` of a layer's first use, or of one `again`: each drops its own."""
    return f"noise/{name}@{again}" if again else f"noise/{name}"


class Axis(NamedTuple):
    """An extent that the data decide: that of this axis of the model's first input, whose examples are axis 0."""

    number: int


class Symbol:
    """The output of a layer that is not computed yet: what `Input` returns and `Model` is made of. `a + b` is `Add`."""

    __array_ufunc__ = None  # so that NumPy asks nothing of it
    __slots__ = ("example", "layer", "name", "sources")

    def __init__(
        self, layer: Layer | None, sources: tuple[Symbol, ...], example: Shape | None = None, name: str = ""
    ) -> None:
        self.layer, self.sources = layer, sources
        self.example, self.name = example, name  # of an input: the shape of one example

    @property
    def shape(self) -> Shape:
        """As in Keras with None for the number of examples: `x.shape[-1]` is the number of channels."""
        if self.example is None and self.layer is not None:
            sources = [source.shape[1:] for source in self.sources]
            self.example = tuple(copy.deepcopy(self.layer).shape(*sources))  # the layer itself has no name yet
        return (None, *(self.example or ()))

    def __add__(self, other: Symbol) -> Symbol:
        return Add()([self, other])


class Options(TypedDict, total=False):
    """What every layer takes besides."""

    name: str | None
    trainable: bool


class Layer:
    """A layer. `layout` says how it wants images: "image" (the backend's own), "last" (N, H, W, C) or "any"."""

    layout = "last"
    recurrent_loop = False  # True: can be straight code or a loop over time
    precise = False  # True: computes in the type of the weights where the others compute in 16 bits
    rank: int | None = None  # of one example
    reads_masks = False  # True: wants the mask of each of its inputs
    per_place = False  # True: of a sequence, an output depends on its own place and on what a `Run` caches of others

    def __init__(self, name: str | None = None, trainable: bool = True, **unknown: object) -> None:
        if unknown:
            shape = unknown.keys() & {"input_shape", "input_dim", "batch_input_shape"}
            instead = ": the model begins with shim.Input(shape)" if shape else ""
            raise TypeError(f"{type(self).__name__} has no option {', '.join(unknown)}{instead}")
        self.name = name or ""
        self.held: Mapping[str, np.ndarray] = {}  # weights that it had in a model which is now part of another
        self.trainable = trainable
        self.weights: dict[str, Weight] = {}
        self.input_shape: tuple[Shape, ...] = None  # type: ignore[assignment]  # until it is built

    @property
    def kind(self) -> str:
        return type(self).__name__.lower()

    def weight(self, name: str, shape: Shape, draw: Initializer, role: str = "", trainable: bool = True) -> str:
        """Declare a weight; returns its name in the flat dict."""
        key = f"{self.name}/{name}"
        if any(n is None or n < 1 for n in shape):
            raise ValueError(
                f"layer {self.name!r} ({type(self).__name__}) would have the weight {name} of shape {tuple(shape)}: "
                "its extents are known numbers of 1 or more"
            )
        self.weights[key] = Weight(tuple(shape), initializer(draw), role, trainable)
        return key

    def shape(self, *shapes: Shape) -> Shape:
        """Check the input shapes and build; returns the output shape. A second call has to bring the same."""
        if self.rank is not None and len(shapes[0]) != self.rank:
            raise ValueError(
                f"layer {self.name!r} ({type(self).__name__}) needs examples of {self.rank} axes, got shape {shapes[0]}"
            )
        if self.weights and self.input_shape != shapes:
            raise ValueError(f"layer {self.name!r} is built for {self.input_shape}, it cannot be shared with {shapes}")
        self.input_shape = shapes
        return self.build(*shapes)

    def __call__(self, inputs: Symbol | list[Symbol]) -> Symbol:
        """The layer applied to one symbol or to a list of them."""
        sources = tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)
        for source in sources:
            if not isinstance(source, Symbol):
                raise ValueError(
                    f"{type(self).__name__} is applied to symbols, which begin with Input(shape), not to "
                    f"{type(source).__name__}: numbers go through a model"
                )
        return Symbol(self, sources)

    def build(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def check_cached(self) -> None:
        """Raise ValueError where its options forbid that a sequence goes on from a cache."""

    def drops(self) -> dict[str, tuple[float, Shape]]:
        """What it drops in training: by a name the rate, and the shape of the factors for one example."""
        return {}

    def mask_of(self, masks: Sequence[Array]) -> Array:
        """The mask of its output by those of its inputs, where `call` sets no other: the first one that there is."""
        return next((mask for mask in masks if mask is not None), None)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        raise NotImplementedError


def joined(masks: Sequence[Array]) -> Array:
    """The mask of inputs that become one, as Keras has it: a place that any of them keeps; of one without, none."""
    if any(mask is None for mask in masks):
        return None
    found, *others = {id(mask): mask for mask in masks}.values()
    for other in others:
        found = found | other
    return found


def Input(shape: Shape, name: str = "", dtype: str | None = None) -> Symbol:
    """The start of a model: the shape of one example, None for an extent that varies.

    Which numbers an input holds is for the layer to say that reads it: `dtype` is Keras's, and nothing looks at it.
    """
    if not isinstance(shape, (tuple, list)):
        raise ValueError(f"the shape of one example is a tuple, such as (28, 28, 1), got {shape!r}")
    return Symbol(None, (), tuple(shape), name)


def largest(extents: Sequence[int | None]) -> int | None:
    """What extents of which some are 1, and some not known, come to: that which is known and above 1 decides."""
    known = [n for n in extents if n is not None]
    if len(known) < len(extents) and max(known, default=1) == 1:
        return None
    return max(known)


class Add(Layer):
    """The sum of its inputs, for residual blocks."""

    layout = "any"
    per_place = True

    def build(self, *shapes: Shape) -> Shape:
        for extents in zip(*shapes, strict=False):
            known = {n for n in extents if n not in (1, None)}
            if len(known) > 1 or len({len(shape) for shape in shapes}) > 1:
                raise ValueError(f"layer {self.name!r} (Add) cannot add examples of the shapes {shapes}")
        return tuple(largest(extents) for extents in zip(*shapes, strict=True))

    def mask_of(self, masks: Sequence[Array]) -> Array:
        return joined(masks)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return sum(x[1:], start=x[0])
