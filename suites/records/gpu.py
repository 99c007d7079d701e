"""What one check of a GPU found: correctness, precision, times and what they are a share of. One JSON file.

Times are seconds, memory is bytes, rates are a second. `python -m suites.speed.gpu_check` writes it, the page reads it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, field
from pathlib import Path

from pydantic.dataclasses import dataclass as validated

from suites.records.cells import LOOSE, Cell, Float


@validated(frozen=True, config=LOOSE)
class Verdict:
    """A cell against the oracle: how many tensors were compared in `stage`, how many lie outside of their bound.

    `worst` is the largest disagreement as a multiple of its bound, at `place`; `known` says which released difference
    that is. `reason` says why nothing was compared.
    """

    cell: Cell
    stage: str
    tensors: int = 0
    outside: int = 0
    worst: Float = 0.0
    place: str = ""
    known: str = ""
    reason: str = ""


@validated(frozen=True, config=LOOSE)
class Measured:
    """Interleaved rounds of `what`: seconds of one call in each round; and what one call asked of the GPU.

    `math` is how products of float32 are computed. `kernel_seconds`: kernels ran so long; `event_seconds`: from the
    first to the last on the device, by events; `launches` and `copies_from_host` by the profiler; None: not told.
    """

    cell: Cell
    what: str
    math: str
    seconds: list[Float]
    flops: Float | None = None
    kernel_seconds: Float | None = None
    event_seconds: Float | None = None
    kernels: Float | None = None
    launches: Float | None = None
    copies_from_host: Float | None = None
    peak_bytes: Float | None = None
    reason: str = ""


@validated(frozen=True, config=LOOSE)
class Precision:
    """What coarser products cost in digits: one step's gradients against the float64 truth, the worst tensor.

    `observed` is its normwise error, `allowed` what errors of that arithmetic's unit roundoff in every operation reach.
    """

    cell: Cell
    math: str
    observed: Float
    allowed: Float
    tensor: str
    outside: int
    tensors: int
    reason: str = ""


@validated(frozen=True, config=LOOSE)
class GpuCheck:
    """One check. `peaks` are operations a second by precision, and bytes a second of `copy`, reads and writes counted.

    `power` are watts, sampled while nothing ran and while the rounds ran; `phases` seconds that each part took.
    """

    started: str
    gpu: str
    driver: str
    cpu: str
    cores: int
    python: str
    versions: dict[str, str]
    commit: str
    math: str
    seconds: Float
    phases: dict[str, Float]
    peaks: dict[str, Float]
    power: dict[str, Float]
    verdicts: list[Verdict] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    precisions: list[Precision] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def save(check: GpuCheck, path: Path) -> None:
    """Write the file; numbers keep five digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(asdict(check)), indent=None, separators=(",", ":")) + "\n", encoding="utf-8")


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}") if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(item) for item in value]
    return value
