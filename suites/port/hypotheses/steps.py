"""The training steps of both sides, and whether a rule makes them of a side's own gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from suites.port.hypotheses.causes import nice
from suites.port.hypotheses.update_rules import Array, Arrays, Clip, Config, Schedule, agrees, update

Evidence = tuple[Array, list[Array], list[Array]]  # the parameter at first, gradients, the parameter after each step
SAMPLE = 256  # elements of a parameter: every rule acts on each element alone


@dataclass(frozen=True)
class Run:
    """The steps of one side, all in A's names and layouts."""

    start: Arrays
    slopes: Sequence[Arrays]  # the gradient that each step started from
    after: Sequence[Arrays]
    each: Mapping[str, Config] = field(default_factory=dict)  # the rule of each parameter as the optimizer describes it
    clip: Clip = field(default_factory=Clip)

    def finite(self) -> bool:
        arrays = [array for step in (*self.slopes, *self.after) for array in step.values()]
        return all(bool(np.isfinite(array).all()) for array in arrays)


@dataclass(frozen=True)
class StepsQuestion:
    a: Run
    b: Run
    unit: float
    roles: Mapping[str, str] = field(default_factory=dict)  # kernel, bias, gamma ... of each parameter

    def swapped(self) -> StepsQuestion:
        return replace(self, a=self.b, b=self.a)


class Side:
    """One run under one schedule: what each parameter's gradients come to, and whether a rule makes its steps."""

    def __init__(self, run: Run, unit: float, schedule: Schedule) -> None:
        self.unit = unit
        slopes = schedule.prepare(run.slopes)
        rows = range(schedule.every - 1, len(run.after), schedule.every)
        quiet = [n for n in range(len(run.after)) if n % schedule.every != schedule.every - 1]
        self.possible = bool(slopes) and all(_stands(run, n) for n in quiet)
        self.evidence: dict[str, Evidence] = {}  # of a sample of each parameter
        self.wholes: dict[str, Evidence] = {}  # and of all of it, which rules that take its norm need
        for name, w in run.start.items():
            whole = np.ravel(w), [np.ravel(g[name]) for g in slopes], [np.ravel(run.after[n][name]) for n in rows]
            keep = _sample(w.size)
            self.wholes[name] = whole
            self.evidence[name] = whole[0][keep], [g[keep] for g in whole[1]], [after[keep] for after in whole[2]]

    def of(self, name: str, config: Config) -> Evidence:
        """What a rule is judged by."""
        return self.wholes[name] if config.get("trust") else self.evidence[name]

    def follows(self, name: str, config: Config) -> bool:
        return self.possible and agrees(config, self.unit, *self.of(name, config))

    def measured_rates(self, name: str, config: Config) -> list[float] | None:
        """The rate of each step by which this rule makes these steps; None where it is not one number a step."""
        _w, slopes, after = self.of(name, config)
        rates: list[float] = []
        for step in range(len(slopes)):
            with np.errstate(all="ignore"):
                still, trial = (self._last(name, config, [*rates, rate]) for rate in (0.0, 1.0))
            wanted, unit_step = after[step] - still, trial - still
            square = float((unit_step * unit_step).sum())
            if not square or not math.isfinite(square):
                return None
            ratio = float((wanted * unit_step).sum()) / square
            if np.linalg.norm(wanted - ratio * unit_step) > 1e-6 * np.linalg.norm(wanted):
                return None
            rates.append(_written(ratio))
        return rates

    def _last(self, name: str, config: Config, rates: list[float]) -> Array:
        """The parameter after as many steps as there are rates."""
        w, slopes, _ = self.of(name, config)
        return update({**config, "rates": rates, "float32": False}, w, slopes[: len(rates)])[-1]

    def measured_decay(self, name: str, config: Config) -> float:
        """The decoupled decay that, with a rate, makes the first step of this rule; 0 where none does."""
        w, slopes, after = self.evidence[name]
        with np.errstate(all="ignore"):
            step = (
                update({**config, "rate": 1.0, "rates": None, "weight_decay": 0.0, "trust": None}, w, slopes[:1])[0] - w
            )
        columns = np.stack([step, -w], 1)
        if len(w) < 3 or not np.isfinite(columns).all():
            return 0.0
        (rate, share), *_ = np.linalg.lstsq(columns, after[0] - w, rcond=None)
        if not rate or np.linalg.norm(columns @ (rate, share) - after[0] + w) > 1e-6 * np.linalg.norm(after[0] - w):
            return 0.0
        return nice(float(share / rate), 4)


def _written(value: float) -> float:
    """A number that somebody wrote is taken exactly; one that was computed stays as measured."""
    return nice(value, 7) if math.isclose(value, nice(value, 7), rel_tol=1e-10) else value


def _stands(run: Run, step: int) -> bool:
    before = run.after[step - 1] if step else run.start
    return all(np.array_equal(before[name], run.after[step][name]) for name in run.start)


def _sample(size: int) -> Array:
    return np.arange(size) if size <= SAMPLE else np.random.default_rng(0).choice(size, SAMPLE, replace=False)
