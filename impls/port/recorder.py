"""One pass of a model as a graph of operations: what each one reads, gives and is told, and where in the user's file.

A value is known by the numbers in it, not by its layout: `prints` are sums that do not change when the axes of a tensor
do. So two passes of two frameworks can be laid on each other, and the values of a large model need not be kept.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from typing import TYPE_CHECKING

import numpy as np

from impls.port.low_precision import widened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import FrameType
    from typing import Any

    from impls.port.annotations import Arrays, Described, Key, Native, Watchable
    from impls.port.low_precision import Rounding
    from impls.port_messages import Call, Config, Dropped, Operand, Operation, Value

PRINTS = 8
KEEP = 64 * 2**20  # bytes of a pass that are kept; beyond it only prints are, until a value is asked for
SIZE = 4096  # of a sketch
LITERAL = 8  # numbers in a constant that is written out


def prints(array: np.ndarray) -> np.ndarray:
    """PRINTS sums over the numbers in `array` that do not depend on their order: float64, all near 1 but the first.

    The first is the root of the mean square; the others are means of functions of the numbers in units of it.
    """
    flat = as_real(np.ravel(array)).ravel()
    finite = np.isfinite(flat)
    missing = flat.size - int(finite.sum())
    flat = flat[finite] if missing else flat
    if not flat.size:
        return np.array([0.0] * (PRINTS - 1) + [float(missing)])
    scale = float(np.sqrt(np.mean(flat * flat)))
    z = flat / scale if scale else flat
    sums = [z.mean(), np.abs(z).mean(), (z * np.abs(z)).mean()]
    waves = [np.cos(1.3 * z).mean(), np.sin(1.7 * z).mean(), np.cos(2.9 * z).mean()]
    return np.array([scale, *sums, *waves, float(missing)])


def as_real(array: np.ndarray) -> np.ndarray:
    """Numbers as float64; of complex ones the real and the imaginary parts, along a last axis of their own."""
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], -1).astype(np.float64, copy=False)
    return array.astype(np.float64, copy=False)


def sketch(array: np.ndarray, size: int = SIZE) -> np.ndarray:
    """The array itself, flat, or a random projection of it to `size` numbers: linear, and norms are kept within 2 %.

    Charikar, Chen and Farach-Colton (2002), with the same signs for all arrays of one size.
    """
    flat = np.ravel(array).astype(np.float64, copy=False)
    if flat.size <= 4 * size:
        return flat
    rng = np.random.Generator(np.random.PCG64(flat.size))
    found = np.zeros(size)
    for start in range(0, flat.size, size * 256):
        part = flat[start : start + size * 256]
        signs = rng.integers(0, 2, part.size, dtype=np.int8) * 2.0 - 1.0
        part = part * signs
        whole = part.size // size * size
        found += part[:whole].reshape(-1, size).sum(0)
        found[: part.size - whole] += part[whole:]
    return found


class Kept:
    """Stands in for a weak reference to what can't have one."""

    def __init__(self, value: Native) -> None:
        self.value = value

    def __call__(self) -> Native:
        return self.value


