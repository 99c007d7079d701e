"""Layers made of what every backend has: transposed and separable convolutions, sequences, groups, resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from impls.shim.activation_functions import Nonlinearity, activation_function, image_activation
from impls.shim.backends.contract import Array, Arrays, Backend, Constant, Shape
from impls.shim.image_layers import Size, Windowed, convolved, pair
from impls.shim.initializers import Initializer
from impls.shim.layer import Layer, Options, Run
from impls.shim.layers import Dropout

if TYPE_CHECKING:
    from typing import Unpack


def padded(B: Backend, x: Array, axis: int, before: int, after: int) -> Array:
    """`x` with so many zeros before and after it along an axis."""
    index = (slice(None),) * axis + (slice(0, 1),)
    zero = x[index] * 0.0
    parts = [zero] * before + [x] + [zero] * after
    return B.concatenate(*parts, axis=axis) if len(parts) > 1 else x


def image_axes(B: Backend) -> tuple[int, int]:
    """Rows and columns of an image in the backend's own layout."""
    return (2, 3) if B.IMAGE == "NCHW" else (1, 2)


class ZeroPadding2D(Layer):
    """Zeros around images: (N, H, W, C) to (N, top + H + bottom, left + W + right, C)."""

    layout, rank = "image", 3

    def __init__(self, padding: int | tuple[Size, Size] = 1, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        rows, columns = (padding, padding) if isinstance(padding, int) else padding
        self.edges = pair(rows), pair(columns)

    def build(self, *shapes: Shape) -> Shape:
        *sizes, channels = shapes[0]
        padded_sizes = [None if n is None else n + sum(edge) for n, edge in zip(sizes, self.edges, strict=False)]
        return (*padded_sizes, channels)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        for axis, (before, after) in zip(image_axes(B), self.edges, strict=True):
            x = padded(B, x, axis, before, after)
        return x


class Conv1D(Layer):
    """Cross-correlation of sequences: (N, T, C) to (N, T', filters); "causal" pads in front alone."""

    rank = 2

    def __init__(
        self, filters: int, kernel_size: int, strides: int = 1, padding: str = "valid", dilation_rate: int = 1,
        activation: Nonlinearity = None, use_bias: bool = True, kernel_initializer: Initializer = "glorot_uniform",
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        padding = padding.lower()
        if padding not in ("same", "valid", "causal"):
            raise ValueError(f"unknown padding {padding!r}: known are same, valid, causal")
        if strides > 1 and dilation_rate > 1:
            raise ValueError(f"strides {strides} and dilation_rate {dilation_rate} cannot both be above 1")
        self.filters, self.window, self.padding = filters, kernel_size, padding
        self.strides, self.dilation = strides, dilation_rate
        self.activation, self.use_bias = activation_function(activation), use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, *shapes: Shape) -> Shape:
        steps, inputs = shapes[0]
        self.kernel = self.weight("kernel", (self.window, inputs, self.filters), self.kernel_initializer)
        self.bias = self.weight("bias", (self.filters,), "zeros") if self.use_bias else ""
        like = "same" if self.padding == "causal" else self.padding
        places = convolved(steps, self.window, self.strides, self.dilation, like)
        if places is not None and places < 1:
            raise ValueError(f"layer {self.name!r}: a window of {self.window} does not fit into {steps} places")
        return (places, self.filters)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        run.mask = None
        padding = self.padding
        if padding == "causal":
            x, padding = padded(B, x, 1, (self.window - 1) * self.dilation, 0), "valid"
        image = B.to_image(B.reshape(x, (-1, 1, *x.shape[1:])))
        kernel = B.reshape(p[self.kernel], (1, self.window, x.shape[-1], self.filters))
        if "conv" in B.ROLES:
            kernel = B.transpose(kernel, B.ROLES["conv"])
        bias = p[self.bias] if self.bias else None
        y = B.from_image(B.conv2d(image, kernel, bias, (1, self.strides), (1, self.dilation), padding))
        y = B.reshape(y, (-1, *y.shape[2:]))
        return self.activation(B, y) if self.activation else y


class SeparableConv2D(Windowed):
    """A depthwise convolution, then one of single places: (N, H, W, C) to (N, OH, OW, filters)."""

    def __init__(
        self, filters: int, kernel_size: Size, strides: Size = 1, padding: str = "valid", dilation_rate: Size = 1,
        depth_multiplier: int = 1, activation: Nonlinearity = None, use_bias: bool = True, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, strides, padding, dilation_rate, **options)
        self.filters, self.multiplier = filters, depth_multiplier
        self.activation, self.use_bias = image_activation(activation), use_bias

    def build(self, *shapes: Shape) -> Shape:
        channels = shapes[0][-1]
        shape = (*self.window, channels, self.multiplier)
        self.depthwise = self.weight("depthwise_kernel", shape, "glorot_uniform", "depthwise")
        shape = (1, 1, channels * self.multiplier, self.filters)
        self.pointwise = self.weight("pointwise_kernel", shape, "glorot_uniform", "conv")
        self.bias = self.weight("bias", (self.filters,), "zeros") if self.use_bias else ""
        return self.places(shapes[0], self.filters)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        y = B.depthwise_conv2d(x, p[self.depthwise], None, self.strides, self.dilation, self.padding)
        y = B.conv2d(y, p[self.pointwise], p[self.bias] if self.bias else None, (1, 1), (1, 1), "valid")
        return self.activation(B, y) if self.activation else y


class Conv2DTranspose(Layer):
    """The gradient of a convolution by its input: (N, H, W, C) to (N, H S, W S, filters) where `padding` is "same".

    The kernel is (KH, KW, filters, C), as Keras has it; "valid" gives (H - 1) S + max(K, S) places.
    """

    layout, rank = "image", 3

    def __init__(
        self, filters: int, kernel_size: Size, strides: Size = 1, padding: str = "valid",
        activation: Nonlinearity = None, use_bias: bool = True, kernel_initializer: Initializer = "glorot_uniform",
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        padding = padding.lower()
        if padding not in ("same", "valid"):
            raise ValueError(f"unknown padding {padding!r}: known are same, valid")
        self.filters, self.window, self.strides, self.padding = filters, pair(kernel_size), pair(strides), padding
        self.activation, self.use_bias = image_activation(activation), use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, *shapes: Shape) -> Shape:
        self.kernel = self.weight(
            "kernel", (*self.window, self.filters, shapes[0][-1]), self.kernel_initializer, "conv"
        )
        self.bias = self.weight("bias", (self.filters,), "zeros") if self.use_bias else ""
        sizes = [None if n is None else self._places(n, axis) for axis, n in enumerate(shapes[0][:2])]
        return (*sizes, self.filters)

    def _places(self, size: int, axis: int) -> int:
        window, stride = self.window[axis], self.strides[axis]
        return size * stride if self.padding == "same" else (size - 1) * stride + max(window, stride)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        for at, axis in enumerate(image_axes(B)):
            x = self._spread(B, x, at, axis)
        roles = B.ROLES.get("conv", (0, 1, 2, 3))
        kernel = p[self.kernel]
        for axis in (0, 1):
            kernel = B.flip(kernel, roles.index(axis))
        order = [0, 1, 2, 3]  # the places of filters and channels change
        order[roles.index(2)], order[roles.index(3)] = roles.index(3), roles.index(2)
        bias = p[self.bias] if self.bias else None
        y = B.conv2d(x, B.transpose(kernel, tuple(order)), bias, (1, 1), (1, 1), "valid")
        return self.activation(B, y) if self.activation else y

    def _spread(self, B: Backend, x: Array, at: int, axis: int) -> Array:
        """Zeros between the places of one axis, and around it so many that the convolution gives all its places."""
        stride, window, size = self.strides[at], self.window[at], x.shape[axis]
        shape = [-1, *x.shape[1:]]
        if stride > 1:
            apart = B.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
            apart = B.concatenate(*[apart, *[apart * 0.0] * (stride - 1)], axis=axis + 1)
            x = B.reshape(apart, (*shape[:axis], size * stride, *shape[axis + 1 :]))
        given = size * stride  # the last place has stride - 1 zeros behind it
        before = window - 1 - (max(window - stride, 0) // 2 if self.padding == "same" else 0)
        after = self._places(size, at) + window - 1 - given - before
        return padded(B, x, axis, before, after)


class UpSampling2D(Layer):
    """Images made larger by whole factors: (N, H, W, C) to (N, H SH, W SW, C), by "nearest" or "bilinear".

    Bilinear places lie in the middle of their pixels, and beyond the edge is the edge.
    """

    rank = 3

    def __init__(self, size: Size = 2, interpolation: str = "nearest", **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(f"unknown interpolation {interpolation!r}: known are nearest, bilinear")
        self.size, self.interpolation = pair(size), interpolation
        self.ones = Constant(np.ones((1, 1, self.size[0], 1, self.size[1], 1)))
        self.between: dict[tuple[int, int], Constant] = {}

    def build(self, *shapes: Shape) -> Shape:
        sizes = [None if n is None else n * s for n, s in zip(shapes[0], self.size, strict=False)]
        return (*sizes, shapes[0][-1])

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        rows, columns, channels = x.shape[1:]
        if self.interpolation == "nearest":
            apart = B.reshape(x, (-1, rows, 1, columns, 1, channels)) * B.constant(self.ones, x)
            return B.reshape(apart, (-1, rows * self.size[0], columns * self.size[1], channels))
        x = B.dense(B.transpose(x, (0, 3, 1, 2)), B.constant(self._matrix(columns, self.size[1]), x))
        x = B.dense(B.transpose(x, (0, 1, 3, 2)), B.constant(self._matrix(rows, self.size[0]), x))
        return B.transpose(x, (0, 3, 2, 1))

    def _matrix(self, size: int, factor: int) -> Constant:
        """What each place of a line takes of the places before: (size, size * factor)."""
        if (size, factor) not in self.between:
            at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
            self.between[size, factor] = Constant(np.maximum(0, 1 - np.abs(np.arange(size)[:, None] - at)))
        return self.between[size, factor]


class GlobalMaxPool2D(Layer):
    """(N, H, W, C) to (N, C), the maximum of each channel."""

    layout, rank = "image", 3

    def build(self, *shapes: Shape) -> Shape:
        self.window = shapes[0][:2]
        if None in self.window:
            raise ValueError(f"layer {self.name!r} (GlobalMaxPool2D) needs images of a known size, got {shapes[0]}")
        return shapes[0][-1:]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        channels = x.shape[1] if B.IMAGE == "NCHW" else x.shape[-1]
        return B.reshape(B.max_pool2d(x, self.window, (1, 1), "valid"), (-1, channels))


class GlobalMaxPool1D(Layer):
    """(N, T, C) to (N, C), the maximum of each channel; a mask is not looked at, as in Keras."""

    rank = 2

    def build(self, *shapes: Shape) -> Shape:
        return shapes[0][-1:]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        run.mask = None
        steps, channels = x.shape[1:]
        image = B.to_image(B.reshape(x, (-1, steps, 1, channels)))
        return B.reshape(B.from_image(B.max_pool2d(image, (steps, 1), (1, 1), "valid")), (-1, channels))


class GlobalAveragePool1D(Layer):
    """(N, T, C) to (N, C), the mean over the places that a mask keeps."""

    rank = 2

    def build(self, *shapes: Shape) -> Shape:
        return shapes[0][-1:]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        mask, run.mask = run.mask, None
        if mask is None:
            return B.mean(x, 1)
        one = x[:, :, :1] * 0.0 + 1.0
        kept = B.where(mask[:, :, None], one, one * 0.0)
        return B.sum(x * kept, 1) / B.sum(kept, 1)


class GroupNorm(Layer):
    """Wu and He (2018): each example's channels in `groups`, normalised over them and all places; epsilon 1e-3."""

    precise = True

    def __init__(self, groups: int = 32, epsilon: float = 1e-3, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.groups, self.epsilon = groups, epsilon

    def build(self, *shapes: Shape) -> Shape:
        channels = shapes[0][-1]
        if channels % self.groups:
            raise ValueError(f"layer {self.name!r} (GroupNorm): {channels} channels are no {self.groups} equal groups")
        self.gamma, self.beta = self.weight("gamma", (channels,), "ones"), self.weight("beta", (channels,), "zeros")
        return shapes[0]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        channels = x.shape[-1]
        grouped = B.reshape(x, (-1, math.prod(x.shape[1:-1]), self.groups, channels // self.groups))
        centred = grouped - B.mean(grouped, (1, 3), keepdims=True)
        scaled = centred / B.sqrt(B.mean(centred * centred, (1, 3), keepdims=True) + self.epsilon)
        return B.reshape(scaled, (-1, *x.shape[1:])) * p[self.gamma] + p[self.beta]


class PReLU(Layer):
    """He et al. (2015): max(x, 0) + alpha min(x, 0), an alpha for each place, shared along `shared_axes` (from 1)."""

    def __init__(
        self,
        shared_axes: Sequence[int] | None = (),
        alpha_initializer: Initializer = "zeros",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.shared, self.initializer = tuple(shared_axes or ()), alpha_initializer

    def build(self, *shapes: Shape) -> Shape:
        shape = [1 if at + 1 in self.shared else n for at, n in enumerate(shapes[0])]
        self.alpha = self.weight("alpha", tuple(shape), self.initializer)
        return shapes[0]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.relu(x) - B.relu(x * -1.0) * p[self.alpha]


class SpatialDropout(Dropout):
    """Tompson et al. (2015): drops whole channels of sequences or images, at all their places alike."""

    def drops(self) -> dict[str, tuple[float, Shape]]:
        (shape,) = self.input_shape
        return {self.name: (self.rate, (*(1,) * (len(shape) - 1), shape[-1]))} if self.rate else {}


class TimeDistributed(Layer):
    """A layer at every place of a sequence alike: (N, T, ...) to (N, T, ...), all places as examples of one call.

    A mask of places within the places, (N, T, S), is that of the layer's examples. What has running statistics is
    applied place by place in training, as Keras does it: each has statistics of its own and moves the running ones.
    """

    def __init__(self, layer: Layer, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.layer, self.precise = layer, layer.precise

    def build(self, *shapes: Shape) -> Shape:
        steps, *shape = shapes[0]
        self.layer.name = f"{self.name}/{self.layer.name or 'layer'}" if not self.layer.weights else self.layer.name
        self.each = tuple(self.layer.shape(tuple(shape)))
        self.weights.update(self.layer.weights)
        return (steps, *self.each)

    def drops(self) -> dict[str, tuple[float, Shape]]:
        steps = self.input_shape[0][0]
        return {name: (rate, (steps, *shape)) for name, (rate, shape) in self.layer.drops().items()}

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        names = ["noise/" + name for name in self.layer.drops()] if run.training else []
        noise, mask = [run.noise[name] for name in names], run.mask
        given = [x, *noise] if mask is None else [x, *noise, mask]
        if run.training and any(not weight.trainable for weight in self.layer.weights.values()):
            parts = [[each[:, t : t + 1] for each in given] for t in range(x.shape[1])]
            y = B.concatenate(*[self._applied(B, p, part, names, run) for part in parts], axis=1)
        else:
            y = self._applied(B, p, given, names, run)
        if mask is not None and len(mask.shape) >= len(y.shape):  # of places that are gone
            run.mask = None
        return y

    def _applied(self, B: Backend, p: Arrays, given: Sequence[Array], names: Sequence[str], run: Run) -> Array:
        """The outputs of places, which are examples of the layer; so are those of noise and mask behind them."""
        flat, *others = [B.reshape(each, (-1, *each.shape[2:])) for each in given]
        inner = Run(run.training, {**run.noise, **dict(zip(names, others, strict=False))}, run.unroll)
        inner.updates, inner.mask = run.updates, None if run.mask is None else others[-1]
        image = self.layer.layout == "image" and len(flat.shape) == 4
        y = self.layer.call(B, p, B.to_image(flat) if image else flat, inner)
        if image and len(self.each) == 3:
            y = B.from_image(y)
        return B.reshape(y, (-1, given[0].shape[1], *self.each))
