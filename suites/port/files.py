"""The user's two files and the data: what they are written in, and who serves them."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from suites.runner.availability import availability
from suites.runner.workers import Arrays, Role

LAYOUTS = ("auto", "as_is", "channels_first")
KERAS_BACKENDS = ("tensorflow", "torch", "jax")
SHIM_BACKENDS = ("numpy", "tensorflow", "torch", "jax")


class PortError(ValueError):
    """Bad input: one line that names it and the way out; what follows a line break is a list to choose from."""


class File(NamedTuple):
    """One user's file, the API that it uses, and the backend that it runs on."""

    path: str
    api: str
    backend: str
    layout: str = "auto"

    @property
    def title(self) -> str:
        return f"{self.path} ({self.api if self.api == self.backend else f'{self.api} on {self.backend}'})"


class PortRole(Role):
    """A worker that serves users' files."""

    def command(self) -> list[str]:
        return [word.replace("impls.worker", "impls.port.worker") for word in super().command()]


def roles(a: File, b: File) -> tuple[PortRole, PortRole]:
    """The workers for both files: one process each, also where both use one framework."""
    one, other = (PortRole(file.api, file.backend, "eager") for file in (a, b))
    return one, other if other != one else other._replace(mode="eager_too")


def read(path: str, backend: str = "", layout: str = "auto") -> File:
    """Find out what `path` is written in, without running it. Raises PortError."""
    try:
        tree = ast.parse(Path(path).read_bytes(), path)
    except OSError as error:
        raise PortError(f"{path}: can't be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise PortError(f"{path}:{getattr(error, 'lineno', None) or 1}: is no Python: {error}") from error
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    bound = {name for node in tree.body for name in _bound(node)}
    if "build" not in defined | bound:
        raise PortError(f"{path}: defines no build(): a function without arguments that returns the model")
    api, default, known = _api(tree)
    backend = backend or default
    if backend not in known:
        raise PortError(f"{path}: unknown backend {backend!r} for {api}: known are {', '.join(known)}")
    if reason := availability("shim" if api == "functions" else SERVED[api], backend):
        raise PortError(f"{path}: {reason}")
    return File(path, api, backend, layout)


SERVED = {"torch": "raw_torch", "keras": "tf_keras", "shim": "shim"}


def _bound(node: ast.stmt) -> list[str]:
    """Names that an import or an assignment binds."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _api(tree: ast.Module) -> tuple[str, str, tuple[str, ...]]:
    """The API of a file by what it imports: its name, its default backend, the backends that it can have."""
    modules, attributes = _imported(tree)
    tops = {name.partition(".")[0] for name in modules}
    if "keras" in tops or any(".keras" in name for name in modules) or ("tensorflow" in tops and "keras" in attributes):
        default = "torch" if "torch" in tops and "tensorflow" not in tops else "tensorflow"
        return "keras", os.environ.get("KERAS_BACKEND", default), KERAS_BACKENDS
    if "triptych" in tops or any(name.startswith("impls.shim") for name in modules):
        return "shim", os.environ.get("TRIPTYCH_BACKEND", "numpy"), SHIM_BACKENDS
    if "torch" in tops:
        return "torch", "torch", ("torch",)
    framework = next((name for name in ("jax", "tensorflow") if name in tops), "numpy")
    return "functions", framework, (framework,)


def _imported(tree: ast.Module) -> tuple[set[str], set[str]]:
    modules, attributes = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            attributes.add(node.attr)
    return modules, attributes


def data(path: str) -> Arrays:
    """`x`, and `y` if it is there, of an .npz file. Raises PortError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except OSError as error:
        raise PortError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, AttributeError) as error:
        raise PortError(f"{path}: is no .npz file of numbers: {error}") from error
    return checked(found, path)


def random_data(text: str) -> Arrays:
    """`8x8x1:10` means images of that shape and labels below 10; `int50x12:5` ids below 50 in sequences of 12.

    `:0` gives no labels. The batch is 6. Raises PortError.
    """
    shape_text, _, classes = text.partition(":")
    try:
        ids = shape_text.startswith("int")
        extents = [int(n) for n in shape_text.removeprefix("int").split("x")]
        labels = int(classes or 0)
    except ValueError:
        raise PortError(f"--random-data {text!r}: write the shape of one example and the number of classes, "
                        "for example 8x8x1:10, or int50x12:5 for sequences of 12 ids below 50") from None  # fmt: skip
    rng = np.random.default_rng(0)
    x = rng.integers(0, extents[0], (6, *extents[1:])) if ids else rng.normal(size=(6, *extents))
    return {"x": x, **({"y": rng.integers(0, labels, 6)} if labels else {})}


def checked(found: Arrays, path: str) -> Arrays:
    """The data if they can be used."""
    if "x" not in found or set(found) - {"x", "y"}:
        raise PortError(f"{path}: has to hold x, and y for gradients; it holds {', '.join(found) or 'nothing'}")
    for name, array in found.items():
        if array.dtype.kind not in "biuf":
            raise PortError(f"{path}: {name} has dtype {array.dtype}: numbers are expected")
        if array.ndim == 0 or len(array) == 0:
            raise PortError(f"{path}: {name} has shape {array.shape}: the first axis counts the examples")
        if array.dtype.kind == "f":
            found[name] = array.astype(np.float64)
    if "y" in found and len(found["y"]) != len(found["x"]):
        raise PortError(f"{path}: x has {len(found['x'])} examples and y has {len(found['y'])}")
    return found
