"""Files that are the old ones or the new ones at any moment, never a part of one.

`suites.records.run.write` is the same for what is measured: nothing in impls may import it, and it may load no shim.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside `path`, which takes its place when the block ends; an error leaves the old file and no draft."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
