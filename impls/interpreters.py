"""Other Pythons: those of this machine by their release, and the environments of engines that can't share packages.

TRIPTYCH_PYTHON36 and the like name an interpreter, TRIPTYCH_ENVIRONMENTS moves the folder of all environments.
Importing this module loads no framework; the noxfile and `triptych` use it before anything is installed.
"""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environments() -> Path:
    """The folder of all environments."""
    return Path(os.environ.get("TRIPTYCH_ENVIRONMENTS") or ROOT / ".nox")


def folder(environment: str) -> Path:
    """The folder of an engine's environment, made or not."""
    return environments() / ("heritage-" + environment)


def interpreter(environment: str) -> Path:
    """Its Python, there or not."""
    return folder(environment) / "bin" / "python"


def find_python(version: str) -> "str | None":
    """A Python of that version which starts: named by TRIPTYCH_PYTHON36 and the like, on PATH, or one of pyenv's.

    On PATH may be a shim of pyenv that is not active, so each is tried.
    """
    named = os.environ.get("TRIPTYCH_PYTHON" + version.replace(".", ""))
    places = [named, shutil.which("python" + version)]
    for root in pyenv_roots():
        places += sorted(map(str, Path(root, "versions").glob(version + ".*/bin/python")))
    return next((place for place in places if place and _starts(place, version)), None)


def pyenv_roots() -> "list[str]":
    """Where pyenv may keep its Pythons, whether or not it is on PATH and this user's."""
    command = shutil.which("pyenv")
    beside = Path(command).resolve().parent.parent if command else None
    roots = [os.environ.get("PYENV_ROOT"), beside, Path.home() / ".pyenv"]
    return list(dict.fromkeys(str(root) for root in roots if root))


def _starts(python: str, version: str) -> bool:
    words = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        done = subprocess.run([python, "-c", words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.decode().strip() == version
