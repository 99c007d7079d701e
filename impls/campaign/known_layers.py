"""Layers as an engine is known to compute them otherwise: the oracle takes them where it is asked how far that reaches.

A name is that of the shim's layer or activation, and the engine's: `suites.campaign.substitutes` says who has which.
"""

from __future__ import annotations

from typing import Any

from impls import shim
from impls.campaign.messages import Layer
from impls.shim.backends.contract import Array, Arrays, Backend
from impls.shim.backends.numpy_autodiff import bare
from impls.shim.backends.numpy_kernels import pads
from impls.shim.layer import Run


def leaky_relu_of_jax(B: Backend, x: Array) -> Array:
    """The slope at 0 is 1."""
    return B.where(x * -1.0 > 0, 0.2 * x, x)


def normalise(B: Backend, x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """By a variance that is E[x^2] - E[x]^2: the result, the mean and that variance."""
    mean = B.mean(x, axes, keepdims=True)
    variance = B.mean(x * x, axes, keepdims=True) - mean * mean
    return (x - mean) / B.sqrt(variance + epsilon), mean, variance


class GroupNormOfSquares(shim.GroupNorm):
    """(N, ..., C) to the same."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        groups = B.reshape(x, (x.shape[0], -1, self.groups, x.shape[-1] // self.groups))
        scaled, _, _ = normalise(B, groups, (1, 3), self.epsilon)
        return B.reshape(scaled, (-1, *x.shape[1:])) * p[self.gamma] + p[self.beta]


class BatchNormOfSquares(shim.BatchNorm):
    """(N, ..., C) to the same; running statistics as they are."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        if not (run.training and self.trainable):
            return super().call(B, p, x, run)
        scaled, mean, variance = normalise(B, x, tuple(range(len(x.shape) - 1)), self.epsilon)
        for name, value in ((self.mean, mean), (self.variance, variance)):
            run.updates[name] = B.blend(p[name], B.reshape(value, (-1,)), 1 - self.momentum)
        return scaled * p[self.gamma] + p[self.beta]


def moments_of_tensorflow(B: Backend, x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and variance, whose gradient leaves the mean out: what comes by it is zero but for rounding."""
    mean = B.mean(x, axes, keepdims=True)
    centred = x - bare(mean)
    return mean, B.mean(centred * centred, axes, keepdims=True)


def of_products(B: Backend, x: Array, moments: tuple[Array, Array], gamma: Array, beta: Array, epsilon: float) -> Array:
    """x g / s + (b - m g / s): products that are rounded where the mean is far from zero, before it is subtracted."""
    mean, variance = moments
    scale = gamma / B.sqrt(variance + epsilon)
    return x * scale + (beta - mean * scale)


class GroupNormOfTensorFlow(shim.GroupNorm):
    """(N, ..., C) to the same."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        shape = self.groups, x.shape[-1] // self.groups
        groups = B.reshape(x, (x.shape[0], -1, *shape))
        gamma, beta = B.reshape(p[self.gamma], shape), B.reshape(p[self.beta], shape)
        y = of_products(B, groups, moments_of_tensorflow(B, groups, (1, 3)), gamma, beta, self.epsilon)
        return B.reshape(y, (-1, *x.shape[1:]))


class LayerNormOfTensorFlow(shim.LayerNorm):
    """(N, ..., C) to the same."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        moments = moments_of_tensorflow(B, x, (len(x.shape) - 1,))
        return of_products(B, x, moments, p[self.gamma], p[self.beta], self.epsilon)


class BatchNormOfTensorFlow(shim.BatchNorm):
    """(N, ..., C) to the same; running statistics as they are."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        moments = p[self.mean], p[self.variance]
        if run.training and self.trainable:
            moments = moments_of_tensorflow(B, x, tuple(range(len(x.shape) - 1)))
            for name, value in zip((self.mean, self.variance), moments, strict=True):
                run.updates[name] = B.blend(p[name], B.reshape(value, (-1,)), 1 - self.momentum)
        return of_products(B, x, moments, p[self.gamma], p[self.beta], self.epsilon)


class AveragePool2DOfEdges(shim.AveragePool2D):
    """Where SAME pads more on one side the edge is repeated, on every side, and counted."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        sizes = zip(x.shape[1:3], self.window, self.strides, strict=True)
        edges = [pads(size, window, stride, 1, self.padding) for size, window, stride in sizes]
        if all(before == after for before, after in edges):
            return super().call(B, p, x, run)
        for axis, (before, after) in enumerate(edges, 1):
            x = repeat_edge(B, x, axis, before, after)
        return B.average_pool2d(x, self.window, self.strides, "valid")


def repeat_edge(B: Backend, x: Array, axis: int, before: int, after: int) -> Array:
    """So many copies of the first and of the last place of an axis (1 or 2)."""
    first, last = (x[:, :1], x[:, -1:]) if axis == 1 else (x[:, :, :1], x[:, :, -1:])
    return B.concatenate(*[first] * before, x, *[last] * after, axis=axis)


KNOWN: dict[str, Any] = {
    "leaky_relu of JAX": leaky_relu_of_jax,
    "AveragePool2D of Keras on torch": AveragePool2DOfEdges,
    "BatchNorm of TensorFlow": BatchNormOfTensorFlow,
    "BatchNorm of squares": BatchNormOfSquares,
    "GroupNorm of TensorFlow": GroupNormOfTensorFlow,
    "LayerNorm of TensorFlow": LayerNormOfTensorFlow,
    "GroupNorm of squares": GroupNormOfSquares,
}


def as_known(layer: Layer) -> Layer:
    """A layer's description, with what is meant in the place of a name that the shim has not."""
    return {key: KNOWN.get(value, value) if isinstance(value, str) else value for key, value in layer.items()}
