"""The tables of engines and findings hold together, and nothing that nobody explained passes as explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from impls import IMPLEMENTATIONS, MODELS
from suites import plan
from suites.equivalence.compare import comparisons
from suites.equivalence.localise import Location, locate
from suites.heritage import causes, environments
from suites.heritage.record import Verdict
from suites.heritage.run import cells, judged
from suites.heritage.shown import FOLDER, shows
from suites.records import Cell

CAUSES, LACKS = causes.table()
ITEMS: list[causes.Cause | causes.Lack] = [*CAUSES, *LACKS]
ELSEWHERE = [
    (way, backend) for way, entry in IMPLEMENTATIONS.items() for backend, name in entry.environments.items() if name
]


def departed(cell: Cell, tensor: str) -> Location:
    """Where a comparison parts in which one tensor is another one."""
    truth, found = {tensor: np.ones(2)}, {tensor: np.zeros(2)}
    rows = comparisons(cell, plan.oracle(cell), found, truth, {tensor: 0.0})
    location = locate(MODELS[cell.model].at(cell.size), rows, found, truth, "one pass")
    assert location is not None
    return location


@pytest.mark.parametrize("item", ITEMS)
def test_a_finding_names_what_exists(item: causes.Cause | causes.Lack) -> None:
    """A typing error in the table would leave a difference unexplained, or explain one that it doesn't mean."""
    assert set(item.backends) <= set(IMPLEMENTATIONS[item.implementation].backends)
    assert set(item.models) <= set(MODELS)
    assert item.programs and all((FOLDER / f"{name}.py").is_file() for name in item.programs)


def test_every_program_belongs_to_a_finding() -> None:
    named = {name for item in ITEMS for name in item.programs}
    assert {path.stem for path in FOLDER.glob("*.py")} == named


def test_a_difference_elsewhere_is_not_explained() -> None:
    """An optimizer that departs excuses no layer: a kernel that a new release flips has to come up as unexplained."""
    cell = Cell("seed", "keras2", "tensorflow1", "graph", "cpu", "float64")
    update, forward = departed(cell, "weight/logits/bias"), departed(cell, "activation/hidden")
    assert judged(cell, "gradients", [], forward) == Verdict(cell, "gradients", "different", str(forward), known=False)
    assert causes.cause(cell, update) is not None


def test_a_missing_environment_says_which_command_makes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIPTYCH_ENVIRONMENTS", str(tmp_path))
    for way, backend in ELSEWHERE:
        assert "nox -s heritage" in environments.reason_against(way, backend)


def test_a_missing_library_says_which_command_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """CNTK without Open MPI ends with an ImportError of a name that no package has."""
    monkeypatch.setattr(environments, "located", lambda file: None)
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert "apt-get install libopenmpi3" in environments.reason_against("keras2", "cntk")
    assert environments.reason_against("keras2", "theano") == ""


def test_every_engine_is_in_one_table() -> None:
    """An engine that is missing from the run is a comparison that nobody makes."""
    chosen = cells(plan.Selection())
    ways = {(cell.implementation, cell.backend) for cell in chosen["float64"]}
    assert set(ELSEWHERE) <= ways and {"numpy", "tensorflow", "torch", "jax"} <= {backend for _, backend in ways}
    assert len(chosen["float64"]) == len(ways) * len(MODELS)


@pytest.mark.full
@pytest.mark.parametrize("item", ITEMS)
def test_the_smallest_programs_show_it(item: causes.Cause | causes.Lack) -> None:
    """A finding that its release does not show is a story."""
    for backend in item.backends:
        if reason := environments.reason_against(item.implementation, backend):
            pytest.skip(reason)
        for name in item.programs:
            still, said = shows(name, item.implementation, backend)
            assert still, f"{name} on {backend}: {said}"
