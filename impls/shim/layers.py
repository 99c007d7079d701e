"""Layers; the class of all is in `impls.shim.layer`, those of images in `impls.shim.image_layers`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from impls.shim.activation_functions import Nonlinearity, activation_function
from impls.shim.backends.contract import Array, Arrays, Backend, Shape
from impls.shim.image_layers import AveragePool2D as AveragePool2D
from impls.shim.image_layers import Conv2D as Conv2D
from impls.shim.image_layers import DepthwiseConv2D as DepthwiseConv2D
from impls.shim.image_layers import GlobalAveragePool2D as GlobalAveragePool2D
from impls.shim.image_layers import MaxPool2D as MaxPool2D
from impls.shim.initializers import Initializer
from impls.shim.keras_names import elsewhere
from impls.shim.layer import Add as Add
from impls.shim.layer import Layer as Layer
from impls.shim.layer import Options, Symbol, joined
from impls.shim.layer import Run as Run

if TYPE_CHECKING:
    from typing import Unpack


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


class BatchNorm(Layer):
    """Ioffe and Szegedy (2015), over all axes but the channels, and of these over the places that a mask keeps.

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
        if run.mask is None or len(x.shape) != len(run.mask.shape) + 1:
            y, batch_mean, batch_variance = B.batch_norm(x, gamma, beta, self.epsilon)
        else:
            image = len(x.shape) == 4
            x = B.from_image(x) if image else x
            batch_mean, batch_variance = moments_of_kept(B, x, run.mask)
            y = (x - batch_mean) * (gamma / B.sqrt(batch_variance + self.epsilon)) + beta
            y = B.to_image(y) if image else y
        if self.mean in run.updates:  # applied twice in a step: the second time goes on from the first
            mean, variance = run.updates[self.mean], run.updates[self.variance]
        run.updates[self.mean] = B.blend(mean, batch_mean, 1 - self.momentum)
        run.updates[self.variance] = B.blend(variance, batch_variance, 1 - self.momentum)
        return y


def moments_of_kept(B: Backend, x: Array, mask: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over the places that a mask (N, ...) keeps; Keras's epsilon is in it."""
    axes = tuple(range(len(mask.shape)))
    every = (slice(None),) * len(axes)
    one = x[(*every, slice(0, 1))] * 0.0 + 1.0
    kept = B.where(mask[(*every, None)], one, one * 0.0)
    count = B.sum(kept) + 1e-7
    mean = B.sum(x * kept, axes) / count
    centred = (x - mean) * kept
    return mean, B.sum(centred * centred, axes) / count


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


class Concatenate(Layer):
    """Its inputs side by side along the last axis."""

    def build(self, *shapes: Shape) -> Shape:
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def mask_of(self, masks: Sequence[Array]) -> Array:
        return joined(masks)

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

    def __getattr__(name: str) -> object:
        return elsewhere("layers", name, "all of them are listed by dir(shim); any other is a shim.Layer of your own")
