"""Injected changes are changes, and the catalogue of faults applies to the sources as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.mutants import __main__ as command
from suites.mutants.injection import mutants
from suites.mutants.known import Known, known_faults
from suites.runner.machine import ROOT

SOURCE = '''"""A docstring of 1 + 1."""


def scaled(x: "int | float", rate: float = 0.5) -> float:
    """Twice 2."""
    if x <= 0 and not rate:
        raise ValueError(f"no {x + 1}")
    return -1 * divided(x, rate) + x ** 2
'''


def test_every_kind_of_change_is_made_and_nothing_that_only_speaks() -> None:
    """A mutant of a docstring, an annotation or an error would be a survivor that means nothing."""
    found = {(mutant.old, mutant.new) for mutant in mutants("scaled.py", SOURCE)}
    assert found == {
        ("0.5", "0.75"), ("x <= 0 and not rate", "not (x <= 0 and not rate)"), ("and", "or"), ("<=", "<"),
        ("0", "1"), ("not rate", "rate"), ("-1", "1"), ("*", "/"), ("x, rate", "rate, x"), ("+", "-"), ("**", "*"),
        ("2", "3"),
    }  # fmt: skip


def test_a_mutant_changes_its_place_and_no_other() -> None:
    for mutant in mutants("scaled.py", SOURCE):
        changed = mutant.applied(SOURCE).splitlines()
        assert [at for at, line in enumerate(SOURCE.splitlines()) if line != changed[at]] == [mutant.line - 1]
        with pytest.raises(ValueError, match="has changed"):
            mutant.applied(mutant.applied(SOURCE).replace(mutant.new, "?", 1))


def test_the_catalogue_applies() -> None:
    """A source that changed under a fault would leave it untested."""
    faults = known_faults()
    assert len(faults) >= 80
    assert all(fault.old != fault.new for fault in faults)


def test_every_reason_is_of_a_change_that_can_be_made() -> None:
    """A reason whose line is gone would excuse nothing, and look as if it did."""
    files = {key.partition(" | ")[0] for key in command.reasons()}
    sources = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
    possible = {command.key_of(mutant) for file, source in sources.items() for mutant in mutants(file, source)}
    assert command.reasons().keys() <= possible


def test_no_file_of_what_all_backends_share_is_left_out() -> None:
    """A new one would never be changed, and its survivors never seen."""
    there = {path.stem for path in (ROOT / "impls/shim").glob("*.py") if not path.name.startswith("test_")}
    assert there <= {*command.FILES, *command.NOT_CHANGED}


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--files", "layrs"]) == 2
    assert "there is no file impls/shim/layrs.py" in capsys.readouterr().err


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, to plant faults in."""
    return command.copied(tmp_path_factory.mktemp("tree"))


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.id) for fault in known_faults()])
def test_each_fault_of_the_catalogue_is_noticed(fault: Known, tree: Path) -> None:
    """By a test that everybody runs; one that is said to change nothing is noticed by none."""
    assert bool(command.noticed(tree, fault)) != bool(fault.equivalent), fault.title
