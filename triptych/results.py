"""`load_results`: what runs recorded, as one table for pandas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych import tree

if TYPE_CHECKING:
    import pandas as pd

CELL = ("model", "implementation", "backend", "mode", "device", "dtype", "size")
COLUMNS = ("run", "started", *CELL, "quantity", "detail", "round", "value", "unit")

Row = dict[str, Any]


def load_results(folder: str | Path = "results") -> pd.DataFrame:
    """Every value that the runs in `folder` measured, one row each.

    Columns: `run` and `started` (the run's name and UTC time), the cell (model, implementation, backend, mode, device,
    dtype, size), `quantity` (what was measured), `detail` (the tensor, task or batch size that it belongs to), `round`
    (from 0 where it was measured in rounds, -1 elsewhere), `value` (float64) and `unit`: seconds ("s"), bytes ("B"),
    "lines", "tokens", "operations", "FLOP", or "1" for pure numbers. A time is comparable only with times of the same
    run and round. A disagreement is ||a - b|| / ||b|| in the Frobenius norm; its bound is a row `bound` beside it.

    Raises FileNotFoundError where there is no such folder or no result in it, ValueError for a file that is broken.
    """
    tree.open_rooms()
    import pandas as pd

    from suites.records import run as records

    place = Path(folder)
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: there is no such folder; `triptych bench` writes results")
    paths = sorted(place.glob("[0-9]*.json"))
    if not paths:
        raise FileNotFoundError(f"{place}: holds no result of a run; `triptych bench` writes one")
    found = [row for path in paths for row in _rows(records.load(path))]
    frame = pd.DataFrame(found, columns=list(COLUMNS))
    return frame.astype({"value": "float64", "round": "int64"})


def _rows(run: Any) -> Iterator[Row]:
    """Every measured value of one run."""
    about = {"run": run.id, "started": run.started}
    for kind, read in READERS.items():
        for item in getattr(run, kind):
            for row in read(item):
                yield {"detail": "", "round": -1, **about, **row}


def _cell(cell: Any) -> Row:
    return {name: getattr(cell, name) for name in CELL}


def _comparison(item: Any) -> Iterator[Row]:
    cell = {**_cell(item.cell), "detail": f"{item.phase} {item.tensor}", "unit": "1"}
    yield {**cell, "quantity": "disagreement", "value": item.disagreement}
    if item.bound is not None:
        yield {**cell, "quantity": "bound", "value": item.bound}


def _training(item: Any) -> Iterator[Row]:
    cell = _cell(item.cell)
    for epoch, loss in enumerate(item.losses):
        yield {**cell, "quantity": "training loss", "detail": f"epoch {epoch}", "value": loss, "unit": "1"}
    yield {**cell, "quantity": item.metric, "value": item.value, "unit": "1"}
    yield {**cell, "quantity": "training time", "value": item.seconds, "unit": "s"}


def _timing(item: Any) -> Iterator[Row]:
    """Seconds a call, round by round, and the first call."""
    cell = {**_cell(item.cell), "detail": f"batch {item.batch_size}, {item.threads} threads", "unit": "s"}
    yield {**cell, "quantity": f"{item.what} first call", "value": item.first_call_seconds}
    for number, seconds in enumerate(item.seconds):
        yield {**cell, "quantity": f"{item.what} time", "round": number, "value": seconds / item.iterations}


def _control(item: Any) -> Iterator[Row]:
    about = {"dtype": item.dtype, "implementation": item.what, "detail": item.group, "unit": "s"}
    for number, seconds in enumerate(item.seconds):
        yield {**about, "quantity": f"{item.what} time", "round": number, "value": seconds / item.iterations}


def _latency(item: Any) -> Iterator[Row]:
    cell = {**_cell(item.cell), "quantity": "latency", "detail": f"batch {item.batch_size}", "unit": "s"}
    for number, calls in enumerate(item.seconds):
        for seconds in calls:
            yield {**cell, "round": number, "value": seconds}


def _sweep(item: Any) -> Iterator[Row]:
    cell = {**_cell(item.cell), "quantity": f"{item.what} sweep ({item.clock} clock)", "unit": "s"}
    for size, batch, rounds in zip(item.sizes, item.batch_sizes, item.seconds, strict=True):
        for number, seconds in enumerate(rounds):
            yield {**cell, "size": size, "detail": f"batch {batch}", "round": number, "value": seconds}


def _cold_start(item: Any) -> Iterator[Row]:
    cell = _cell(item.cell)
    yield {**cell, "quantity": "import time", "value": item.import_seconds, "unit": "s"}
    yield {**cell, "quantity": "build time", "value": item.open_seconds, "unit": "s"}
    yield {**cell, "quantity": "peak memory", "value": item.peak_bytes, "unit": "B"}
    for what, first in item.first.items():
        yield {**cell, "quantity": f"{what} first call, cold", "value": first.seconds, "unit": "s"}
        yield {**cell, "quantity": f"{what} second call, cold", "value": first.second, "unit": "s"}


def _flops(item: Any) -> Iterator[Row]:
    cell = {**_cell(item.cell), "detail": f"batch {item.batch_size}", "unit": "FLOP"}
    yield {**cell, "quantity": f"{item.what} work, specified", "value": item.specified}
    if item.counted is not None:
        yield {**cell, "quantity": f"{item.what} work, counted", "detail": item.counter, "value": item.counted}


def _operations(item: Any) -> Iterator[Row]:
    yield {**_cell(item.cell), "quantity": f"{item.what} operations", "value": item.total, "unit": "operations"}


def _service(item: Any) -> Iterator[Row]:
    about = {name: getattr(item, name) for name in ("implementation", "backend", "mode", "device", "dtype")}
    detail = f"worker, {item.threads} threads"
    yield {**about, "quantity": "import time", "detail": detail, "value": item.import_seconds, "unit": "s"}
    yield {**about, "quantity": "peak memory", "detail": detail, "value": item.peak_bytes, "unit": "B"}


def _program(item: Any) -> Iterator[Row]:
    about = {"model": item.model, "implementation": item.implementation, "detail": item.path}
    yield {**about, "quantity": "logical lines", "value": item.logical_lines, "unit": "lines"}
    yield {**about, "quantity": "tokens", "value": item.tokens, "unit": "tokens"}
    yield {**about, "quantity": "cyclomatic complexity", "value": item.complexity, "unit": "1"}
    yield {**about, "quantity": "cognitive complexity", "value": item.cognitive, "unit": "1"}


READERS = {
    "comparisons": _comparison,
    "trainings": _training,
    "timings": _timing,
    "controls": _control,
    "latencies": _latency,
    "sweeps": _sweep,
    "cold_starts": _cold_start,
    "flops": _flops,
    "operations": _operations,
    "services": _service,
    "programs": _program,
}
