"""The contract of a backend: its constants and functions, in the order in which every module of one has them.

A backend is a module beside this one. Code above the backends takes one as `B` and computes with these names alone.
Importing this loads no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

if TYPE_CHECKING:
    import numpy as np

# An array of whichever engine. Their types have no ancestor in common, and what all of them can do (arithmetic,
# comparison, slices, `shape` and `dtype`) differs in its results; whatever differs in calls is a function below.
Array: TypeAlias = Any
Arrays: TypeAlias = dict[str, Array]  # by the names of weights, "layer/weight"
Carry: TypeAlias = dict[str, Arrays]  # what travels through steps: weights, state, slots
Stepped: TypeAlias = tuple[Carry, Array]  # what a step gives: what travels on, and the loss and metrics
Held: TypeAlias = Sequence[Arrays]  # weights and slots
Differentiated: TypeAlias = tuple[tuple[Array, Array], Arrays]  # the loss and what came with it, and the gradients
Rates: TypeAlias = Sequence[Array]  # the numbers of an update, the learning rate first
Columns: TypeAlias = Sequence[Array]  # of data: each has the examples along its first axis
Axes: TypeAlias = int | Sequence[int] | None  # None: all of them
Pair: TypeAlias = tuple[int, int]  # of rows and columns of an image
Shape: TypeAlias = tuple[Any, ...]  # of one example: integers, and None where the data decide
Function: TypeAlias = Callable[..., Array]  # of arrays, whose number and nesting depend on the model
Cell: TypeAlias = Callable[..., tuple[Array, ...]]  # (*rows, *states) to the new states
WholeLayer: TypeAlias = Callable[..., Array | None]  # a recurrent one as a whole: (x, kernel, recurrent, bias, unroll)
Rows: TypeAlias = Mapping[str, tuple[Array, ...]]  # of an optimizer: (weight, gradient, slots ...) by name
Optimizer: TypeAlias = Any  # the description of one: the constants of its rule are its fields
Fused: TypeAlias = Callable[[Optimizer, Rates, Rows], Rows | None]  # to the rows left to its rule


class Constant:
    """An array that a layer computes with and nobody trains; `native` is for a backend that keeps its own copies."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value
        self.native: dict[object, Array] = {}


