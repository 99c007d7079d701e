"""PyTorch. Images are computed as channels-last NCHW views of NHWC data, which costs no copy."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from impls import private_apis
from impls.shim import backends
from impls.shim.backends import torch_graphs, torch_kernels
from impls.shim.backends.contract import (
    Array,
    Arrays,
    Carry,
    Cell,
    Columns,
    Constant,
    Differentiated,
    Function,
    Fused,
    Held,
    Pair,
    WholeLayer,
)
from impls.shim.backends.torch_optimizers import fused_adam, fused_rmsprop, fused_sgd

private_apis.check(__name__)

NAME = "torch"
MODES: tuple[str, ...] = ("eager", "compile", "graph")
GPU_MODES: tuple[str, ...] = ("graph",)
IMAGE = "NCHW"
HALVES: tuple[str, ...] = ("bfloat16", "float16")
LOOPS, LOOPED_TRAINING = False, False
ROLES: dict[str, tuple[int, ...]] = {"conv": (3, 2, 0, 1), "depthwise": (2, 3, 0, 1), "recurrent": (1, 0)}

zeros_like, ones_like, where = torch.zeros_like, torch.ones_like, torch.where
all_zeros = backends.one_by_one(zeros_like)
abs, exp, log, sqrt, tanh, sigmoid, relu, softplus, gelu = (
    torch.abs, torch.exp, torch.log, torch.sqrt, torch.tanh, torch.sigmoid, torch.relu, lambda x: -F.logsigmoid(-x),
    F.gelu,
)  # fmt: skip


gelu_tanh = functools.partial(F.gelu, approximate="tanh")
sum, mean, reshape, transpose = torch.sum, torch.mean, torch.reshape, torch.permute


def concatenate(*arrays: Array, axis: int = -1) -> Array:
    return torch.cat(arrays, axis)


split = functools.partial(torch.chunk, dim=-1)


def flip(x: Array, axis: int) -> Array:
    return torch.flip(x, (axis,))


softmax, stack = functools.partial(torch.softmax, dim=-1), torch.stack
argmax = functools.partial(torch.argmax, dim=-1)


def cast(x: Array, dtype: str) -> Array:
    return x.to(getattr(torch, dtype))


rows = operator.getitem


def global_norm(arrays: Sequence[Array]) -> Array:
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(arrays)))  # one call for all arrays


at_least = torch.clamp


def scaled(arrays: list[Array], factor: Array) -> list[Array]:
    return list(torch._foreach_mul(arrays, factor))  # one call for all arrays


def decayed(weights: list[Array], share: Array) -> list[Array]:
    torch._foreach_sub_(weights, torch._foreach_mul(weights, share))
    return weights


def blend(old: Array, new: Array, share: float) -> Array:
    return torch.lerp(old, new.detach(), share)


def array(value: Array, dtype: str | None = None, device: str = "cpu") -> Array:
    kind = getattr(torch, dtype or str(value.dtype)) if value.dtype.kind == "f" else torch.int64
    return torch.as_tensor(value, dtype=kind, device=_place(device))


def constant(held: Constant, like: Array) -> Array:
    key = like.dtype, like.device
    if key not in held.native:  # kept: a captured graph may not copy from the host
        held.native[key] = torch.as_tensor(held.value).to(like.device, like.dtype)
    return held.native[key]


def _place(device: str) -> str:
    return "cuda" if device == "gpu" else device


def variable(value: Array, role: str, dtype: str, device: str = "cpu") -> Array:
    value = np.transpose(value, ROLES.get(role, range(np.ndim(value))))
    value = np.ascontiguousarray(value)  # torch keeps strides, and cuDNN takes no weights but contiguous ones
    native = torch.tensor(value, dtype=getattr(torch, dtype), device=_place(device))
    if role == "conv" and len(native) > 1:  # of one filter torch's own gradient asks for the usual layout
        return native.contiguous(memory_format=torch.channels_last)
    return native


def when(condition: Array, update: Callable[[], Held], held: Held) -> Held:
    if not torch_graphs.capturing:
        return update() if condition else held
    before = [{name: tensor.clone() for name, tensor in part.items()} for part in held]  # it may update in place
    pairs = zip(before, update(), strict=True)
    return [{name: torch.where(condition, new[name], old[name]) for name in old} for old, new in pairs]


assign, subtract = backends.renewed, backends.less


def numpy(value: Array, role: str = "") -> Array:
    value = np.asarray(value.detach().cpu()) if isinstance(value, torch.Tensor) else np.asarray(value)
    return value.transpose(np.argsort(ROLES[role])) if role in ROLES else value


def to_image(x: Array) -> Array:
    return x.permute(0, 3, 1, 2)


def from_image(x: Array) -> Array:
    return x.permute(0, 2, 3, 1)


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    if b is None:
        return x @ w
    if x.dim() == 2:
        return torch.addmm(b, x, w)  # F.linear would transpose first
    return torch.addmm(b, x.reshape(-1, x.shape[-1]), w).view(*x.shape[:-1], -1)


def _pad_same(x: Array, window: Pair, stride: Pair, dilation: Pair, fill: float) -> tuple[Array, Pair]:
    """TensorFlow's SAME: `x` padded by hand where the odd place goes behind, and the symmetric rest."""
    edges = []
    for size, w, s, d in zip(x.shape[2:], window, stride, dilation, strict=False):
        total = max((-(-size // s) - 1) * s + (w - 1) * d + 1 - size, 0)
        edges.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = edges
    if top == bottom and left == right:
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom), value=fill), (0, 0)


def _grouped(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str, groups: int) -> Array:
    around = (0, 0)
    if padding == "same":
        x, around = _pad_same(x, w.shape[2:], stride, dilation, 0.0)
    if w.dtype == torch.float64:
        w = w.contiguous()  # the kernel of this type is slow_conv2d, which raises for the gradient of a turned weight
    return torch.conv2d(x, w, b, stride, around, dilation, groups)


conv2d = functools.partial(_grouped, groups=1)


def depthwise_conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    channels = x.shape[1]
    return _grouped(x, w.flatten(0, 1).unsqueeze(1), b, stride, dilation, padding, channels)


def max_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    if padding == "same":
        x, around = _pad_same(x, window, stride, (1, 1), -math.inf)
        return torch.max_pool2d(x, window, stride, around)  # torch's own padding is minus infinity too
    return torch.max_pool2d(x, window, stride)


def average_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    if padding != "same":
        return F.avg_pool2d(x, window, stride)
    ones = x.new_ones(1, 1, *x.shape[2:])
    (x, around), (ones, _) = (_pad_same(a, window, stride, (1, 1), 0.0) for a in (x, ones))
    return F.avg_pool2d(x, window, stride, around) / F.avg_pool2d(ones, window, stride, around)


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
    if x.dim() == 3:  # sequences (N, T, C); torch takes the second axis for the channels
        y, mu, variance = batch_norm(x.flatten(0, 1), gamma, beta, epsilon)
        return y.view(x.shape), mu, variance
    y, mu, inverse = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, epsilon)
    with torch.no_grad():
        return y, mu, inverse.pow(-2).sub_(epsilon)  # its own running variance would be the unbiased one


