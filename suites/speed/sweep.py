"""The sweep behind the law of cost: one training step at several batch sizes and widths, in common rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np

from impls import MODELS, weights
from suites.records.run import Cell, Sweep
from suites.runner import plan
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import data
from suites.runner.workers import Worker
from suites.speed import flops
from suites.speed.rounds import Arm, Settings

WIDTHS = ("hidden", "filters", "units")  # the sizes of a specification that make a layer wider
WHAT: Literal["train_step"] = "train_step"
SETTINGS = Settings(24, 0.015)


class Point(NamedTuple):
    """How many times as wide as the specification, and examples a batch."""

    width: int
    batch: int

    @property
    def label(self) -> str:
        return f"{self.width}x{self.batch}"


POINTS = (Point(1, 1), Point(1, 8), Point(1, 64), Point(1, 512), Point(4, 8), Point(4, 64))


def wider(sizes: Mapping[str, Any], times: int) -> dict[str, Any]:
    """The sizes of a model whose hidden layers have so many times the units."""
    return {name: _times(value, times) if name in WIDTHS else value for name, value in sizes.items()}


def _times(value: Any, times: int) -> Any:
    return tuple(times * part for part in value) if isinstance(value, tuple) else times * value


def arms(worker: Worker, cell: Cell) -> list[Arm]:
    """Every point of the cell, ready to be timed; models of several widths are alive at once."""
    split, sizes = data(plan.dataset(cell)), MODELS[cell.model].sizes[cell.size]
    model = RemoteModel(worker)
    for width in dict.fromkeys(point.width for point in POINTS):
        wide = wider(sizes, width)
        canonical = weights.canonical(MODELS[cell.model].layers(**wide))
        model.open(cell.model, wide, canonical, keep=width != POINTS[0].width)
        for point in POINTS:
            if point.width == width:
                index = np.resize(np.arange(len(split.x)), point.batch)
                model.prepare(split.x[index], split.y[index], point.batch, point.label)
    return [Arm(worker, at=point.label) for point in POINTS]


def _parameters(cell: Cell, point: Point) -> int:
    layers = MODELS[cell.model].layers(**wider(MODELS[cell.model].sizes[cell.size], point.width))
    return sum(sum(map(prod, layer.weights.values())) for layer in layers)


def record(cell: Cell, found: list[Arm]) -> Sweep:
    """What the rounds of the arms of `arms` gave."""
    sizes, shape = MODELS[cell.model].sizes[cell.size], data(plan.dataset(cell)).x.shape[1:]
    work = [flops.specified(cell.model, wider(sizes, p.width), shape, p.batch, WHAT) for p in POINTS]
    sweep = Sweep(
        cell=cell,
        group=f"{cell.model}-law-{cell.size}-{cell.device}",
        what=WHAT,
        threads=found[0].worker.threads,
        sizes=[", ".join(f"{name} {value}" for name, value in wider(sizes, p.width).items()) for p in POINTS],
        batch_sizes=[point.batch for point in POINTS],
        flops=work,
        parameters=[_parameters(cell, point) for point in POINTS],
        seconds=[[seconds / arm.iterations for seconds in arm.processor_seconds] for arm in found],
        clock="processor",
    )
    waits = cell.device != "cpu" or sweep.threads > 1  # one thread on a processor never waits but for other programs
    return replace(sweep, seconds=_wall(found), clock="wall") if waits else sweep


def _wall(found: list[Arm]) -> list[list[float]]:
    return [[seconds / arm.iterations for seconds in arm.seconds] for arm in found]
