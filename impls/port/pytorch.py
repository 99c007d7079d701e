"""A torch.nn.Module of a user: functions are seen by a TorchFunctionMode, modules by hooks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from impls.port import own_steps, torch_exported, torch_recorder, vocabulary
from impls.port.base import Port
from impls.port.errors import UserError
from impls.port.libraries import library_of
from impls.port.low_precision import is_float64, on_gpu, working_type
from impls.port.recorder import Trace
from impls.port.torch_layers import kind_of
from impls.port.torch_weights import NAMED, Part, join
from impls.port.weight import Weight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from impls.port.annotations import Args, Config, Function, Key, Kwargs, LossAndSlopes, Native, Natives

RULES = {"SGD": "sgd", "Adam": "adam", "AdamW": "adam", "RMSprop": "rmsprop", "Adagrad": "adagrad"}
RULES.update(Adamax="adamax", Adadelta="adadelta")
OPTIMIZER = {"eps": "epsilon", "momentum": "momentum", "nesterov": "nesterov", "alpha": "rho"}
OPTIMIZER.update(rho="rho", momentum_decay="momentum_decay")
OWN_STEP = ("model", "optimizer", "x", "y")
torch.set_default_dtype(
    torch.float64 if is_float64() else torch.float32
)  # before a user's file makes weights of classes
RUNNING = ("mean", "var")  # in the name of a buffer: a running statistic, which a checkpoint would bring


class PortOfTorch(Port):
    channels_first = True

    def build(self) -> Native:
        torch.set_num_threads(1)
        if on_gpu():
            torch.set_default_device("cuda")  # what the model and the port make out of nothing, too
        torch.backends.mha.set_fastpath_enabled(False)  # a fused kernel is taken only where nobody watches
        torch.manual_seed(0)
        self.differentiating = False
        model = super().build()
        self.exported = torch_exported.is_exported(model)
        self.buffers: dict[tuple[nn.Module, str], torch.Tensor | None] = {}
        if self.exported and not is_float64():
            raise UserError(f"an exported program has its types written into it: it can't be cast to {working_type()}")
        model = torch_exported.as_module(model) if self.exported else model
        self.kinds = torch_exported.kinds(model) if self.exported else {}
        if not isinstance(model, nn.Module):
            raise UserError(f"build() has to return a torch.nn.Module, it returned {type(model).__name__}")
        model.to("cuda" if on_gpu() else "cpu", getattr(torch, working_type()))
        if not self.exported:  # whose modules are never called
            self.hook_all(model)
        return model

    def hook_all(self, model: nn.Module) -> None:
        for path, module in model.named_modules():
            if not isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)) or not path:
                self.hook(path, module)

    def hook(self, path: str, module: nn.Module) -> None:
        kind, config = kind_of(module) or ("module", lambda m: {})
        class_name = type(module).__name__
        open_calls = []

        def before(module: nn.Module, args: Args, kwargs: Kwargs) -> None:
            if self.trace is not None:
                given = torch_recorder.tensors_in((args, kwargs))
                known = [(tensor, self.trace.operand(tensor)) for tensor in given]
                open_calls.append((self.trace.enter(path), known))

        def after(module: nn.Module, args: Args, kwargs: Kwargs, output: Native) -> None:
            if self.trace is not None:
                first, given = open_calls.pop()
                names = [weight.name for weight in self.weights_of(path, module)]
                outputs = torch_recorder.tensors_in(output)
                operands = [operand for _, operand in given]
                self.trace.leave(path, first, kind, config(module), names, operands, outputs, class_name)

        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after, with_kwargs=True)

    def weights_of(self, path: str, module: nn.Module) -> list[Weight]:
        """The weights of a module and of all in it."""
        inside = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
        return self.weights_in(inside)

    def weights_in(self, tensors: set[int]) -> list[Weight]:
        """The weights any tensor of which is one of these, by their keys."""
        return [weight for weight in self.weights if any(id(base_of(tensor)) in tensors for tensor in weight.tensors)]

    # What the function mode asks.

    def drop(self, kind: str, tensor: Native, p: float = 0.5, training: bool = True, inplace: bool = False) -> Native:
        if training:
            self.dropped(kind, p, tensor, True)
        return tensor

    def disturb(self, name: str, given: Sequence[Native], output: Native) -> Native:
        """The output with errors in it, where there is noise and the function rounds; `given` are its tensors.

        What a function writes into stays the tensor that it is: a model may hold it.
        """
        known = vocabulary.TORCH.get(name, (name, ()))[0]
        if self.noise is None or known in vocabulary.MOVES or not isinstance(output, torch.Tensor):
            return output
        if not output.is_floating_point() or not output.numel() or any(output is tensor for tensor in given):
            return output
        count = max([output.numel(), *(tensor.numel() for tensor in given[:1])])
        factor = self.factor(output.shape, count)
        factor = self.spared(self.numpy(output), factor) if self.spares_exact else factor
        return output * torch.as_tensor(factor, dtype=output.dtype)

    def new_trace(self, keep: int) -> Trace:
        return Trace(torch_recorder.to_numpy, self.files, keep, torch_recorder.version)

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        self.model.train(training)
        with torch_recorder.Functions(self), torch.set_grad_enabled(training or self.differentiating):
            output = self.model(*args, **kwargs)
        self.follow_buffers()
        return output

    def follow_buffers(self) -> None:
        """Where a model has another tensor for a buffer than before (`self.average = ...`), that is the weight now."""
        for module in self.model.modules():
            for name, tensor in module._buffers.items():
                before = self.buffers.get((module, name))
                if before is None or tensor is before or tensor is None or tensor.shape != before.shape:
                    continue
                module._buffers[name] = self.buffers[module, name] = fresh = tensor.detach()
                for weight in self.weights:
                    weight.tensors = [fresh if each is before else each for each in weight.tensors]

    def has_training_mode(self) -> bool:
        return not self.exported

    def parameters_of_call(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.model.forward).parameters)

    def is_tensor(self, value: Native) -> bool:
        return isinstance(value, torch.Tensor)

    def native(self, array: np.ndarray) -> Native:
        array = np.asarray(array)
        tensor = torch.as_tensor(np.array(array) if not array.flags.writeable else array)
        if tensor.dtype is torch.bool:
            return tensor
        return tensor.to(getattr(torch, working_type()) if tensor.is_floating_point() else torch.int64)

    def numpy(self, native: Native) -> np.ndarray:
        return torch_recorder.to_numpy(native.view() if isinstance(native, Part) else native)

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        target = tensor.view() if isinstance(tensor, Part) else tensor
        with torch.no_grad():
            values = torch.as_tensor(np.ascontiguousarray(array))
            target.copy_(values.reshape(target.shape))  # which ascontiguousarray takes from a single number

    def identities(self, weight: Weight) -> list[Key]:
        return [id(base_of(tensor)) for tensor in weight.tensors]

    def find_weights(self) -> list[Weight]:
        found: list[Weight] = []
        seen: set[int] = set()
        self.buffers = {(m, name): tensor for m in self.model.modules() for name, tensor in m._buffers.items()}
        for path, module in self.model.named_modules():
            for weight in self.weights_of_one(path, module):
                fresh = [tensor for tensor in weight.tensors if id(tensor) not in seen]
                if fresh:
                    seen.update(id(tensor) for tensor in weight.tensors)
                    weight.trainable = all(base_of(tensor).requires_grad for tensor in weight.tensors)
                    found.append(weight)
        return found

    def weights_of_one(self, path: str, module: nn.Module) -> list[Weight]:
        kind = self.kinds.get(path) or (kind_of(module) or ("custom", None))[0]
        found = NAMED[kind](path, module) if kind in NAMED else []
        known = {id(base_of(tensor)) for weight in found for tensor in weight.tensors}
        for name, tensor in module.named_parameters(recurse=False):
            if id(tensor) not in known:
                found.append(Weight(path, "custom", name, [tensor], name=join(path, name)))
        for name, tensor in module.named_buffers(recurse=False):
            persistent = name not in module._non_persistent_buffers_set
            if id(tensor) not in known and tensor.is_floating_point() and persistent:
                found.append(Weight(path, "buffer", name, [tensor], trainable=False, name=join(path, name)))
        return found

    def trained(self) -> list[Native]:
        return [tensor for weight in self.weights if weight.trainable for tensor in weight.tensors]

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> LossAndSlopes:
        self.differentiating = True
        loss = self.loss(self.call(args, kwargs, not self.evaluating), y)
        self.differentiating = False
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise UserError("loss_fn(logits, y) has to return one number")
        tensors = self.trained()
        bases = list({id(base_of(tensor)): base_of(tensor) for tensor in tensors}.values())
        if not bases:
            return loss, []
        asked = [tensor for tensor in bases if tensor.requires_grad]  # a user may freeze some in make_optimizer
        slopes = torch.autograd.grad(loss, asked, allow_unused=True) if asked else ()
        by_base = {id(tensor): slope for tensor, slope in zip(asked, slopes, strict=True)}
        return loss, [slope_of(tensor, by_base.get(id(base_of(tensor)))) for tensor in tensors]

    def start_training(self) -> bool:
        if not hasattr(self.program, "make_optimizer"):
            return False
        self.model.zero_grad(set_to_none=True)  # a step of the user's that never does adds to those of the run before
        self.optimizing = self.program.make_optimizer(self.model)
        self.optimizer, *self.schedulers = (
            self.optimizing if isinstance(self.optimizing, (list, tuple)) else [self.optimizing]
        )
        return True

    def step_runs_the_model(self) -> bool:
        return True

    def train(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        """The user's `train_step(model, optimizer, x, y)`, or the usual three lines."""
        step = own_steps.own_step(self.program)
        self.model.train()
        if step is not None:
            with torch_recorder.Functions(self):
                own_steps.take(step, {**self.known_to_steps(step), **own_steps.batch_of(args, kwargs, y)}, OWN_STEP)
            return
        self.optimizer.zero_grad()
        self.loss(self.call(args, kwargs, True), y).backward()
        self.optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()

    def known_to_steps(self, step: Function) -> Natives:
        """Optimizer and scheduler are one argument, as the user returned them, where the step has one for them."""
        parted = any(own_steps.WHAT.get(name) == "scheduler" for name in inspect.signature(step).parameters)
        known: Natives = {"model": self.model, "optimizer": self.optimizer if parted else self.optimizing}
        if self.schedulers:
            known["scheduler"] = self.schedulers[0]
        if hasattr(self.program, "loss_fn"):
            known["loss"] = self.program.loss_fn
        return known

    def describe_optimizer(self) -> Config:
        """The rule and its numbers; each weight's own under "groups" where the optimizer has several groups."""
        optimizer = getattr(self, "optimizer", None)
        if not isinstance(optimizer, torch.optim.Optimizer):
            return {}
        rule = RULES.get(type(optimizer).__name__)
        groups = [self.describe_group(group, optimizer, rule) for group in optimizer.param_groups]
        return {**groups[0], "groups": groups}

    def describe_group(self, group: dict[str, Any], optimizer: torch.optim.Optimizer, rule: str | None) -> Config:
        config: Config = {"rule": rule, "class_name": type(optimizer).__name__, "rate": float(group["lr"])}
        if "weight_decay" in group or library_of(optimizer):  # a rule of the user's may call its own otherwise
            config["weight_decay"] = group.get("weight_decay", 0.0)
        config["decoupled"] = type(optimizer).__name__ == "AdamW"
        config.update({ours: group[name] for name, ours in OPTIMIZER.items() if name in group})
        if "betas" in group:
            config.update(beta_1=float(group["betas"][0]), beta_2=float(group["betas"][1]))
        config["amsgrad"] = bool(group.get("amsgrad", False))
        if rule == "adagrad":
            config["initial"] = float(group["initial_accumulator_value"])
            config["rule"] = None if group["lr_decay"] else rule  # a rate that falls by itself has no formula here
        inside = {id(tensor) for tensor in group["params"]}
        config["weights"] = [weight.name for weight in self.weights_in(inside)]
        config.update(library_of(optimizer))
        config["epsilon_inside"] = rule == "adamax"
        return {**config, "epsilon_hat": False, "rate_inside": False}


def base_of(tensor: Native) -> torch.Tensor:
    """The parameter itself, of which a `Part` has rows."""
    return tensor.tensor if isinstance(tensor, Part) else tensor


def slope_of(tensor: Native, slope: torch.Tensor | None) -> torch.Tensor | None:
    return slope[tensor.rows] if isinstance(tensor, Part) and slope is not None else slope
