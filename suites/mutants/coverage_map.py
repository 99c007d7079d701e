"""Which tests run each line of the shim, in the processes that they start."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

from suites.references.branches import NUMPY, measure  # the sources that are changed are shared, or NumPy's
from suites.runner.machine import ROOT


def covering() -> dict[tuple[str, int], list[str]]:
    """The names of the tests that ran a line, by file and line; those that ran the fewest lines first."""
    import coverage

    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), list(NUMPY))
        data = coverage.CoverageData(str(Path(folder, "all")))
        for part in Path(folder).glob("part.*"):
            other = coverage.CoverageData(str(part))
            other.read()
            data.update(other)
        found: dict[tuple[str, int], list[str]] = {}
        sizes: dict[str, int] = defaultdict(int)
        for path in data.measured_files():
            file = Path(path).resolve().relative_to(ROOT.resolve()).as_posix()
            for line, names in data.contexts_by_lineno(path).items():
                found[file, line] = [name for name in names if name]
                for name in names:
                    sizes[name] += 1
    return {place: sorted(names, key=lambda name: sizes[name]) for place, names in found.items()}
