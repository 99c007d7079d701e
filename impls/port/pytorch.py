"""A torch.nn.Module of a user: modules are tapped by hooks, functions (F.relu, x.view) by a TorchFunctionMode."""

from __future__ import annotations

import inspect

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from impls.port.base import Port, UserError, Weight
from impls.port.torch_weights import NAMED

ACTIVATIONS = {
    nn.ReLU: lambda m: {"name": "relu"},
    nn.LeakyReLU: lambda m: {"name": "leaky_relu", "slope": m.negative_slope},
    nn.GELU: lambda m: {"name": "gelu" if m.approximate == "none" else "gelu_tanh"},
    nn.SiLU: lambda m: {"name": "silu"},
    nn.Sigmoid: lambda m: {"name": "sigmoid"},
    nn.Tanh: lambda m: {"name": "tanh"},
    nn.ELU: lambda m: {"name": "elu"},
    nn.Hardsigmoid: lambda m: {"name": "hard_sigmoid_6"},
    nn.Softplus: lambda m: {"name": "softplus"},
    nn.Softmax: lambda m: {"name": "softmax"},
    nn.LogSoftmax: lambda m: {"name": "log_softmax"},
}


def window(m):
    sizes = m.kernel_size, m.stride, m.padding
    return dict(zip(("window", "strides", "padding"), (pair(s) for s in sizes), strict=True))


def convolution(m):
    return {**window(m), "dilation": list(m.dilation), "groups": m.groups, "pad_mode": m.padding_mode}


def recurrent(m):
    return {"return_sequences": True}


KINDS = {
    nn.Linear: ("dense", lambda m: {}),
    nn.Conv2d: ("conv2d", convolution),
    nn.Conv1d: ("conv1d", lambda m: {}),
    nn.ConvTranspose2d: ("conv2d_transpose", lambda m: {}),
    nn.modules.batchnorm._BatchNorm: ("batchnorm", lambda m: {"epsilon": m.eps, "momentum": 1 - (m.momentum or 0)}),
    nn.LayerNorm: ("layernorm", lambda m: {"epsilon": m.eps}),
    nn.Embedding: ("embedding", lambda m: {}),
    nn.LSTM: ("lstm", recurrent),
    nn.GRU: ("gru", lambda m: {**recurrent(m), "reset_after": True}),
    nn.MaxPool2d: ("maxpool2d", window),
    nn.AvgPool2d: ("avgpool2d", window),
    nn.AdaptiveAvgPool2d: ("adaptive_pool", lambda m: {}),
    nn.Flatten: ("flatten", lambda m: {}),
    nn.Dropout: ("dropout", lambda m: {"rate": m.p}),
    nn.ZeroPad2d: ("pad", lambda m: {}),
    **{module: ("activation", config) for module, config in ACTIVATIONS.items()},
}
IMAGES = (
    "conv2d",
    "depthwise_conv2d",
    "conv2d_transpose",
    "batchnorm",
    "maxpool2d",
    "avgpool2d",
    "adaptive_pool",
    "pad",
)


def pair(value):
    """`2` and `(2, 2)` mean the same; "same" stays."""
    return [value, value] if isinstance(value, int) else value


def pooling(x, kernel_size, stride=None, padding=0, *rest, **options):
    sizes = kernel_size, stride or kernel_size, padding
    return dict(zip(("window", "strides", "padding"), (pair(s) for s in sizes), strict=True))


def activation(name):
    return lambda *args, **options: {"name": name}


def approximate(x, approximate="none"):
    return {"name": "gelu" if approximate == "none" else "gelu_tanh"}


