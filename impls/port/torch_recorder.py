"""Every function of torch as an operation of a `Trace`; dropout is left out, random numbers are common ones."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.overrides import TorchFunctionMode, resolve_name

from impls.port import vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Args, Function, Kwargs, Native, Setting, Watcher
    from impls.port_messages import Config, Operand

DROPOUTS = {
    "dropout": "elements",
    "dropout1d": "channels",
    "dropout2d": "channels",
    "dropout3d": "channels",
    "alpha_dropout": "alpha",
    "feature_alpha_dropout": "alpha",
}
DRAWS = {
    "rand": "uniform",
    "rand_like": "uniform",
    "uniform_": "uniform",
    "randn": "normal",
    "randn_like": "normal",
    "normal_": "normal",
    "bernoulli": "bernoulli",
    "bernoulli_": "bernoulli",
}
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
PROPERTIES = ("T", "mT", "H", "mH", "real", "imag")


@functools.cache
def name_of(function: Function) -> tuple[str, str]:
    """`matmul` and `torch.Tensor.matmul` of one of torch's functions."""
    full = resolve_name(function) or getattr(function, "__name__", "unknown")
    parts = full.split(".")
    if parts[0] == "aten" and len(parts) > 1:  # of a program of torch.export
        return parts[1], full
    return (parts[-2] if parts[-1] == "__get__" else parts[-1]), full


def is_tensor(value: Native) -> bool:
    return isinstance(value, torch.Tensor)


def to_numpy(tensor: Native) -> np.ndarray:
    """The numbers of a tensor, not a copy where they lie in this process's memory."""
    tensor = tensor.detach().cpu()
    if tensor.is_conj() or tensor.is_neg():  # which NumPy has no views for
        tensor = tensor.resolve_conj().resolve_neg()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()


def version(tensor: Native) -> int:
    """How often it was written to in place; what was made in inference mode keeps no count."""
    return 0 if tensor.is_inference() else tensor._version


class Functions(TorchFunctionMode):  # type: ignore[misc]
    """Runs each function as it is, and tells `port` of it.

    `port` holds `trace` (or None), `noise` (or None), `override` ({value id: array}), `draws` and `evaluating`.
    """

    def __init__(self, port: Watcher) -> None:
        super().__init__()
        self.port = port

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: Args = (), kwargs: Kwargs | None = None
    ) -> Native:
        kwargs = kwargs or {}
        name, full = name_of(func)
        if full.endswith("__get__") and name not in PROPERTIES:
            return func(*args, **kwargs)
        port = self.port
        if name in DROPOUTS and full.startswith(("torch.nn.functional", "aten.")):
            return port.drop(DROPOUTS[name], *args, **kwargs)
        if name in DRAWS:
            return drawn(port, name, func, args, kwargs)
        args, kwargs = without_chance(port, name, args, kwargs)
        trace = port.trace
        given = tensors_in((args, kwargs))
        inputs = [] if trace is None else [trace.operand(tensor) for tensor in given]
        output = func(*args, **kwargs)
        output = port.disturb(name, given, output)
        if trace is None:
            return output
        if name in ("__setitem__", "copy_"):
            record(port, name, full, args, kwargs, inputs, args[0])
            return output
        return record(port, name, full, args, kwargs, inputs, output)


def tensors_in(value: Native) -> list[torch.Tensor]:
    """Every tensor of nested arguments, in order."""
    if is_tensor(value):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in tensors_in(part)]
    return []