class Backend(Protocol):
    """What a module has to define to be a backend."""

    NAME: str
    MODES: tuple[str, ...]  # the default one first
    GPU_MODES: tuple[str, ...]  # those of them that need a GPU
    IMAGE: str  # how image layers keep their data: NHWC or NCHW
    HALVES: tuple[str, ...]  # types that mixed precision can compute in
    LOOPS: bool  # whether recurrence can be straight code or a compiled loop
    LOOPED_TRAINING: bool  # whether it is one in training where nobody says; outside of training it is straight code
    ROLES: dict[str, tuple[int, ...]]  # native axes of a weight, by its role, where they are not Keras's

    def zeros_like(self, x: Array) -> Array:
        """Zeros of the shape and type of `x`."""

    def ones_like(self, x: Array) -> Array:
        """Ones of the shape and type of `x`."""

    def where(self, condition: Array, a: Array, b: Array) -> Array:
        """`a` where the condition is true, else `b`; each may be a number."""

    def all_zeros(self, arrays: Sequence[Array]) -> list[Array]:
        """Zeros like each of the arrays."""

    def abs(self, x: Array) -> Array:
        """|x|, with gradient 0 at 0."""

    def exp(self, x: Array) -> Array:
        """e to the power of x."""

    def log(self, x: Array) -> Array:
        """The natural logarithm."""

    def sqrt(self, x: Array) -> Array:
        """The square root."""

    def tanh(self, x: Array) -> Array:
        """The hyperbolic tangent."""

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(-x)), without overflow."""

    def relu(self, x: Array) -> Array:
        """max(x, 0), with gradient 0 at 0."""

    def softplus(self, x: Array) -> Array:
        """log(1 + exp(x)), without overflow."""

    def gelu(self, x: Array) -> Array:
        """x times the normal distribution's cdf: Hendrycks and Gimpel (2016)."""

    def gelu_tanh(self, x: Array) -> Array:
        """The approximation of `gelu` by a hyperbolic tangent, of the same paper."""

    def sum(self, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
        """The sum over the axes, or of all elements."""

    def mean(self, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
        """The mean over the axes, or of all elements."""

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        """The elements in row-major order in another shape, of which one extent may be -1."""

    def transpose(self, x: Array, axes: Sequence[int]) -> Array:
        """The axes in another order."""

    def concatenate(self, *arrays: Array, axis: int = -1) -> Array:
        """The arrays side by side along an axis."""

    def split(self, x: Array, parts: int) -> Sequence[Array]:
        """Equal parts along the last axis."""

    def flip(self, x: Array, axis: int) -> Array:
        """The order along the axis reversed."""

    def softmax(self, x: Array) -> Array:
        """exp(x) / sum(exp(x)) over the last axis, without overflow."""

    def stack(self, values: Sequence[Array]) -> Array:
        """The arrays along a new first axis."""

    def argmax(self, x: Array) -> Array:
        """The first maximum over the last axis, in the type that labels have."""

    def cast(self, x: Array, dtype: str) -> Array:
        """`x` in the type called `dtype`."""

    def rows(self, column: Array, order: Array) -> Array:
        """The examples of a column in another order."""

    def global_norm(self, arrays: Sequence[Array]) -> Array:
        """The 2-norm of all arrays taken as one vector."""

    def at_least(self, x: Array, limit: float) -> Array:
        """max(x, limit)."""

    def scaled(self, arrays: list[Array], factor: Array) -> list[Array]:
        """Each array times the factor."""

    def decayed(self, weights: list[Array], share: Array) -> list[Array]:
        """Each weight less that share of it: see `subtract`."""

    def blend(self, old: Array, new: Array, share: float) -> Array:
        """`old` with a `share` of `new` in its place, a value of its own: nothing is differentiated through it."""

    def array(self, value: np.ndarray, dtype: str | None = None, device: str = "cpu") -> Array:
        """NumPy to the backend's own array; integers in the type that the backend indexes with.

        The next call on it reads the numbers of now: a generator may use the memory of a batch again for the next one.
        """

    def constant(self, held: Constant, like: Array) -> Array:
        """An array of numbers in the type of `like`, and where that is."""

    def variable(self, value: np.ndarray, role: str, dtype: str, device: str = "cpu") -> Array:
        """A canonical weight as a native one that a step can update."""

    def when(self, condition: Array, update: Callable[[], Held], held: Held) -> Held:
        """What `update()` gives, or `held` where the condition does not hold."""

    def assign(self, old: Array, new: Array) -> Array:
        """The weight after an update, its own storage where the backend updates in place."""

    def subtract(self, weight: Array, step: Array) -> Array:
        """The same, for an update by a step."""

    def numpy(self, value: Array, role: str = "") -> np.ndarray:
        """Wait for a native array, and give it to NumPy with canonical axes."""

    def to_image(self, x: Array) -> Array:
        """(N, H, W, C) to what image layers compute on."""

    def from_image(self, x: Array) -> Array:
        """What image layers compute on to (N, H, W, C)."""

    def dense(self, x: Array, w: Array, b: Array | None = None) -> Array:
        """x @ w + b over the last axis."""

    def conv2d(self, x: Array, w: Array, b: Array | None, stride: Pair, dilation: Pair, padding: str) -> Array:
        """Cross-correlation of an image with kernels (H, W, inputs, outputs); SAME pads the odd place behind."""

    def depthwise_conv2d(
        self, x: Array, w: Array, b: Array | None, stride: Pair, dilation: Pair, padding: str
    ) -> Array:
        """The same with M separate kernels a channel, (H, W, C, M): outputs c M to c M + M - 1 are channel c's."""

    def max_pool2d(self, x: Array, window: Pair, stride: Pair, padding: str) -> Array:
        """The maximum of each window; its gradient goes to the first one."""

    def average_pool2d(self, x: Array, window: Pair, stride: Pair, padding: str) -> Array:
        """The mean of each window, without the padding."""

    def batch_norm(self, x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
        """Normalise each channel: the output, the batch's mean and its biased variance."""

    def scale_shift(
        self, x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float
    ) -> Array:  # fmt: skip
        """Normalise each channel by given statistics."""

    def layer_norm(self, x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
        """Normalise over the last axis by its mean and biased variance."""

    def rms_norm(self, x: Array, gamma: Array, epsilon: float) -> Array:
        """Over the last axis: x / sqrt(mean(x squared) + epsilon) * gamma."""

    def attention(
        self, q: Array, k: Array, v: Array, mask: Array | None, causal: bool, noise: Array | None
    ) -> Array:  # fmt: skip
        """(N, T, H, D), (N, S, G, D) and (N, S, G, E) to (N, T, H, E), each of G heads of keys for H / G of queries.

        `mask`, of (N, 1, T or 1, S), is false where no query looks; `noise` multiplies the shares.
        """

    def embedding(self, ids: Array, table: Array) -> Array:
        """The rows of the table."""

    def recur(self, cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Array:
        """`states = cell(*rows, *states)` over time, from zeros: the first state of each step, (N, T, H).

        `rows` are those of one step of each column, (N, T, ...); the first one has the type of the states.
        """

    RECURRENT: dict[str, WholeLayer]  # those that the backend has whole; None from one: not in this mode

    def softmax_cross_entropy(self, logits: Array, labels: Array, reduce: bool) -> Array:
        """-log softmax(logits)[label] for each label, or the mean of that."""

    def sigmoid_cross_entropy(self, logits: Array, labels: Array, reduce: bool) -> Array:
        """-log of the probability of each label in [0, 1], or the mean of that."""

    def value_and_grad(self, function: Function, mode: str) -> Function:
        """`function(weights, *rest)` returns `(loss, aux)`; the result's call returns `((loss, aux), gradients)`."""

    def at_trace(self, note: Callable[[], None]) -> Callable[[], None]:
        """A call that happens when the function around it is traced, not whenever that runs."""

    def compile(self, step: Function, /, carry: Carry, mode: str) -> Function:
        """`run(carry, rates, columns)` -> `(carry, values)`: one step as one call."""

    def compile_epoch(self, step: Function, carry: Carry, mode: str, shape: tuple[int, ...]) -> Function:
        """`run(carry, rates, columns, batch)` -> `(carry, values)`: an epoch as one call; sums, of `shape`."""

    def compile_inference(self, function: Function, /, carry: Carry, mode: str) -> Function:
        """`run(carry, columns)`: a function that changes nothing, as one call."""

    FUSED: dict[str, Fused]  # updates in place by the optimizer's name; the rows that it returns are left to its rule


def names() -> list[str]:
    """All names that a backend has to define."""
    return [name for name in [*Backend.__annotations__, *vars(Backend)] if not name.startswith("_")]


def fulfilled(module: ModuleType) -> Backend:
    """The module as a backend.

    Raises NotImplementedError with the names that it lacks.
    """
    missing = [name for name in names() if not hasattr(module, name)]
    if missing:
        raise NotImplementedError(
            f"{module.__name__} is no backend yet: it has no {', '.join(missing)}; "
            "impls/shim/backends/contract.py says what each of them does"
        )
    return cast(Backend, module)
