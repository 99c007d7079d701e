"""The account of a port: nothing counts that a reader would not have to write."""

from __future__ import annotations

import pytest

from impls import IMPLEMENTATIONS, MODELS
from suites.code import changes
from suites.runner.laboratory import Laboratory

BASE = "import numpy as np\n\ndef train(x):\n    y = x + 1\n    return y\n"
GOLDEN = {
    "nothing": (BASE, (4, 4, 0)),
    "layout and a comment": (BASE.replace("x + 1", "(\n        x + 1\n    )  # why"), (4, 4, 0)),
    "a docstring": ('"""What."""\n' + BASE, (4, 4, 0)),
    "the main part": (BASE + 'if __name__ == "__main__":\n    train(1)\n', (4, 4, 0)),
    "a line more": (BASE.replace("    return", "    y *= 2\n    return"), (4, 4, 1)),
    "a line less": (BASE.replace("    y = x + 1\n", ""), (4, 3, 0)),
    "another engine": (BASE.replace("numpy as np", "torch"), (4, 3, 1)),
    "everything": ("print('hello')\n", (4, 0, 1)),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    after, expected = GOLDEN[name]
    assert changes.rewrite(BASE, after) == expected


def test_as_much_as_possible_is_kept() -> None:
    """A matcher that starts from the longest run, as difflib's, keeps two lines and calls the port dearer."""
    assert changes.common(list("cbabca"), list("dcacad")) == 4
    assert changes.common(list("abcd"), []) == 0


@pytest.mark.parametrize("model", MODELS)
def test_a_port_by_hand_rewrites_the_program_and_a_setting_does_not(model: str) -> None:
    found = changes.changes(model)
    ports, settings = [item for item in found if not item.setting], [item for item in found if item.setting]
    if not found:
        pytest.skip(f"{model} has no pair of programs between which a port would be")
    assert [(item.kept, item.written) for item in settings] == [(item.lines, 0) for item in settings]
    assert all({"tensorflow", "torch"} <= IMPLEMENTATIONS[item.before].backends.keys() for item in settings)
    for port in ports:
        assert 0 < port.kept < port.lines and port.written > 0


@pytest.mark.bench
@pytest.mark.parametrize("model", MODELS)
def test_record(model: str, laboratory: Laboratory) -> None:
    """Puts what another engine costs into the record of the run."""
    if model not in (laboratory.selection.models or (model,)):
        pytest.skip("not selected")
    laboratory.record(changes=changes.changes(model))
