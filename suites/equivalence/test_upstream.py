"""Divergences of released frameworks that the suite ran into, each as the smallest program that shows it.

`upstream/<name>.py` prints a number and what it has to be; it runs by itself, `KERAS_BACKEND` says on which engine. A
backend where they differ is a strict expected failure: a release that mends it turns the test red, and the row goes.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from impls.floating_types import UNIT
from impls.known_differences import DIFFERENCES
from impls.shim.testing.forks import Started
from suites.runner.availability import availability

HERE = Path(__file__).with_name("upstream")
SECONDS = 180
KERAS, ENGINES = "tf_keras", {"tensorflow": "raw_tf", "torch": "raw_torch", "jax": "raw_jax"}

# The rows of the catalogue that a program shows, by its name.
DIVERGENCES = {known.name: known for known in DIFFERENCES.values() if known.programs_of("upstream")}


def cases() -> Iterator[Any]:
    """Every program on every engine; the ones that differ are expected to fail, and nothing else may."""
    for name, known in DIVERGENCES.items():
        marks = [pytest.mark.catalogue] if known.by_hand else []
        expected = pytest.mark.xfail(
            strict=True, raises=AssertionError, reason=f"{known.released} {known.link}".strip()
        )
        for backend in known.shown_on or known.engines:
            yield pytest.param(name, backend, id=f"{name}-{backend}", marks=[expected, *marks])
        for backend in known.agrees:
            yield pytest.param(name, backend, id=f"{name}-{backend}", marks=marks)


@pytest.fixture(scope="module")
def forks() -> Iterator[Started]:
    """A process for each engine, which imports it once for all programs."""
    running = Started()
    yield running
    running.close()


def printed(name: str, backend: str, device: str, forks: Started) -> tuple[float, float]:
    """What a program finds, and what it has to find."""
    environment = {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if device == "cpu":
        environment["JAX_PLATFORMS"] = "cpu"
    done = forks.of([backend], environment).run(SECONDS, path=str(HERE / f"{name}.py"))
    if done.returncode:
        raise RuntimeError(f"{name}.py on {backend} failed:\n{done.stderr[-2000:]}")
    found, expected = done.stdout.splitlines()[-1].split()
    return float(found), float(expected)


@pytest.mark.full
@pytest.mark.parametrize("name, backend", [*cases()])
@pytest.mark.catalogue
def test_frameworks_agree(name: str, backend: str, forks: Started) -> None:
    """They don't yet: what this says is that the divergence is still there, in the release that is installed."""
    known = DIVERGENCES[name]
    package, release = known.released.split()
    if reason := availability(KERAS if package == "keras" else ENGINES[backend], backend, known.device):
        pytest.skip(reason)
    installed = Version(importlib.metadata.version(package))
    if installed < Version(release):
        pytest.skip(f"known of {known.released}, here is an older {installed}")
    found, expected = printed(name, backend, known.device, forks)
    allowed = known.rounding * UNIT[known.unit] if known.unit else 0.0
    assert abs(found - expected) <= allowed * abs(expected), f"{found} instead of {expected}"


def test_every_program_is_listed() -> None:
    """A program that no row names would be run by nobody; a row's program has its name."""
    named = [name for known in DIFFERENCES.values() for name in known.programs_of("upstream")]
    assert sorted(path.stem for path in HERE.glob("*.py")) == sorted(named) == sorted(DIVERGENCES)
