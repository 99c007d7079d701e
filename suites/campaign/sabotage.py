"""Faults of the engines themselves, planted at run time: what a campaign has to find, and how long that takes.

A fault wraps a function of an engine: where `where` holds of its result y (and the first argument x), the result
becomes `wrong`. Many hold only above a size, for one type, or at an edge, as real ones do.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from suites.campaign import work
from suites.campaign.engines import Engines
from suites.campaign.operations import OPERATIONS
from suites.campaign.store import Record


class Fault(NamedTuple):
    """`module`.`function` of an engine gives `wrong` where `where` holds."""

    engine: str
    module: str
    function: str
    where: str
    wrong: str

    @property
    def name(self) -> str:
        return f"{self.module}.{self.function} where {self.where}"


FAULTS = (
    Fault("torch", "torch", "exp", "y.numel() > 512", "y * 1.001"),
    Fault("torch", "torch", "tanh", "y.numel() > 60000", "y * 0.999"),
    Fault("torch", "torch", "log1p", "y.dtype == torch.float64", "torch.log(1 + x)"),
    Fault("torch", "torch", "cumsum", "y.shape[-1] > 512", "y + (torch.arange(y.shape[-1]) == 512)"),
    Fault("torch", "torch", "sum", "x.numel() % 2 == 1 and x.numel() > 100", "y + x.reshape(-1)[-1]"),
    Fault("torch", "torch", "var", "True", "y * 1.0001"),
    Fault("torch", "torch", "matmul", "x.shape[-1] > 64", "y - x[..., -1:] * z[..., -1:, :]"),
    Fault("torch", "torch", "argmax", "x.numel() > 1000", "y + 1"),
    Fault("torch", "torch", "roll", "x.shape[-1] == 1", "y * 0"),
    Fault("torch", "torch", "logsumexp", "True", "torch.log(torch.exp(x).sum(**options))"),
    Fault("torch", "torch.nn.functional", "conv2d", "x.shape[1] > 8", "y * 1.001"),
    Fault("torch", "torch", "maximum", "True", "torch.nan_to_num(y)"),
    Fault("torch", "torch", "remainder", "not y.is_floating_point()", "torch.fmod(x, z)"),
    Fault("torch", "keras.ops", "mean", "x.ndim > 1 and x.shape[-1] > 128", "y * 1.01"),
    Fault("torch", "keras.ops", "softmax", "True", "y + 1e-4"),
    Fault("torch", "keras.ops", "take", "x.shape[0] > 16", "y.roll(1, 0)"),
    Fault("torch", "keras.ops", "max_pool", "y.shape[1] % 2 == 1", "y.clamp(min=0)"),
    Fault("torch", "keras.ops", "cumprod", "x.shape[-1] > 32", "y * 1.001"),
    Fault("torch", "keras.ops", "sort", "x.numel() > 256", "y.flip(-1)"),
    Fault("torch", "keras.ops", "logaddexp", "True", "torch.maximum(x, z)"),
    Fault("jax", "jax.numpy", "sum", "x.size > 1000", "y + 1"),
    Fault("jax", "jax.numpy", "expm1", "True", "m.exp(x) - 1"),
    Fault("jax", "jax.numpy", "cumsum", "x.shape[-1] > 64", "y.at[..., -1].add(1)"),
    Fault("jax", "jax.numpy", "sort", "x.size % 2 == 1", "y[..., ::-1]"),
    Fault("jax", "jax.numpy", "matmul", "x.shape[-1] > 64", "y * 1.0001"),
    Fault("jax", "jax.numpy", "floor_divide", "x.dtype.kind == 'i'", "m.trunc(x / z).astype(y.dtype)"),
)

TEMPLATE = """
import {engine}
import {module} as m
exact = m.{function}
def wrong(*args, **options):
    y = exact(*args, **options)
    x, z = args[0], args[-1]
    return ({wrong}).to(y.dtype) if {where} else y
m.{function} = wrong
"""


def source(fault: Fault) -> str:
    """What `impls.campaign.worker` runs to plant it."""
    text = TEMPLATE.format(**fault._asdict())
    return text.replace(").to(y.dtype)", ").astype(y.dtype)") if fault.engine == "jax" else text


def find(fault: Fault, engines: Engines, seconds: float, first: int = 0) -> tuple[float, list[str]]:
    """Seconds until an alarm, and the realisations that raise it; nothing where the time is over."""
    engines.ask(fault.engine, "sabotage", source=source(fault))
    start = time.monotonic()
    try:
        while time.monotonic() - start < seconds:
            records = work.judge_operations(range(first, first + work.BATCH), engines, frozenset([fault.engine]))
            if raised := alarmed(records, fault):
                return time.monotonic() - start, raised
            first += work.BATCH
    finally:
        engines.pool.stop(engines.worker(fault.engine))  # the next one starts with an engine that is whole
    return seconds, []


def alarmed(records: list[Record], fault: Fault) -> list[str]:
    """Alarms of the operation that is at fault: its name is in the expression."""
    found = []
    for record in records:
        for realisation, _ in work.alarms(record):
            form = OPERATIONS[record["operation"]].forms[realisation.split("-")[0]]
            if f"{fault.function}(" in form:
                found.append(f"{record['operation']} {realisation}")
    return found
