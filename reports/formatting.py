"""How numbers, units and cells are written: the same everywhere, a few digits, never a bare number."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from suites.records.run import Cell, Training

STAGES = {"start": "start", "equivalence": "equivalence", "training": "training"}
STAGES |= {"operations": "count of operations", "speed": "timing"}
METRICS = {"accuracy": "accuracy", "cross_entropy": "cross-entropy"}
WHATS = {"train_step": "train step", "predict": "predict", "fit": "fit"}
PHASES = ("forward", "loss", "backward", "trajectory", "state", "slot")
ROLES = {"gate": "gate", "twin": "A/A control", "canary": "positive control"}
IMPLEMENTATIONS = {"tf_keras": "Keras 3", "keras2": "Keras 2", "keras_inference": "Keras 3 for inference"}
BACKENDS = {
    "tensorflow": "TensorFlow",
    "tensorflow1": "TensorFlow 1",
    "torch": "PyTorch",
    "jax": "JAX",
    "numpy": "NumPy",
    "numba": "Numba",
    "pytensor": "PyTensor",
    "theano": "Theano",
    "cntk": "CNTK",
    "mxnet": "MXNet",
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
}
PHASE_WORDS = {"slot": "optimizer state"}  # where the records have a word that few know
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # in any locale
LONG = re.compile(r"\d*\.\d{7,}(?:e[-+]?\d+)?")
DEFAULTS = {"cpu", "small"}
AGAIN = "python -m pytest suites/equivalence "  # and the options of a cell
OPTIONS = "--model {} --implementation {} --backend {} --mode {} -k {}"  # of one on the processor, in the usual size


def name(cell: Cell) -> str:
    """`mlp, shim on torch (eager, float64)`: what is not the default is added."""
    return f"{cell.model}, {way(cell)} ({', '.join(details(cell))})"


def way(cell: Cell) -> str:
    """`shim on PyTorch`."""
    return configuration(cell.implementation, cell.backend)


def configuration(implementation: str, backend: str) -> str:
    """`Keras 3 on TensorFlow`: by the names that people use, where the registry has others."""
    return f"{IMPLEMENTATIONS.get(implementation, implementation)} on {BACKENDS.get(backend, backend)}"


def phase(name: str) -> str:
    """A phase as a reader calls it."""
    return PHASE_WORDS.get(name, name)


def details(cell: Cell) -> list[str]:
    """Mode and dtype, and device and size where they are not the default."""
    return [cell.mode, *conditions(cell)]


def conditions(cell: Cell) -> list[str]:
    """What two cells have to share for their times to be compared, in so far as it is not the default."""
    return [cell.dtype, *(part for part in (cell.device, cell.size) if part not in DEFAULTS)]


def worker(cell: Cell) -> tuple[str, str, str, str, str, str]:
    """Everything of a cell but its model."""
    return (cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype, cell.size)


def panel(implementation: str) -> str:
    """Which of the three panels an implementation belongs to; its colour follows from it."""
    if "shim" in implementation:
        return "shim"
    return "keras" if "keras" in implementation else "raw"


def number(value: float, digits: int = 3) -> str:
    """A plain number with `digits` significant digits and no exponent: `0.0123`, `12.3`, `1234`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    value = float(f"{value:.{digits - 1}e}")  # 9.97 with two digits is 10, not 10.0
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):.{max(0, places)}f}"


def small(value: float) -> str:
    """A disagreement: `3.1e-14`, `1.9 %` where a person can picture it, `22 times` where it is more than the whole."""
    if not math.isfinite(value) or value == 0:
        return number(value)
    if abs(value) >= 10:
        return f"{number(value, 2)} times"
    if abs(value) >= 1e-3:
        return f"{number(100 * value, 2)} %"
    return f"{value:.1e}"


def factor(value: float) -> str:
    """A ratio of times with two significant digits, near one with two decimals: `0.30`, `0.98`, `6.5`, `27`."""
    return f"{value:.2f}" if 0.5 <= value < 2 else number(value, 2)


def ratio(value: float) -> str:
    """A ratio of times: 1.83 and a multiplication sign."""
    return f"{factor(value)}\N{MULTIPLICATION SIGN}"


