"""What a worker answers: it serves one (implementation, backend, mode, device, dtype).

The operations are the methods of `Worker` whose names start with `do_`; a request is `{"op": name, ...arguments}` and
arrays, see `impls.protocol`. Valid on Python 3.6, and nothing but the standard library is imported before the settings
are in the environment.
"""

import argparse
import importlib
import json
import os
import time
import traceback
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

START = time.time()
Request = Dict[str, Any]
Arrays = Dict[str, Any]  # NumPy's, which must not be imported yet
Answer = Tuple[Dict[str, Any], Arrays]
WITHOUT_A_MODEL = (
    "control",
    "gadget_call",
    "gadget_open",
    "gadget_weights",
    "gpu_peaks",
    "gpu_profile",
    "hello",
    "memory",
    "open",
    "perturb",
    "plant",
    "time",
    "unregistered",
)


def failure(error: Exception) -> Dict[str, Any]:
    """The body of an error reply; call it while `error` is being handled."""
    return {"ok": False, "error": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}


class Worker:
    """Holds the current model and answers requests about it."""

    def __init__(self, options: Any):
        self.options = options
        self.module = None  # type: Any
        self.adapter = None  # type: Any
        self.stopwatch = None  # type: Any
        self.gadget = None  # type: Any
        self.import_seconds = 0.0

    def start(self) -> None:
        """Load the framework, then the adapter; the time this takes is a measurement of its own."""
        if self.options.patch:
            from impls.worker import patching

            patching.plant(json.loads(self.options.patch), os.getcwd())
        from impls import BACKENDS, adapters

        module = adapters.adapter_module(self.options.implementation)
        importlib.import_module(BACKENDS[self.options.backend].module)  # an API may load its engine late
        if hasattr(module, "configure"):
            module.configure(self.options.device, self.options.dtype, self.options.threads)
        from impls.worker import stopwatch

        self.module, self.stopwatch = module, stopwatch.Stopwatch()
        self.import_seconds = time.time() - START

    def do_hello(self, request: Request, arrays: Arrays) -> Answer:
        """Who serves here: versions, threads and flags."""
        from impls.worker import environment

        found = environment.describe(self.options.implementation, self.options.backend)
        found.update(pid=os.getpid(), import_seconds=self.import_seconds, threads=self.options.threads)
        return found, {}

    def do_plant(self, request: Request, arrays: Arrays) -> Answer:
        """Load programs, adapter and shim anew, with `patches` in them; none: as they are on the disk."""
        from impls import adapters
        from impls.worker import patching

        self.adapter = None
        self.stopwatch.clear()
        patching.uproot()
        for patch in request["patches"]:
            patching.plant(patch, os.getcwd())
        self.module = adapters.adapter_module(self.options.implementation)
        return {}, {}

    def do_open(self, request: Request, arrays: Arrays) -> Answer:
        """Build `model` at `size` through its program and put the canonical weights in `arrays` into it.

        With `keep` the models of before stay, for `time` only.
        """
        from impls import adapters

        options = self.options
        program = adapters.program_of(request["model"], options.implementation)
        self.adapter = None
        if not request.get("keep"):
            self.stopwatch.clear()  # frees the previous model first
        start = time.perf_counter()
        self.adapter = self.module.Adapter(
            program, request["model"], request["size"], options.backend, options.mode, options.device, options.dtype
        )
        self.adapter.load(arrays)
        return {"seconds": time.perf_counter() - start}, {}

    def do_restore(self, request: Request, arrays: Arrays) -> Answer:
        """Put weights, running statistics and slots in, `step` updates after the start; nothing is built anew."""
        groups = {"weight": {}, "slot": {}}  # type: Dict[str, Arrays]
        for name, array in arrays.items():
            group, _, rest = name.partition("/")
            groups[group][rest] = array
        self.adapter.restore(groups["weight"], groups["slot"], request["step"])
        return {}, {}

    def do_perturb(self, request: Request, arrays: Arrays) -> Answer:
        """From the next `open` or `restore` on, operations of the NumPy backend commit random errors of `unit`."""
        from impls.worker import stochastic_rounding

        stochastic_rounding.round_randomly(request["unit"], request["draw"], request["biased"], request["float64"])
        return {}, {}

    def do_weights(self, request: Request, arrays: Arrays) -> Answer:
        return {}, self.adapter.weights()

    def do_slots(self, request: Request, arrays: Arrays) -> Answer:
        return {}, self.adapter.slots()

    def do_forward(self, request: Request, arrays: Arrays) -> Answer:
        outputs = self.adapter.forward(self.adapter.floats(arrays["x"]), request["training"])
        return {}, {"activation/" + name: value for name, value in outputs.items()}

    def do_gradients(self, request: Request, arrays: Arrays) -> Answer:
        adapter = self.adapter
        return {}, adapter.gradients(adapter.floats(arrays["x"]), adapter.floats(arrays["y"]))

    def do_train(self, request: Request, arrays: Arrays) -> Answer:
        """One step for each batch; the losses, and the weights and slots after the last one."""
        adapter = self.adapter
        x, y = adapter.floats(arrays["x"]), adapter.floats(arrays["y"])
        losses = adapter.train(x, y, request["batch_size"])
        out = {"weight/" + name: value for name, value in adapter.weights().items()}
        out.update(("slot/" + name, value) for name, value in adapter.slots().items())
        return {"losses": losses}, out

    def do_fit(self, request: Request, arrays: Arrays) -> Answer:
        """The program's own training loop from the weights it has now."""
        adapter = self.adapter
        x, y = adapter.floats(arrays["x"]), adapter.floats(arrays["y"])
        start = time.perf_counter()
        losses = [float(loss) for loss in adapter.fit(x, y, request["epochs"], request["batch_size"])]
        return {"losses": losses, "seconds": time.perf_counter() - start}, {}

    def do_predict(self, request: Request, arrays: Arrays) -> Answer:
        return {}, {"logits": self.adapter.predict(self.adapter.floats(arrays["x"]))}

    def do_prepare(self, request: Request, arrays: Arrays) -> Answer:
        """Keep a batch on the device for `time`, under the label `at`."""
        self.stopwatch.prepare(self.adapter, arrays, request["batch_size"], request.get("at", ""))
        return {}, {}

    def do_control(self, request: Request, arrays: Arrays) -> Answer:
        """Make `control` and `matmul` ready for `time`: plain NumPy, whatever this worker serves."""
        from impls.worker import numpy_baseline

        self.stopwatch.add(numpy_baseline.calls(self.options.dtype))
        return {"flops": numpy_baseline.FLOPS}, {}

    def do_time(self, request: Request, arrays: Arrays) -> Answer:
        """See `impls.worker.stopwatch.Stopwatch.time`."""
        keywords = {name: request[name] for name in ("at", "discard", "each", "limit") if name in request}
        return self.stopwatch.time(request["what"], request["iterations"], **keywords), {}

    def do_first(self, request: Request, arrays: Arrays) -> Answer:
        """The first call of `what`, and the parts of it that the engine tells apart: `compile_phases`."""
        from impls.worker import compile_phases

        with compile_phases.watching(self.options.backend) as found:
            timed = self.stopwatch.time(request["what"], 1, at=request.get("at", ""))
        return {"seconds": timed["seconds"], "phases": found}, {}

    def do_gpu_peaks(self, request: Request, arrays: Arrays) -> Answer:
        """What the GPU can do at most, see `impls.worker.gpu_probe`."""
        from impls.worker import gpu_probe

        return gpu_probe.peaks(self.options.backend), {}

    def do_gpu_profile(self, request: Request, arrays: Arrays) -> Answer:
        """What a prepared call asks of the GPU, see `impls.worker.gpu_probe`."""
        from impls.worker import gpu_probe

        call, arrive = self.stopwatch.call(request["what"], request["at"])
        return gpu_probe.profile(self.options.backend, call, arrive, request["calls"]), {}

    def do_flops(self, request: Request, arrays: Arrays) -> Answer:
        """Floating-point operations of one call of `what` by the engine's own counter: `flop_counters`."""
        from impls.worker import flop_counters

        adapter = self.adapter
        found = flop_counters.counted(
            adapter, request["what"], adapter.floats(arrays["x"]), adapter.floats(arrays["y"])
        )
        return found._asdict(), {}

    def do_allocated(self, request: Request, arrays: Arrays) -> Answer:
        """Bytes that Python and NumPy hold at the peak of a prepared call, beyond what they held before it."""
        from impls.worker import environment

        call = self.stopwatch.time
        return {"bytes": environment.allocated(lambda: call(request["what"], 1))}, {}

    def do_operations(self, request: Request, arrays: Arrays) -> Answer:
        """What one call of `what` asks of the engine: `operation_counts`; the model has to be newly opened."""
        from impls.worker import operation_counts

        adapter = self.adapter
        x, y = adapter.floats(arrays["x"]), adapter.floats(arrays["y"])
        found = operation_counts.count(adapter, request["what"], x, y)
        return dict(found._asdict(), total=operation_counts.total(found.counts, adapter.backend)), {}

    def do_unregistered(self, request: Request, arrays: Arrays) -> Answer:
        """Those of `names` that the TensorFlow here has no operation of."""
        from impls.worker import operation_counts

        return {"names": operation_counts.unregistered(request["names"])}, {}

    def do_gadget_open(self, request: Request, arrays: Arrays) -> Answer:
        """Build the model of a gadget's program and put the weights in `arrays` into it."""
        from impls.adapters import gadgets

        self.gadget = gadgets.Session(self.options, request["gadget"])
        self.gadget.open(request["sizes"], arrays, request["dtype"])
        return {}, {}

    def do_gadget_call(self, request: Request, arrays: Arrays) -> Answer:
        """Call a function of the gadget's program, see `impls.adapters.gadgets.Session.call`."""
        result, out = self.gadget.call(request, arrays)
        return result, out

    def do_gadget_weights(self, request: Request, arrays: Arrays) -> Answer:
        return {}, self.gadget.weights()

    def do_memory(self, request: Request, arrays: Arrays) -> Answer:
        """Peak resident memory of this process so far, and peak memory taken on its GPU (None: no GPU), in bytes."""
        from impls.worker import environment

        device = environment.device_memory(self.options.backend) if self.options.device == "gpu" else None
        return {"peak_bytes": environment.peak_memory(), "device_bytes": device}, {}

    def operation(self, name: str) -> Callable[[Request, Arrays], Answer]:
        """The method that serves `name`."""
        known = sorted(method[len("do_") :] for method in dir(self) if method.startswith("do_"))
        if name not in known:
            raise ValueError("unknown operation {!r}: known are {}".format(name, ", ".join(known)))
        if self.adapter is None and name not in WITHOUT_A_MODEL:
            raise ValueError("{!r} needs a model: call 'open' first".format(name))
        if name != "time":
            self.stopwatch.left = None  # what another request costs is no idleness
        return getattr(self, "do_" + name)  # type: ignore

    def answer(self, request: Request, arrays: Arrays) -> List[Any]:
        """The reply to one request, encoded; an exception becomes an error reply."""
        from impls import protocol

        try:
            result, out = self.operation(request["op"])(request, arrays)
            return protocol.encode({"ok": True, "result": result}, out)
        except Exception as error:
            return protocol.encode(failure(error))


def parse(arguments: Optional[Sequence[str]]) -> Any:
    parser = argparse.ArgumentParser(prog="python -m impls.worker", description=(__doc__ or "").splitlines()[0])
    for name in ("implementation", "backend", "mode", "device", "dtype"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patch", help="an injected bug: JSON with file, old and new")
    return parser.parse_args(arguments)


def serve(worker: Worker, requests: Any, replies: Any) -> int:
    """Answer requests until the other side is gone."""
    from impls import protocol  # it loads NumPy, which reads the settings

    try:
        worker.start()
    except Exception as error:
        protocol.write(replies, failure(error))
        return 1
    protocol.write(replies, {"ok": True, "result": {}})
    while True:
        try:
            request, arrays = protocol.read(requests)
        except EOFError:
            return 0
        protocol.send(replies, worker.answer(request, arrays))
