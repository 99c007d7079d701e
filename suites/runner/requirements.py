"""`--require`: what a run must not do without; a test that is skipped because it is missing fails instead.

Tests say why they are skipped in the words below, which `availability`, the environments and the browser tests use.
"""

from __future__ import annotations

from collections.abc import Sequence

from impls import BACKENDS

BROWSER = "no browser to look at the page with"
HERITAGE = "there is no environment with"

# What is in the reason of a skip where this is missing.
MISSING = {
    **{name: f"{backend.module} is not installed" for name, backend in BACKENDS.items()},
    "browser": BROWSER,
    "heritage": HERITAGE,
}


def missed(reason: str, required: Sequence[str]) -> str:
    """The name of what is required and, by the reason of a skip, missing; "" where it is another reason."""
    return next((name for name in required if MISSING[name] in reason), "")
