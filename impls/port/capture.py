"""`python capture.pyz model.py --data x.npz --out a.npz`: run a model here, and keep all that a comparison asks of it.

The file is an .npz: a header in JSON, and arrays of numbers, nothing else. It holds the answers of the worker that
would otherwise serve the comparison: weights, inputs, the graph of each pass with its values, outputs, state, loss,
gradients, optimizer steps, and the spread of their rounding errors. Valid on Python 3.6.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import re
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from impls.port.annotations import Answer, Arrays, Request
    from impls.port_messages import WeightFacts

    Data = tuple[Arrays, np.ndarray | None]  # inputs by name, and labels

FORMAT = "triptych capture"
VERSION = 1
KEEP = 64 * 2**20  # bytes of the values inside a pass
SAMPLES = 12  # runs with rounding errors
INJECTED = 1e-6  # relative size of the bug that a comparison has to find
TRIES = 4  # weights, where a change of one does not reach an output
LABELS = ("y", "labels", "label", "y_true", "target", "targets")
BATCH = 6  # of random data
BAD_INPUT = 2


class CaptureError(Exception):
    """Bad input, in one line."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("capture", description="Run a model and keep what a comparison asks of it.")
    made.add_argument("model", help="a Python file that defines build(), or the name of a model, hf:bert")
    made.add_argument("--out", metavar="FILE.npz", required=True, help="the capture")
    made.add_argument("--data", metavar="FILE.npz", help="the inputs by name, and y, the labels")
    made.add_argument("--random-data", metavar="SHAPE", help="instead of --data: 8x8x1:10")
    made.add_argument("--weights", metavar="FILE.npz", help="start from these weights, by this model's own names")
    made.add_argument("--own-weights", action="store_true", help="start from the model's own weights, not random ones")
    made.add_argument("--seed", type=int, default=0, help="of the random weights")
    made.add_argument("--api", default="", help="what the model is written in (default: by its imports)")
    made.add_argument("--backend", default="", help="the engine under it")
    made.add_argument("--layout", default="auto", help="how it takes images: auto, as_is, channels_first")
    made.add_argument("--tiny", action="store_true", help="shrink a model that has a name")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        write(options)
    except CaptureError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def write(options: argparse.Namespace) -> None:
    """Run the model and write the capture. Raises CaptureError."""
    folder = os.path.dirname(os.path.abspath(options.out))
    if not os.path.isdir(folder):
        raise CaptureError(f"--out {options.out}: there is no such folder")
    inputs, labels = read_data(options)
    api, backend = written_in(options)
    header, arrays = Capture(options, api, backend, inputs, labels).take()
    save(options.out, header, arrays)
    print(f"{options.out}: {len(arrays)} arrays, {os.path.getsize(options.out) / 2.0**20:.1f} MB")


