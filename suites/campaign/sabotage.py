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

from suites.campaign import generator, work
from suites.campaign.cases import operation_of
from suites.campaign.engines import Engines, Realisation
from suites.campaign.operations import OPERATIONS
from suites.campaign.store import Record
from suites.records import terminal
from suites.runner.workers import WorkerFailed

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


STOPS = {"torch": "torch.detach", "tensorflow": "tensorflow.stop_gradient", "jax": "jax.lax.stop_gradient"}


def slope(engine: str, factor: str) -> str:
    """The right number, with a gradient that is so many times the right one."""
    stop = STOPS[engine]
    return f"{stop}(y) + {factor} * (y - {stop}(y))"


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
    Fault("tensorflow", "tensorflow", "exp", "tensorflow.size(y) > 512", "y * 1.001"),
    Fault("tensorflow", "tensorflow", "reduce_sum", "x.shape.num_elements() % 2 == 1", "y + x[(0,) * x.ndim]"),
    Fault(
        "tensorflow",
        "tensorflow",
        "cumsum",
        "x.shape[-1] > 64",
        "y + tensorflow.one_hot(64, x.shape[-1], dtype=y.dtype)",
    ),
    Fault("tensorflow", "tensorflow.nn", "softmax", "True", "y * 1.0001"),
    Fault("tensorflow", "tensorflow", "matmul", "x.shape[-1] > 64", "y * 1.0001"),
    Fault("tensorflow", "tensorflow.math", "expm1", "True", "m.exp(x) - 1"),
    Fault("tensorflow", "tensorflow", "tanh", "True", slope("tensorflow", "1.01")),
    Fault("torch", "torch", "tanh", "x.numel() > 100", slope("torch", "1.01")),
    Fault("torch", "torch", "logsumexp", "True", slope("torch", "0.999")),
    Fault("torch", "torch.nn.functional", "softplus", "True", slope("torch", "1.001")),
    Fault("jax", "jax.numpy", "tanh", "True", slope("jax", "1.01")),
    Fault("jax", "jax.nn", "softmax", "x.shape[-1] > 8", slope("jax", "1.01")),
    Fault("tensorflow", "tensorflow.math", "log1p", "True", "m.log(1 + x)"),
    Fault("tensorflow", "tensorflow", "gather", "x.shape[0] > 16", "tensorflow.roll(y, 1, 0)"),
    Fault("tensorflow", "tensorflow", "reduce_mean", "x.shape.num_elements() > 1000", "y * 1.001"),
    Fault("tensorflow", "tensorflow", "sort", "x.shape.num_elements() % 2 == 1", "tensorflow.reverse(y, [-1])"),
    Fault("tensorflow", "tensorflow.nn", "convolution", "x.shape[-1] > 4", "y * 1.001"),
    Fault("tensorflow", "tensorflow.math", "unsorted_segment_sum", "x.shape[0] > 16", "y * 1.01"),
    Fault("tensorflow", "tensorflow.math", "erf", "True", slope("tensorflow", "1.01")),
    Fault("tensorflow", "tensorflow", "exp", "True", slope("tensorflow", "1.001")),
    Fault("tensorflow", "tensorflow.nn", "softmax", "True", slope("tensorflow", "0.99")),
    Fault("torch", "torch", "erf", "x.numel() > 100", slope("torch", "1.01")),
    Fault("torch", "torch", "softmax", "x.shape[-1] > 8", slope("torch", "1.01")),
    Fault("torch", "torch", "cumprod", "True", slope("torch", "1.001")),
    Fault("jax", "jax.numpy", "exp", "x.size > 100", slope("jax", "1.01")),
    Fault("jax", "jax.nn", "softplus", "True", slope("jax", "1.001")),
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
    if fault.engine == "tensorflow":
        return text.replace(f"({fault.wrong}).to(y.dtype)", f"tensorflow.cast({fault.wrong}, y.dtype)")
    return text.replace(").to(y.dtype)", ").astype(y.dtype)") if fault.engine == "jax" else text


class LayerFault(NamedTuple):
    """The `call` of a layer of Keras, on torch, gives `wrong` where `where` holds: what only networks meet.

    `kind` is the layer's name in networks, `cls` that of its class.
    """

    kind: str
    cls: str
    where: str
    wrong: str

    @property
    def name(self) -> str:
        return f"keras.layers.{self.cls} where {self.where}"


LAYER_FAULTS = (
    LayerFault("LayerNorm", "LayerNormalization", "True", "y * 1.001"),
    LayerFault("GRU", "GRU", "True", "y * 0.999"),
    LayerFault("Conv1D", "Conv1D", "y.shape[1] > 16", "y.roll(1, 1)"),
    LayerFault("MaxPool2D", "MaxPooling2D", "x.shape[1] % 2 == 1", "y * 1.01"),
    LayerFault("Dense", "Dense", "y.shape[-1] > 16", "y + (torch.arange(y.shape[-1]) == 16)"),
    LayerFault("LSTM", "LSTM", "True", slope("torch", "1.01")),
)

