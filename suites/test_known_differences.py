"""The catalogue of known differences holds together: each row has a reader, a cause, and a program that is there."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from impls import model_differences
from impls.known_differences import DIFFERENCES, KINDS, Difference, read
from suites.code import upgrade
from suites.runner.machine import ROOT

PROGRAMS = {"upstream": "suites/equivalence/upstream", "heritage": "suites/heritage/programs"}


def named_in_sources(name: str) -> bool:
    """Whether a module names a row: the known differences of models, an upgrade or the port checker's causes."""
    words = ["git", "grep", "-q", "--untracked", f'"{name}"', "--", "impls/*.py", "suites/**/*.py"]
    return subprocess.run(words, cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("known", DIFFERENCES.values(), ids=lambda known: known.name)
def test_a_row_is_whole(known: Difference) -> None:
    """A row without a place in the source, or with a program that is gone, can't be checked by anybody."""
    assert known.kind in KINDS and known.cause
    assert not known.because or known.because in DIFFERENCES
    assert set(known.shown_on) <= set(known.engines) and not set(known.agrees) & set(known.engines)
    for program in known.programs:
        suite, _, name = program.partition("/")
        assert (ROOT / PROGRAMS[suite] / f"{name}.py").is_file()


def test_every_row_is_read_by_somebody() -> None:
    """One that nobody reads explains nothing: it would stand there long after its release is gone."""
    causes = {cause.difference for cause in upgrade.read()[2]}
    for name, known in DIFFERENCES.items():
        assert known.cells or known.campaign or known.programs or name in causes or named_in_sources(name), name


def test_rows_of_todays_engines_name_the_pinned_releases() -> None:
    """A new release may have mended any of them: whoever moves a pin has to look at each."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    pinned = {groups[engine][0].replace("==", " ") for engine in ("tensorflow", "torch", "jax", "keras")}
    of_now = [known for known in DIFFERENCES.values() if known.campaign or known.programs_of("upstream")]
    assert {known.released for known in of_now} - {""} == pinned


def test_what_holds_of_a_model_has_a_row() -> None:
    texts = {known.cause for known in DIFFERENCES.values()}
    for departure in model_differences.DEPARTURES.values():
        assert any(text in departure.cause for text in texts)


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    """`link` for `links` would be a row that upstream seems not to know of."""
    file = tmp_path / "rows.toml"
    file.write_text('[row]\ncause = "it is so"\nlink = "https://example.org"\n')
    with pytest.raises(TypeError, match="link"):
        read(file)
