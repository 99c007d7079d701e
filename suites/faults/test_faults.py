"""The catalogue applies, and real faults, one of each phase, are found where they are planted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from impls import MODELS
from suites.equivalence.draws import draws, takes_integers
from suites.faults import catalogue as faults
from suites.faults import score, scoreboard
from suites.faults.catalogue import FaultError, Instance
from suites.runner import plan
from suites.runner.availability import availability
from suites.runner.workers import Pool

TOML = """
[[fault]]
id = "mine"
title = "The mean is a sum"
layer = "loss"
phase = "loss"
at = [{ file = "impls/mlp/raw_torch.py", old = "F.cross_entropy(logits, y)", new = "F.cross_entropy(logits, y) * 2" }]
"""
# A slip in the forward pass, and a logarithm of what is negative in the backward pass.
TOML_NAN = """
[[fault]]
id = "nan"
title = "The output is a little off, and the backward pass takes the logarithm of a negative number"
layer = "bn1"
phase = "forward"

[[fault.at]]
file = "impls/shim/backends/numpy_kernels.py"
old = "z = (x - mu) * scale\\n\\n    def back(g: Array) -> Gradients:\\n        slope = g"
new = "z = (x - mu) * scale * 1.001\\n\\n    def back(g: Array) -> Gradients:\\n        slope = np.log(-scale) + g"
models = ["cnn"]
backends = ["numpy"]
"""
TOML_LATE_NAN = """
[[fault]]
id = "late-nan"
title = "A division by the size of the batch less 1"
layer = "logits"
phase = "backward"

[[fault.at]]
file = "impls/shim/backends/numpy.py"
old = "return g @ w.T, rows.T"
new = "return g @ w.T / (len(g) > 1), rows.T"
models = ["seed"]
"""
ONE_OF_EACH_PHASE = {
    "forward": "bn-epsilon",
    "loss": "loss-sum",
    "backward": "embedding-padding-index",
    "state": "bn-unbiased-running",
    "optimizer": "schedule-staircase",
    "data": "loop-unweighted-mean",
}


@pytest.fixture(scope="module")
def catalogue() -> list[Instance]:
    """Reading it checks that every diff applies exactly once to the file as it is."""
    return faults.read(sorted(faults.CATALOGUE.glob("*.toml")))


def test_the_catalogue_applies_and_is_as_large_as_promised(catalogue: list[Instance]) -> None:
    """A program that changed under a fault would leave it untested: the row has to be written anew."""
    planted = [instance for instance in catalogue if not (instance.equivalent or instance.benign)]
    names = {instance.fault for instance in planted}
    assert len(names) >= 60 and len(planted) >= 250
    assert {instance.model for instance in planted} >= {"seed", "mlp", "cnn", "rnn"}
    assert len({instance.source for instance in planted if instance.source}) >= 15


@pytest.fixture(scope="module")
def board() -> Iterator[scoreboard.Board]:
    for implementation, backend in (("raw_torch", "torch"), ("shim", "numpy")):
        if reason := availability(implementation, backend):
            pytest.skip(reason)
    with Pool() as pool, Pool() as other:
        yield scoreboard.Board(pool, other.worker(*plan.ORACLE))


@pytest.mark.parametrize(("phase", "fault"), ONE_OF_EACH_PHASE.items())
def test_a_fault_of_each_phase_is_found_where_it_is(
    board: scoreboard.Board, catalogue: list[Instance], phase: str, fault: str
) -> None:
    """The suite exists to find these; a phase that it confuses would send people to the wrong place."""
    instance = next(each for each in catalogue if each.fault == fault and each.implementation == "raw_torch")
    row = board.planted(instance)
    assert instance.phase == phase
    assert row.found, f"{instance.label}: expected {instance.layer}, {phase}; {row.location or row.error or 'nothing'}"


@pytest.mark.full
@pytest.mark.catalogue
def test_a_fault_is_gone_when_the_next_one_is_planted(board: scoreboard.Board, catalogue: list[Instance]) -> None:
    """A worker serves many faults: what is left of one would be found as the next."""
    broken = next(each for each in catalogue if each.fault == "loss-sum" and each.implementation == "raw_torch")
    harmless = next(each for each in catalogue if each.equivalent and each.implementation == "raw_torch")
    assert board.planted(broken).detected
    assert not board.planted(harmless).detected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('F.cross_entropy(logits, y)"', 'F.cross_entropy(logits, z)"'), "occurs 0 times"),
        (('F.cross_entropy(logits, y)"', 'self"'), "has to occur exactly once"),
        (("raw_torch", "raw_mxnet"), "neither a program"),
        (('layer = "loss"', 'layer = "los"'), "unknown layer 'los' of mlp: known are"),
        (('phase = "loss"', 'phase = "losses"'), "unknown phase 'losses': known are"),
        (("title", "titel"), "unknown key 'titel': known are"),
        (('id = "mine"', ""), "the key 'id' is missing"),
        (("* 2", "* ("), "is no Python"),
        (("[[fault]]", "[[fault]"), "is no TOML"),
    ],
)
def test_a_bad_file_ends_with_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    """A fault that is silently not planted would count as one that nobody can find."""
    path = tmp_path / "mine.toml"
    path.write_text(TOML.replace(*change, 1))
    with pytest.raises(FaultError, match="mine"):
        faults.read([path])
    assert scoreboard.main(["--file", str(path), "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") <= 3
    assert not (tmp_path / "faults.json").exists()


def test_someone_can_score_a_file_of_their_own(tmp_path: Path, board: scoreboard.Board) -> None:
    """`nox -s faults -- --file mine.toml` writes the same document, whole."""
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    row = board.planted(*faults.read([path]))
    board_of_one = score.Score([row], clean=3)
    score.save(board_of_one.document(), tmp_path / "faults.json")
    saved = json.loads((tmp_path / "faults.json").read_text())
    assert (saved["instances"], saved["detected"], saved["localised_layer_and_phase"]) == (1, 1, 1)
    assert saved["rows"][0]["found_layer"] == "loss"
    assert board_of_one.good
    assert not score.Score([score.Row(row.instance)]).good  # a missed fault


def test_the_printed_command_finds_the_same_alone(
    tmp_path: Path, board: scoreboard.Board, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is there to be pasted: it has to plant this fault, find it in the same place and tell so in full."""
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    (instance,) = faults.read([path])
    place = board.planted(instance).location
    assert place is not None
    words = shlex.split(instance.command)
    assert words[:4] == ["nox", "-s", "faults", "--"]
    (tmp_path / "faults.json").write_text("the whole scoreboard")
    assert scoreboard.main([*words[4:], "--results", str(tmp_path)]) == 0
    assert place.report(instance.command) in capsys.readouterr().out
    assert (tmp_path / "faults.json").read_text() == "the whole scoreboard"
    (row,) = json.loads((tmp_path / "faults-part.json").read_text())["rows"]
    assert row["message"] == str(place)