# What a function of torch.nn.functional, torch or a Tensor's method of this name computes.
FUNCTIONS = {
    **{
        name: ("activation", activation(name.rstrip("_")))
        for name in ("relu", "relu_", "sigmoid", "tanh", "silu", "elu")
    },
    **{name: ("activation", activation(name)) for name in ("softmax", "log_softmax", "softplus")},
    "hardsigmoid": ("activation", activation("hard_sigmoid_6")),
    "leaky_relu": (
        "activation",
        lambda x, slope=0.01, **o: {"name": "leaky_relu", "slope": o.get("negative_slope", slope)},
    ),
    "gelu": ("activation", approximate),
    "max_pool2d": ("maxpool2d", pooling),
    "avg_pool2d": ("avgpool2d", pooling),
    "adaptive_avg_pool2d": ("adaptive_pool", lambda *args, **options: {}),
    "mean": ("adaptive_pool", lambda *args, **options: {}),
    "flatten": ("flatten", lambda *args, **options: {}),
    "view": ("flatten", lambda *args, **options: {}),
    "reshape": ("flatten", lambda *args, **options: {}),
    "pad": ("pad", lambda *args, **options: {}),
    "dropout": ("dropout", lambda x, p=0.5, *args, **options: {"rate": p}),
}
SHAPES = {  # a name that means the kind only where the number of axes falls like this
    "flatten": lambda a, b: a.ndim > 2 and b.ndim == 2,
    "adaptive_pool": lambda a, b: a.ndim == 4,
}
MOVING = ("permute", "transpose", "movedim", "swapaxes", "moveaxis", "T", "mT")


def kind_of(module):
    kind, config = next((known for layer, known in KINDS.items() if isinstance(module, layer)), (None, None))
    if kind == "conv2d" and 1 < module.groups == module.in_channels:
        return "depthwise_conv2d", config
    return kind and (kind, config)


class Functions(TorchFunctionMode):
    """Sees every call of a function of torch that is made outside the known modules."""

    def __init__(self, port):
        super().__init__()
        self.port = port

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return self.port.function(func, args, kwargs or {})


