"""The user's two files and the data: what they are written in, and who serves them."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from suites.port import bundle, named
from suites.port.captures import Captured, is_capture
from suites.port.errors import NotCaptured, PortError
from suites.runner.availability import availability
from suites.runner.workers import Arrays, Role, Source

__all__ = ["NotCaptured", "PortError"]
LAYOUTS = ("auto", "as_is", "channels_first")
KERAS_BACKENDS = ("tensorflow", "torch", "jax")
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(4 * 2**20)}  # glibc returns weights of a layer as soon as they are freed
DEVICES = ("cpu", "gpu")
LABELS = ("y", "labels", "label", "y_true", "target", "targets")
BATCH = 6  # of random data
SHIM_BACKENDS = ("numpy", "tensorflow", "torch", "jax")


class File(NamedTuple):
    """One user's file, or the name of a model; the API that it uses, and the backend that it runs on.

    `python` is the interpreter that it runs in where that is not this one; `tiny` shrinks a model that has a name.
    """

    path: str
    api: str
    backend: str
    layout: str = "auto"
    factory: str = "build"
    python: str = ""
    tiny: bool = False

    @property
    def title(self) -> str:
        name = self.path if self.factory == "build" else f"{self.path}:{self.factory}"
        return f"{name} ({self.api if self.api == self.backend else f'{self.api} on {self.backend}'})"


class PortRole(Role):
    """A worker that serves users' files."""

    def command(self) -> list[str]:
        options = [f"--{name}={value}" for name, value in zip(self._fields[:6], self, strict=False)]
        if self.source.python != sys.executable:
            return [self.source.python, str(bundle.path()), "--serve", *options]
        return [self.source.python, "-m", "impls.port.worker", *options]


def roles(a: File, b: File, device: str = "cpu", dtype: str = "float64") -> tuple[PortRole, PortRole]:
    """The workers for both files: one process each, also where both use one framework. Raises PortError."""
    if device not in DEVICES:
        raise PortError(f"--device {device}: unknown device: known are {', '.join(DEVICES)}")
    sources = [
        Source(python=file.python or sys.executable, environment={"TRIPTYCH_PORT_SIDE": side, **GIVES_BACK})
        for file, side in zip((a, b), "ab", strict=True)
    ]
    one, other = (
        PortRole(file.api, file.backend, "eager", device, dtype, source=source)
        for file, source in zip((a, b), sources, strict=True)
    )
    return one, other


def read(path: str, backend: str = "", layout: str = "auto", python: str = "", tiny: bool = False) -> File:
    """What `path`, `path.py:function` or a model's name is written in, without running it. Raises PortError."""
    if is_capture(path):
        return of_capture(path)
    python = interpreter(python)
    if path.endswith(".pt2"):
        raise PortError(f"{path}: torch.export.load unpickles, which can run anything: return it from a function")
    if path.endswith(".onnx"):
        return of_onnx(path, backend, layout, python)
    if named.is_name(path):
        known = named.api_of(path) or _api(parsed(named.source_of(path), path))
        return File(path, *chosen(path, *known, backend, python), layout=layout, python=python, tiny=tiny)
    function = named.FACTORY.fullmatch(path)
    path, factory = function.groups() if function else (path, "build")
    tree = parsed(path, path)
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    bound = {name for node in tree.body for name in _bound(node)}
    if factory not in defined | bound:
        way = "" if function else ", and none is named as in file.py:function"
        raise PortError(f"{path}: defines no {factory}(): a function without arguments that returns the model{way}")
    return File(
        path,
        *chosen(path, *_api_with_own(tree, path), backend, python),
        factory=factory,
        layout=layout,
        python=python,
        tiny=tiny,
    )


def of_capture(path: str) -> File:
    """What a capture says about its model. Raises PortError."""
    header = Captured(path).header
    return File(path, header.api, header.backend)


def of_onnx(path: str, backend: str, layout: str, python: str) -> File:
    """A file of ONNX, which its worker reads. Raises PortError."""
    if not os.path.isfile(path):
        raise PortError(f"{path}: can't be read: No such file")
    return File(path, *chosen(path, *ONNX, backend, python), layout=layout, python=python)


def interpreter(python: str) -> str:
    """The path of another Python; "" for this one. Raises PortError."""
    if not python:
        return ""
    found = shutil.which(python)
    if found is None:
        raise PortError(f"{python}: there is no such Python interpreter")
    return "" if found == sys.executable else os.path.abspath(found)


