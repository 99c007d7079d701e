"""The tables of engines and findings hold together, and nothing that nobody explained passes as explained."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from impls import IMPLEMENTATIONS, MODELS
from suites.equivalence.compare import comparisons
from suites.equivalence.localise import Location, locate
from suites.heritage import causes, judging, run, shown, stories
from suites.heritage.judging import judged
from suites.heritage.record import Verdict
from suites.heritage.run import cells, main, stages, timed_cells
from suites.heritage.shown import FOLDER, shows
from suites.records.run import Cell
from suites.runner import environments, plan
from suites.speed.bench import able

CAUSES, LACKS = causes.table()
ITEMS: list[causes.Cause | causes.Lack] = [*CAUSES, *LACKS]
ELSEWHERE = [(way, backend) for way, entry in IMPLEMENTATIONS.items() for backend in entry.environments]


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


def test_every_program_belongs_to_a_finding_or_a_story() -> None:
    named = {story.program for story in stories.table()}.union(*[item.programs for item in ITEMS])
    assert {path.stem for path in FOLDER.glob("*.py")} == named


def test_a_difference_elsewhere_is_not_explained() -> None:
    """An optimizer that departs excuses no layer: a kernel that a new release flips has to come up as unexplained."""
    cell = Cell("seed", "keras2", "tensorflow1", "graph", "cpu", "float64")
    update, forward = departed(cell, "weight/logits/bias"), departed(cell, "activation/hidden")
    assert judged(cell, "gradients", [], forward) == Verdict(cell, "gradients", "different", str(forward), known=False)
    assert causes.cause(cell, update) is not None


@pytest.mark.parametrize("item", CAUSES)
def test_a_finding_that_starts_in_a_layer_says_which(item: causes.Cause) -> None:
    """One that explains a whole model would also explain the next release's flipped kernel."""
    assert item.layers or "forward" not in item.phases or item.implementation == "keras_inference"
    assert item.phases
    for model in item.models:
        known = {layer.name for layer in MODELS[model].at("small")} | {"loss", "optimizer"}
        assert set(item.layers) <= known


def test_a_program_that_hangs_costs_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine of 2017 that waits for something would take the whole run with it."""
    Path(tmp_path, "waits.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(shown, "FOLDER", tmp_path)
    monkeypatch.setattr(shown, "SECONDS", 0.2)
    ended, text = shown.shows("waits", "raw_tf", "tensorflow")
    assert not ended and "timed out" in text


def test_a_program_that_fails_is_not_shown_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell("seed", "keras2", "tensorflow", "graph", "cpu", "float64")
    monkeypatch.setattr(judging, "shows", lambda *names: (False, "expected 1, found 1"))
    judging._repeated.cache_clear()
    assert judging.repeated(cell, ["a"]) == {"a": "not shown any more: expected 1, found 1"}
    judging._repeated.cache_clear()


def test_stories_see_no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """KERAS_BACKEND in the user's shell would tell another story."""
    Path(tmp_path, "said.py").write_text("import os; print(os.environ.get('KERAS_BACKEND'), os.environ['KERAS_HOME'])")
    monkeypatch.setattr(shown, "FOLDER", tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", "home")
    (line,) = shown.run("said", None, {}).lines
    assert line.startswith("None ") and not line.endswith(" home")


def test_a_story_without_its_environment_says_which_command_makes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIPTYCH_ENVIRONMENTS", str(tmp_path))
    told = [story.told() for story in stories.table() if story.environment]
    assert told and all("triptych heritage" in item.lines[0] for item in told)


def test_engines_that_only_predict_are_compared_and_timed_in_that() -> None:
    """Asked to train they would fail, and a failure hides the next one."""
    inference = [cell for some in cells(plan.Selection()).values() for cell in some if cell.backend == "openvino"]
    assert {stage for cell in inference for stage in stages(cell)} == {"inference", "float32_inference"}
    assert not able(inference[0], "train_step") and able(inference[0], "predict")
    assert {cell.implementation for cell in timed_cells(inference)} == {"raw_tf", "keras_inference"}


def test_a_missing_environment_says_which_command_makes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIPTYCH_ENVIRONMENTS", str(tmp_path))
    for way, backend in ELSEWHERE:
        assert "triptych heritage" in environments.reason_against(way, backend)


def test_a_missing_library_says_which_command_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """CNTK without Open MPI ends with an ImportError of a name that no package has."""
    monkeypatch.setattr(environments, "located", lambda file: None)
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert "apt-get install libopenmpi3" in environments.reason_against("keras2", "cntk")
    assert environments.reason_against("keras2", "theano") == ""


@pytest.mark.parametrize("words", ["--model=mpl", "--threads=0", "--results=/proc/results"])
def test_bad_input_is_one_line_and_exit_status_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is compared for ten minutes before it is said that the result can't be written."""
    assert main([words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words.partition("=")[2] in line


def test_every_engine_is_in_one_table() -> None:
    """An engine that is missing from the run is a comparison that nobody makes."""
    chosen = cells(plan.Selection())
    ways = {(cell.implementation, cell.backend) for cell in chosen["float64"]}
    assert set(ELSEWHERE) <= ways and {"numpy", "tensorflow", "torch", "jax"} <= {backend for _, backend in ways}
    assert len(chosen["float64"]) == len(ways) * len(MODELS)


def test_verdicts_stand_in_the_order_of_the_cells_however_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of the page would jump from run to run with what was ready first."""
    some = [Cell("seed", "shim", backend, "eager", "cpu", "float64") for backend in ("numpy", "numba", "mxnet")]
    coming = [Verdict(cell, stage, "equal") for cell in reversed(some) for stage in ("gradients", "trajectory")]
    monkeypatch.setattr(run, "equivalence", lambda *given: iter(coming))
    verdicts = run.measured(SimpleNamespace(record=lambda **lists: None), {"float64": some}, False)  # type: ignore
    assert [verdict.cell for verdict in verdicts[::2]] == some
    assert [verdict.stage for verdict in verdicts] == ["gradients", "trajectory"] * 3


@pytest.mark.full
@pytest.mark.catalogue  # released engines change with an upgrade, not with a commit
@pytest.mark.parametrize("item", ITEMS)
def test_the_smallest_programs_show_it(item: causes.Cause | causes.Lack) -> None:
    """A finding that its release does not show is a story."""
    for backend in item.backends:
        if reason := environments.reason_against(item.implementation, backend):
            pytest.skip(reason)
        for name in item.programs:
            still, said = shows(name, item.implementation, backend)
            assert still, f"{name} on {backend}: {said}"


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("story", stories.table(), ids=lambda story: story.title)
def test_the_stories_are_true(story: stories.Story) -> None:
    told = story.told()
    assert told.ended, told.lines
