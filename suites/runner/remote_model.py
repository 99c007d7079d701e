"""The operations of a worker, each as a typed method: the only place that knows their names on the wire.

Arrays of a model are named `weight/...`, `slot/...`, `activation/...`, `inference/...`, `cotangent/...`,
`gradient/...`, `loss` and `losses`. A method raises `WorkerRaised` for an exception in the worker, which lives on, and
another `WorkerFailed` for all that ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.runner.workers import Arrays, Worker

CALL_SECONDS = 300.0
OPEN_SECONDS = 900.0  # Theano compiles a C++ file for each of a model's operations, once on a machine
FIT_SECONDS = 900.0
DESCRIBE_SECONDS = 60.0

Patch = dict[str, str]  # file, old and new, see `impls.worker.patching`


@dataclass(frozen=True)
class RemoteModel:
    """A worker as the model that it holds. `seconds` is how long any of its calls may take, None: each its own."""

    worker: Worker
    seconds: float | None = None

    def _call(
        self, operation: str, arrays: Arrays | None = None, seconds: float = CALL_SECONDS, **arguments: Any
    ) -> tuple[dict[str, Any], Arrays]:
        return self.worker.call(operation, arrays, timeout=self.seconds or seconds, **arguments)

    # The model and its state

    def open(self, model: str, size: Any, weights: Arrays, keep: bool = False) -> float:
        """Build `model` at `size` (a name or the sizes) from `weights`; the seconds that took.

        With `keep` the models of before stay, for `time` only.
        """
        more = {"keep": True} if keep else {}
        result, _ = self._call("open", weights, OPEN_SECONDS, model=model, size=size, **more)
        return float(result["seconds"])

    def restore(self, state: Arrays, step: int) -> None:
        """Put weights, running statistics and optimizer state in, as they are `step` updates after the start."""
        self._call("restore", state, step=step)

    def weights(self) -> Arrays:
        """Weights and running statistics, as `weight/...`."""
        return _prefixed("weight", self._call("weights")[1])

    def slots(self) -> Arrays:
        """The optimizer's state, as `slot/...`."""
        return _prefixed("slot", self._call("slots")[1])

    def plant(self, patches: Iterable[Patch]) -> None:
        """Load programs, adapter and shim again with these diffs in them; no diff: as they are on the disk."""
        self._call("plant", patches=list(patches))

    @contextmanager
    def rounding(self, unit: float, draw: int, biased: str = "", float64: bool = False) -> Iterator[None]:
        """In this block the NumPy backend commits random errors of `unit`, see `impls.worker.stochastic_rounding`."""
        self._call("perturb", unit=unit, draw=draw, biased=biased, float64=float64)
        try:
            yield
        finally:
            self._call("perturb", unit=0.0, draw=0, biased="", float64=False)

    # What it computes

    def forward(self, x: np.ndarray, training: bool) -> Arrays:
        """Every layer's output, as `activation/...`."""
        return self._call("forward", {"x": x}, training=training)[1]

    def inference(self, x: np.ndarray) -> Arrays:
        """Every layer's output in inference mode, as `inference/...`."""
        found = self.forward(x, training=False)
        return {f"inference/{name.partition('/')[2]}": value for name, value in found.items()}

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        """Activations, loss, cotangents and gradients of one batch."""
        return self._call("gradients", {"x": x, "y": y})[1]

    def train(self, x: np.ndarray, y: np.ndarray, batch_size: int) -> Arrays:
        """One step for each batch: `losses`, and weights, running statistics and slots after the last one."""
        result, found = self._call("train", {"x": x, "y": y}, batch_size=batch_size)
        return {**found, "losses": np.asarray(result["losses"])}

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> Arrays:
        """The program's own loop: `losses` of the epochs, and the `seconds` it took."""
        result, _ = self._call("fit", {"x": x, "y": y}, FIT_SECONDS, epochs=epochs, batch_size=batch_size)
        return {"losses": np.asarray(result["losses"]), "seconds": np.asarray(result["seconds"])}

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The program's own prediction: logits."""
        return self._call("predict", {"x": x})[1]["logits"]

    # What it costs

    def prepare(self, x: np.ndarray, y: np.ndarray, batch_size: int, at: str = "") -> None:
        """Keep data on the device for `time`, under the label `at`."""
        self._call("prepare", {"x": x, "y": y}, batch_size=batch_size, at=at)

    def time(self, what: str, iterations: int, **options: Any) -> dict[str, Any]:
        """Seconds of calls of `what`; the options (`at`, `discard`, `each`, `limit`) are those of `Stopwatch.time`."""
        return self._call("time", what=what, iterations=iterations, **options)[0]

    def first(self, what: str) -> tuple[float, dict[str, float]]:
        """Seconds of the first call of `what`, and of those its parts that the engine tells apart."""
        result, _ = self._call("first", what=what)
        return result["seconds"], result["phases"]

    def flops(self, what: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """`flops` of one call of `what` and the `counter` that says so; None where the engine has none."""
        return self._call("flops", {"x": x, "y": y}, what=what)[0]

    def allocated(self, what: str) -> int:
        """Bytes that Python and NumPy hold at the peak of a prepared call."""
        return int(self._call("allocated", what=what)[0]["bytes"])

    def operations(self, what: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """`counts` of the engine's operations in one call of `what`, `foreign` ones, `total` and `retraces`."""
        return self._call("operations", {"x": x, "y": y}, what=what)[0]

    def control(self) -> dict[str, float]:
        """Make the NumPy baseline ready for `time`; the floating-point operations of each of its calls."""
        return dict(self._call("control")[0]["flops"])

    def gpu_peaks(self) -> dict[str, float]:
        """Operations a second of a large product by precision, and bytes a second of a copy, on the worker's GPU."""
        return dict(self._call("gpu_peaks")[0])

    def gpu_profile(self, what: str, at: str = "", calls: int = 5) -> dict[str, Any]:
        """What a prepared call asks of the GPU, see `impls.worker.gpu_probe.profile`."""
        return self._call("gpu_profile", what=what, at=at, calls=calls)[0]

    # What it runs on

    def hello(self) -> dict[str, Any]:
        """Versions, threads, flags and the seconds of the import."""
        return self._call("hello", None, DESCRIBE_SECONDS)[0]

    def memory(self) -> dict[str, Any]:
        """`peak_bytes` of the process, `device_bytes` of its GPU (None: no GPU)."""
        return self._call("memory", None, DESCRIBE_SECONDS)[0]

    def unregistered(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that the TensorFlow of the worker has no operation of."""
        return list(self._call("unregistered", names=list(names))[0]["names"])

    # A feature's program

    def open_feature(self, feature: str, sizes: Any, weights: Arrays, dtype: str) -> None:
        """Build the model of a feature's program and put the weights into it."""
        self._call("gadget_open", weights, gadget=feature, sizes=sizes, dtype=dtype)

    def call_feature(self, arrays: Arrays, **request: Any) -> tuple[dict[str, Any], Arrays]:
        """Call a function of that program, see `impls.adapters.gadgets.Session.call`."""
        return self._call("gadget_call", arrays, **request)

    def feature_weights(self) -> Arrays:
        """The weights of the feature's model, without a prefix."""
        return self._call("gadget_weights")[1]


def _prefixed(group: str, arrays: Arrays) -> Arrays:
    return {f"{group}/{name}": value for name, value in arrays.items()}
