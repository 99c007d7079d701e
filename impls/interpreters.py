"""Where engines live that can't share this Python's packages: each environment has a folder of its own.

TRIPTYCH_ENVIRONMENTS moves the folder of them all. Importing this module loads no framework.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def folder(environment: str) -> Path:
    """The folder of an environment, made or not."""
    return Path(os.environ.get("TRIPTYCH_ENVIRONMENTS") or ROOT / ".nox", "heritage-" + environment)


def interpreter(environment: str) -> Path:
    """Its Python, there or not."""
    return folder(environment) / "bin" / "python"
