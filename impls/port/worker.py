"""`python -m impls.port.worker`: one process with one framework in it that runs models out of files of a user.

The operations are the methods of `PortWorker` whose names start with `do_`; the wire is that of `impls.worker`.
"""

import importlib
import importlib.util
import os
import sys
import threading
import traceback

from impls.worker import process, server

# What serves a file that uses this API, by the names that `suites.port.files` gives them.
PORTS = {
    "torch": ("pytorch", "PortOfTorch"),
    "keras": ("keras", "PortOfKeras"),
    "shim": ("shim", "PortOfShim"),
    "functions": ("functions", "PortOfFunctions"),
}
OPERATIONS = ("hello", "file", "take", "record", "measure", "read")


class PortWorker(server.Worker):
    """Holds the model of one file and answers requests about it."""

    def start(self):
        """Load the framework; the first file would do it otherwise, and a worker that can't start says so at once."""
        self.port = None
        if self.options.backend in ("torch", "jax", "tensorflow"):
            importlib.import_module(self.options.backend)

    def do_file(self, request, arrays):
        """Load the file, build its model, run it once; its weights as they are, and how it takes its inputs."""
        self.path = request["path"]
        self.shown = request["shown"]
        return self.guarded(self.open_file, request, arrays)

    def open_file(self, request, arrays):
        from impls.port.base import UserError

        module, name = PORTS[request["api"]]
        kind = getattr(importlib.import_module("impls.port." + module), name)
        program = self.load_program()
        if not hasattr(program, request["factory"]):
            raise UserError(
                f"it defines no {request['factory']}(): a function without arguments that returns the model"
            )
        program.build = getattr(program, request["factory"])
        self.port = port = kind(program, self.options.backend, request["layout"], beside(self.path))
        self.inputs = {name: arrays["input/" + name] for name in request["inputs"]}
        self.labels = arrays.get("labels")
        port.open(self.inputs)
        weights = [vars_of(weight, port.clean[weight.name]) for weight in port.weights]
        own = {} if request.get("large") else dict(port.clean)
        told = {"weights": weights, "unit": port.unit(), "turned": port.turned, "convention": list(port.convention)}
        told.update(has_loss=bool(port.has_loss()), training_mode=port.has_training_mode())
        return told, own

    def load_program(self):
        """What the user's file defines."""
        return load_program(self.path)

    def do_take(self, request, arrays):
        """New weights, by name; those that are not given stay."""
        self.port.take(arrays)
        return {}, {}

    def do_read(self, request, arrays):
        """Clean weights by name."""
        return {}, {name: self.port.clean[name] for name in request["names"]}

    def do_record(self, request, arrays):
        """One watched pass, `mode`; and whether it gave, bit by bit, what the pass gives that nobody watches.

        `override/ID` takes the place of a value. `change/W` is used for a weight in this pass only.
        """
        return self.guarded(self.recorded, request, arrays)

    def recorded(self, request, arrays):
        port, mode = self.port, request["mode"]
        overrides = {int(name[9:]): array for name, array in arrays.items() if name.startswith("override/")}
        changed = {name[7:]: array for name, array in arrays.items() if name.startswith("change/")}
        kept = {name: port.clean[name] for name in changed}
        port.clean.update(changed)
        try:
            body, values, outputs = port.record(self.inputs, mode, request["keep"], overrides)
            if not overrides:
                body["neutral"] = self.neutral(mode, outputs)
        finally:
            port.clean.update(kept)
            port.load()
        found = {"value/" + at: array for at, array in values.items()}
        found.update(("output/" + path, array) for path, array in outputs.items())
        return body, found

    def neutral(self, mode, outputs):
        """Whether a pass without a trace gives these very bits."""
        import numpy as np

        self.port.load()
        plain = self.port.forward(self.inputs, mode)
        same = [np.array_equal(plain[path], array, equal_nan=True) for path, array in outputs.items() if path in plain]
        return bool(all(same) and len(plain) == len(outputs))

    def do_measure(self, request, arrays):
        """Outputs, state, loss, gradients and steps, and for each the products of the errors of runs with noise."""
        return self.guarded(self.measured, request, arrays)

    def measured(self, request, arrays):
        port = self.port
        clean, spread = port.measure(
            self.inputs, self.labels, request["modes"], request["samples"], request["unit"], request["seed"]
        )
        clean.update(("spread/" + name, products) for name, products in spread.items())
        return {"optimizer": port.describe_optimizer(), "shapes": {}}, clean

    def guarded(self, function, request, arrays):
        """The answer; what the user's own code raised is told as one line with its place in their file."""
        from impls.port.base import UserError

        try:
            return function(request, arrays)
        except UserError as error:
            return {"user_error": f"{self.shown}: {error}"}, {}
        except Exception as error:
            message = place_of(error, self.path, self.shown)
            details = traceback.format_exc()
            return {"user_error": message, "traceback": own_frames(error, self.path), "details": details}, {}

    def operation(self, name):
        if name not in OPERATIONS:
            raise ValueError(f"unknown operation {name!r}: known are {', '.join(OPERATIONS)}")
        return getattr(self, "do_" + name)

    def do_hello(self, request, arrays):
        return {"pid": os.getpid()}, {}


def vars_of(weight, array):
    """What the measuring side knows of a weight."""
    found = {name: getattr(weight, name) for name in ("name", "layer", "kind", "role", "trainable")}
    return dict(found, shape=list(array.shape))


def beside(path):
    """The user's own files: this one and what lies beside it."""
    folder = os.path.dirname(os.path.abspath(path))
    return {os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".py")}


def load_program(path):
    """The user's file as a module; what lies beside it can be imported, as when Python runs it."""
    path = os.path.abspath(path)
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("user_model", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["user_model"] = module  # dataclasses and the like look their module up
    spec.loader.exec_module(module)
    return module


def place_of(error, path, shown):
    """`B.py:12, in build: ValueError: ...`: the last line of the user's own file that is to blame."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if same_file(frame.filename, path)]
    message = "{}: {}".format(type(error).__name__, " ".join(str(error).split())[:400])
    if isinstance(error, SyntaxError) and error.filename and same_file(error.filename, path):
        return f"{shown}:{error.lineno}: {message}"
    if not lines:
        return f"{shown}: {message}"
    return f"{shown}:{lines[-1].lineno}, in {lines[-1].name}: {message}"


def own_frames(error, path):
    """The user's traceback, cut to the frames of their own files."""
    own = beside(path)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.abspath(frame.filename) in own]
    return "".join(traceback.format_list(frames))


def same_file(one, other):
    return os.path.abspath(one) == os.path.abspath(other)


def main(arguments=None):
    options = server.parse(arguments)
    os.environ.update(process.settings(options.backend, options.device, options.dtype, options.threads))
    os.environ["TRIPTYCH_BACKEND"] = options.backend
    process.be_the_first_to_go()
    requests, replies = process.take_pipes()
    threading.Thread(target=process.end_with, args=(requests.fileno(),), daemon=True).start()
    return server.serve(PortWorker(options), requests, replies)


if __name__ == "__main__":
    sys.exit(main())
