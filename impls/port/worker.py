"""`python -m impls.port.worker`: one process with one framework in it that runs models out of files of a user.

The operations are the methods of `PortWorker` whose names start with `do_`; the wire is that of `impls.worker`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from impls.port.programs import load_program
from impls.worker import process, server

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from impls.port.low_precision import Rounding

    Conditions = Callable[[], contextlib.AbstractContextManager[object]]
    from collections.abc import Sequence

    import numpy as np

    from impls.port.annotations import Answer, Arrays, Program, Request, Serve
    from impls.port.base import Port
    from impls.port.weight import Weight
    from impls.port_messages import WeightFacts

# What serves a file that uses this API, by the names that `suites.port.files` gives them.
PORTS = {
    "torch": ("pytorch", "PortOfTorch"),
    "keras": ("keras", "PortOfKeras"),
    "keras2": ("keras2", "PortOfKeras2"),
    "shim": ("shim", "PortOfShim"),
    "functions": ("functions", "PortOfFunctions"),
    "onnx": ("onnx_graphs", "PortOfOnnx"),
}
# Libraries of JAX: the module of each says by what build() returned which class serves it.
JAX_LIBRARIES = ("flax", "equinox", "haiku")
OPERATIONS = ("hello", "file", "take", "turn", "add_up", "record", "slopes", "outputs", "measure", "read")


class PortWorker(server.Worker):
    """Holds the model of one file and answers requests about it."""

    port: Port  # from the first `file` on
    files = 0  # opened so far

    def start(self) -> None:
        """Load the framework; the first file would do it otherwise, and a worker that can't start says so at once."""
        self.conditions: Conditions = contextlib.ExitStack  # none before a file says what serves it
        if self.options.backend in ("torch", "jax", "tensorflow"):
            importlib.import_module(self.options.backend)

    def do_file(self, request: Request, arrays: Arrays) -> Answer:
        """Load the file, build its model, run it once; its weights as they are, and how it takes its inputs."""
        self.path = request["path"]
        self.shown = request["shown"]
        return self.guarded(self.open_file, request, arrays)

    def open_file(self, request: Request, arrays: Arrays) -> Answer:
        kind = served_by(request["api"])
        self.conditions = kind.conditions if kind is not None else contextlib.ExitStack
        if kind is not None and self.files:
            kind.forget_names()
        self.files += 1
        with self.conditions():
            return self.open_with(kind, request, arrays)

    def open_with(self, kind: type[Port] | None, request: Request, arrays: Arrays) -> Answer:
        """The file's program is loaded when the framework is as `conditions` say."""
        from impls.port.base import LARGE
        from impls.port.errors import UserError

        if self.options.device == "gpu" and lacks_gpu(self.options.backend):
            raise UserError(f"--device gpu: {self.options.backend} sees no GPU here: without it models run on the CPU")
        self.named = request.get("named", ""), request.get("tiny", False)
        program = self.load_program()
        factory = request["factory"]
        if not hasattr(program, factory):
            raise UserError(f"it defines no {factory}(): a function without arguments that returns the model")
        program.build = getattr(program, factory)
        if kind is None:
            kind = served_by_model(request["api"], program)
        self.port = port = self.port_of(kind, program, request["layout"])
        self.inputs = {name: arrays["input/" + name] for name in request["inputs"]}
        self.labels = arrays.get("labels")
        port.open(self.inputs)
        weights = [vars_of(weight, port.clean[weight.name]) for weight in port.weights]
        own = {name: array for name, array in port.clean.items() if array.size < LARGE}
        told = {"weights": weights, "unit": port.unit(), "turned": port.turned, "convention": list(port.convention)}
        told.update(has_loss=bool(port.has_loss()), training_mode=port.has_training_mode(), api=port.api)
        return told, own

    def port_of(self, kind: type[Port], program: Program, layout: str) -> Port:
        """What serves the model; build() of any file may return one of ONNX, and of Keras's plain functions."""
        from impls.port.errors import ServedElsewhere

        try:
            return kind(program, self.options.backend, layout, beside(self.path))
        except ServedElsewhere as other:
            model = other.model
        program.build = lambda: model
        onnx = type(model).__module__.startswith("onnx")
        module, name = ("onnx_graphs", "PortOfOnnx") if onnx else ("functions", "PortOfFunctions")
        other_kind = getattr(importlib.import_module("impls.port." + module), name)
        return other_kind(program, self.options.backend, layout, beside(self.path))

    def load_program(self) -> Program:
        """What the user's file defines, or the program of a model that has a name."""
        name, tiny = self.named
        if self.path.endswith(".onnx"):
            from impls.port import onnx_graphs

            return onnx_graphs.program_of(self.path)
        if not name:
            return load_program(self.path)
        from impls.port import named_models

        return named_models.program_of(name, tiny)

    def do_take(self, request: Request, arrays: Arrays) -> Answer:
        """New weights, by name; those that are not given stay."""
        self.port.take(arrays)
        return {}, {}

    def do_turn(self, request: Request, arrays: Arrays) -> Answer:
        """Take images the other way round; whether the model takes them so."""
        self.port.turned = not self.port.turned
        try:
            with self.conditions():
                self.port.call(*self.port.arrange(self.inputs), False)
        except Exception:  # a model refuses images of the other layout with whatever its author or engine raises
            self.port.turned = not self.port.turned
            return {"turned": self.port.turned, "taken": False}, {}
        return {"turned": self.port.turned, "taken": True}, {}

    def do_add_up(self, request: Request, arrays: Arrays) -> Answer:
        """Of two weights only the sum counts: they are one."""
        self.port.add_up(request["name"], request["other"])
        return {}, {}

    def do_read(self, request: Request, arrays: Arrays) -> Answer:
        """Clean weights by name."""
        return {}, {name: self.port.clean[name] for name in request["names"]}

    def do_record(self, request: Request, arrays: Arrays) -> Answer:
        """One watched pass, `mode`; and `plain/OUTPUT` of the pass that nobody watches, where a bit of it is another.

        `neutral` is false where that is more than another order of sums: how far this may go the asker judges.

        `override/ID` takes the place of a value. `change/W` is used for a weight in this pass only. `rounding/units`
        and `rounding/sums` say what errors the pass commits, drawn by `seed`; `sketched` numbers, none above `limit`,
        stand for each value.
        """
        return self.guarded(self.recorded, request, arrays)

    def recorded(self, request: Request, arrays: Arrays) -> Answer:
        port, mode = self.port, request["mode"]
        overrides = {int(name[9:]): array for name, array in arrays.items() if name.startswith("override/")}
        changed = {name[7:]: array for name, array in arrays.items() if name.startswith("change/")}
        kept = {name: port.clean[name] for name in changed}
        port.clean.update(changed)
        try:
            rounding = rounding_of(request, arrays)
            body, values, outputs = self.pass_of(mode, request, overrides, rounding)
            moved = {} if overrides or rounding is not None or mode == "loss" else self.moved(mode, outputs)
        finally:
            port.clean.update(kept)
            port.load()
        body["neutral"] = not moved or (port.sums_in_any_order() and set(moved) <= set(outputs))
        found = {"value/" + at: array for at, array in values.items()}
        found.update(("plain/" + path, array) for path, array in moved.items())
        found.update(("output/" + path, array) for path, array in outputs.items())
        return body, found

    def pass_of(
        self, mode: str, request: Request, overrides: dict[int, np.ndarray], rounding: Rounding | None
    ) -> tuple[dict[str, Any], Arrays, Arrays]:
        """One watched pass of the model; or of the user's loss alone, in mode "loss"."""
        keep = request["keep"]
        if mode == "loss":
            from impls.port import watched_loss

            return watched_loss.record(self.port, self.inputs, self.labels, keep, overrides)
        noise = request.get("sketched", 0), request.get("limit", 0.0)
        return self.port.record(self.inputs, mode, keep, overrides, rounding, *noise)

    def do_slopes(self, request: Request, arrays: Arrays) -> Answer:
        """The gradient of the loss in every value of a pass, by its id; with `seed/ID`, that of these values.

        In mode "loss": the gradient of the loss alone in what the model gives, by leaf.
        """
        return self.guarded(self.followed_back, request, arrays)

    def followed_back(self, request: Request, arrays: Arrays) -> Answer:
        from impls.port import value_slopes

        seeds = {int(name[5:]): array for name, array in arrays.items() if name.startswith("seed/")}
        try:
            if request["mode"] == "loss":
                return {}, value_slopes.of_loss(self.port, self.inputs, self.labels)
            return {}, value_slopes.record(self.port, self.inputs, self.labels, request["mode"], seeds)
        finally:
            self.port.load()

    def do_outputs(self, request: Request, arrays: Arrays) -> Answer:
        """The outputs of a pass in inference that nobody watches: a fraction of the time of a watched one."""
        return self.guarded(self.unwatched, request, arrays)

    def unwatched(self, request: Request, arrays: Arrays) -> Answer:
        self.port.load()
        return {}, dict(self.port.forward(self.inputs, "inference"))

    def moved(self, mode: str, outputs: Arrays) -> Arrays:
        """What a pass without a trace gives, of the outputs that are not these very bits."""
        self.port.load()
        plain = self.port.forward(self.inputs, mode)
        kept = {path for path in plain if path in outputs and plain[path].tobytes() == outputs[path].tobytes()}
        return {path: array for path, array in plain.items() if path not in kept}

    def do_measure(self, request: Request, arrays: Arrays) -> Answer:
        """Outputs, state, loss, gradients and steps, and for each the products of the errors of runs with noise."""
        return self.guarded(self.measured, request, arrays)

    def measured(self, request: Request, arrays: Arrays) -> Answer:
        from impls.port.measure import measure

        port = self.port
        clean, spread = measure(
            port,
            self.inputs,
            self.labels,
            request["modes"],
            request["samples"],
            request["unit"],
            request["seed"],
            request["whole"],
            request.get("spares_exact", False),
        )
        clean.update(("spread/" + name, products) for name, products in spread.items())
        return {"optimizer": port.describe_optimizer(), "no_gradients": port.no_gradients}, clean

    def guarded(self, function: Serve, request: Request, arrays: Arrays) -> Answer:
        """The answer; what the user's own code raised is told as one line with its place in their file."""
        from impls.port.errors import UserError

        try:
            with self.conditions():
                return function(request, arrays)
        except UserError as error:
            return {"user_error": f"{self.shown}: {error}"}, {}
        except Exception as error:
            message = place_of(error, self.path, self.shown)
            details = traceback.format_exc()
            return {"user_error": message, "traceback": own_frames(error, self.path), "details": details}, {}

    def operation(self, name: str) -> Serve:
        if name not in OPERATIONS:
            raise ValueError(f"unknown operation {name!r}: known are {', '.join(OPERATIONS)}")
        return getattr(self, "do_" + name)

    def do_hello(self, request: Request, arrays: Arrays) -> Answer:
        return {"pid": os.getpid()}, {}


