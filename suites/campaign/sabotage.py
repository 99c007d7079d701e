"""Faults of the engines themselves, planted at run time: what a campaign has to find, and how long that takes.

A fault wraps a function of an engine: where `where` holds of its result y (and the first argument x), the result
becomes `wrong`. Many hold only above a size, for one type, or at an edge, as real ones do.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from suites.campaign import work
from suites.campaign.cases import operation_of
from suites.campaign.engines import Engines
from suites.campaign.operations import OPERATIONS
from suites.campaign.store import Record

WANTED = 0.95  # of the faults


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


class Outcome(NamedTuple):
    """Of one fault: whether it was found, after how many operations and seconds, by what; `why` where it was not."""

    fault: Fault
    found: bool
    operations: int
    seconds: float
    by: str
    why: str = ""


def find(fault: Fault, engines: Engines, most: int, first: int = 0) -> Outcome:
    """Plant it and draw operations until one that calls the function raises an alarm; at most so many.

    A control follows: the same case on an engine that is whole has to pass, or the alarm says nothing of the fault.
    """
    start, seed = time.monotonic(), first
    raised: list[tuple[int, str]] = []
    engines.ask(fault.engine, "sabotage", source=source(fault))
    try:
        while not raised and seed < first + most:
            batch = range(seed, min(seed + work.BATCH, first + most))
            asked = [each for each in batch if calls(fault, operation_of(each))]  # others can raise no alarm
            raised = alarmed(work.judge_operations(asked, engines, frozenset([fault.engine])), fault)
            seed = batch.stop
    finally:
        engines.pool.stop(engines.worker(fault.engine))  # the next one starts with an engine that is whole
    seconds = time.monotonic() - start
    if not raised:
        return Outcome(fault, False, seed - first, seconds, "", "no operation of the draws calls it where it is wrong")
    at, by = raised[0]
    if alarmed(work.judge_operations([at], engines, frozenset([fault.engine])), fault):
        return Outcome(fault, False, seed - first, seconds, by, "the alarm is raised without the fault as well")
    return Outcome(fault, True, at - first + 1, seconds, by)


def calls(fault: Fault, operation: str, api: str = "") -> bool:
    """Whether a form of the operation calls the function at fault: its name is in the expression."""
    apis = [api] if api else [fault.engine, "keras"]
    forms = OPERATIONS[operation].forms
    return any(re.search(rf"\b{fault.function}\(", forms.get(each, "")) for each in apis)


def alarmed(records: list[Record], fault: Fault) -> list[tuple[int, str]]:
    """Alarms of the operations that are at fault, with their seeds."""
    return [
        (int(record["seed"]), f"{record['operation']} {realisation}")
        for record in records
        for realisation, _ in work.alarms(record)
        if calls(fault, record["operation"], realisation.split("-")[0])
    ]


def line(outcome: Outcome) -> str:
    """What is printed of a fault."""
    if not outcome.found:
        return f"not found  {outcome.operations:5} operations  {outcome.fault.name}: {outcome.why}"
    return f"found      {outcome.operations:5} operations  {outcome.fault.name}: by {outcome.by}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant one fault after the other; exit status 0: at least 95 % were found, 1: fewer, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m suites.campaign.sabotage", description=(__doc__ or "").strip())
    parser.add_argument("--operations", type=int, default=20_000, metavar="N", help="most of a fault (default: 20,000)")
    parser.add_argument("--only", default="", metavar="WORD", help="faults whose name has this in it")
    options = parser.parse_args(arguments)
    chosen = [fault for fault in FAULTS if options.only in fault.name]
    if not chosen:
        print(f"error: no fault has {options.only!r} in its name; one is {FAULTS[0].name!r}", file=sys.stderr)
        return 2
    engines, outcomes = Engines(), []
    try:
        for fault in chosen:
            outcomes.append(find(fault, engines, options.operations))
            print(line(outcomes[-1]), flush=True)
    finally:
        engines.close()
    print(total(outcomes))
    return 0 if sum(each.found for each in outcomes) >= WANTED * len(outcomes) else 1


def total(outcomes: list[Outcome]) -> str:
    """How many were found, and after how many operations."""
    found = [each.operations for each in outcomes if each.found]
    text = f"{len(found)} of {len(outcomes)} found"
    if found:
        text += f", after {statistics.median(found):.0f} operations in the middle and {max(found)} at most"
    return f"{text}, {sum(each.seconds for each in outcomes):.0f} s"


if __name__ == "__main__":
    sys.exit(main())
