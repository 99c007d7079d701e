"""`python -m suites.references.branches [pytest ...]`: the branches of the shim that no reference takes.

Coverage.py follows every process of the references, in every mode that they run. A branch is a step from one line to
another one that is not the only way on; where it ends in an error it belongs to the tests of errors. Without arguments
the references run on NumPy, and what all backends share is looked at; with some, as `--full`, at the engines' modules
too.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from suites.runner.machine import ROOT

SHIM = ROOT / "impls" / "shim"
LEFT_OUT = ("impls/shim/autotune.py",)  # `auto` chooses among modes: `impls/shim/test_modes.py` runs it
NUMPY = ("--full", "-m", "not catalogue", "-k", "not (torch or jax or tensorflow)")
EXCUSED = Path(__file__).parent / "branches.txt"


def measure(folder: Path, selection: list[str]) -> None:
    """Run tests with every process of the shim measured, a file of data for each. Ends the command where one fails."""
    environment = {**os.environ, "TRIPTYCH_COVERAGE": str(folder)}
    settings = f"[run]\nsource = {SHIM}\nbranch = True\n[report]\npartial_also = if not TYPE_CHECKING:\n"
    (folder / "settings.ini").write_text(settings, encoding="utf-8")
    tests = ["suites/references", "--ignore=suites/references/test_branches.py"]  # which runs this
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *selection]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout[-4000:]}\nthe references fail: mend them first")


def shared(path: str) -> bool:
    """Whether a source belongs to no engine but NumPy."""
    name = path.removeprefix("impls/shim/")
    return "/" not in name or name.startswith(("backends/__init__", "backends/numpy"))


def untaken(folder: Path, everything: bool) -> list[str]:
    """`file | line | line that does not follow` of each branch that no process took, by the text of the lines.

    Of what all backends share, or of the engines' modules too.
    """
    import coverage

    parts = [str(path) for path in sorted(folder.glob("part.*"))]
    cover = coverage.Coverage(data_file=str(folder / "all"), config_file=str(folder / "settings.ini"))
    cover.combine(parts, strict=True, keep=True)
    report = folder / "report.json"
    cover.json_report(outfile=str(report))
    found = []
    for name, told in json.loads(report.read_text(encoding="utf-8"))["files"].items():
        path = Path(name).resolve().relative_to(ROOT.resolve()).as_posix()
        if path not in LEFT_OUT and "/test_" not in path and (everything or shared(path)):
            errors = refusing((ROOT / path).read_text(encoding="utf-8"))
            found += [described(path, *branch) for branch in told["missing_branches"] if branch[1] not in errors]
    return sorted(set(found))


def refusing(text: str) -> set[int]:
    """The first lines of all that does nothing but end in an error, with what its message needs."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        for part in ("body", "orelse"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                found |= leading(block)
    return found


def leading(block: list[ast.stmt]) -> set[int]:
    """Of statements in a row, the lines from which on nothing but values of a message and an error follow."""
    found: set[int] = set()
    if not block or not isinstance(block[-1], ast.Raise):
        return found
    for statement in reversed(block):
        if not isinstance(statement, (ast.Raise, ast.Assign)):
            break
        found.add(statement.lineno)
    return found


def described(path: str, start: int, end: int) -> str:
    """A branch by its file and the text of its lines, which stays where lines move; a negative line is the end."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    target = lines[end - 1].strip() if end > 0 else "the end"
    return f"{path} | {lines[start - 1].strip()} | {target}"


def excused() -> dict[str, str]:
    """Why a branch has no draw, by what `untaken` says of it."""
    found = {}
    for line in EXCUSED.read_text(encoding="utf-8").splitlines():
        branch, separator, reason = line.rpartition(" | ")
        if separator and not line.startswith("#"):
            found[branch] = reason
    return found


def main(selection: list[str]) -> int:
    """Measure, and print each branch that is neither taken nor excused."""
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), selection or list(NUMPY))
        missing = untaken(Path(folder), bool(selection))
    known = excused()
    open_ = [branch for branch in missing if branch not in known]
    print("\n".join([*open_, f"{len(open_)} branches without a draw, {len(missing) - len(open_)} excused"]))
    return 1 if open_ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
