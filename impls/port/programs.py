"""A user's file as a module. Valid on Python 3.6."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def load_program(path: str) -> ModuleType:
    """The user's file as a module; what lies beside it can be imported, as when Python runs it."""
    path = os.path.abspath(path)
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("user_model", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules["user_model"] = module  # dataclasses and the like look their module up
    spec.loader.exec_module(module)
    return module
