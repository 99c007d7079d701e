"""Bounds of the oracle, kept from run to run: a minute of processor time, and the same bits whenever they are computed.

What they follow from is in the name of their file: the sources that compute them, the data, the state they start from,
the processor, the versions and the variables of its libraries. Anything else there computes them again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import platform
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cpuinfo
import numpy as np
import platformdirs

from suites.records import run as records
from suites.records.cells import Cell
from suites.runner import plan
from suites.runner.machine import ROOT
from suites.runner.stages import canonical, data
from suites.runner.workers import Arrays

FOLDER = platformdirs.user_cache_path("triptych") / "bounds"
SOURCES = ("impls", "suites/runner")
STEERING = ("OPENBLAS_", "OMP_", "MKL_", "NPY_", "TRIPTYCH_")  # variables of the worker that may change a bit
MOST_DAYS = 30


class KeptBounds:
    """The bounds in a folder that belong to this tree as it was when this was made, on this machine."""

    def __init__(self, folder: Path = FOLDER, root: Path = ROOT) -> None:
        self.folder, self.root = folder, root
        self.sources = digest_of_sources(root)

    def get(self, cell: Cell, stage: str, threads: int, needed: list[Arrays], compute: Callable[[], Arrays]) -> Arrays:
        """The bounds of a stage, from the folder, or computed and put there.

        They are not kept where somebody edited the tree meanwhile: the worker may have loaded either version.
        """
        place = self.folder / f"{self._key(cell, stage, threads, needed)}.npz"
        if (found := _read(place)) is not None:
            return found
        computed = compute()
        if digest_of_sources(self.root) == self.sources:
            _write(place, computed)
        return computed

    def _key(self, cell: Cell, stage: str, threads: int, needed: list[Arrays]) -> str:
        key = hashlib.sha256()
        for part in (self.sources, cell.id, stage, str(threads), *_surroundings()):
            key.update(f"{part}\0".encode())
        split = data(plan.dataset(cell))
        for arrays in (split._asdict(), canonical(cell.model, cell.size), *needed):
            for name in sorted(arrays):
                array = np.ascontiguousarray(arrays[name])
                key.update(f"{name} {array.dtype} {array.shape}\0".encode())
                key.update(array.tobytes())
        return key.hexdigest()[:32]


def digest_of_sources(root: Path) -> str:
    """A hash of every source that a worker or a stage may run."""
    found = hashlib.sha256()
    for path in sorted(path for folder in SOURCES for path in (root / folder).rglob("*.py")):
        if not path.name.startswith("test_"):
            found.update(f"{path.relative_to(root)}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def _surroundings() -> Iterator[str]:
    """What else decides about the last bits: the processor and its kernels, the interpreter, NumPy, the settings."""
    yield _processor()
    yield platform.platform()
    yield platform.python_version()
    yield np.__version__
    for name, value in sorted(os.environ.items()):
        if name.startswith(STEERING):
            yield f"{name}={value}"


@functools.cache
def _processor() -> str:
    """Its name, for which a process is started: asked once."""
    return str(cpuinfo.get_cpu_info().get("brand_raw", platform.processor()))


def _read(place: Path) -> Arrays | None:
    """What a file holds; None where there is none, or half of one."""
    try:
        with np.load(place, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _write(place: Path, arrays: Arrays) -> None:
    """Keep `arrays`, and drop what nobody wrote for a month. A folder that can't be written is left alone."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        records.write(place, content.getvalue())
        for path in place.parent.glob("*.npz"):
            if time.time() - path.stat().st_mtime > MOST_DAYS * 86400:
                path.unlink(missing_ok=True)