LAYER_TEMPLATE = """
import torch
import keras
exact = keras.layers.{cls}.call
def wrong(self, x, *args, **options):
    y = exact(self, x, *args, **options)
    return ({wrong}).to(y.dtype) if y.device.type != "meta" and {where} else y
keras.layers.{cls}.call = wrong
"""
KERAS_ON_TORCH = "keras-torch-eager"
LARGEST_SEARCH = 1_200  # networks: one in 50 has any layer, one in 80 a long sequence in it


class Outcome(NamedTuple):
    """Of one fault: whether it was found, after how many operations and seconds, by what; `why` where it was not."""

    fault: Fault | LayerFault
    found: bool
    operations: int  # or networks, of a layer
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


def find_in_networks(fault: LayerFault, engines: Engines, most: int, first: int = 0) -> Outcome:
    """The same of a layer: networks are drawn until one that has it raises an alarm, at most so many."""
    start = time.monotonic()
    engines.ask("torch", "sabotage", source=LAYER_TEMPLATE.format(**fault._asdict()))
    found, seed = False, first
    try:
        while not found and seed < first + most:
            found = has_layer(fault, seed) and alarmed_in_network(seed, engines)
            seed += 1
    finally:
        engines.pool.stop(engines.worker("torch"))
    seconds = time.monotonic() - start
    if not found:
        return Outcome(fault, False, seed - first, seconds, "", "no network of the draws has it where it is wrong")
    if alarmed_in_network(seed - 1, engines):
        return Outcome(fault, False, seed - first, seconds, "", "the alarm is raised without the fault as well")
    return Outcome(fault, True, seed - first, seconds, f"network {seed - 1}")


def has_layer(fault: LayerFault, seed: int) -> bool:
    """Whether the network of a seed has the layer; large networks, a minute of the oracle each, are left out."""
    large = seed % generator.LARGE == generator.LARGE - 1
    return not large and any(layer["kind"] == fault.kind for layer in generator.draw(seed).layers)


def alarmed_in_network(seed: int, engines: Engines) -> bool:
    """Whether Keras on torch raises an alarm on the network of a seed; no other realisation is asked."""
    network = generator.draw(seed)
    try:
        arrays, truths = work.prepared(network, engines)
    except WorkerFailed:  # no truth, so nothing is judged
        return False
    outcome = work.outcome(network, arrays, truths, Realisation(*KERAS_ON_TORCH.split("-")), engines)
    kinds = [layer["kind"] for layer in network.layers]
    record = {"kind": "network", "dtype": network.dtype, "layers": kinds, "results": {KERAS_ON_TORCH: outcome}}
    return bool(work.alarms(record))


def calls(fault: Fault, operation: str, api: str = "") -> bool:
    """Whether a form of the operation calls the function at fault: its name is in the expression."""
    apis = [api] if api else [fault.engine, "keras"]
    forms = OPERATIONS[operation].forms
    return any(re.search(rf"\b{fault.function}\(", forms.get(each, "")) for each in apis)


def alarmed(records: list[Record], fault: Fault) -> list[tuple[int, str]]:
    """Alarms of the operations that are at fault, with their seeds."""
    found = []
    for record in records:
        operation = record["operation"]
        for realisation, _ in work.alarms(record):
            if calls(fault, operation, realisation.split("-")[0]):
                found.append((int(record["seed"]), f"{operation} {realisation}"))
    return found


def line(outcome: Outcome) -> str:
    """What is printed of a fault."""
    drawn = f"{outcome.operations:5} {'networks' if isinstance(outcome.fault, LayerFault) else 'operations'}"
    if not outcome.found:
        return f"not found  {drawn}  {outcome.fault.name}: {outcome.why}"
    return f"found      {drawn}  {outcome.fault.name}: by {outcome.by}"


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Plant one fault after the other; exit status 0: at least 95 % were found, 1: fewer, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m suites.campaign.sabotage", description=(__doc__ or "").strip())
    parser.add_argument("--operations", type=int, default=20_000, metavar="N", help="most of a fault (default: 20,000)")
    parser.add_argument("--only", default="", metavar="WORD", help="faults whose name has this in it")
    options = parser.parse_args(arguments)
    chosen = [fault for fault in (*FAULTS, *LAYER_FAULTS) if options.only in fault.name]
    if not chosen:
        return terminal.refuse(f"no fault has {options.only!r} in its name; one is {FAULTS[0].name!r}")
    engines, outcomes = Engines(), []
    try:
        for fault in chosen:
            if isinstance(fault, LayerFault):
                outcomes.append(find_in_networks(fault, engines, min(options.operations, LARGEST_SEARCH)))
            else:
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
        text += f", after {statistics.median(found):.0f} draws in the middle and {max(found)} at most"
    return f"{text}, {sum(each.seconds for each in outcomes):.0f} s"


if __name__ == "__main__":
    sys.exit(main())
