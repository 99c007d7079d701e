"""Layers: pure functions of (parameters, x). What a layer remembers is its configuration and its shapes.

`build` declares the weights for an input shape (without the batch) and returns the output shape. `call` takes the
backend B, one flat dict of parameters, the inputs and the `Run`; weights are looked up by names bound in `build`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

from impls.shim.backends.contract import Array, Arrays, Backend, Shape
from impls.shim.config import looked_up
from impls.shim.initializers import Draw, Initializer, initializer
from impls.shim.keras_names import elsewhere

if TYPE_CHECKING:
    from typing import Unpack

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
        self.cache: Any = None


Elementwise: TypeAlias = Callable[[Backend, Array], Array]
Nonlinearity: TypeAlias = Elementwise | str | None  # or its name
Size: TypeAlias = int | Sequence[int]  # of a window: `2` and `(2, 2)` mean the same

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
    return looked_up("activation", "swish" if name == "silu" else name, ACTIVATIONS)  # type: ignore[no-any-return]


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


def pair(value: Size) -> tuple[int, int]:
    """`2` and `(2, 2)` mean the same."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


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

    def __init__(self, name: str | None = None, trainable: bool = True, **unknown: Any) -> None:
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

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        raise NotImplementedError


class Dense(Layer):
    """activation(x @ kernel + bias) over the last axis: (..., inputs) to (..., units)."""

    per_place = True

    def __init__(
        self, units: int, activation: Nonlinearity = None, use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform", bias_initializer: Initializer = "zeros",
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.units, self.activation, self.use_bias = units, activation_function(activation), use_bias
        self.initializers = kernel_initializer, bias_initializer

    def build(self, *shapes: Shape) -> Shape:
        (*leading, inputs) = shapes[0]
        self.kernel = self.weight("kernel", (inputs, self.units), self.initializers[0])
        self.bias = self.weight("bias", (self.units,), self.initializers[1]) if self.use_bias else ""
        return (*leading, self.units)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        y = B.dense(x, p[self.kernel], p[self.bias] if self.bias else None)
        return self.activation(B, y) if self.activation else y


def convolved(size: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    """Places along one axis: ceil(size / stride) for SAME, those where the window fits for VALID."""
    if size is None:
        return None
    reach = 0 if padding == "same" else (window - 1) * dilation
    return -(-(size - reach) // stride)


class Windowed(Layer):
    """What convolutions and poolings share: a window, its stride and dilation, and TensorFlow's padding."""

    layout, rank = "image", 3

    def __init__(
        self, window: Size, strides: Size, padding: str, dilation: Size = 1, **options: Unpack[Options]
    ) -> None:
        super().__init__(**options)
        if max(pair(strides)) > 1 and max(pair(dilation)) > 1:
            raise ValueError(f"strides {strides} and dilation_rate {dilation} cannot both be above 1")
        if padding.lower() not in ("same", "valid"):
            raise ValueError(f"unknown padding {padding!r}: known are same, valid")
        self.window, self.strides, self.dilation = pair(window), pair(strides), pair(dilation)
        self.padding = padding.lower()

    def places(self, shape: Shape, channels: int | None) -> Shape:
        sizes = zip(shape, self.window, self.strides, self.dilation, strict=False)
        places = [convolved(*each, self.padding) for each in sizes]
        if any(place is not None and place < 1 for place in places):
            raise ValueError(f"layer {self.name!r}: a window of {self.window} does not fit into {tuple(shape)}")
        return (*places, channels)


class Conv2D(Windowed):
    """Cross-correlation of (N, H, W, C) with `filters` kernels; SAME pads the odd place behind (TensorFlow)."""

    def __init__(
        self, filters: int, kernel_size: Size, strides: Size = 1, padding: str = "valid", dilation_rate: Size = 1,
        activation: Nonlinearity = None, use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform", **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, strides, padding, dilation_rate, **options)
        self.filters, self.activation, self.use_bias = filters, image_activation(activation), use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, *shapes: Shape) -> Shape:
        shape = (*self.window, shapes[0][-1], self.filters)
        self.kernel = self.weight("kernel", shape, self.kernel_initializer, "conv")
        self.bias = self.weight("bias", (self.filters,), "zeros") if self.use_bias else ""
        return self.places(shapes[0], self.filters)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        bias = p[self.bias] if self.bias else None
        y = B.conv2d(x, p[self.kernel], bias, self.strides, self.dilation, self.padding)
        return self.activation(B, y) if self.activation else y


class DepthwiseConv2D(Conv2D):
    """Each channel with `depth_multiplier` kernels of its own: (N, H, W, C) to (N, OH, OW, C M)."""

    def __init__(self, kernel_size: Size, depth_multiplier: int = 1, **options: Any) -> None:
        super().__init__(depth_multiplier, kernel_size, **options)

    def build(self, *shapes: Shape) -> Shape:
        channels = shapes[0][-1]
        shape = (*self.window, channels, self.filters)
        self.kernel = self.weight("kernel", shape, self.kernel_initializer, "depthwise")
        self.bias = self.weight("bias", (channels * self.filters,), "zeros") if self.use_bias else ""
        return self.places(shapes[0], channels * self.filters)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        bias = p[self.bias] if self.bias else None
        y = B.depthwise_conv2d(x, p[self.kernel], bias, self.strides, self.dilation, self.padding)
        return self.activation(B, y) if self.activation else y


class MaxPool2D(Windowed):
    """The maximum of each window; SAME pads with minus infinity."""

    def __init__(
        self, pool_size: Size = 2, strides: Size | None = None, padding: str = "valid", **options: Unpack[Options]
    ) -> None:
        super().__init__(pool_size, pool_size if strides is None else strides, padding, **options)

    def build(self, *shapes: Shape) -> Shape:
        return self.places(shapes[0], shapes[0][-1])

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.max_pool2d(x, self.window, self.strides, self.padding)


class AveragePool2D(MaxPool2D):
    """The mean of each window; the padding of SAME is not counted."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.average_pool2d(x, self.window, self.strides, self.padding)


class GlobalAveragePool2D(Layer):
    """(N, H, W, C) to (N, C)."""

    layout, rank = "image", 3

    def build(self, *shapes: Shape) -> Shape:
        return shapes[0][-1:]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.mean(x, (2, 3) if B.IMAGE == "NCHW" else (1, 2))


class BatchNorm(Layer):
    """Ioffe and Szegedy (2015), over all axes but the channels.

    Keras's convention: epsilon 1e-3 inside the root, running = momentum * running + (1 - momentum) * batch, and the
    running variance is the biased one (torch keeps the unbiased one and calls 1 - momentum the momentum).
    """

    layout, precise = "image", True

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, *shapes: Shape) -> Shape:
        vector = shapes[0][-1:]
        self.gamma, self.beta = self.weight("gamma", vector, "ones"), self.weight("beta", vector, "zeros")
        self.mean = self.weight("moving_mean", vector, "zeros", trainable=False)
        self.variance = self.weight("moving_variance", vector, "ones", trainable=False)
        return shapes[0]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        gamma, beta, mean, variance = p[self.gamma], p[self.beta], p[self.mean], p[self.variance]
        if not (run.training and self.trainable):
            return B.scale_shift(x, mean, variance, gamma, beta, self.epsilon)
        y, batch_mean, batch_variance = B.batch_norm(x, gamma, beta, self.epsilon)
        run.updates[self.mean] = B.blend(mean, batch_mean, 1 - self.momentum)
        run.updates[self.variance] = B.blend(variance, batch_variance, 1 - self.momentum)
        return y


class LayerNorm(Layer):
    """Ba et al. (2016), over the last axis; epsilon 1e-3 inside the root, as Keras has it (torch: 1e-5)."""

    precise = True
    per_place = True

    def __init__(self, epsilon: float = 1e-3, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, *shapes: Shape) -> Shape:
        vector = shapes[0][-1:]
        self.gamma, self.beta = self.weight("gamma", vector, "ones"), self.weight("beta", vector, "zeros")
        return shapes[0]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.layer_norm(x, p[self.gamma], p[self.beta], self.epsilon)


class Activation(Layer):
    """An activation by its name, or a function of (B, x)."""

    layout = "any"
    per_place = True

    def __init__(self, activation: Nonlinearity, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.activation = activation_function(activation) or (lambda B, x: x)
        if activation == "softmax" or callable(activation):  # they may look at more than one number
            self.layout = "last"

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return self.activation(B, x)


class ReLU(Activation):
    """max(x, 0), with gradient 0 at 0."""

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__("relu", **options)


class Dropout(Layer):
    """Srivastava et al. (2014), scaled by 1 / (1 - rate).

    The masks come from the model's one NumPy stream, so that all backends drop the same units.
    """

    per_place = True

    def __init__(self, rate: float, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if not 0 <= rate < 1:
            raise ValueError(f"{type(self).__name__}: a dropout rate is in [0, 1), got {rate}")
        self.rate = rate

    def drops(self) -> dict[str, tuple[float, Shape]]:
        return {self.name: (self.rate, self.input_shape[0])} if self.rate else {}

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return x * run.noise["noise/" + self.name] if run.training and self.rate else x


class Flatten(Layer):
    """(N, ...) to (N, features), in the order H, W, C."""

    def build(self, *shapes: Shape) -> Shape:
        if None in shapes[0]:
            raise ValueError(f"layer {self.name!r} (Flatten) needs examples of a known shape, got {shapes[0]}")
        self.features = math.prod(shapes[0])
        return (self.features,)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        run.mask = None
        return B.reshape(x, (-1, self.features))


class Reshape(Layer):
    """(N, ...) to (N, *target_shape)."""

    def __init__(self, target_shape: Shape, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.target = tuple(target_shape)

    def build(self, *shapes: Shape) -> Shape:
        if math.prod(shapes[0]) != math.prod(self.target):
            raise ValueError(f"layer {self.name!r}: {shapes[0]} cannot be reshaped to {self.target}")
        return self.target

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        run.mask = None
        return B.reshape(x, (-1, *self.target))


class Embedding(Layer):
    """Rows of a table: integers (N, ...) to (N, ..., units)."""

    per_place = True

    def __init__(
        self, inputs: int, units: int, embeddings_initializer: Initializer = "uniform", mask_zero: bool = False,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.inputs, self.units, self.initializer, self.mask_zero = inputs, units, embeddings_initializer, mask_zero

    def build(self, *shapes: Shape) -> Shape:
        self.table = self.weight("embeddings", (self.inputs, self.units), self.initializer)
        return (*shapes[0], self.units)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        if self.mask_zero:
            run.mask = x != 0  # recurrent layers stand still where it is false, and the loss leaves the place out
        return B.embedding(x, p[self.table])

    def check_cached(self) -> None:
        if self.mask_zero:
            raise ValueError(f"layer {self.name!r} (Embedding) masks zeros, which a cache does not remember")


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

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return sum(x[1:], start=x[0])


class Concatenate(Layer):
    """Its inputs side by side along the last axis."""

    def build(self, *shapes: Shape) -> Shape:
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.concatenate(*x)


def add(inputs: list[Symbol], name: str | None = None) -> Symbol:
    """`Add()(inputs)`, as Keras has it in small letters too."""
    return Add(name=name)(inputs)


def concatenate(inputs: list[Symbol], axis: int = -1, name: str | None = None) -> Symbol:
    """`Concatenate()(inputs)`, along the last axis."""
    if axis not in (-1, len(inputs[0].shape) - 1):
        raise ValueError(f"concatenate: along the last axis, got axis={axis}")
    return Concatenate(name=name)(inputs)


if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> Any:
        return elsewhere("layers", name, "all of them are listed by dir(shim); any other is a shim.Layer of your own")
