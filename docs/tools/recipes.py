"""The recipes of CONTRIBUTING.md, for the tutorial on extending: one text, which a test follows to the letter."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TITLE = re.compile(r"^```python (?P<path>\S+?)(?: after `(?P<anchor>.+)`)?$", re.M)


def recipe(title: str) -> str:
    """The text under a heading `### title`. Raises ValueError where CONTRIBUTING.md has none."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
    if found is None:
        raise ValueError(f"CONTRIBUTING.md has no recipe {title!r}")
    return TITLE.sub(fence, found[1]).strip()


def fence(found: re.Match[str]) -> str:
    """The first line of a block as MkDocs writes it, with the file and the place in its title."""
    place = (
        f"{found['path']}, after the line {found['anchor'].strip()}" if found["anchor"] else f"{found['path']} (new)"
    )
    return '```python title="' + place.replace('"', "'") + '"'
