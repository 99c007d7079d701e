"""The shim behind a pipe: scripts of calls on a model, run by one process a backend, and by the oracle in NumPy."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from typing import Any

import numpy as np
import pytest

from impls import BACKENDS, piped
from suites.references.training_loop import Oracle

Arrays = dict[str, np.ndarray]
QUIET = {**piped.QUIET, "OMP_NUM_THREADS": "1"}
FLAGS = {"jax": piped.UNOPTIMISED}
BOUND = 1e-11  # relative to the norm: what two float64 computations of a short training agree to, with room


class ScriptError(RuntimeError):
    """A script ended with an error; the message is the shim's."""


class Shim(piped.Piped):
    """One backend in a process of its own."""

    def __init__(self, backend: str) -> None:
        if importlib.util.find_spec(BACKENDS[backend].module) is None:
            pytest.skip(f"{BACKENDS[backend].module} is not installed")
        self.backend, self.mode = backend, ""  # "": the backend's first one
        command = [sys.executable, *measured(backend), "-m", "impls.shim.testing.script", backend]
        super().__init__(command, {**QUIET, **FLAGS.get(backend, {})})

    def run(self, model: dict[str, Any], calls: list[Any], arrays: Arrays | None = None) -> tuple[list[Any], Arrays]:
        """What each call tells, and the arrays `<call>/<name>`. Raises ScriptError with the shim's message."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        self.send({"model": model, "calls": calls, "test": test}, arrays)
        body, found = self.receive()
        if not body["ok"]:
            raise ScriptError(body["error"])
        return body["told"], found


def measured(backend: str) -> list[str]:
    """What runs a module with its lines counted, into a folder that TRIPTYCH_COVERAGE names; nothing without that."""
    folder = os.environ.get("TRIPTYCH_COVERAGE")
    if not folder:
        return []
    return ["-m", "coverage", "run", f"--rcfile={folder}/settings.ini", f"--data-file={folder}/part.{backend}"]


class Shims(dict[str, Shim]):
    """A process for each backend, started when it is first asked for."""

    def __missing__(self, backend: str) -> Shim:
        self[backend] = Shim(backend)
        return self[backend]


def value(given: Any, arrays: Arrays) -> Any:
    """An argument of a call, as the oracle takes it."""
    if isinstance(given, dict) and set(given) == {"array"}:
        return arrays[given["array"]]
    if isinstance(given, dict) and set(given) == {"numbers"}:
        return given["numbers"]
    return [value(each, arrays) for each in given] if isinstance(given, list) else given


KNOWN: dict[str, Arrays] = {}  # what the oracle gave: each backend after the first asks the same


def expected_once(model: dict[str, Any], calls: list[Any], arrays: Arrays, start: Arrays, stream: Any) -> Arrays:
    """`expected`, computed at its first time."""
    network = {**model, "settings": {**model["settings"], "mode": None}}
    asked = hashlib.sha256(json.dumps([network, calls, stream], sort_keys=True).encode())
    for name, array in sorted({**arrays, **{f"start/{name}": each for name, each in start.items()}}.items()):
        asked.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    key = asked.hexdigest()
    if key not in KNOWN:
        KNOWN[key] = expected(model, calls, arrays, start, stream)
    return KNOWN[key]


def expected(model: dict[str, Any], calls: list[Any], arrays: Arrays, start: Arrays, stream: Any) -> Arrays:
    """What the oracle gives for a script that begins with the weights `start`."""
    oracle = Oracle(model, start, stream)
    found = {}
    for at, (name, arguments) in enumerate(calls):
        given = {
            key: each if key in ("optimizer", "callbacks") else value(each, arrays) for key, each in arguments.items()
        }
        found.update({f"{at}/{key}": np.asarray(each) for key, each in oracle.do(name, given).items()})
    return found


def weights_for(shim: Shim, model: dict[str, Any], seed: int) -> tuple[Arrays, Any]:
    """Drawn weights without zeros, variances above zero, in float64 with all their digits; and the random stream."""
    ((facts,), _) = shim.run(model, [["facts", {}]])
    rng = np.random.default_rng(seed)
    return {name: drawn(rng, name, tuple(shape)) for name, shape in facts["shapes"].items()}, facts["stream"]


def drawn(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 1.5, shape) if "variance" in name else rng.normal(0.05, 0.6, shape)


def compare(found: Arrays, truth: Arrays, bound: float = BOUND) -> None:
    """Every array of the oracle's is the shim's, normwise; what the shim tells besides is not compared."""
    assert truth.keys() <= found.keys(), f"missing: {sorted(truth.keys() - found.keys())}"
    for name, right in truth.items():
        ours = np.asarray(found[name])
        assert ours.shape == right.shape, f"{name} has shape {ours.shape}, expected {right.shape}"
        error, size = float(np.linalg.norm(np.ravel(ours - right))), float(np.linalg.norm(np.ravel(right)))
        assert error <= bound * max(size, 1e-2), f"{name}: off by {error:.2e} of {size:.2e}{example(ours, right)}"


def example(ours: np.ndarray, right: np.ndarray) -> str:
    """The element that is farthest off."""
    if not right.size:
        return ""
    at = np.unravel_index(int(np.argmax(np.abs(ours - right))), right.shape)
    place = [int(each) for each in at]
    return f", at {place} {ours[at]!r} for {right[at]!r}"


def agree(
    shim: Shim, model: dict[str, Any], calls: list[Any], arrays: Arrays | None = None, seed: int = 0,
    weights: Arrays | None = None, bound: float = BOUND,
) -> tuple[list[Any], Arrays]:  # fmt: skip
    """Run a script on the shim and on the oracle from the same drawn weights, and compare all that both give."""
    settings = {"dtype": "float64", "mode": shim.mode or None, **model.get("settings", {})}
    model, arrays = {**model, "settings": settings}, arrays or {}
    start, stream = weights_for(shim, model, seed)
    start.update(weights or {})
    sent = {**arrays, **{f"start/{name}": each for name, each in start.items()}}
    told, found = shim.run(model, [["set_weights", {"prefix": "start/"}], *calls], sent)
    found = {f"{int(at) - 1}/{name}": each for (at, _, name), each in ((k.partition("/"), v) for k, v in found.items())}
    compare(found, expected_once(model, calls, arrays, start, stream), bound)
    return told[1:], found