class Trace:
    """The record of one pass. Native tensors are known by identity (and version), as long as they live."""

    def __init__(
        self,
        to_numpy: Callable[[Native], np.ndarray],
        files: Collection[str] = (),
        keep: int | None = KEEP,
        version: Callable[[Native], int] | None = None,
    ) -> None:
        self.to_numpy = to_numpy
        self.files = files
        self.keep = keep
        self.version = version or (lambda tensor: 0)
        self.values: list[Value] = []
        self.ops: list[Operation] = []
        self.calls: list[Call] = []
        self.dropouts: list[Dropped] = []
        self.arrays: dict[int, np.ndarray] = {}
        self.overrides: dict[int, np.ndarray] = {}
        self.rounding: Rounding | None = None  # errors for a pass that is to have some
        self.sketched = 0  # numbers of a sketch that stands for each value; 0: values are kept whole
        self.limit: float = np.inf  # what is larger (a mask, in a type that has no room for it) is as this in a sketch
        self.known: dict[int, tuple[Callable[[], Native], int, Operand]] = {}
        self.weights: dict[Key, list[str]] = {}
        self.scope: list[str] = []
        self.quiet = 0
        self.natives: dict[int, Native] | None = None  # the tensors of values, where a gradient in them is asked for
        self.follow: Callable[..., dict[int, Native]] | None = None  # differentiates what JAX traced
        self.slopes: dict[int, Native] = {}  # what JAX finds then, by the ids of values

    def value(self, tensor: Native) -> int:
        """A new value with the numbers of `tensor`, or with those that stand in for them; its id."""
        at = len(self.values)
        self.values.append({"shape": [int(n) for n in tensor.shape], "dtype": str(tensor.dtype), "print": None})
        array = self.overrides[at] if at in self.overrides else self.numbers(tensor)
        if array is not None and self.rounding is not None:
            array = self.with_errors(self.rounding, at, array)
        if array is not None:
            self.values[at]["print"] = prints(array).tolist()
            self.keep_numbers(at, array)
        self.remember(tensor, {"value": at})
        if self.natives is not None:
            self.natives[at] = tensor
        return at

    def with_errors(self, rounding: Rounding, at: int, array: np.ndarray) -> np.ndarray:
        """The numbers of a value in a pass with errors, which take its place."""
        found = rounding.disturbed(at, array)
        if found is not array:
            self.overrides[at] = found
        return found

    def keep_numbers(self, at: int, array: np.ndarray) -> None:
        if self.sketched:
            if array.dtype.kind == "f":
                whole = np.nan_to_num(array, nan=0.0, posinf=self.limit, neginf=-self.limit)
                self.arrays[at] = sketch(np.clip(whole, -self.limit, self.limit), self.sketched)
        elif self.keep is not None and array.nbytes <= self.keep:
            self.keep -= array.nbytes
            self.arrays[at] = np.array(array)

    def numbers(self, tensor: Native) -> np.ndarray | None:
        """The numbers of a tensor; None for what has none (a tensor of strings, a batched one of vmap)."""
        try:
            array = widened(np.asarray(self.to_numpy(tensor)))
        except Exception:  # each engine has its own for a tensor without numbers
            return None
        return array if array.dtype.kind in "biufc" else None

    def remember(self, tensor: Native, operand: Operand) -> None:
        """From now on `tensor` is this operand."""
        key = id(tensor)
        life: Callable[[], Native]
        try:
            life = weakref.ref(tensor, functools.partial(self.forget, key))
        except TypeError:
            life = Kept(tensor)
        self.known[key] = (life, self.version(tensor), operand)

    def forget(self, key: int, dead: Native) -> None:
        """A tensor is gone: its identity may be another's from now on."""
        self.known.pop(key, None)

    def lookup(self, tensor: Native) -> Operand | None:
        """What a tensor is known as; None for one that is not known, or was written over since."""
        entry = self.known.get(id(tensor))
        if entry is None or entry[0]() is not tensor or entry[1] != self.version(tensor):
            return None
        return entry[2]

    def find(self, tensor: Native) -> int | None:
        """The id of a value that was recorded; None for anything else."""
        return (self.lookup(tensor) or {}).get("value")

    def operand(self, tensor: Native) -> Operand:
        """`{"weights": names}`, `{"value": id}` or `{"literal": numbers}` of a tensor.

        One that nobody made here is a constant: a literal where it is small.
        """
        names = self.weights.get(id(tensor))
        if names is not None:
            return {"weights": names}
        known = self.lookup(tensor)
        if known is not None:
            return known
        array = self.numbers(tensor)
        if array is not None and array.size <= LITERAL and array.dtype.kind != "c":
            return {"literal": array.tolist()}
        return {"value": self.value(tensor)}

    def op(
        self, raw: str, name: str, inputs: list[Operand], attributes: Config, outputs: Sequence[Native]
    ) -> list[int]:
        """One operation; `inputs` are operands, `outputs` native tensors. The ids of its outputs."""
        ids = [self.value(tensor) for tensor in outputs]
        self.ops.append(
            {
                "at": len(self.ops),
                "name": name,
                "raw": raw,
                "scope": list(self.scope),
                "inputs": inputs,
                "attributes": attributes,
                "outputs": ids,
                "line": self.line(),
            }
        )
        return ids

    def line(self) -> str:
        """`b.py:17`: the line of the user's own file that is running."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename in self.files:
                return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            frame = frame.f_back
        return ""

    def enter(self, path: str) -> int:
        self.scope.append(path)
        return len(self.ops)

    def leave(
        self,
        path: str,
        first: int,
        kind: str,
        config: Config,
        weights: Sequence[str],
        inputs: Sequence[Operand],
        outputs: Sequence[Native],
        class_name: str = "",
    ) -> None:
        """One call of a layer is over: `first` is what `enter` gave, `inputs` are operands, `outputs` tensors."""
        self.scope.pop()
        found = [self.find(tensor) for tensor in outputs]
        ids = [at for at in found if at is not None]
        given = [operand for operand in inputs if "value" in operand]
        if len(ids) < len(found):  # no operation of its was seen: it is one itself
            self.scope.append(path)
            owned: list[Operand] = [{"weights": [name]} for name in weights]
            ids = self.op(class_name, kind, given + owned, config, outputs)
            self.scope.pop()
        self.calls.append(
            {
                "name": path,
                "kind": kind,
                "class_name": class_name,
                "config": config,
                "weights": list(weights),
                "inputs": [operand["value"] for operand in given],
                "outputs": ids,
                "first": first,
                "last": len(self.ops) - 1,
            }
        )

    def dropout(
        self, rate: float, kind: str, tensor: Native, active: bool, layer: str = "", value: int | None = None
    ) -> None:
        at = value if tensor is None else self.operand(tensor).get("value")
        layer = layer or (self.scope[-1] if self.scope else "")
        self.dropouts.append(
            {
                "layer": layer,
                "rate": float(rate),
                "kind": kind,
                "value": at,
                "active": bool(active),
                "line": self.line(),
            }
        )

    def calls_from_scopes(self, describe: Callable[[str], Described | None]) -> None:
        """Calls for a trace whose operations know their scopes only: one for each run of operations in one layer.

        `describe(path)` gives (kind, class name, configuration, weights) of a layer, None for what is no layer.
        """
        readers = self.readers()
        for path, first, last in runs(self.ops):
            known = describe(path)
            if known is None:
                continue
            kind, class_name, config, weights = known
            inside = self.ops[first : last + 1]
            made = [at for op in inside for at in op["outputs"]]
            read = [operand["value"] for op in inside for operand in op["inputs"] if "value" in operand]
            given = [at for at in read if at not in made]
            outputs = [at for at in made if any(not first <= reader <= last for reader in readers.get(at, [-1]))]
            self.calls.append(
                {
                    "name": path,
                    "kind": kind,
                    "class_name": class_name,
                    "config": config,
                    "weights": weights,
                    "inputs": list(dict.fromkeys(given)),
                    "outputs": outputs,
                    "first": first,
                    "last": last,
                }
            )

    def readers(self) -> dict[int, list[int]]:
        """The operations that read each value."""
        found: dict[int, list[int]] = {}
        for op in self.ops:
            for operand in op["inputs"]:
                if "value" in operand:
                    found.setdefault(operand["value"], []).append(op["at"])
        return found

    def message(self) -> tuple[dict[str, Any], Arrays]:
        """`(JSON body, arrays by value id)`."""
        body = {"values": self.values, "ops": self.ops, "calls": self.calls, "dropouts": self.dropouts}
        return body, {str(at): array for at, array in self.arrays.items()}


def runs(ops: Sequence[Operation]) -> list[tuple[str, int, int]]:
    """`(path, first, last)` of every run of operations that share a scope, the innermost ones first."""
    found: list[tuple[str, int, int]] = []
    open_runs: list[tuple[str, int]] = []
    for at, scope in [*((op["at"], op["scope"]) for op in ops), (len(ops), [])]:
        kept = 0
        while kept < min(len(open_runs), len(scope)) and open_runs[kept][0] == scope[kept]:
            kept += 1
        while len(open_runs) > kept:
            path, first = open_runs.pop()
            found.append((path, first, at - 1))
        open_runs += [(path, at) for path in scope[kept:]]
    return found


class Watched:
    """What `torch_recorder.Functions` asks of a port, where layers take care of noise and chance themselves."""

    def __init__(self, port: Watchable) -> None:
        self.port = port
        self.draws = None

    @property
    def trace(self) -> Trace | None:
        trace = self.port.trace
        return None if trace is None or trace.quiet else trace

    def disturb(self, name: str, given: Sequence[Native], output: Native) -> Native:
        return output

    def overridden(self, ids: Sequence[int], outputs: Sequence[Native], output: Native) -> Native:
        return self.port.overridden(ids, outputs, output)

    def dropped(self, kind: str, rate: float, tensor: Native, active: bool) -> None:
        self.port.dropped(kind, rate, tensor, active)

    def drop(self, kind: str, tensor: Native, p: float = 0.5, training: bool = True, inplace: bool = False) -> Native:
        if training:
            self.port.dropped(kind, p, tensor, True)
        return tensor
