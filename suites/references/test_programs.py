"""Programs that Keras and the shim run from one text: callbacks, data, losses, models and their outputs, all alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from suites.references.libraries import Libraries

pytestmark = pytest.mark.full
BOUND = (
    4e-6  # of the largest number of a list: Keras rounds rates, means and norms to float32, whatever the weights are
)
LONG = 4e-5  # of trainings of up to 20 updates, where roundings go on and rules divide by small numbers
PROGRAMS = {
    "callbacks": (
        "rates on plateaus", "early stopping", "rates by a schedule", "checkpoints", "tables", "no number",
        "functions", "lines",
    ),
    "data": (
        "in every form", "of streams", "of unknown shapes", "by the names of optimizers", "judged and predicted",
        "by the names of inputs", "with the options of fit",
    ),
    "losses": ("by class", "by name", "of classes", "of two", "of one's own", "of sequences"),
    "models": (
        "grown and cut", "within one another", "frozen and looked up", "shapes that the data decide",
        "functions of one's own", "applied twice", "of both directions", "under masks", "files",
    ),
    "outputs": ("of lists", "of dictionaries", "without a loss", "of batches", "in 16 bits"),
    "options": ("that meet first", "that meet later"),
}  # fmt: skip


def differences(theirs: Any, ours: Any, place: str = "", bound: float = BOUND) -> Iterator[str]:
    """Where two results are not the same: names, texts and lengths exactly, numbers within the bound."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if theirs.keys() != ours.keys():
            yield f"{place}: Keras has {sorted(theirs)}, the shim {sorted(ours)}"
        for key in theirs.keys() & ours.keys():
            yield from differences(theirs[key], ours[key], f"{place}/{key}", bound)
    elif numbers(theirs) and numbers(ours) and lengths(theirs) == lengths(ours):
        yield from unequal(flat(theirs), flat(ours), place, bound)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for at, (left, right) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(left, right, f"{place}/{at}", bound)
    elif theirs != ours:
        yield f"{place}: Keras has {theirs!r}, the shim {ours!r}"


def numbers(found: Any) -> bool:
    """Whether it is a number, or nested lists of nothing else."""
    if isinstance(found, list):
        return all(numbers(each) for each in found)
    return isinstance(found, (int, float)) and not isinstance(found, bool)


def flat(found: Any) -> list[float]:
    if not isinstance(found, list):
        return [found]
    return list(itertools.chain.from_iterable(flat(each) for each in found))


def lengths(found: Any) -> Any:
    """The shape of nested lists."""
    return [lengths(each) for each in found] if isinstance(found, list) else None


def unequal(theirs: list[float], ours: list[float], place: str, bound: float) -> Iterator[str]:
    off = max((abs(left - right) for left, right in zip(theirs, ours, strict=True)), default=0.0)
    if not off <= bound * max((abs(each) for each in theirs), default=0.0):
        yield f"{place}: off by {off:.1e}, Keras has {theirs[:6]}, the shim {ours[:6]}"


NAMES = [f"{subject}, {program}" for subject, programs in PROGRAMS.items() for program in programs]


def test_no_program_is_left_out(libraries: Libraries) -> None:
    assert libraries["keras"].programs() == NAMES


def chosen(name: str) -> Any:
    """A program as a case; of the combinations of options CI runs those in which most of them meet."""
    return pytest.param(name, marks=[pytest.mark.catalogue] if name == "options, that meet later" else [])


@pytest.mark.parametrize("name", [chosen(name) for name in NAMES])
@pytest.mark.one_in(8)
def test_a_program_gives_with_the_shim_what_it_gives_with_keras(name: str, libraries: Libraries) -> None:
    theirs, ours = libraries["keras"].run(name, "numpy")
    assert theirs, "a program that finds nothing compares nothing"
    assert not list(differences(theirs, ours, "", LONG if name.startswith("options") else BOUND))