def scale_shift(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    if x.dim() == 3:
        return scale_shift(x.flatten(0, 1), mean, variance, gamma, beta, epsilon).view(x.shape)
    return F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, epsilon)


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    return F.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)


def rms_norm(x: Array, gamma: Array, epsilon: float) -> Array:
    return F.rms_norm(x, x.shape[-1:], gamma, epsilon)


attention = torch_kernels.attention


def embedding(ids: Array, table: Array) -> Array:
    return torch.embedding(table, ids)


def recur(cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Array:
    start = (columns[0].new_zeros(len(columns[0]), units),) * states
    rows = zip(*[column.unbind(1) for column in columns], strict=True)
    return torch.stack(backends.straight(cell, rows, start), 1)


def _whole_lstm(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    start = x.new_zeros(1, len(x), recurrent.shape[1])
    weights = [kernel, recurrent, bias, torch.zeros_like(bias)]  # torch's layer has a second bias
    return torch._VF.lstm(x, (start, start), weights, True, 1, 0.0, True, False, True)[0]


_untraced_lstm = _whole_lstm  # see `_compiled`


def _lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Array:
    return (_untraced_lstm if torch.compiler.is_compiling() else _whole_lstm)(x, kernel, recurrent, bias)


def _gru(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Array:
    start = x.new_zeros(1, len(x), recurrent.shape[1])
    weights = [_gates_of_torch(w) for w in (kernel, recurrent, *bias)]
    return torch._VF.gru(x, start, weights, True, 1, 0.0, True, False, True)[0]


def _gates_of_torch(w: Array) -> Array:
    """Rows of the gates z, r, n in PyTorch's order: r, z, n."""
    z, r, n = w.unflatten(0, (3, -1))
    return torch.cat([r, z, n])


RECURRENT: dict[str, WholeLayer] = {"lstm": _lstm, "gru": _gru}


def softmax_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    if logits.dim() > 2:
        losses = softmax_cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduce)
        return losses if reduce else losses.view(labels.shape)
    return F.cross_entropy(logits, labels, reduction="mean" if reduce else "none")


def sigmoid_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="mean" if reduce else "none")


def value_and_grad(function: Function, mode: str) -> Function:
    if mode == "compile":
        function = _compiled(function)  # forward and backward; the update is fused already

    def call(weights: Arrays, *rest: object) -> Differentiated:
        with torch.enable_grad():
            for weight in weights.values():
                weight.requires_grad_()
            loss, aux = function(weights, *rest)
            grads = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True, allow_unused=True)
        pairs = zip(weights.items(), grads, strict=False)
        return (loss.detach(), aux), {name: _aligned(g, w) for (name, w), g in pairs}

    return call


def _aligned(g: Array, w: Array) -> Array:
    """A gradient in the memory layout of its weight: fused optimizers walk both without looking at the strides."""
    return g if g.stride() == w.stride() else torch.empty_like(w).copy_(g)


def at_trace(note: Callable[[], None]) -> Callable[[], None]:
    return torch.compiler.assume_constant_result(note)  # type: ignore[no-any-return]


def compile(step: Function, carry: Carry, mode: str) -> Function:
    return torch_graphs.Step(step, carry) if mode == "graph" else torch.no_grad()(step)


def compile_epoch(step: Function, carry: Carry, mode: str, shape: tuple[int, ...]) -> Function:
    if mode == "graph":
        return torch_graphs.compile_epoch(step, carry, shape)
    return backends.python_epoch(compile(step, carry, mode), torch.split, torch.stack)


def compile_inference(function: Function, carry: Carry, mode: str) -> Function:
    if mode == "graph":
        return torch_graphs.compile_inference(function)
    return torch.no_grad()(_compiled(function) if mode == "compile" else function)  # type: ignore[no-any-return]


def _compiled(function: Function) -> Function:
    """Nothing else loads Dynamo, which takes a second and 80 MB."""
    global _untraced_lstm  # only what is traced calls it: on CPU that fails, mkldnn_rnn_layer raises a TypeError
    _untraced_lstm = torch.compiler.disable(_whole_lstm)
    return torch.compile(function, dynamic=False)  # type: ignore[no-any-return]


FUSED: dict[str, Fused] = {"adam": fused_adam, "sgd": fused_sgd, "rmsprop": fused_rmsprop}
