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


class PortWorker(server.Worker):
    """Holds the model of one file and answers requests about it."""

    def start(self):
        """Load the framework; the first file would do it otherwise, and a worker that can't start says so at once."""
        self.ports = {}
        if self.options.backend in ("torch", "jax", "tensorflow"):
            importlib.import_module(self.options.backend)

    def do_file(self, request, arrays):
        """Load the file, build its model, run it once; its weights, and what it has for training."""
        from impls.port.base import UserError

        self.port = None
        path = request["path"]
        try:
            module, name = PORTS[request["api"]]
            port = getattr(importlib.import_module("impls.port." + module), name)
            program = load_program(path)
            if not hasattr(program, "build"):
                raise UserError("it defines no build(): a function without arguments that returns the model")
            port = port(program, self.options.backend, request["layout"])
            port.open(arrays["x"])
        except UserError as error:
            return {"user_error": f"{path}: {error}"}, {}
        except BaseException as error:
            return {"user_error": place_of(error, path), "traceback": traceback.format_exc()}, {}
        self.port = port
        values = port.read()
        weights = [vars_of(weight, values[weight.name]) for weight in port.weights]
        return {"weights": weights, "unit": port.unit(), "turned": port.turned}, values

    def do_measure(self, request, arrays):
        """All phases from the weights `start/...`, and the products of the errors of runs with noise."""
        from impls.port.base import UserError

        start = {name[len("start/") :]: array for name, array in arrays.items() if name.startswith("start/")}
        try:
            records, found = self.port.measure(
                start, arrays["x"], arrays.get("y"), request["samples"], request["unit"], request["seed"]
            )
        except UserError as error:
            return {"user_error": f"{self.port.program.__file__}: {error}"}, {}
        except Exception as error:
            return {"user_error": place_of(error, self.port.program.__file__)}, {}
        off = sorted(set(self.port.switched_off))
        return {"records": records, "optimizer": self.port.describe_optimizer(), "switched_off": off}, found

    def operation(self, name):
        if name not in ("hello", "file", "measure"):
            raise ValueError(f"unknown operation {name!r}: known are file, hello, measure")
        return getattr(self, "do_" + name)

    def do_hello(self, request, arrays):
        return {"pid": os.getpid()}, {}


def vars_of(weight, array):
    """What the measuring side knows of a weight."""
    found = {name: getattr(weight, name) for name in ("name", "layer", "kind", "role", "trainable")}
    return dict(found, shape=list(array.shape))


def load_program(path):
    """The user's file as a module; what lies beside it can be imported, as when Python runs it."""
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("user_model", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["user_model"] = module  # dataclasses and the like look their module up
    spec.loader.exec_module(module)
    return module


def place_of(error, path):
    """`B.py:12, in build: ValueError: ...`: the last line of the user's own file that is to blame."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if same_file(frame.filename, path)]
    message = "{}: {}".format(type(error).__name__, " ".join(str(error).split())[:400])
    if isinstance(error, SyntaxError) and error.filename and same_file(error.filename, path):
        return f"{path}:{error.lineno}: {message}"
    if not lines:
        return f"{path}: {message}"
    return f"{path}:{lines[-1].lineno}, in {lines[-1].name}: {message}"


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