def seconds(value: float) -> str:
    """A time in the unit that fits: `12.3 µs`."""
    if not math.isfinite(value) or value <= 0:
        return number(value)
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{number(value / scale)} {unit}"
    return f"{number(value / 1e-9)} ns"


def between(low: float, high: float) -> str:
    """Two times, the unit once where it is the same: `11.6 to 19.2 µs`."""
    first, last = seconds(low), seconds(high)
    (number_, _, unit), (_, _, other) = first.partition(" "), last.partition(" ")
    return f"{number_ if unit == other else first} to {last}"


def rate(flops: float) -> str:
    """Floating-point operations a second: `12.3 GFLOP/s`."""
    return f"{number(flops / 1e9)} GFLOP/s"


def batch(examples: float) -> str:
    """A batch size that nobody needs to the last example: two significant digits."""
    if examples > 1e7:
        return "more than anyone has"
    return number(examples, 2 if examples >= 10 else 1)


def size(count: float) -> str:
    """Bytes in MB or GB, powers of ten."""
    return f"{number(count / 1e9)} GB" if count >= 1e9 else f"{number(count / 1e6)} MB"


def v(value: float) -> str:
    """A number for a script to sort by."""
    return f"{value:.6g}"


def along(value: float, low: float, high: float) -> float:
    """Percent of the way from `low` to `high` on a logarithmic axis, at most its ends."""
    share = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)) if value > 0 else 0.0
    return round(100 * min(1.0, max(0.0, share)), 2)


def percent(share: float) -> str:
    """A share of one: `45 %`."""
    return f"{number(100 * share)} %" if abs(share) < 0.01 else f"{100 * share:.0f} %"


def metric(training: Training, value: float) -> str:
    """A value of the metric of `training` with its unit."""
    if not math.isfinite(value):
        return number(value)
    return f"{100 * value:.1f} %" if training.metric == "accuracy" else f"{value:.3f} nats"


def reached(training: Training) -> bool:
    """Whether the target is met; a value that is not finite meets none."""
    if not math.isfinite(training.value):
        return False
    if training.metric == "accuracy":
        return training.value >= training.target
    return training.value <= training.target


def count(many: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{many} {noun}" if many == 1 else f"{many} {noun}s"


def when(stamp: str) -> str:
    """A time of the records as people write it: `26 Nov 2026, 16:27 UTC`; what is no time stays as it is."""
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    if found.tzinfo is None:
        return stamp
    found = found.astimezone(UTC)
    return f"{found.day} {MONTHS[found.month - 1]} {found.year}, {found:%H:%M} UTC"


def rounded(text: str) -> str:
    """A text that a program printed, its numbers with at most six significant digits."""
    return LONG.sub(lambda found: f"{float(found[0]):.6g}", text).replace("0e+00", "0")


def listed(items: list[Any]) -> str:
    """`a, b and c`."""
    texts = [str(item) for item in items]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def reproduce(cell: Cell) -> str:
    """The command that runs the equivalence of one cell again."""
    chosen = {"model": cell.model, "implementation": cell.implementation, "backend": cell.backend, "mode": cell.mode}
    chosen |= {"device": cell.device} if cell.device != "cpu" else {}
    chosen |= {"size": cell.size} if cell.size != "small" else {}
    options = " ".join(f"--{option} {_quoted(value)}" for option, value in chosen.items())
    return f"{AGAIN}{options} -k {_quoted(cell.dtype)}"


def options(cell: Cell) -> str:
    """The options of `reproduce`; "" where they are OPTIONS, which the script of the page fills in."""
    own = reproduce(cell).removeprefix(AGAIN)
    usual = OPTIONS.format(cell.model, cell.implementation, cell.backend, cell.mode, cell.dtype)
    return "" if own == usual and len(details(cell)) == 2 else own


def _quoted(text: str) -> str:
    """`text` as one word of a POSIX shell."""
    plain = text.replace("_", "").isalnum() and text.isascii()
    return text if plain else "'" + text.replace("'", "'\\''") + "'"
