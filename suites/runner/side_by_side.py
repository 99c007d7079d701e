"""What one process of pytest-xdist runs as a whole: a file, or files that share workers which take long to start.

`--dist loadgroup` is for this, and groups nothing since pytest 9.2 (pytest-dev/pytest-xdist#1386), without a word.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

LABORATORY = "laboratory"
TOGETHER = {
    "suites/equivalence/test_bounds.py": LABORATORY,
    "suites/equivalence/test_equivalence.py": LABORATORY,
    "suites/heritage/test_inference.py": LABORATORY,
    "suites/references/": "references",
}


def scope(name: str) -> str:
    """What a test, or a file, is run with: the name of a group of files, or the file."""
    file = name.partition("::")[0]
    return next((group for start, group in TOGETHER.items() if file.startswith(start)), file)


class Files(LoadScopeScheduling):  # type: ignore[misc]
    """Hands whole files out, the ones with most tests first."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