def lacks_gpu(backend: str) -> bool:
    """Whether an engine that can use a GPU has none; NumPy never looks for one."""
    if backend == "torch":
        return not importlib.import_module("torch").cuda.is_available()
    if backend == "tensorflow":
        return not importlib.import_module("tensorflow").config.list_physical_devices("GPU")
    return backend == "jax" and importlib.import_module("jax").default_backend() == "cpu"


def rounding_of(request: Request, arrays: Arrays) -> Rounding | None:
    """The errors that a pass is to commit; None where it has none."""
    if "rounding/units" not in arrays:
        return None
    from impls.port.low_precision import Rounding

    return Rounding(arrays["rounding/units"], arrays["rounding/sums"], request["seed"])


def served_by(api: str) -> type[Port] | None:
    """The class that serves an API; None where what build() returns says it. Loads what has to be there first."""
    if api in JAX_LIBRARIES:
        importlib.import_module("impls.port." + api)
        return None
    module, name = PORTS["keras2" if api == "keras" and old_keras() else api]
    return getattr(importlib.import_module("impls.port." + module), name)


def old_keras() -> bool:
    """Whether the Keras of this interpreter is Keras 2, or the one inside TensorFlow 1."""
    try:
        keras = importlib.import_module("keras")
    except ImportError:
        return True  # tensorflow.keras of a TensorFlow that brings its own
    return keras.__version__.startswith(("1.", "2."))


