"""What the speed suite records of a cell, a part of `suites.records.run`: times in seconds, memory in bytes."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from pydantic.dataclasses import dataclass as validated

from suites.records.cells import STRICT, Cell, Float


@validated(frozen=True, config=STRICT)
class Timing:
    """Interleaved rounds: `seconds[r]` is the time of `iterations` calls in round r of the run's `group`.

    `first_calls` are the first calls, each by itself; it was steady after `warm_after` of them (None: not among them),
    see `suites.speed.warmup`. While other arms ran, for `idle_seconds`, its process used `idle_cpu_seconds`.
    """

    cell: Cell
    group: str
    what: Literal["train_step", "predict", "fit"]
    iterations: int
    seconds: list[Float]
    first_call_seconds: Float
    batch_size: int
    threads: int
    first_calls: list[Float] = field(default_factory=list)
    warm_after: int | None = None
    idle_seconds: Float = 0.0
    idle_cpu_seconds: Float = 0.0


@validated(frozen=True, config=STRICT)
class Control:
    """Plain NumPy in the rounds of a `group`, see `impls.worker.numpy_baseline`: `flops` is the work of one call."""

    group: str
    what: Literal["control", "matmul"]
    dtype: str
    threads: int
    iterations: int
    seconds: list[Float]
    flops: Float


@validated(frozen=True, config=STRICT)
class Latency:
    """Single predictions, each waited for: `seconds[r]` are those of round r, one after the other."""

    cell: Cell
    batch_size: int
    threads: int
    seconds: list[list[Float]]


@validated(frozen=True, config=STRICT)
class Sweep:
    """One call at several amounts of work, in common rounds: the time of point p in round r is `seconds[p][r]`.

    That is seconds a call by `clock`: the processor's, where there is one thread to wait for, does not see the other
    programs of a busy machine. `flops` is the work by the specification, `parameters` what an update changes, `sizes`
    how large the layers were.
    """

    cell: Cell
    group: str
    what: Literal["train_step", "predict"]
    threads: int
    sizes: list[str]
    batch_sizes: list[int]
    flops: list[Float]
    parameters: list[int]
    seconds: list[list[Float]]
    clock: Literal["wall", "processor"] = "wall"


@validated(frozen=True, config=STRICT)
class First:
    """A first call in a fresh process and the one after it; `phases` are the parts that the engine tells apart."""

    seconds: Float
    second: Float
    phases: dict[str, Float]


@validated(frozen=True, config=STRICT)
class ColdStart:
    """A cell in a process of its own: import, building the model, the first calls, memory in bytes.

    `loaded_bytes` is the peak once everything is imported, `peak_bytes` that after all calls; `device_bytes` None: no
    GPU.
    """

    cell: Cell
    threads: int
    import_seconds: Float
    open_seconds: Float
    first: dict[str, First]
    loaded_bytes: int
    peak_bytes: int
    device_bytes: int | None = None


@validated(frozen=True, config=STRICT)
class Flops:
    """Floating-point operations of one call: by the specification (products of matrices and convolutions only), and as
    the engine's own `counter` has them, which may count more (see
    `impls.worker.flop_counters`); None: nothing counts there."""

    cell: Cell
    what: Literal["train_step", "predict"]
    batch_size: int
    specified: Float
    counted: Float | None
    counter: str
