"""A file that is written anew is never lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from impls.shim.writing import replacing


def test_an_error_while_writing_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    """A full disk in the middle of `save` would take the only copy of a trained model with it."""
    path = tmp_path / "model.npz"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as draft:
        draft.write_text("ne")
        raise OSError("disk full")
    assert path.read_text() == "old"
    with replacing(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
