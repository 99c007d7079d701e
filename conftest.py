"""pytest options, parametrisation from the registry, determinism."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from impls import MODELS
from suites.records.run import Cell
from suites.runner import plan, progress_bar, requirements
from suites.runner.laboratory import Laboratory

hypothesis.settings.register_profile("quick", derandomize=True, deadline=None, max_examples=20)
hypothesis.settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("triptych")
    for name, text in plan.OPTIONS.items():
        group.addoption(f"--{name}", default="", metavar=name.upper(), help=text)
    group.addoption("--bench", action="store_true", help="also train to the end and measure, and save the results")
    group.addoption(
        "--quick", action="store_true", help="with --bench: fewer rounds; trains the smaller models, in float64"
    )
    group.addoption("--full", action="store_true", help="also the tests that take too long for every commit")
    group.addoption("--results", default="results", metavar="FOLDER", help="where results are saved (default: results)")
    group.addoption("--threads", default="1", help="threads of each worker while measuring, or all (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    try:
        options = {name: config.getoption(name) for name in (*plan.OPTIONS, "threads", "results")}
        config.stash[SELECTION], threads = plan.chosen(options, bench=config.getoption("bench"))
        config.option.threads = str(threads)  # as pytest-xdist hands it to its processes, which come here too
    except plan.PlanError as error:
        pytest.exit(str(error), returncode=2)
    if config.getoption("bench"):
        config.pluginmanager.register(progress_bar.Bar(), "triptych-progress")


SELECTION: pytest.StashKey[plan.Selection] = pytest.StashKey()
LEFT_OUT: pytest.StashKey[list[tuple[Cell, str]]] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked `cells(dtype, stage)` runs once for every selected cell, or those that `only=` wants.

    Models in `catalogue=` are left out of CI.
    """
    for marker in metafunc.definition.iter_markers("cells"):
        wanted, catalogue = marker.kwargs.get("only", bool), marker.kwargs.get("catalogue", ())
        cells = [cell for cell in metafunc.config.stash[SELECTION].cells(marker.args[0]) if wanted(cell)]
        chosen = [pytest.param(cell, marks=slowness(cell.model, marker.args[1], catalogue)) for cell in cells]
        metafunc.parametrize("cell", chosen, ids=[plan.label(cell) for cell in cells], indirect=True)


def slowness(model: str, stage: str, catalogue: tuple[str, ...]) -> list[pytest.MarkDecorator]:
    """The markers of a stage that takes the reference long on that model."""
    if model in catalogue:
        return [pytest.mark.full, pytest.mark.catalogue]
    return [pytest.mark.full] if stage in MODELS[model].slow else []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `--bench` runs; under `--bench` leave out what measures nothing."""
    for item in items:
        if _left_to_others(item):
            item.add_marker(pytest.mark.catalogue)
    belongs = _measures if config.getoption("bench") else _checks
    kept = [item for item in items if belongs(item, config)]
    left = [item for item in items if not belongs(item, config)]
    config.hook.pytest_deselected(items=left)
    config.stash[LEFT_OUT] = _trainings(left) if config.getoption("bench") and config.getoption("quick") else []
    waiting = {item.path for item in kept if _asks(item)}
    items[:] = sorted(kept, key=lambda item: _turn(item, config.getoption("bench"), waiting))


def _left_to_others(item: pytest.Item) -> bool:
    """Whether a long test is one of many of which CI runs some: the same ones whatever else is selected or added."""
    many = item.get_closest_marker("one_in") if item.get_closest_marker("full") else None
    return many is not None and zlib.crc32(item.nodeid.encode()) % many.args[0] != 0


def _trainings(items: list[pytest.Item]) -> list[tuple[Cell, str]]:
    """The trainings in float64 among tests that a quick run leaves out: it has such trainings of smaller models."""
    return [(cell, stage) for cell, stage in _planned(items) if stage == "training" and cell.dtype == "float64"]


def _asks(item: pytest.Item) -> bool:
    """Whether a test uses the laboratory, itself or by another fixture."""
    return "laboratory" in getattr(item, "fixturenames", ())


def _turn(item: pytest.Item, bench: bool, waiting: set[Path]) -> bool:
    """Whether a test comes late: timing, which wants the machine alone, or what waits for the laboratory's workers."""
    return "speed" in item.path.parts if bench else item.path in waiting


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files stay whole, and those that share workers are run by one process."""
    from suites.runner.side_by_side import Files

    return Files(config, log)


def _checks(item: pytest.Item, config: pytest.Config) -> bool:
    """Whether a test belongs to the quick tests, or to all of them under `--full`."""
    left_out = ("bench",) if config.getoption("full") else ("bench", "full")
    return not any(item.get_closest_marker(name) for name in left_out)


def _measures(item: pytest.Item, config: pytest.Config) -> bool:
    """Whether a test belongs to `--bench`; a quick one compares in float64 only, where a difference stands out."""
    bench, cells = item.get_closest_marker("bench"), item.get_closest_marker("cells")
    if config.getoption("quick"):
        compares = cells is not None and cells.args[0] == "float64"
        return bool(bench or compares) and not item.get_closest_marker("full")
    return bool(bench or cells)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that was skipped for what `--require` names has failed."""
    return _required((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So has a file that was skipped as a whole."""
    return _required((yield), collector.config)


def _required(report: Any, config: pytest.Config) -> Any:
    told = str(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
    reason = told.removeprefix("Skipped: ")
    if name := requirements.missed(reason, config.stash[SELECTION].require):
        report.outcome, report.longrepr = "failed", f"{name} is required: {reason}"
    return report


@pytest.fixture(scope="session")
def laboratory(request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    """Where the workers are; it records what the tests find and saves it when the session ends."""
    config = request.config
    with Laboratory.of(config.stash[SELECTION], config.option, _planned(request.session.items)) as laboratory:
        laboratory.leave_out(config.stash[LEFT_OUT])
        yield laboratory
        laboratory.interrupted = request.session.exitstatus == pytest.ExitCode.INTERRUPTED


@pytest.fixture(scope="session", autouse=True)
def opened(request: pytest.FixtureRequest) -> None:
    """The workers begin at once, beside the tests that come first, if any test will ask for them.

    Several processes of pytest-xdist share the tests out as they go, so that only one of them will ask.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ and any(_asks(item) for item in request.session.items):
        request.getfixturevalue("laboratory")


def _planned(items: list[pytest.Item]) -> list[tuple[Cell, str]]:
    """The (cell, stage) pairs that the collected tests will ask for."""
    marked = ((item, item.get_closest_marker("cells")) for item in items)
    return list(dict.fromkeys((item.callspec.params["cell"], marker.args[1]) for item, marker in marked if marker))  # type: ignore[attr-defined]


@pytest.fixture
def cell(request: pytest.FixtureRequest, laboratory: Laboratory) -> Any:
    """The cell of a parametrised test; skips, or fails where it was required, if it can't run here."""
    reason = laboratory.unavailable(request.param)
    if reason and request.param.backend in laboratory.selection.require:
        pytest.fail(f"{request.param.backend} is required: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
    return request.param


@pytest.fixture(autouse=True)
def deterministic() -> None:
    """Every test starts from the same global random state."""
    random.seed(0)
    np.random.seed(0)
