"""What one process of pytest-xdist runs as a whole: a file, or files that share what takes long to start or to write.

`--dist loadgroup` is for this, and groups nothing since pytest 9.2 (pytest-dev/pytest-xdist#1386), without a word.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

LABORATORY, PAGE, TORCH_MODELS = "laboratory", "page", "models of PyTorch"
TOGETHER = {
    "suites/equivalence/test_bounds.py": LABORATORY,
    "suites/equivalence/test_equivalence.py": LABORATORY,
    "suites/heritage/test_inference.py": LABORATORY,
    "suites/port/test_flowing_back.py": TORCH_MODELS,
    "suites/port/test_function_steps.py": TORCH_MODELS,
    "suites/port/test_idle.py": TORCH_MODELS,
    "suites/port/test_kinds.py": TORCH_MODELS,
    "suites/port/test_verdicts": TORCH_MODELS,
    "suites/projects/": "gate runs",
    "suites/references/": "references",
    "reports/page/test_page.py": PAGE,
    "reports/sections/test_trust.py": PAGE,
    "reports/test_questions.py": PAGE,
}


def scope(name: str) -> str:
    """What a test, or a file, is run with: the name of a group of files, or the file."""
    file = name.partition("::")[0]
    return next((group for start, group in TOGETHER.items() if file.startswith(start)), file)


class Files(LoadScopeScheduling):  # type: ignore[misc]
    """Hands whole files out, the ones with most tests first."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