def parsed(path: str, shown: str) -> ast.Module:
    """The file's syntax tree. Raises PortError."""
    try:
        return ast.parse(Path(path).read_bytes(), path)
    except OSError as error:
        raise PortError(f"{shown}: can't be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise PortError(f"{shown}:{getattr(error, 'lineno', None) or 1}: is no Python: {error}") from error


def chosen(path: str, api: str, default: str, known: tuple[str, ...], backend: str, python: str) -> tuple[str, str]:
    """The API, and the backend that was asked for, if that can run. Raises PortError."""
    backend = backend or default
    if backend not in known:
        raise PortError(f"{path}: unknown backend {backend!r} for {api}: known are {', '.join(known)}")
    if not python and (reason := missing(api, backend)):
        raise PortError(f"{path}: {reason}: `triptych doctor` says what installs it")
    return api, backend


def missing(api: str, backend: str) -> str:
    """Why this can't run in this interpreter; "" if it can."""
    if api in PACKAGES and importlib.util.find_spec(PACKAGES[api]) is None:
        return f"{PACKAGES[api]} is not installed"
    return availability(SERVED.get(api, "shim"), backend)


SERVED = {"torch": "raw_torch", "keras": "tf_keras", "shim": "shim"}
JAX_LIBRARIES = {"flax": "flax", "equinox": "equinox", "haiku": "haiku"}  # api: package
PACKAGES = {**JAX_LIBRARIES, "onnx": "onnx"}
ONNX = "onnx", "numpy", ("numpy",)
PLAIN = "functions", "numpy", ("numpy",)  # what imports no framework


def _bound(node: ast.stmt) -> list[str]:
    """Names that an import or an assignment binds."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _api_with_own(tree: ast.Module, path: str) -> tuple[str, str, tuple[str, ...]]:
    """The API of a file; where it imports no framework itself, that of the user's own modules which it imports."""
    own, waiting = [tree], [(tree, Path(path).parent)]
    found = _api(tree)
    seen: set[Path] = set()
    while found == PLAIN and waiting:
        now, folder = waiting.pop(0)
        for place in _own_modules(now, folder, Path(path).parent):
            if place not in seen:
                seen.add(place)
                inner = parsed(str(place), str(place))
                own.append(inner)
                waiting.append((inner, place.parent))
        found = _api(ast.Module([node for each in own for node in each.body], []))
    return found


def _own_modules(tree: ast.Module, folder: Path, root: Path) -> Iterator[Path]:
    """The files of what is imported from beside a file: relative to its folder, or found in that of the program."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(root, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [folder, *folder.parents][node.level - 1] if node.level else root
            names = [(base, ".".join(filter(None, [node.module, alias.name]))) for alias in node.names]
            names += [(base, node.module)] if node.module else []
        else:
            continue
        for base, name in names:
            place = base.joinpath(*name.split("."))
            for file in (place.with_name(place.name + ".py"), place / "__init__.py"):
                if file.is_file():
                    yield file


def _api(tree: ast.Module) -> tuple[str, str, tuple[str, ...]]:
    """The API of a file by what it imports: its name, its default backend, the backends that it can have."""
    modules, attributes = _imported(tree)
    tops = {name.partition(".")[0] for name in modules}
    of_keras = "keras" in tops or any(".keras" in name for name in modules)
    of_keras = of_keras or ("tensorflow" in tops and "keras" in attributes)
    if of_keras and not _in_functions(tree):
        default = "torch" if "torch" in tops and "tensorflow" not in tops else "tensorflow"
        return "keras", os.environ.get("KERAS_BACKEND", default), KERAS_BACKENDS
    if "triptych" in tops or any(name.startswith("impls.shim") for name in modules):
        return "shim", os.environ.get("TRIPTYCH_BACKEND", "numpy"), SHIM_BACKENDS
    if "torch" in tops:
        return "torch", "torch", ("torch",)
    for library in JAX_LIBRARIES:
        if library in tops:
            return library, "jax", ("jax",)
    if "onnx" in tops and not {"jax", "tensorflow"} & tops:
        return ONNX
    framework = next((name for name in ("jax", "tensorflow") if name in tops), "numpy")
    return "functions", framework, (framework,)


def _in_functions(tree: ast.Module) -> bool:
    """Whether a file has a plain class with `params` and `forward(params, ...)`, whatever else it imports."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.bases and any(map(_takes_params, node.body)):
            return True
    return False


def _takes_params(node: ast.stmt) -> bool:
    """Whether this is a method `forward(self, params, ...)`."""
    if not isinstance(node, ast.FunctionDef) or node.name != "forward":
        return False
    names = [argument.arg for argument in node.args.args]
    return names[1:2] == ["params"]


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


@dataclass(frozen=True)
class Data:
    """What the models are run on: the inputs by name, in the order of the file, and the labels where there are any."""

    inputs: Arrays
    labels: np.ndarray | None = None


def calls(*files: File) -> list[list[str]]:
    """The names of what each function that is called with inputs takes, in the user's own files."""
    trees = [parsed(file.path, file.path) for file in files if Path(file.path).suffix == ".py"]
    found = []
    for tree in trees:
        found += [*_taken(tree), _inputs(tree)]
    return [names for names in found if names]


def _taken(tree: ast.Module) -> Iterator[list[str]]:
    """Of each forward, call and __call__ what has no default."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ("forward", "call", "__call__"):
            names = [argument.arg for argument in node.args.args]
            names = names[: len(names) - len(node.args.defaults)]
            yield [name for name in names if name not in ("self", "params")]


def _inputs(tree: ast.Module) -> list[str]:
    """The names of `keras.Input(..., name="tokens")`."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("Input"):
            continue
        for word in node.keywords:
            if word.arg == "name" and isinstance(word.value, ast.Constant):
                found.append(str(word.value.value))
    return found


def expect_folder(option: str, path: str | None) -> None:
    """Raise PortError where the file of an option could not be written in the end: sooner, for the work is long."""
    if not path:
        return
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise PortError(f"{option} {path}: there is no such folder")
    if not os.access(folder, os.W_OK):
        raise PortError(f"{option} {path}: nothing can be written in its folder")


def data(source: str | Mapping[str, np.ndarray], taken: Sequence[Sequence[str]] = ()) -> Data:
    """The inputs and labels in an .npz file, or in a dict of arrays. Raises PortError.

    `taken`: names that go together into a model (`calls`). What else could be labels, as `target`, is an input then.
    """
    if not isinstance(source, str):
        return checked({name: np.asarray(array) for name, array in source.items()}, "the data", taken)
    try:
        with np.load(source, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except OSError as error:
        raise PortError(f"{source}: can't be read: {error.strerror or error}") from error
    except (ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise PortError(f"{source}: is no .npz file of numbers, as numpy.savez writes them") from error
    return checked(found, source, taken)


def random_data(text: str) -> Data:
    """`8x8x1:10` means images of that shape and labels below 10; `int50x12:5` ids below 50 in sequences of 12.

    `:0` gives no labels. Several inputs are separated by commas, each with a name: `user=int9x1,item=int7x1:2`. The
    batch is 6. Raises PortError.
    """
    shapes, _, classes = text.partition(":")
    rng = np.random.default_rng(0)
    try:
        labels = int(classes or 0)
        inputs = {}
        for part in shapes.split(","):
            name, _, shape = part.rpartition("=")
            inputs[name or "x"] = _random(rng, shape)
    except ValueError:
        raise PortError(f"--random-data {text!r}: write the shape of one example and the number of classes, "
                        "for example 8x8x1:10, or int50x12:5 for sequences of 12 ids below 50") from None  # fmt: skip
    return Data(inputs, rng.integers(0, labels, BATCH) if labels else None)


def _random(rng: np.random.Generator, shape: str) -> np.ndarray:
    ids = shape.startswith("int")
    extents = [int(n) for n in shape.removeprefix("int").split("x")]
    if min(extents) < 1:
        raise ValueError(shape)
    if ids:
        return rng.integers(0, extents[0], (BATCH, *extents[1:]))
    return rng.normal(size=(BATCH, *extents))


def checked(found: Arrays, path: str, taken: Sequence[Sequence[str]] = ()) -> Data:
    """The data if they can be used: labels are called y, or as losses call them; all else is an input."""
    for name, array in found.items():
        if array.dtype.kind not in "biuf":
            raise PortError(f"{path}: {name} has dtype {array.dtype}: numbers are expected")
        if array.ndim == 0 or len(array) == 0:
            raise PortError(f"{path}: {name} has shape {array.shape}: the first axis counts the examples")
        if array.dtype.kind == "f":
            found[name] = array.astype(np.float64)
    own: set[str] = set()  # what a function of the user's takes, all of which is here
    for names in taken:
        if found.keys() >= set(names):
            own.update(names)
    label = next((name for name in LABELS if name in found and (name == "y" or name not in own)), None)
    inputs = {name: array for name, array in found.items() if name != label}
    if not inputs:
        raise PortError(
            f"{path}: has to hold an input, x for example, and y for gradients; it holds {label or 'nothing'}"
        )
    if label is not None:
        first = next(iter(inputs))
        if len(found[label]) != len(inputs[first]):
            raise PortError(f"{path}: {first} has {len(inputs[first])} examples and {label} has {len(found[label])}")
    return Data(inputs, found[label] if label is not None else None)
