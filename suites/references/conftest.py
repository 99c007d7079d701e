"""The backends that the references are compared with."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from impls import BACKENDS
from suites.references.libraries import Libraries
from suites.references.shim import Shim, Shims

QUICK = ("numpy", "torch")  # the others trace and compile each shape, which takes minutes
MODES: dict[str, tuple[str, ...]] = {
    "numpy": ("eager",),
    "torch": ("eager",),
    "jax": ("jit",),
    "tensorflow": ("graph",),
}
WAYS = [
    pytest.param(
        (backend, mode),
        id=f"{backend}-{mode}",
        marks=() if backend in QUICK else [pytest.mark.full, pytest.mark.one_in(8)],
    )
    for backend, modes in MODES.items()
    for mode in modes
]


@pytest.fixture(scope="package")
def shims() -> Iterator[Shims]:
    running = Shims()
    yield running
    for each in running.values():
        each.close()


@pytest.fixture(scope="package")
def libraries() -> Iterator[Libraries]:
    running = Libraries()
    yield running
    for each in running.values():
        each.close()


@pytest.fixture(params=WAYS)
def shim(request: pytest.FixtureRequest, shims: Shims) -> Shim:
    """One backend in one of its modes."""
    backend, mode = request.param
    missing = importlib.util.find_spec(BACKENDS[backend].module) is None
    if missing and backend in request.config.getoption("require").split(","):
        pytest.fail(f"{backend} is required: {BACKENDS[backend].module} is not installed", pytrace=False)
    found = shims[backend]
    found.mode = mode
    return found
