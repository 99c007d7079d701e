"""Recurrent layers: one cell each in its paper's letters; the backend runs it over time, or has the layer whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from impls.shim.activation_functions import Nonlinearity, activation_function
from impls.shim.backends.contract import Array, Arrays, Backend, Cell, Shape
from impls.shim.initializers import Initializer, initializer
from impls.shim.layer import Layer, Options, Run, Symbol

if TYPE_CHECKING:
    from typing import Unpack


class Masked(Layer):
    """Values (N, T, ...) under a mask (N, T), its second input: what is 0 there is left out by the layers behind."""

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        values, mask = x
        run.mask = mask != 0
        return values


class UnderMask(Layer):
    """What may be applied with `mask=`, a symbol of shape (T,)."""

    def __call__(self, inputs: Symbol | list[Symbol], mask: Symbol | None = None) -> Symbol:
        """The layer applied to a symbol, and to a mask where one is given."""
        return super().__call__(inputs if mask is None else Masked()([inputs, mask]))  # type: ignore[list-item]  # one


class RecurrentOptions(Options, total=False):
    """What every recurrent layer takes."""

    return_sequences: bool
    go_backwards: bool
    kernel_initializer: Initializer
    recurrent_initializer: Initializer


class Recurrent(UnderMask):
    """(N, T, inputs) to (N, T, units), or the last (N, units). The state starts at zero.

    A mask (`Embedding(mask_zero=True)`) holds the state where it is false; the output there is the one before.
    """

    rank, recurrent_loop = 2, True
    gates, states = 1, 1  # blocks of `units` in the kernels, and what a step hands to the next one
    biases = 1  # rows of the bias: that of the inputs, and one of the state where the cell needs it apart
    first_bias: Initializer = "zeros"
    fused = True  # whether a backend's own layer of this kind computes the same

    def __init__(
        self, units: int, return_sequences: bool = False, go_backwards: bool = False,
        kernel_initializer: Initializer = "glorot_uniform", recurrent_initializer: Initializer = "orthogonal",
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.units, self.return_sequences, self.go_backwards = units, return_sequences, go_backwards
        self.initializers = kernel_initializer, recurrent_initializer

    def build(self, *shapes: Shape) -> Shape:
        steps, inputs = shapes[0]
        width = self.gates * self.units
        self.kernel = self.weight("kernel", (inputs, width), self.initializers[0], "recurrent")
        self.recurrent = self.weight("recurrent_kernel", (self.units, width), self.initializers[1], "recurrent")
        self.bias = self.weight("bias", (width,) if self.biases == 1 else (self.biases, width), self.first_bias)
        return (steps, self.units) if self.return_sequences else (self.units,)

    def cell(self, B: Backend, recurrent: Array, bias: Array) -> Cell:
        """`states = step(row, *states)`."""
        raise NotImplementedError

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        weights = p[self.kernel], p[self.recurrent], p[self.bias]
        whole, mask = B.RECURRENT.get(self.kind) if self.fused else None, run.mask
        if self.go_backwards:
            x, mask = B.flip(x, 1), None if mask is None else B.flip(mask, 1)
        y = whole(x, *weights, run.unroll) if whole and mask is None else None  # None in a mode that it is not for
        if y is None:
            y = self.step_by_step(B, x, *weights, mask, run)
        if self.return_sequences:
            return y
        run.mask = None
        return y[:, -1]

    def step_by_step(
        self, B: Backend, x: Array, kernel: Array, recurrent: Array, bias: Array, mask: Array, run: Run
    ) -> Array:
        """The cell run over time: (N, T, units)."""
        if "recurrent" in B.ROLES:
            kernel, recurrent = kernel.T, recurrent.T  # torch keeps them as its own layers want them
        drive = B.dense(x, kernel, bias if self.biases == 1 else bias[0])  # for all steps in one product
        columns, cell = [drive], self.cell(B, recurrent, bias)
        if mask is not None:
            columns, cell = [*columns, mask], held(B, cell)
        unroll = not (run.training and B.LOOPED_TRAINING) if run.unroll is None else run.unroll
        return B.recur(cell, columns, self.units, self.states, unroll)


def held(B: Backend, cell: Cell) -> Cell:
    """The cell under a mask: where a row of it, (N,), is false, the states stay as they were."""

    def step(row: Array, keep: Array, *old: Array) -> Array:
        return tuple(B.where(keep[:, None], n, o) for n, o in zip(cell(row, *old), old, strict=True))

    return step


class SimpleRNN(Recurrent):
    """Elman (1990): h = tanh(x W + h U + b)."""

    def __init__(self, units: int, activation: Nonlinearity = "tanh", **options: Unpack[RecurrentOptions]) -> None:
        super().__init__(units, **options)
        self.activation = activation_function(activation)

    def cell(self, B: Backend, recurrent: Array, bias: Array) -> Cell:
        def step(row: Array, h: Array) -> Array:
            z = row + B.dense(h, recurrent)
            return (self.activation(B, z) if self.activation else z,)

        return step


def forget_one(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, and ones for the forget gate: Jozefowicz et al. (2015)."""
    bias = initializer("zeros")(rng, shape)
    bias[shape[0] // 4 : shape[0] // 2] = 1
    return bias


class LSTM(Recurrent):
    """Hochreiter and Schmidhuber (1997) with forget gates.

    Keras's convention: gates i, f, c, o along the last axis, one bias (torch has two), forget bias 1 at the start.
    """

    gates, states = 4, 2
    first_bias = staticmethod(forget_one)

    def cell(self, B: Backend, recurrent: Array, bias: Array) -> Cell:
        def step(row: Array, h: Array, c: Array) -> Array:
            i, f, g, o = B.split(row + B.dense(h, recurrent), 4)
            c = B.sigmoid(f) * c + B.sigmoid(i) * B.tanh(g)
            return B.sigmoid(o) * B.tanh(c), c

        return step


class GRU(Recurrent):
    """Cho et al. (2014): gates z, r, h along the last axis, h = z * h + (1 - z) * candidate.

    `reset_after` (Keras's and torch's default) resets the product with h and has a second bias, so that the bias is
    (2, 3 units); the paper resets h itself before the product.
    """

    gates = 3

    def __init__(self, units: int, reset_after: bool = True, **options: Unpack[RecurrentOptions]) -> None:
        super().__init__(units, **options)
        self.reset_after = self.fused = reset_after
        self.biases = 2 if reset_after else 1

    def cell(self, B: Backend, recurrent: Array, bias: Array) -> Cell:
        cut, second = 2 * self.units, bias[1] if self.reset_after else None
        early, late = recurrent[..., :cut], recurrent[..., cut:]

        def after(row: Array, h: Array) -> Array:
            (z, r, n), (uz, ur, un) = B.split(row, 3), B.split(B.dense(h, recurrent, second), 3)
            z, r = B.sigmoid(z + uz), B.sigmoid(r + ur)
            return (z * h + (1 - z) * B.tanh(n + r * un),)

        def before(row: Array, h: Array) -> Array:
            (z, r, n), (uz, ur) = B.split(row, 3), B.split(B.dense(h, early), 2)
            z, r = B.sigmoid(z + uz), B.sigmoid(r + ur)
            return (z * h + (1 - z) * B.tanh(n + B.dense(r * h, late)),)

        return after if self.reset_after else before


class Bidirectional(UnderMask):
    """Schuster and Paliwal (1997): a layer for each direction, copied or made by `make()`; outputs side by side.

    Of whole sequences the outputs are 0 where a mask is false, as Keras has it here and not in a single layer.
    """

    rank, recurrent_loop = 2, True

    def __init__(self, make: Recurrent | Callable[[], Recurrent], **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if isinstance(make, Layer):
            self.forward, self.backward = copy.deepcopy(make), copy.deepcopy(make)
        else:
            self.forward, self.backward = make(), make()
        self.backward.go_backwards = not self.forward.go_backwards

    def build(self, *shapes: Shape) -> Shape:
        for name, layer in (("forward", self.forward), ("backward", self.backward)):
            layer.name = f"{self.name}/{name}"
            shape = layer.shape(*shapes)
            self.weights.update(layer.weights)
        return (*shape[:-1], 2 * self.forward.units)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        mask = run.mask
        ahead, after, run.mask = self.forward.call(B, p, x, run), run.mask, mask
        back, run.mask = self.backward.call(B, p, x, run), after
        y = B.concatenate(ahead, B.flip(back, 1) if self.forward.return_sequences else back)
        if mask is None or not self.forward.return_sequences:
            return y
        return B.where(mask[:, :, None], y, y * 0.0)