def test_a_port_that_stops_at_a_nan_says_where_it_was_born(board: scoreboard.Board, tmp_path: Path) -> None:
    """Everything behind it is NaN as well, and the loss that people look at is the last to tell."""
    path = tmp_path / "mine.toml"
    path.write_text(TOML_NAN)
    location = board.planted(*faults.read([path])).location
    assert location is not None and location.born is not None
    link, value = location.born
    assert (location.layer, location.phase) == ("bn1", "forward")
    assert (link.layer, link.phase, value.tensor) == ("bn2", "backward", "cotangent/conv2")


def test_a_nan_that_only_a_training_step_shows_is_traced_to_its_layer(board: scoreboard.Board, tmp_path: Path) -> None:
    """In a ragged batch of one, long after the pass that was looked at: a weight that is NaN says nothing of where."""
    path = tmp_path / "mine.toml"
    path.write_text(TOML_LATE_NAN)
    row = board.planted(*faults.read([path]))
    assert row.found and row.location is not None and row.location.moment == "ragged, step 3"
    assert "first born in cotangent/hidden[0, 0]" in row.location.report("")


@pytest.mark.parametrize("fault", ["differing-rate-doubled", "differing-batches-reversed"])
def test_a_known_difference_excuses_nothing_else(
    board: scoreboard.Board, catalogue: list[Instance], fault: str
) -> None:
    """torch.optim's Adam differs from the specification: that must not hide a rate or an order that is wrong."""
    row = board.planted(next(each for each in catalogue if each.fault == fault and each.model == "seed"))
    assert row.found, f"{row.instance.label}: {row.location or row.error or 'nothing'}"


@pytest.mark.full
@pytest.mark.catalogue
def test_what_keras_rounds_is_told_from_a_fault(board: scoreboard.Board, catalogue: list[Instance]) -> None:
    """Adam's constants pass through float32 in Keras on TensorFlow: tiny gradients magnify that, and it is no fault."""
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    keras = {
        each.fault: each for each in catalogue if each.key[:2] == ("tf_keras", "tensorflow") and each.model == "mlp"
    }
    assert not board.planted(keras["adam-defaults"]).detected
    assert board.planted(keras["adam-epsilon"]).found


@pytest.mark.parametrize("model", MODELS)
def test_the_draws_hold_what_they_promise(model: str) -> None:
    """A tie that is none, a batch that is not ragged, would leave faults unseen that the catalogue can't name."""
    named = {draw.name: draw for draw in draws(model)}
    assert len(named) == len(draws(model))
    assert [len(batch["x"]) for batch in named["ragged"].batches][-1] == 1
    for draw in named.values():
        assert all(np.array_equal(value, value.astype(np.float32)) for value in draw.weights.values())
        assert draw.x.dtype.kind == "i" or np.array_equal(draw.x, draw.x.astype(np.float32))
    if takes_integers(model):
        assert len(named["square"].batches[0]["x"]) == named["square"].x.shape[1]
