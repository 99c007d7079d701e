"""Speed: ratios to a chosen reference within the rounds of one run. Absolute times are shown, never judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports import formatting
from reports.drawing import plots
from reports.evidence.load import Evidence
from reports.statistics.ratios import Ratio, geometric_mean, median, paired_ratio
from suites.records.run import Cell, Service, Timing


class Reference(NamedTuple):
    """The way whose time is 1; of its modes, the fastest one."""

    implementation: str
    backend: str

    def __str__(self) -> str:
        return formatting.configuration(self.implementation, self.backend)


DEFAULT = Reference("raw_tf", "tensorflow")
STANDING = (DEFAULT, Reference("raw_torch", "torch"), Reference("raw_jax", "jax"))  # each where those before are not


@dataclass(frozen=True)
class Row:
    """One timing: seconds a call (median and quartiles over rounds), and the ratio to its reference, if any.

    `at` is its place in the report, by which the script of the page finds it.
    """

    at: int
    timing: Timing
    median: float
    low: float
    high: float
    ratio: Ratio | None
    reference: Cell | None


@dataclass(frozen=True)
class Figure:
    """The rows of one model and call under one set of conditions, on one axis of ratios to `reference`.

    `axis` is None where no row has a ratio. `places` are the rows' own, for the script of the page.
    """

    model: str
    what: str
    conditions: list[str]
    axis: plots.Axis | None
    rows: list[Row]
    reference: str

    @property
    def places(self) -> str:
        return " ".join(str(row.at) for row in self.rows)


@dataclass(frozen=True)
class Report:
    reference: Reference
    rows: list[Row]
    figures: list[Figure]
    services: list[Service]

    def of(self, what: str) -> list[Figure]:
        """The figures of one kind of call."""
        return [figure for figure in self.figures if figure.what == what]


def report(evidence: Evidence, reference: Reference = DEFAULT) -> Report:
    """Everything about speed, with every ratio to `reference`."""
    reference = standing(evidence) if reference == DEFAULT else reference
    timed = [timing for timing in _sorted(evidence) if timing.seconds and _plain(timing, evidence.timings)]
    rows = [row(timing, evidence, reference, at) for at, timing in enumerate(timed)]
    services = sorted(evidence.services, key=lambda item: evidence.order(Cell("", *_worker(item))))
    return Report(reference, rows, _figures(rows), services)


def standing(evidence: Evidence) -> Reference:
    """The raw program that all else is held against: TensorFlow's, else PyTorch's, else JAX's, as far as it was run."""
    timed = [item.cell for item in evidence.timings if item.seconds]
    for cells in (timed, evidence.cells()):
        known = {(cell.implementation, cell.backend) for cell in cells}
        for way in STANDING:
            if way in known:
                return way
    return DEFAULT


def row(timing: Timing, evidence: Evidence, reference: Reference, at: int = 0) -> Row:
    """One timing with its ratio to the reference of its own group."""
    calls = sorted(seconds / timing.iterations for seconds in timing.seconds)
    quarter = len(calls) // 4
    own = base(timing, evidence.timings, reference)
    return Row(
        at=at,
        timing=timing,
        median=median(calls),
        low=calls[quarter],
        high=calls[-1 - quarter],
        ratio=paired_ratio(per_call(timing), per_call(own)) if own else None,
        reference=own.cell if own else None,
    )


def per_call(timing: Timing) -> list[float]:
    """Seconds a call, round by round."""
    return [seconds / timing.iterations for seconds in timing.seconds]


def typical(rows: Sequence[Row]) -> float | None:
    """The geometric mean of the ratios of `rows`; None where none has a ratio."""
    ratios = [row.ratio.value for row in rows if row.ratio]
    return geometric_mean(ratios) if ratios else None


def base(timing: Timing, timings: Sequence[Timing], reference: Reference) -> Timing | None:
    """The fastest timing of the reference that was measured in the same rounds, on the same work.

    Where rounds lack a raw reference, another raw program takes its place: those of STANDING, else the fastest one.
    """
    peers = [peer for peer in timings if peer.seconds and work(peer) == work(timing)]
    own = [peer for peer in peers if (peer.cell.implementation, peer.cell.backend) == reference]
    if not own and reference in STANDING:
        own = _other_raw(peers)
    return min(own, key=lambda peer: median(per_call(peer)), default=None)


def _other_raw(peers: Sequence[Timing]) -> list[Timing]:
    raw = [peer for peer in peers if peer.cell.implementation.startswith("raw")]
    for way in STANDING:
        if own := [peer for peer in raw if (peer.cell.implementation, peer.cell.backend) == way]:
            return own
    return raw


def work(timing: Timing) -> tuple[object, ...]:
    """What two timings have to share to be arms of one comparison."""
    cell = timing.cell
    setting = (cell.model, cell.device, cell.dtype, cell.size)
    return (timing.group, timing.what, timing.batch_size, timing.threads, *setting)


def _plain(timing: Timing, timings: Sequence[Timing]) -> bool:
    """Whether this is the cell's timing with the fewest threads; `reports.sections.costs` has those with more."""
    return timing.threads == min(peer.threads for peer in timings if peer.cell == timing.cell)


def _worker(service: Service) -> tuple[str, str, str, str, str]:
    return (service.implementation, service.backend, service.mode, service.device, service.dtype)


def _sorted(evidence: Evidence) -> list[Timing]:
    models, whats = evidence.models(), list(formatting.WHATS)
    timings = evidence.timings
    return sorted(timings, key=lambda t: (whats.index(t.what), models.index(t.cell.model), evidence.order(t.cell)))


def _figures(rows: list[Row]) -> list[Figure]:
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(work(row.timing), []).append(row)
    return [_figure(group) for group in groups.values()]


def _figure(rows: list[Row]) -> Figure:
    timing = rows[0].timing
    rounds = {row.ratio.rounds if row.ratio else len(row.timing.seconds) for row in rows}
    conditions = formatting.conditions(timing.cell)
    conditions += [f"batch {timing.batch_size}", formatting.count(timing.threads, "thread")]
    conditions += [
        formatting.count(rounds.pop(), "round") if len(rounds) == 1 else f"{min(rounds)} to {max(rounds)} rounds"
    ]
    ratios = [row.ratio for row in rows if row.ratio]
    ends = [end for it in ratios for end in (it.low, it.value, it.high, it.lower, it.upper)]
    reference = next((formatting.way(row.reference) for row in rows if row.reference), "no reference")
    return Figure(timing.cell.model, timing.what, conditions, plots.axis(ends) if ends else None, rows, reference)