def plain(value: Native) -> Setting:
    """An argument as JSON has it; tensors in it are told by "tensor"."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_tensor(value):
        return "tensor"
    if isinstance(value, slice):
        return {"slice": [plain(value.start), plain(value.stop), plain(value.step)]}
    if value is Ellipsis:
        return "..."
    if isinstance(value, (tuple, list, torch.Size)):
        return [plain(part) for part in value]
    return str(value)


def settings(names: Sequence[str], args: Args, kwargs: Kwargs) -> Config:
    """What an operation is told besides tensors."""
    found = {}
    rest = args[1:]
    for at, value in enumerate(rest):
        if not is_tensor(value) and value is not None:
            found[names[at] if at < len(names) else f"argument{at + 1}"] = plain(value)
    for name, value in kwargs.items():
        if not is_tensor(value) and value is not None:
            found[vocabulary.setting(name)] = plain(value)
    return found


def record(
    port: Watcher, name: str, full: str, args: Args, kwargs: Kwargs, inputs: Sequence[Operand], output: Native
) -> Native:
    """The operation, if it gives tensors; and what stands in for its output where a value is overridden."""
    outputs = tensors_in(output)
    if not outputs:
        return output
    trace = port.trace
    given = {id(tensor) for tensor in tensors_in((args, kwargs))}
    if all(id(tensor) in given and trace.find(tensor) is not None for tensor in outputs):
        return output  # x.contiguous() of what is contiguous, and the like
    known, names = vocabulary.TORCH.get(name, (name.strip("_"), ()))
    literal = [plain(a) for a in args[:1] if not is_tensor(a) and not isinstance(a, (tuple, list))]
    found = settings(names, args, kwargs)
    if literal:
        found["first"] = literal[0]
    ids = trace.op(full, known, inputs, found, outputs)
    return port.overridden(ids, outputs, output)


def drawn(port: Watcher, name: str, func: Function, args: Args, kwargs: Kwargs) -> Native:
    """Random numbers that both sides get: the same n-th draw of the same size."""
    if port.draws is None:
        return func(*args, **kwargs)
    if name == "bernoulli" or name.startswith("bernoulli_"):
        chance: Native = 0.5 if name.endswith("_") else args[0]
        chance = args[1] if len(args) > 1 else kwargs.get("p", chance)
        shape = args[0].shape
        # As floor(chance + uniform), which is how the same is written where there is no bernoulli.
        value = port.draws.uniform(shape) >= 1 - (to_numpy(chance) if is_tensor(chance) else chance)
        made = torch.as_tensor(np.asarray(value)).to(args[0].dtype)
        return args[0].copy_(made) if name.endswith("_") else made
    like = func(*args, **kwargs)
    made = torch.as_tensor(getattr(port.draws, DRAWS[name])(like.shape)).to(like.dtype)
    if name == "normal_" or name == "uniform_":
        low, high = scale_of(name, args, kwargs)
        return like.copy_(made * (high if name == "normal_" else high - low) + low)
    return made


def scale_of(name: str, args: Args, kwargs: Kwargs) -> tuple[float, float]:
    """(mean, deviation) of normal_, (low, high) of uniform_."""
    first, second = ("mean", "std") if name == "normal_" else ("from", "to")
    given = dict(zip((first, second), args[1:], strict=False))
    given.update(kwargs)
    return given.get(first, 0.0), given.get(second, 1.0)


def without_chance(port: Watcher, name: str, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """The arguments of a function that drops inside, with the rate told to the trace and taken away."""
    if name == "scaled_dot_product_attention":
        return attention_without_chance(port, args, kwargs)
    if name == "multi_head_attention_forward":
        return packed_attention_without_chance(port, args, kwargs)
    if name in RECURRENT and len(args) > 6 and isinstance(args[6], float) and args[6]:
        port.dropped("between layers", args[6], args[0], bool(args[7]))
        return (*args[:6], 0.0, *args[7:]), kwargs
    if name in RECURRENT and len(args) > 5 and isinstance(args[5], float) and args[5]:
        port.dropped("between layers", args[5], args[0], bool(args[6]))
        return (*args[:5], 0.0, *args[6:]), kwargs
    return args, kwargs


def attention_without_chance(port: Watcher, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    rate = args[4] if len(args) > 4 else kwargs.get("dropout_p", 0.0)
    if not rate:
        return args, kwargs
    port.dropped("attention", rate, args[0], True)
    if len(args) > 4:
        return (*args[:4], 0.0, *args[5:]), kwargs
    return args, {**kwargs, "dropout_p": 0.0}


PACKED_RATE = 10  # the place of dropout_p among the arguments of F.multi_head_attention_forward


def packed_attention_without_chance(port: Watcher, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    rate = args[PACKED_RATE] if len(args) > PACKED_RATE else kwargs.get("dropout_p", 0.0)
    if not rate:
        return args, kwargs
    port.dropped("attention", rate, args[0], kwargs.get("training", True))
    if len(args) > PACKED_RATE:
        return (*args[:PACKED_RATE], 0.0, *args[PACKED_RATE + 1 :]), kwargs
    return args, {**kwargs, "dropout_p": 0.0}
