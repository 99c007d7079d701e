"""`compare(a, b, data)`: whether B is the same model as A, as a function."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from suites.port import check, files, report
from suites.port.captures import Captured, is_capture
from suites.port.comparison import Comparison
from suites.port.diagnose import findings as diagnose
from suites.port.files import PortError
from suites.port.findings import Finding
from suites.port.low.judge import LowComparison, run_low, worse
from suites.port.low.types import check as check_type
from suites.port.low.types import rounded_data
from suites.port.matching.table import Table, mapping
from suites.port.verdict import Verdict, judge, status
from suites.runner.workers import Pool

Source = str | os.PathLike[str]


@dataclass(frozen=True)
class Result:
    """What a comparison comes to."""

    comparison: Comparison
    findings: list[Finding]
    verdict: Verdict
    strict: bool = False
    low: LowComparison | None = None  # in the type that was asked for besides float64

    @property
    def same(self) -> bool:
        """Whether nothing differs but, unless `strict`, what no port can avoid."""
        return self.status == 0

    @property
    def status(self) -> int:
        """The exit status: 0 the same, 1 not."""
        verdict = self.verdict if self.low is None else worse(self.verdict, self.low.verdict)
        return status(verdict, self.strict)

    def text(self) -> str:
        """The report for a person."""
        return report.text(self.comparison, self.findings, self.verdict, self.low)

    def to_json(self) -> dict[str, Any]:
        """The report for a machine."""
        return report.record(self.comparison, self.findings, self.verdict, self.status, self.low)


def compare(
    a: Source,
    b: Source,
    data: Source | Mapping[str, np.ndarray] | None = None,
    *,
    random_data: str | None = None,
    map: Source | None = None,
    own_weights: bool = False,
    seed: int = 0,
    backend_a: str = "",
    backend_b: str = "",
    layout_a: str = "auto",
    layout_b: str = "auto",
    python_a: str = "",
    python_b: str = "",
    tiny: bool = False,
    device: str = "cpu",
    dtype: str = "float64",
    strict: bool = False,
    progress: Callable[[str], None] | None = None,
    pool: Pool | None = None,
) -> Result:
    """Compare the models that two files build, on `data` (an .npz file or a dict of arrays) or on `random_data`.

    Paths are those of the caller. With a `dtype` both also run in that type. `pool` lets several comparisons share
    workers. Raises PortError for bad input.
    """
    check_type(dtype)
    ours = files.read(os.fspath(a), backend_a, layout_a, python_a, tiny)
    theirs = files.read(os.fspath(b), backend_b, layout_b, python_b, tiny)
    captured = next((file.path for file in (ours, theirs) if is_capture(file.path)), "")
    given = (
        captured_data(captured, data, random_data)
        if captured
        else read_data(data, random_data, files.calls(ours, theirs))
    )
    table = mapping(os.fspath(map) if map is not None else None)
    told = progress or (lambda text: None)
    with Pool() if pool is None else contextlib.nullcontext(pool) as used:
        return compare_sides(ours, theirs, given, used, table, own_weights, seed, device, dtype, strict, told)


def compare_sides(
    a: files.File, b: files.File, data: files.Data, pool: Pool, table: Table, own_weights: bool, seed: int,
    device: str, dtype: str, strict: bool, progress: Callable[[str], None],
) -> Result:  # fmt: skip
    """Compare in float64 and, where that is not the `dtype`, in that type as well. Raises PortError."""
    low_data = rounded_data(data, dtype)
    result = finish(check.run(a, b, data, pool, table, own_weights, seed, progress, device), strict)
    if dtype == "float64":
        return result
    progress(f"rounding inputs and weights to {dtype}")
    nearby = check.settled(a, b, low_data, pool, table, own_weights, seed, device=device, dtype=dtype)
    nearby.pairs = result.comparison.pairs
    return replace(result, low=run_low(nearby, dtype, pool, progress))


def finish(compared: Comparison, strict: bool) -> Result:
    """Findings and verdict of a comparison; the workers still have to be there."""
    found = diagnose(compared)
    return Result(compared, found, judge(compared, found), strict)


def captured_data(path: str, data: object, random_data: str | None) -> files.Data:
    """What a capture ran on. Raises PortError where other data are asked for."""
    if data is not None or random_data is not None:
        raise PortError(f"{path} is a capture and brings its data: leave --data and --random-data out")
    return files.data(Captured(path).data())


def read_data(
    data: Source | Mapping[str, np.ndarray] | None, random_data: str | None, taken: Sequence[Sequence[str]] = ()
) -> files.Data:
    if (data is None) == (random_data is None):
        raise PortError("say what to compare on: --data FILE.npz, or --random-data 8x8x1:10")
    if random_data is not None:
        return files.random_data(random_data)
    assert data is not None
    return files.data(data if isinstance(data, Mapping) else os.fspath(Path(data)), taken)
