"""Layers of images, (N, H, W, C): convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from impls.shim.activation_functions import Nonlinearity, image_activation
from impls.shim.backends.contract import Array, Arrays, Backend, Shape
from impls.shim.initializers import Initializer
from impls.shim.layer import Layer, Options, Run

if TYPE_CHECKING:
    from typing import Unpack


Size: TypeAlias = int | Sequence[int]  # of a window: `2` and `(2, 2)` mean the same


def pair(value: Size) -> tuple[int, int]:
    """`2` and `(2, 2)` mean the same."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


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


class ConvolutionOptions(Options, total=False):
    """What a convolution takes besides its filters and its window."""

    strides: Size
    padding: str
    dilation_rate: Size
    activation: Nonlinearity
    use_bias: bool
    kernel_initializer: Initializer


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

    def __init__(self, kernel_size: Size, depth_multiplier: int = 1, **options: Unpack[ConvolutionOptions]) -> None:
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
