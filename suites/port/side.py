"""One side of a port at work: the worker that serves it, asked for what a comparison needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from impls.floating_types import UNIT
from impls.port_messages import PassFacts
from suites.port import named
from suites.port.captures import Captured
from suites.port.files import Data, File, PortError
from suites.port.recording import Pass, Recording, Weight
from suites.runner.workers import Arrays, Worker, WorkerFailed

SECONDS = 1800.0  # of one measurement: a large model, many times
RATIO = UNIT["float32"] / UNIT["float64"]  # of the unit roundoffs of float32 and float64
KEEP = 64 * 2**20  # bytes of a pass that are kept for the diagnosis


@dataclass(frozen=True)
class Rounding:
    """The errors of one pass by value id, see `impls.port.low_precision.Rounding`, and the seed they are drawn by."""

    units: np.ndarray
    sums: np.ndarray
    seed: int


class Side:
    """A model in its worker. `recording` grows with what it is asked for."""

    def __init__(self, file: File, worker: Worker | Captured):
        self.file = file
        self.worker = worker
        self.data = Data({})
        self.recording = Recording(file.title, file.path, file.api, file.backend)

    def ask(self, op: str, arrays: Arrays | None = None, **arguments: Any) -> tuple[dict[str, Any], Arrays]:
        """One operation; what the user's code raised is a PortError."""
        try:
            result, found = self.worker.call(op, arrays or {}, **arguments)
        except WorkerFailed as error:
            raise PortError(f"{self.file.path}: its worker failed: {error.reason}") from error
        if "user_error" in result:
            raise PortError(result["user_error"], result.get("traceback", ""), result.get("details", ""))
        return result, found

    def open(self, data: Data) -> None:
        """Build the model and run it once; its weights."""
        self.data = data
        arrays = {f"input/{name}": array for name, array in data.inputs.items()}
        if data.labels is not None:
            arrays["labels"] = data.labels
        name, path = named.placed(self.file.path)
        result, own = self.ask(
            "file",
            arrays,
            path=path,
            shown=self.file.path,
            named=name,
            tiny=self.file.tiny,
            api=self.file.api,
            layout=self.file.layout,
            factory=self.file.factory,
            inputs=list(data.inputs),
        )
        found = self.recording
        found.weights = [Weight.of(weight) for weight in result["weights"]]
        found.start = own
        found.unit = result["unit"]
        found.turned = result["turned"]
        found.has_loss = result["has_loss"]
        found.training_mode = result["training_mode"]
        found.api = result.get("api") or found.api

    def take(self, weights: Arrays) -> None:
        """Start from these weights; one that is not given keeps its own numbers."""
        self.recording.start = {**self.recording.start, **weights}
        for name, array in weights.items():  # one at a time: a large model need not be in a message whole
            self.ask("take", {name: array})

    def turn(self) -> bool:
        """Hand images over the other way round (N, C, H, W); whether the model takes them so."""
        result, _ = self.ask("turn")
        self.recording.turned = result["turned"]
        return bool(result["taken"])

    def add_up(self, name: str, other: str) -> None:
        """Two weights of which only the sum counts are one weight from now on."""
        self.ask("add_up", name=name, other=other)
        found = self.recording
        found.weights = [weight for weight in found.weights if weight.name != other]
        numbers = found.start.pop(other, None)
        if numbers is not None and name in found.start:
            found.start[name] = found.start[name] + numbers

    def read(self, names: Sequence[str]) -> Arrays:
        """Its own weights, by name."""
        return {name: self.ask("read", names=[name])[1][name] for name in dict.fromkeys(names)}

    def watch(
        self,
        mode: str,
        keep: int = KEEP,
        overrides: Mapping[int, np.ndarray] | None = None,
        changes: Arrays | None = None,
        rounding: Rounding | None = None,
        sketched: int = 0,
        limit: float = 0.0,
    ) -> tuple[Pass, Arrays]:
        """One watched pass, and its outputs by leaf; `overrides` by value id, `changes` of weights for it alone.

        `rounding`: errors that it commits. `sketched`: that many numbers, none above `limit`, stand for each value (0:
        they are whole).
        """
        arrays = {f"override/{at}": array for at, array in (overrides or {}).items()}
        arrays.update((f"change/{name}", array) for name, array in (changes or {}).items())
        seed = 0
        if rounding is not None:
            arrays.update({"rounding/units": rounding.units, "rounding/sums": rounding.sums})
            seed = rounding.seed
        result, found = self.ask("record", arrays, mode=mode, keep=keep, sketched=sketched, limit=limit, seed=seed)
        outputs = {name[len("output/") :]: array for name, array in found.items() if name.startswith("output/")}
        return Pass.of(cast(PassFacts, result), found), outputs

    def slopes(self, mode: str, seeds: Mapping[int, np.ndarray] | None = None) -> dict[int, np.ndarray]:
        """The gradient of the loss in each value of a pass; or of these values, each times its seed. By value ids."""
        found = self.ask("slopes", {f"seed/{at}": array for at, array in (seeds or {}).items()}, mode=mode)[1]
        return {int(at): array for at, array in found.items()}

    def loss_slopes(self) -> Arrays:
        """The gradient of the loss in each output, by leaf, as if nothing else depended on it."""
        return self.ask("slopes", mode="loss")[1]

    def outputs(self) -> Arrays:
        """Its outputs in inference, by leaf, of a pass that nobody watches."""
        return self.ask("outputs")[1]

    def measure(
        self, modes: Sequence[str], samples: int, unit: float, whole: Sequence[str], spares_exact: bool = False
    ) -> None:
        """Everything that it gives, with the spread of its rounding errors; `whole` weights are not sketched.

        `spares_exact`: no error in numbers of few bits, which no rounding made: places in a table, sizes of a box.
        """
        result, found = self.ask(
            "measure", modes=list(modes), samples=samples, unit=unit, seed=0, whole=list(whole),
            spares_exact=spares_exact, timeout=SECONDS,
        )  # fmt: skip
        self.recording.optimizer = result["optimizer"]
        self.recording.no_gradients = result["no_gradients"]
        for name, array in found.items():
            if name.startswith("spread/"):
                self.recording.spread[name[len("spread/") :]] = array
            else:
                self.recording.arrays[name] = array

    def measure_single(self, modes: Sequence[str], samples: int, unit: float, whole: Sequence[str]) -> None:
        """The spread of errors of float32, made as small as those of float64: a cast to float32 loses the latter."""
        self.measure(modes, samples, unit * RATIO, whole)
        for name, products in self.recording.spread.items():
            self.recording.spread[name] = products / RATIO**2
