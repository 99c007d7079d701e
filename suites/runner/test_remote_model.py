"""The wire's names stand in one module: a renamed operation is changed once, and mypy sees every use of it."""

from __future__ import annotations

import ast
from pathlib import Path

from impls.worker.server import Worker
from suites.runner import remote_model
from suites.runner.machine import ROOT

OPERATIONS = {name.removeprefix("do_") for name in dir(Worker) if name.startswith("do_")}
# The protocol's own tests ask by name on purpose; `build` of the paired rounds is part of the code whose error rates
# were counted, and changes with the next count.
BY_NAME = {"suites/runner/remote_model.py", "suites/runner/test_workers.py", "suites/gate/paired_rounds.py"}


def asked(path: Path) -> set[str]:
    """The operations that a file names in `something.call("...")` or `self._call("...")`."""
    text = path.read_text(encoding="utf-8")
    if "call(" not in text:  # most files: to parse them all takes seconds
        return set()
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in ("call", "_call")]
    first = [call.args[0] for call in named if call.args]
    return {str(word.value) for word in first if isinstance(word, ast.Constant)} & OPERATIONS


def test_every_operation_has_a_method_and_no_other_module_names_one() -> None:
    """A typo in a string is found when a worker is asked, minutes into a run; a typo in a method by the type check."""
    assert asked(Path(remote_model.__file__)) == OPERATIONS
    others = [path for path in (ROOT / "suites").rglob("*.py") if str(path.relative_to(ROOT)) not in BY_NAME]
    # A feature's program has functions of its own that happen to be called so.
    found = {str(path.relative_to(ROOT)): asked(path) for path in others if path.name != "scenarios.py"}
    assert {name: words for name, words in found.items() if words} == {}
