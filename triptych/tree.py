"""Where Triptych's own code is, and how it is found without hiding a user's.

In a checkout the rooms (`impls`, `suites`, `reports`) lie beside this package; an installation has them in `_tree`
inside it, because their names are too common to be put beside other people's packages.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOMS = ("impls", "suites", "reports")
_PACKAGE = Path(__file__).resolve().parent
INSTALLED = (_PACKAGE / "_tree").is_dir()
ROOT = _PACKAGE / "_tree" if INSTALLED else _PACKAGE.parent


class RoomFinder(importlib.abc.MetaPathFinder):
    """Finds the rooms in ROOT, unless the user has a package of that name, which then comes first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in ROOMS or _users_package(fullname):
            return None
        folder = ROOT / fullname
        return importlib.util.spec_from_file_location(
            fullname, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )


def _users_package(name: str) -> bool:
    """Whether the ordinary search finds a package; a mere folder of that name (`./reports`) is none."""
    found = importlib.machinery.PathFinder.find_spec(name)
    return found is not None and found.origin is not None


def open_rooms() -> None:
    """Make the rooms importable in this process. Raises ImportError where a package of the user hides one."""
    if not any(isinstance(finder, RoomFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, RoomFinder())
    for name in ROOMS:
        spec = sys.modules[name].__spec__ if name in sys.modules else importlib.util.find_spec(name)
        place = Path(spec.origin) if spec and spec.origin else ROOT / name / "missing"
        if place.resolve().parent != ROOT / name:
            raise ImportError(
                f"the package {name!r} at {place.parent} hides Triptych's own of that name in this process: "
                "use the command `triptych`, which it does not hide, or rename that package"
            )


def interpreters() -> Any:
    """The module that finds other Pythons; it imports nothing but the standard library."""
    open_rooms()
    return importlib.import_module("impls.interpreters")


def environment() -> dict[str, str]:
    """The variables of a process that runs a module of the rooms, from whatever folder it is started."""
    inherited = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    chosen = {"PYTHONPATH": os.pathsep.join([str(ROOT), *inherited])}
    if INSTALLED and not os.environ.get("TRIPTYCH_ENVIRONMENTS"):
        chosen["TRIPTYCH_ENVIRONMENTS"] = str(user_folder() / "environments")
    return {**os.environ, **chosen}


def user_folder() -> Path:
    """Where an installation keeps what takes long to make; a checkout has .nox for that."""
    import platformdirs

    return platformdirs.user_cache_path("triptych")


def version() -> str:
    """The version of this copy of Triptych: of the checkout's pyproject.toml, which an installation has too."""
    import tomllib

    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(content["project"]["version"])
