"""Mode `auto`: measures each kind of call in every mode and loop form of the backend, and remembers the fastest.

A choice holds for one model, kind of call, shapes, dtype, framework and machine: in this process, and beyond it in
`triptych/choices.json` of the user's cache folder. Measuring leaves weights, slots and random stream as they were.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from impls import BACKENDS
from impls.shim.backends.contract import Array, Carry, Function, Shape
from impls.shim.trained import Model
from impls.shim.writing import replacing

ROUNDS, BLOCK_SECONDS, MOST_CALLS = 5, 0.02, 50
KNOWN: dict[str, dict[str, float]] = {}  # seconds a call by the name of a form, by fingerprint


def cache_file() -> Path:
    """Where choices outlive the process; without platformdirs, for the shim runs where NumPy and one engine are all."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych" / "choices.json"


def remembered() -> dict[str, dict[str, float]]:
    """The file's content; a file that is missing or damaged holds nothing."""
    try:
        content = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(key: str, seconds: dict[str, float]) -> None:
    """Keep a measurement; where the folder cannot be written, for this process only."""
    KNOWN[key] = seconds
    path = cache_file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            draft.write_text(json.dumps({**remembered(), key: seconds}, indent=1), encoding="utf-8")


def forms(model: Model) -> dict[str, tuple[str, bool | None]]:
    """What can be chosen: mode and unrolling by a name for both. Eager only where it is the backend's first mode."""
    B = model.B
    modes = [mode for mode in B.MODES if mode != "eager" or mode == B.MODES[0]]
    if model.device == "cpu":
        modes = [mode for mode in modes if mode not in B.GPU_MODES]
    if not (B.LOOPS and any(layer.recurrent_loop for layer in model.layers)):
        return {mode: (mode, None) for mode in modes}
    ways = {"unrolled": True, "loop": False}
    return {f"{mode}, {way}": (mode, unroll) for mode in modes for way, unroll in ways.items()}


class Chooser:
    """One kind of call of a model, in the fastest form for the shapes that it meets."""

    def __init__(self, model: Model, kind: str, names: Sequence[str]) -> None:
        self.model, self.kind, self.names = model, kind, tuple(names)
        self.trains = kind in ("step", "epoch")
        self.calls: dict[object, tuple[int, Function]] = {}

    def __call__(self, carry: Carry, *rest: Array) -> Array:
        columns = rest[1] if self.trains else rest[0]
        examples = tuple([tuple(column.shape[1:]) for column in columns])
        count = int(columns[0].shape[0])
        most, call = self.calls.get(examples, (-1, None))
        if call is None or count > most:  # a smaller batch, as the last one is, does not ask again
            call = self.choose(rest, (count, examples, rest[2:]))
            self.calls[examples] = count, call
        return call(self.model.carry if self.trains else carry, *rest)

    def fingerprint(self, shapes: Shape) -> str:
        """What a choice depends on, hashed."""
        from importlib import metadata  # a fifth of the shim's own import time, and only `auto` needs it

        model = self.model
        layers = [(type(step.layer).__name__, step.sources, str(step.output_shape)) for step in model.plan]
        engine = [metadata.version(name) for name in BACKENDS[model.B.NAME].distributions]
        facts = (
            model.B.NAME, engine, model.device, model.dtype, model.compute, layers, repr(model.optimizer),
            self.kind, self.names, shapes, platform.machine(), platform.processor(), platform.node(), os.cpu_count(),
        )  # fmt: skip
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]

    def choose(self, rest: tuple[Array, ...], shapes: Shape) -> Function:
        """The call in its fastest form, measured unless it is known."""
        key, options = self.fingerprint(shapes), forms(self.model)
        seconds = KNOWN.get(key) or remembered().get(key, {})
        calls = {}
        if not options.keys() & seconds.keys():
            calls = {name: self.formed(*option) for name, option in options.items()}
            seconds = self.measure(calls, rest) if len(calls) > 1 else dict.fromkeys(calls, 0.0)
            remember(key, seconds)
        best = min(options.keys() & seconds.keys(), key=lambda name: seconds[name])
        self.model.choices[self.kind] = best
        return calls.get(best) or self.formed(*options[best])

    def formed(self, mode: str, unroll: bool | None) -> Function:
        """The call in one form."""
        model = self.model
        before = model.mode, model.unroll
        model.mode, model.unroll = mode, unroll
        try:
            return model.form(self.kind, self.names)
        finally:
            model.mode, model.unroll = before

    def measure(self, calls: dict[str, Function], rest: tuple[Array, ...]) -> dict[str, float]:
        """Seconds a call of each form: the least of interleaved rounds, after two calls that trace and warm up."""
        model = self.model
        weights, slots = model.get_weights(), model.get_slots()
        for name, call in list(calls.items()):
            try:
                self.block(call, rest, 1)
            except Exception as error:  # an engine's compiler may fail where its other modes do not
                if len(calls) == 1:
                    raise
                del calls[name]
                said = str(error).strip().splitlines() or [""]
                warnings.warn(f"auto leaves {name!r} out: {type(error).__name__}: {said[0]}", stacklevel=2)
        least = {name: self.block(call, rest, 1) for name, call in calls.items()}
        counts = {name: max(1, min(MOST_CALLS, round(BLOCK_SECONDS / each))) for name, each in least.items()}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                least[name] = min(least[name], self.block(call, rest, counts[name]))
        model.set_weights(weights)
        model.set_slots(slots, model.t)
        return least

    def block(self, call: Function, rest: tuple[Array, ...], count: int) -> float:
        """Seconds a call, `count` calls and the wait for the last one taken together."""
        model = self.model
        start = time.perf_counter()
        for _ in range(count):
            if self.trains:
                model.carry, value = call(model.carry, *rest)
            else:
                value = call(model.parameters(), *rest)
        model.B.numpy(value[0] if isinstance(value, (list, tuple)) else value)
        return (time.perf_counter() - start) / count
