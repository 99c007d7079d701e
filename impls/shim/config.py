"""Which backend: the argument, then TRIPTYCH_BACKEND, then ~/.triptych/triptych.json, then the first that is installed.

TRIPTYCH_HOME moves the folder of the file. Importing this module loads no framework.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from impls import BACKENDS, IMPLEMENTATIONS
from impls.shim.backends import contract
from impls.shim.backends.contract import Backend

KNOWN = tuple(name for name in BACKENDS if name in IMPLEMENTATIONS["shim"].backends)
SEED = [0]  # of models whose `seed` nobody names; `utils.set_random_seed` changes it
PREFERRED = ("tensorflow", "torch", "jax", "numpy")  # where nobody says anything


Entry = TypeVar("Entry")


def looked_up(kind: str, name: object, table: Mapping[str, Entry]) -> Entry:
    """What a table has under the name that a user gave. Raises ValueError with the known ones."""
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}: known are {', '.join(table)}")
    return table[str(name)]


def refuse_keras(what: str, given: object) -> None:
    """Raise ValueError for an object or a function of Keras, which knows nothing of a backend of the shim."""
    place = str(getattr(given, "__module__", ""))
    if place.split(".")[0] in ("keras", "tf_keras"):
        name = getattr(given, "__name__", type(given).__name__)
        raise ValueError(
            f"{what} {name} is Keras's own: take the shim's, or shim.from_keras(model) of a compiled model"
        )


def refuse_two_arguments(what: str, given: Callable[..., object], ours: str) -> None:
    """Raise ValueError for a function `(y_true, y_pred)`, as one writes for Keras."""
    try:
        taken = inspect.signature(given).parameters.values()
    except (TypeError, ValueError):  # of what is not written in Python nothing is known
        return
    needed = [each.name for each in taken if each.default is each.empty]
    if len(needed) == 2 and not any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in taken):
        name = getattr(given, "__name__", type(given).__name__)
        raise ValueError(f"{what} {name}({', '.join(needed)}) is written for Keras: the shim's is a function {ours}")


def config_file() -> Path:
    """The user's file: a JSON object such as {"backend": "torch"}."""
    return Path(os.environ.get("TRIPTYCH_HOME") or Path.home() / ".triptych") / "triptych.json"


def _from_file() -> str | None:
    path = config_file()
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return None if content.get("backend") is None else str(content["backend"])
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{path}: expected a JSON object such as {{"backend": "torch"}}: {error}') from error


def installed() -> tuple[str, ...]:
    """The backends whose framework can be imported here."""
    return tuple(name for name in PREFERRED if importlib.util.find_spec(BACKENDS[name].module))


def backend_name(argument: str | None = None) -> str:
    """The name that applies, with the place it came from in the error where it is unknown."""
    places = (
        ("the argument backend", argument),
        ("TRIPTYCH_BACKEND", os.environ.get("TRIPTYCH_BACKEND")),
        (str(config_file()), _from_file() if not (argument or os.environ.get("TRIPTYCH_BACKEND")) else None),
    )
    for place, name in places:
        if name and name not in KNOWN:
            raise ValueError(f"unknown backend {name!r} (from {place}): known are {', '.join(KNOWN)}")
        if name:
            return name
    return installed()[0]


def backend_module(name: str | None = None) -> Backend:
    """The module of one backend, its framework loaded.

    Raises ValueError for an unknown name, ImportError with the command that installs a missing framework,
    NotImplementedError with the functions that a backend lacks.
    """
    name = backend_name(name)
    module, distributions, _ = BACKENDS[name]
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f"backend {name!r} needs {module}, which is not installed: pip install {' '.join(distributions)}; "
            f"installed here are {', '.join(installed())}"
        )
    return contract.fulfilled(importlib.import_module("impls.shim.backends." + name))
