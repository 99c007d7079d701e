"""The shim under the name by which users import it: `from triptych import shim`, `from triptych.shim import Dense`."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import TYPE_CHECKING

from triptych import tree

if TYPE_CHECKING:
    from impls.shim import *  # noqa: F403

tree.open_rooms()

import impls.shim  # noqa: E402 (the rooms have to be open)


class Rooms(MetaPathFinder, Loader):
    """`from triptych.shim.layers import Dense` is the class that `shim.Dense` is, and not one of a second copy."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        inside = name.startswith(f"{__name__}.") and find_spec(real(name)) is not None
        return spec_from_loader(name, self) if inside else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(real(spec.name))
        self.own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.own  # the import system has put in that of the other name


def real(name: str) -> str:
    return f"impls.shim{name.removeprefix(__name__)}"


sys.meta_path.insert(0, Rooms())
sys.modules[__name__] = impls.shim  # one module under two names: a model of either is a model of the other