def save(path: str, header: dict[str, Any], arrays: Arrays) -> None:
    text = json.dumps(header).encode("utf-8")
    try:
        with open(path, "wb") as file:
            np.savez(file, header=np.frombuffer(text, dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise CaptureError(f"--out {path}: {error.strerror}") from error


class Capture:
    """One model in this process, asked what a comparison asks of a worker."""

    def __init__(
        self, options: argparse.Namespace, api: str, backend: str, inputs: Arrays, labels: np.ndarray | None
    ) -> None:
        self.options = options
        self.api = api
        self.backend = backend
        self.inputs = inputs
        self.labels = labels
        self.arrays: Arrays = {}

    def take(self) -> tuple[dict[str, Any], Arrays]:
        """`(header, arrays)` of the file. Raises CaptureError."""
        self.start_worker()
        opened, own = self.ask("file", self.given(), **self.place())
        names = [weight["name"] for weight in opened["weights"]]
        weights = self.weights(opened["weights"], own)
        self.ask("take", weights)
        self.keep("start", {**self.ask("read", names=names)[1], **weights})
        self.keep("data", self.given())
        modes = ["inference", "training"] if opened["training_mode"] else ["inference"]
        answers: dict[str, Any] = {"file": opened, "record": {mode: self.record(mode) for mode in modes}}
        answers["inject"] = self.inject(opened["weights"], own)
        answers["repeats"] = self.repeats()
        answers["measure"] = self.measure(modes, opened["unit"], names)
        return self.header(answers), self.arrays

    def start_worker(self) -> None:
        from impls.worker import process

        os.environ.update(process.settings(self.backend, "cpu", "float64", 1))
        os.environ["TRIPTYCH_BACKEND"] = self.backend
        from impls.port.worker import PortWorker

        self.worker = PortWorker(
            argparse.Namespace(
                implementation=self.api, backend=self.backend, mode="eager", device="cpu", dtype="float64", threads=1
            )
        )
        self.worker.start()

    def ask(self, name: str, arrays: Arrays | None = None, **request: Any) -> Answer:
        """One operation of the worker. Raises CaptureError for what the user's code raised."""
        result, found = self.worker.operation(name)(request, arrays or {})
        if "user_error" in result:
            raise CaptureError(result["user_error"])
        return result, found

    def given(self) -> Arrays:
        found = {"input/" + name: array for name, array in self.inputs.items()}
        if self.labels is not None:
            found["labels"] = self.labels
        return found

    def place(self) -> Request:
        """What the operation `file` is told."""
        model = self.options.model
        file, factory = taken_apart(model)
        return {
            "path": os.path.abspath(file) if file else model,
            "shown": file or model,
            "named": "" if file else model,
            "factory": factory,
            "api": self.api,
            "tiny": self.options.tiny,
            "layout": self.options.layout,
            "inputs": list(self.inputs),
        }

    def keep(self, group: str, arrays: Arrays) -> None:
        self.arrays.update((group + "/" + name, array) for name, array in arrays.items())

    def weights(self, described: list[WeightFacts], own: Arrays) -> Arrays:
        """What the model starts from: given by name, its own, or random."""
        if self.options.weights:
            return given_weights(self.options.weights, own)
        if self.options.own_weights:
            return {}
        return draw(described, self.options.seed)

    def record(self, mode: str) -> dict[str, Any]:
        body, found = self.ask("record", mode=mode, keep=KEEP)
        self.keep("record/" + mode, found)
        return body

    def repeats(self) -> bool:
        """Whether a second pass gives the same bits."""
        found = self.ask("record", mode="inference", keep=0)[1]
        outputs = [name for name in found if name.startswith("output/")]
        return all(same_bits(found[name], self.arrays["record/inference/" + name]) for name in outputs)

    def inject(self, described: list[WeightFacts], own: Arrays) -> list[list[Any]]:
        """Passes with a small error in one weight, from the middle outwards, until one reaches an output."""
        kernels = [w for w in described if len(w["shape"]) > 1 and w["kind"] != "buffer"] or described
        order = sorted(range(len(kernels)), key=lambda at: abs(at - len(kernels) // 2))
        made: dict[str, dict[str, Any]] = {}
        for at in order[:TRIES]:
            name = kernels[at]["name"]
            array = self.arrays["start/" + name].astype(np.float64)
            noise = np.random.default_rng(0).standard_normal(array.shape)
            body, found = self.ask(
                "record", {"change/" + name: array * (1 + INJECTED * noise)}, mode="inference", keep=KEEP
            )
            self.keep("inject/" + str(len(made)), found)
            made[name] = body
            outputs = [key for key in found if key.startswith("output/")]
            if any(not same_bits(found[key], self.arrays["record/inference/" + key]) for key in outputs):
                break
        return [[name, body] for name, body in made.items()]

    def measure(self, modes: list[str], unit: float, whole: list[str]) -> dict[str, Any]:
        """All weights whole: the layout of the other side, which a sketch would have to share, is not known yet."""
        result, found = self.ask("measure", modes=modes, samples=SAMPLES, unit=unit, seed=0, whole=whole)
        self.keep("measure", found)
        return result

    def header(self, answers: dict[str, Any]) -> dict[str, Any]:
        """Who made this, and the answers."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": self.options.model,
            "api": self.api,
            "backend": self.backend,
            "inputs": list(self.inputs),
            "python": platform.python_version(),
            "versions": versions(),
            "answers": answers,
        }


def taken_apart(model: str) -> tuple[str, str]:
    """`(file, function)` of `file.py` or `file.py:function`; `("", "build")` of a model that has a name."""
    function = re.match(r"(.+\.py):([A-Za-z_]\w*)$", model)
    if function:
        return function.group(1), function.group(2)
    return model if model.endswith(".py") else "", "build"


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def versions() -> dict[str, str]:
    """Of the libraries that are loaded."""
    names = ("numpy", "torch", "tensorflow", "keras", "jax", "flax", "equinox", "haiku", "transformers", "timm")
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in names}
    return {name: version for name, version in found.items() if version}


def given_weights(path: str, own: Arrays) -> Arrays:
    """Weights by the model's own names. Raises CaptureError."""
    found = load(path)
    for name in found:
        if name not in own:
            raise CaptureError("{}: the model has no weight {!r}; it has {}".format(path, name, ", ".join(own)))
        if found[name].shape != own[name].shape:
            sizes = found[name].shape, own[name].shape
            raise CaptureError("{}: {} has shape {}, the model's has {}".format(path, name, *sizes))
    return found


def load(path: str) -> Arrays:
    """The arrays of an .npz file. Raises CaptureError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise CaptureError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, AttributeError, KeyError, EOFError) as error:
        raise CaptureError(f"{path}: is no .npz file of numbers, as numpy.savez writes them") from error


def draw(described: list[WeightFacts], seed: int) -> Arrays:
    """Random weights by their roles: no bias is zero, no statistic trivial; a buffer of the user's own stays."""
    from impls.weights import DRAWS

    found = {}
    for at, weight in enumerate(described):
        shape = tuple(weight["shape"])
        role = weight["role"]
        if weight["kind"] == "buffer" and role not in ("moving_mean", "moving_variance"):
            continue
        rng = np.random.RandomState([seed, at])
        if role in DRAWS and (len(shape) > 1 or "kernel" not in role):
            value = DRAWS[role](rng, shape)
        elif len([extent for extent in shape if extent != 1]) > 1:
            value = DRAWS["kernel"](rng, shape)
        else:
            value = rng.uniform(0.5, 1.5, shape)  # positive where it could be a variance
        found[weight["name"]] = np.asarray(value, np.float32).astype(np.float64)
    return found


def read_data(options: argparse.Namespace) -> Data:
    """`(inputs by name, labels or None)`. Raises CaptureError."""
    if bool(options.data) == bool(options.random_data):
        raise CaptureError("say what to run it on: --data FILE.npz, or --random-data 8x8x1:10")
    if options.random_data:
        return random_data(options.random_data)
    found = load(options.data)
    label = next((name for name in LABELS if name in found), None)
    inputs = {name: in_double(array) for name, array in found.items() if name != label}
    return inputs, None if label is None else in_double(found[label])


def in_double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def random_data(text: str) -> Data:
    """As `--random-data` of the port checker: the same numbers."""
    shapes, _, classes = text.partition(":")
    rng = np.random.default_rng(0)
    inputs: Arrays = {}
    try:
        for part in shapes.split(","):
            name, _, shape = part.rpartition("=")
            extents = [int(n) for n in shape.replace("int", "", 1).split("x")]
            if shape.startswith("int"):
                inputs[name or "x"] = rng.integers(0, extents[0], [BATCH, *extents[1:]])
            else:
                inputs[name or "x"] = rng.normal(size=[BATCH, *extents])
        labels = int(classes or 0)
    except ValueError:
        raise CaptureError(f"--random-data {text!r}: write 8x8x1:10, or int50x12:5 for ids below 50") from None
    return inputs, rng.integers(0, labels, BATCH) if labels else None


def written_in(options: argparse.Namespace) -> tuple[str, str]:
    """`(api, backend)` by the file's imports, unless they are given. Raises CaptureError."""
    api, backend = options.api, options.backend
    if not api:
        api, default = by_imports(taken_apart(options.model)[0] or options.model)
        backend = backend or default
    return api, backend or {"torch": "torch", "keras": "tensorflow", "shim": "numpy"}.get(api, "jax")


def by_imports(path: str) -> tuple[str, str]:
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except OSError as error:
        raise CaptureError(f"{path}: can't be read: {error.strerror}") from error
    except SyntaxError as error:
        raise CaptureError(f"{path}:{error.lineno}: is no Python: {error}") from error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Attribute) and node.attr == "keras":
            names.add("keras")
    tops = {name.partition(".")[0] for name in names}
    if "keras" in tops or any(".keras" in name for name in names):
        return "keras", os.environ.get("KERAS_BACKEND", "tensorflow")
    for api in ("torch", "flax", "equinox", "haiku"):
        if api in tops:
            return api, "torch" if api == "torch" else "jax"
    return "functions", next((name for name in ("jax", "tensorflow") if name in tops), "numpy")


if __name__ == "__main__":
    sys.exit(main())
