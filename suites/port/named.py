"""Models by name, `hf:bert(num_hidden_layers=2)` or `file.py:factory`: told from paths, and what they are written in.

What a name means is said in `impls.port.named_models`, which runs in the worker.
"""

from __future__ import annotations

import importlib.util
import os
import re

from suites.port.errors import PortError

PATTERN = re.compile(r"(?P<library>[A-Za-z_][\w.]*|[^:]+\.py):(?P<model>[A-Za-z_].*)", re.DOTALL)
FACTORY = re.compile(r"(.+\.py):([A-Za-z_]\w*)")
TORCH = "torch", "torch", ("torch",)
KERAS = "keras", os.environ.get("KERAS_BACKEND", "tensorflow"), ("tensorflow", "torch", "jax")
LIBRARIES = {
    "hf": TORCH,
    "timm": TORCH,
    "torchvision": TORCH,
    "keras.applications": KERAS,
    "keras_hub": KERAS,
    "haiku": ("haiku", "jax", ("jax",)),
}


def is_name(path: str) -> bool:
    """Whether this is `library:model` and no path."""
    plain = FACTORY.fullmatch(path) is not None  # a function of a file that takes no arguments
    return PATTERN.fullmatch(path) is not None and not plain and not os.path.exists(path)


def library_of(name: str) -> str:
    found = PATTERN.fullmatch(name)
    assert found is not None
    return found["library"]


def api_of(name: str) -> tuple[str, str, tuple[str, ...]] | None:
    """The API of a library, its default backend and all that it has; None where the source has to say."""
    return LIBRARIES.get(library_of(name))


def source_of(name: str) -> str:
    """The file of a factory. Raises PortError."""
    library = library_of(name)
    if library.endswith(".py"):
        return library
    try:
        found = importlib.util.find_spec(library)
    except (ModuleNotFoundError, ValueError):
        found = None
    if found is None or not found.origin:
        known = ", ".join(LIBRARIES)
        raise PortError(f"{name}: no module {library!r} is installed, and the libraries by name are {known}")
    return found.origin


def placed(path: str) -> tuple[str, str]:
    """`(name, file)` for a worker, whose folder is another one: the name is "" for a plain file."""
    if not is_name(path):
        return "", os.path.abspath(path)
    library = library_of(path)
    if not library.endswith(".py"):
        return path, path
    file = os.path.abspath(library)
    return file + path[len(library) :], file