class PortOfTorch(Port):
    channels_first = True

    def build(self):
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(0)
        model = super().build()
        if not isinstance(model, nn.Module):
            raise UserError(f"build() has to return a torch.nn.Module, it returned {type(model).__name__}")
        self.depth, self.busy, self.model = 0, False, model.to(torch.float64)
        self.paths = {id(module): path for path, module in model.named_modules()}
        for path, module in model.named_modules():
            if path and not isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
                self.hook(path, module)
        return self.model

    def hook(self, path, module):
        known = kind_of(module)

        def before(module, args):
            self.inside.append(path)
            self.depth += known is not None

        def after(module, args, output):
            self.depth -= known is not None
            self.inside.pop()
            if self.depth:
                return None
            kind, config = known or ("module", lambda m: {})
            if kind == "dropout":
                self.switched_off.append(path)
            names = [weight.name for weight in self.weights_of(path, module)]
            return self.tap(path, kind, config(module), names, args[0] if args else output, output)

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)

    def weights_of(self, path, module):
        return [w for p, m in module.named_modules(prefix=path) for w in self.weights_of_one(p, m)]

    def tap(self, name, kind, config, weights, given, output):
        """Record a call, and multiply its output by errors where there is noise."""
        first = output[0] if isinstance(output, tuple) else output
        if not isinstance(first, torch.Tensor) or not isinstance(given, torch.Tensor):
            return None
        self.busy = True
        try:
            self.mark(kind, given, first)
            if self.records is not None:
                self.record(name, kind, config, weights, given, first)
            if self.noise is None or not first.is_floating_point():
                return None
            noise = self.factor(first.shape, max(given.numel(), first.numel()))
            noisy = first * torch.empty_like(first).copy_(torch.as_tensor(noise))
            self.mark(kind, given, noisy)
            return (noisy, *output[1:]) if isinstance(output, tuple) else noisy
        finally:
            self.busy = False

    def mark(self, kind, given, output):
        """Remember which axes are which, for `numpy`: what is elementwise keeps them."""
        if kind in IMAGES:
            for tensor in (given, output):
                tensor.axes = {4: (0, 2, 3, 1), 3: (0, 2, 1)}.get(tensor.ndim)
        elif kind == "conv1d":
            given.axes = output.axes = (0, 2, 1)
        elif given.shape == output.shape:
            output.axes = getattr(given, "axes", None)

    def function(self, func, args, kwargs):
        """One call of torch: run it, and tap it if it is one that a layer could be."""
        name = getattr(func, "__name__", "")
        if self.busy or self.depth or name not in FUNCTIONS or not args or not isinstance(args[0], torch.Tensor):
            output = func(*args, **kwargs)
            self.keep_axes(name, args, output)
            return output
        kind, config = FUNCTIONS[name]
        given = args[0]
        if kind == "dropout":
            self.switched_off.append("dropout")
            return given
        kept = given.clone() if name.endswith("_") or kwargs.get("inplace") else given
        kept.axes = getattr(given, "axes", None)
        output = func(*args, **kwargs)
        if kind in SHAPES and not SHAPES[kind](given, output):
            return output
        at = sum(record["name"].startswith(name) for record in self.records or [])
        return_ = self.tap(f"{name} {at + 1}" if at else name, kind, config(*args, **kwargs), [], kept, output)
        return output if return_ is None else return_

    def keep_axes(self, name, args, output):
        """The axes of an image stay known through x + y and the like."""
        given = args[0] if args else None
        if self.busy or name in MOVING or not isinstance(given, torch.Tensor) or not isinstance(output, torch.Tensor):
            return
        if getattr(given, "axes", None) and output is not given and given.shape == output.shape:
            output.axes = given.axes

    def call(self, x, training):
        self.model.train(training)
        for module in self.model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.train(False)
        self.inside, self.depth, self.busy = [], 0, False
        with Functions(self), torch.set_grad_enabled(training):
            output = self.model(x)
        return output[0] if isinstance(output, tuple) else output

    def input(self, x):
        native = super().input(x)
        native.axes = (0, 2, 3, 1) if self.turned else None
        return native

    def native(self, array):
        tensor = torch.as_tensor(array)
        return tensor.to(torch.float64) if tensor.is_floating_point() else tensor.to(torch.int64)

    def numpy(self, native):
        array = np.array(native.detach().cpu())
        axes = getattr(native, "axes", None)
        return array.transpose(axes) if axes and len(axes) == array.ndim else array

    def assign(self, tensor, array):
        with torch.no_grad():
            tensor.copy_(torch.as_tensor(np.ascontiguousarray(array)))

    def find_weights(self):
        return self.weights_of("", self.model)

    def weights_of_one(self, path, module):
        kind = (kind_of(module) or ("custom", None))[0]
        if kind in NAMED:
            return NAMED[kind](path, module)
        own = list(module.named_parameters(recurse=False))
        found = [Weight(path, kind, name, [tensor], name=f"{path}.{name}".lstrip(".")) for name, tensor in own]
        for name, tensor in module.named_buffers(recurse=False):
            if tensor.is_floating_point() and name not in module._non_persistent_buffers_set:
                found.append(Weight(path, kind, name, [tensor], trainable=False, name=f"{path}.{name}".lstrip(".")))
        return found

    def value_and_grads(self, x, y):
        tensors = [t for weight in self.weights if weight.trainable for t in weight.tensors]
        loss = self.loss(self.call(x, True), y)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise UserError("loss_fn(logits, y) has to return one number")
        return loss, torch.autograd.grad(loss, tensors, allow_unused=True)

    def start_training(self):
        if not hasattr(self.program, "make_optimizer"):
            return False
        self.optimizer = self.program.make_optimizer(self.model)
        return True

    def train(self, x, y):
        """The user's `train_step(model, optimizer, x, y)`, or the usual three lines."""
        step = getattr(self.program, "train_step", None)
        self.model.train()
        if step is not None and len(inspect.signature(step).parameters) == 4:
            step(self.model, self.optimizer, x, y)
            return
        self.optimizer.zero_grad()
        self.loss(self.call(x, True), y).backward()
        self.optimizer.step()

    def describe_optimizer(self):
        optimizer = getattr(self, "optimizer", None)
        rule = {"SGD": "sgd", "Adam": "adam", "AdamW": "adam", "RMSprop": "rmsprop"}.get(type(optimizer).__name__)
        if rule is None or not isinstance(optimizer, torch.optim.Optimizer) or len(optimizer.param_groups) != 1:
            return {}
        group = optimizer.param_groups[0]
        config = {"rule": rule, "rate": float(group["lr"]), "weight_decay": group.get("weight_decay", 0.0)}
        config["decoupled"] = type(optimizer).__name__ == "AdamW"
        config.update({ours: group[name] for name, ours in OPTIMIZER.items() if name in group})
        if "betas" in group:
            config.update(beta_1=group["betas"][0], beta_2=group["betas"][1])
        return {**config, "epsilon_hat": False, "rate_inside": False}


OPTIMIZER = {"eps": "epsilon", "momentum": "momentum", "nesterov": "nesterov", "alpha": "rho"}
