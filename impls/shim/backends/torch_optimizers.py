"""Optimizers of PyTorch in few kernels for all weights: (optimizer, rates, rows), see `FUSED` of the NumPy backend.

A rate is a number, or in a captured step a tensor on the device, which a new rate is written to.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from impls import private_apis
from impls.shim.backends.contract import Array, Optimizer, Rates, Rows

private_apis.check(__name__)


@functools.cache
def endless(device: torch.device) -> Array:
    """A step count at which Adam's bias corrections are 1; the kernel wants it where the weights are."""
    return torch.full((), 1e9, dtype=torch.float32, device=device)


def fused_adam(optimizer: Optimizer, rates: Rates, rows: Rows) -> Rows | None:
    """One kernel; at an endless step count its bias corrections are 1, so that epsilon means what Keras means."""
    if isinstance(rates[0], torch.Tensor) and rates[0].dtype != torch.float32:
        return rows  # the kernel reads a rate on the device as float32
    w, g, m, v = map(list, zip(*rows.values(), strict=True))
    torch._fused_adam_(
        w, g, m, v, [], [endless(w[0].device)] * len(w), lr=rates[0], beta1=optimizer.beta_1, beta2=optimizer.beta_2,
        weight_decay=0.0, eps=optimizer.epsilon, amsgrad=False, maximize=False,
    )  # fmt: skip
    return {}


def _subtract_times(places: Sequence[Array], arrays: Sequence[Array], rate: float) -> None:
    """`places -= rate * arrays`; a rate on the device cannot be the number that the single kernel takes."""
    if isinstance(rate, torch.Tensor):
        torch._foreach_sub_(places, torch._foreach_mul(arrays, rate))
    else:
        torch._foreach_add_(places, arrays, alpha=-rate)


def fused_sgd(optimizer: Optimizer, rates: Rates, rows: Rows) -> None:
    """A kernel for each term: torch's single one has the rate outside the velocity, where Keras has it inside."""
    w, g, m = map(list, zip(*rows.values(), strict=True))
    torch._foreach_mul_(m, optimizer.momentum)
    _subtract_times(m, g, rates[0])
    torch._foreach_add_(w, m, alpha=optimizer.momentum if optimizer.nesterov else 1)
    if optimizer.nesterov:
        _subtract_times(w, g, rates[0])


def fused_rmsprop(optimizer: Optimizer, rates: Rates, rows: Rows) -> None:
    w, g, v = map(list, zip(*rows.values(), strict=True))
    torch._foreach_mul_(v, optimizer.rho)
    torch._foreach_addcmul_(v, g, g, 1 - optimizer.rho)
    root = torch._foreach_add(v, optimizer.epsilon)
    torch._foreach_sqrt_(root)
    if isinstance(rates[0], torch.Tensor):
        _subtract_times(w, torch._foreach_div(g, root), rates[0])
    else:
        torch._foreach_addcdiv_(w, g, root, -rates[0])
