"""torch.optim's rules, with groups, schedules, clips and accumulation as users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import optim
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from impls.port.references import Arrays

Params: TypeAlias = dict[str, torch.Tensor]
Make: TypeAlias = Callable[[Params], optim.Optimizer]
Step: TypeAlias = Callable[[optim.Optimizer, list[torch.Tensor], int], None]  # optimizer, tensors, updates done
Clip: TypeAlias = Callable[[list[torch.Tensor]], None]
Rule: TypeAlias = Callable[..., optim.Optimizer]

torch.set_default_dtype(torch.float64)

SHAPES = {"h/kernel": (6, 8), "h/bias": (8,), "n/gamma": (8,), "n/beta": (8,), "o/kernel": (8, 4), "o/bias": (4,)}
STEPS = 4


class Learner:
    """A small network in plain tensors, STEPS steps of an optimizer on one batch, and the gradients of each step."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.start: Arrays = {}
        for name, shape in SHAPES.items():
            self.start[name] = rng.uniform(0.3, 1, shape) * rng.choice([-1, 1], shape)
        self.x = torch.tensor(rng.normal(size=(12, 6)))
        self.y = torch.tensor(rng.integers(0, 4, 12))

    def loss(self, p: Params) -> torch.Tensor:
        h = torch.relu(self.x @ p["h/kernel"] + p["h/bias"])
        h = torch.nn.functional.layer_norm(h, (8,), p["n/gamma"], p["n/beta"])
        return torch.nn.functional.cross_entropy(h @ p["o/kernel"] + p["o/bias"], self.y)

    def run(self, make: Make, step: Step) -> Arrays:
        p = {name: torch.tensor(array, requires_grad=True) for name, array in self.start.items()}
        optimizer = make(p)
        found: Arrays = {}
        for n in range(STEPS):
            optimizer.zero_grad()
            self.loss(p).backward()
            found.update((f"slope{n}/{name}", t.grad.numpy().copy()) for name, t in p.items())
            step(optimizer, list(p.values()), n)
            found.update((f"after{n}/{name}", t.detach().numpy().copy()) for name, t in p.items())
        return found


# Optimizers


def whole(rule: Rule, **options: Any) -> Make:
    """One group of all parameters."""
    return lambda p: rule(list(p.values()), **options)


def groups(rule: Rule, is_first: Callable[[str], bool], other: dict[str, float], **options: Any) -> Make:
    """Two groups, the second with settings of its own."""

    def make(p: Params) -> optim.Optimizer:
        chosen = [t for name, t in p.items() if is_first(name)]
        rest = [t for name, t in p.items() if not is_first(name)]
        return rule([{"params": chosen}, {"params": rest, **other}], **options)

    return make


def is_kernel(name: str) -> bool:
    return "kernel" in name


def is_not_of_output(name: str) -> bool:
    return name[0] != "o"


# Steps


def plain(optimizer: optim.Optimizer, tensors: list[torch.Tensor], n: int) -> None:
    optimizer.step()


def every_second(optimizer: optim.Optimizer, tensors: list[torch.Tensor], n: int) -> None:
    if n % 2:
        optimizer.step()


def at_rate(rate: Callable[[int], float]) -> Step:
    """The learning rate of the first group follows the number of updates done."""

    def step(optimizer: optim.Optimizer, tensors: list[torch.Tensor], n: int) -> None:
        optimizer.param_groups[0]["lr"] = rate(n)
        optimizer.step()

    return step


def halving(n: int) -> float:
    return 0.1 * 0.5**n


def halving_a_step_early(n: int) -> float:
    return 0.1 * 0.5 ** (n + 1)


def warming(n: int) -> float:
    return 0.1 * min(1, (n + 1) / 3)


def warming_from_0(n: int) -> float:
    return 0.1 * min(1, n / 3)


def clipping(clip: Clip) -> Step:
    """Gradients are clipped before the update."""

    def step(optimizer: optim.Optimizer, tensors: list[torch.Tensor], n: int) -> None:
        clip(tensors)
        optimizer.step()

    return step


def global_norm(limit: float) -> Clip:
    return lambda tensors: clip_grad_norm_(tensors, limit)


def global_norm_exactly(tensors: list[torch.Tensor]) -> None:
    """Without what torch adds to the norm."""
    norm = torch.sqrt(sum((t.grad**2).sum() for t in tensors))
    for tensor in tensors:
        tensor.grad.mul_(min(1.0, float(0.5 / norm)))


def each_norm(tensors: list[torch.Tensor]) -> None:
    for tensor in tensors:
        clip_grad_norm_([tensor], 0.5)


def each_value(tensors: list[torch.Tensor]) -> None:
    clip_grad_value_(tensors, 0.1)


SGD = whole(optim.SGD, lr=0.1)
ADAM = whole(optim.Adam, lr=0.01)
CASES: dict[str, tuple[Make, Step]] = {
    "sgd": (SGD, plain),
    "sgd halving": (SGD, at_rate(halving)),
    "sgd halving a step early": (SGD, at_rate(halving_a_step_early)),
    "sgd warming": (SGD, at_rate(warming)),
    "sgd warming from 0": (SGD, at_rate(warming_from_0)),
    "sgd global norm": (SGD, clipping(global_norm(0.5))),
    "sgd global norm exactly": (SGD, clipping(global_norm_exactly)),
    "sgd each norm": (SGD, clipping(each_norm)),
    "sgd value": (SGD, clipping(each_value)),
    "sgd every second step": (SGD, every_second),
    "sgd, o slower": (groups(optim.SGD, is_not_of_output, {"lr": 0.01}, lr=0.1), plain),
    "sgd, o frozen": (groups(optim.SGD, is_not_of_output, {"lr": 0.0}, lr=0.1), plain),
    "nesterov": (whole(optim.SGD, lr=0.1, momentum=0.9, nesterov=True), plain),
    "heavy ball": (whole(optim.SGD, lr=0.1, momentum=0.9), plain),
    "adam": (ADAM, plain),
    "adam global norm": (ADAM, clipping(global_norm(0.1))),
    "adam eps 1e-3": (whole(optim.Adam, lr=0.01, eps=1e-3), plain),
    "adam L2 0.1": (whole(optim.Adam, lr=0.01, weight_decay=0.1), plain),
    "adamw 0.1": (whole(optim.AdamW, lr=0.01, weight_decay=0.1), plain),
    "adamw 0.1 of kernels": (groups(optim.AdamW, is_kernel, {"weight_decay": 0.0}, lr=0.01, weight_decay=0.1), plain),
    "adamw 0.05, eps 1e-3": (whole(optim.AdamW, lr=0.01, weight_decay=0.05, eps=1e-3), plain),
    "rmsprop 0.9": (whole(optim.RMSprop, lr=0.01, alpha=0.9), plain),
    "rmsprop": (whole(optim.RMSprop, lr=0.01), plain),
    "adagrad": (whole(optim.Adagrad, lr=0.01), plain),
    "adagrad from 0.1": (whole(optim.Adagrad, lr=0.01, initial_accumulator_value=0.1), plain),
    "rprop": (whole(optim.Rprop, lr=0.01), plain),
}


def compute(rng: np.random.Generator) -> Arrays:
    """The learner draws its own numbers."""
    learner = Learner()
    found = {f"optimizers/start/{name}": array for name, array in learner.start.items()}
    for name, (make, step) in CASES.items():
        found.update((f"optimizers/{name}/{key}", value) for key, value in learner.run(make, step).items())
    return found
