"""A user's file as a module. Valid on Python 3.6."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, ModuleType


class SourceAlone(SourceFileLoader):
    """Compiles what the file says now, and leaves nothing beside it.

    Python's cache takes a file of the same size and second for the one that it has compiled.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def load_program(path: str) -> ModuleType:
    """The user's file as a module; what lies beside it can be imported, as when Python runs it."""
    path = os.path.abspath(path)
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    loader = SourceAlone("user_model", path)
    spec = importlib.util.spec_from_file_location("user_model", path, loader=loader)
    if spec is None:
        raise ImportError(f"{path} is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules["user_model"] = module  # dataclasses and the like look their module up
    loader.exec_module(module)
    return module