def served_by_model(api: str, program: Program) -> type[Port]:
    """The class that serves what build() returns, which is called once; plain functions of JAX are served as such."""
    made = program.build()
    program.build = lambda: made
    for library in (api, *JAX_LIBRARIES):
        if library in sys.modules or library == api:
            kind = importlib.import_module("impls.port." + library).serves(made)
            if kind is not None:
                return kind
    return importlib.import_module("impls.port.functions").PortOfFunctions


def vars_of(weight: Weight, array: np.ndarray) -> WeightFacts:
    """What the measuring side knows of a weight."""
    return {
        "name": weight.name,
        "layer": weight.layer,
        "kind": weight.kind,
        "role": weight.role,
        "trainable": weight.trainable,
        "shape": list(array.shape),
    }


def beside(path: str) -> set[str]:
    """The user's own files: this one, what lies beside it, and the modules of the packages there."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        return set()
    found = {os.path.join(folder, name) for name in os.listdir(folder)}
    for package in [place for place in found if os.path.isfile(os.path.join(place, "__init__.py"))]:
        for inner, _, names in os.walk(package):
            found.update(os.path.join(inner, name) for name in names)
    return {place for place in found if place.endswith(".py")}


def place_of(error: Exception, path: str, shown: str) -> str:
    """`B.py:12, in build: ValueError: ...`: the last line of the user's own file that is to blame."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if same_file(frame.filename, path)]
    message = "{}: {}".format(type(error).__name__, " ".join(str(error).split())[:400])
    if isinstance(error, SyntaxError) and error.filename and same_file(error.filename, path):
        return f"{shown}:{error.lineno}: {message}"
    if not lines:
        return f"{shown}: {message}"
    return f"{shown}:{lines[-1].lineno}, in {lines[-1].name}: {message}"


def own_frames(error: Exception, path: str) -> str:
    """The user's traceback, cut to the frames of their own files."""
    own = beside(path)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.abspath(frame.filename) in own]
    return "".join(traceback.format_list(frames))


def same_file(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)


def main(arguments: Sequence[str] | None = None) -> int:
    options = server.parse(arguments)
    os.environ.update(process.settings(options.backend, options.device, options.dtype, options.threads))
    os.environ["TRIPTYCH_BACKEND"] = options.backend
    os.environ["TRIPTYCH_PORT_DTYPE"] = options.dtype
    os.environ["TRIPTYCH_PORT_DEVICE"] = options.device
    process.be_the_first_to_go()
    requests, replies = process.take_pipes()
    threading.Thread(target=process.end_with, args=(requests.fileno(),), daemon=True).start()
    return server.serve(PortWorker(options), requests, replies)


if __name__ == "__main__":
    sys.exit(main())
