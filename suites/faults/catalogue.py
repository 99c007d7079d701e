"""The catalogue of faults: one-line diffs of programs and shim files, and where each has to be found.

A file of faults is TOML. One `[[fault]]` has an `id`, a `title`, the `layer` and `phase` where it has to be found, and
its places `[[fault.at]]`: `file` (braces mean several: `impls/{seed,mlp}/raw_tf.py`), `old` and `new` text, and where
they are not clear from the file `models`, `backends` and `mode`. `layer` is a layer's name, or its kind: the first
of that kind in the forward pass and in the state, the last one in the backward pass; or loss, optimizer, training,
prediction. `equivalent` says why a fault changes nothing on any input, `benign` why a change is only rounding. `base`
is a diff that makes the program, the oracle's as well, use the piece that the fault is in; where the weights of its
`layer` then are those of another `kind`, it says so.
"""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impls import IMPLEMENTATIONS, MODELS
from impls.layer_kinds import Layer, gru
from impls.worker import patching
from suites.records.run import Cell
from suites.runner.machine import ROOT

CATALOGUE = Path(__file__).parent
PHASES = ("data", "forward", "loss", "backward", "state", "optimizer")
ELSEWHERE = ("loss", "optimizer", "training", "prediction")  # what a fault can sit in besides a layer
FAULT_KEYS = ("id", "title", "layer", "phase", "at", "source", "equivalent", "benign", "base")
PLACE_KEYS = ("file", "old", "new", "models", "backends", "mode", "layer", "phase", "equivalent")
BASE_KEYS = ("file", "old", "new", "layer", "kind")
KINDS = {"at": (list, "list"), "models": (list, "list"), "backends": (list, "list"), "base": (dict, "table")}
Key = tuple[str, str, str]  # implementation, backend and mode: what one worker serves
# Eager, where an operation is a call into a library: nothing is compiled for a fault. Not JAX, which then compiles
# every operation by itself, for every shape: that takes longer, and gigabytes, than compiling a step as one.
EAGER = ("tensorflow",)


class FaultError(ValueError):
    """A catalogue that can't be used; the message names the file, the fault and the way out."""


@dataclass(frozen=True)
class Patch:
    """What `impls.worker.patching` takes: a one-line diff of `file`."""

    file: str
    old: str
    new: str


# What a base makes of a layer of the spec.
KINDS_OF_BASE: dict[str, Callable[[Layer], Layer]] = {
    "gru": lambda layer: gru(layer.name, *recurrent_sizes(layer)),
    "layernorm": lambda layer: layer._replace(kind="layernorm", state={}),
}


def recurrent_sizes(layer: Layer) -> tuple[int, int]:
    """Inputs and units of a recurrent layer."""
    return layer.weights["kernel"][0], layer.weights["recurrent_kernel"][0]


@dataclass(frozen=True)
class Base(Patch):
    """A diff of the oracle and of the faulty program, after which `layer` is of `kind` ("": as it was)."""

    layer: str = ""
    kind: str = ""

    def turned(self, layer: Layer) -> Layer:
        """A layer of the spec, as it is after this diff."""
        return KINDS_OF_BASE[self.kind](layer) if layer.name == self.layer else layer


@dataclass(frozen=True)
class Instance:
    """One fault planted in one file, for one model on one backend; `layer` is a name in the spec of that model."""

    fault: str
    title: str
    file: str
    old: str
    new: str
    model: str
    implementation: str
    backend: str
    mode: str
    layer: str
    phase: str
    source: str = ""
    equivalent: str = ""
    benign: str = ""
    base: Base | None = None  # in the oracle as well: turns the program into one that uses what the fault is in
    catalogue: str = ""  # the file of a person's own that it is from

    @property
    def patches(self) -> list[dict[str, str]]:
        """What a worker has to plant."""
        return [*planted(self.base), *planted(Patch(self.file, self.old, self.new))]

    @property
    def key(self) -> Key:
        return self.implementation, self.backend, self.mode

    @property
    def cell(self) -> Cell:
        return Cell(self.model, *self.key, "cpu", "float64")

    @property
    def command(self) -> str:
        """What runs it alone."""
        file = ["--file", self.catalogue] if self.catalogue else []
        where = ["--model", self.model, "--implementation", self.implementation, "--backend", self.backend]
        return shlex.join(["nox", "-s", "faults", "--", *file, "--only", self.fault, *where])

    @property
    def label(self) -> str:
        """`N1 cnn-raw_tf-tensorflow impls/cnn/raw_tf.py`."""
        return f"{self.fault} {self.model}-{self.implementation}-{self.backend} {self.file}"


def planted(patch: Patch | None) -> list[dict[str, str]]:
    """A diff as a worker takes it; none of nothing."""
    return [] if patch is None else [{"file": patch.file, "old": patch.old, "new": patch.new}]


def read(paths: Iterable[Path]) -> list[Instance]:
    """Every instance in these files, each diff checked against its file. Raises FaultError."""
    instances = [instance for path in paths for instance in _of_file(path)]
    repeated = [name for name, count in _count(instances).items() if count > 1]
    if repeated:
        raise FaultError(f"injected twice with the same diff: {repeated[0]}")
    return instances


def _count(instances: Iterable[Instance]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for instance in instances:
        key = f"{instance.label}, {instance.old!r} -> {instance.new!r}"
        counts[key] = counts.get(key, 0) + 1
    return counts


def _of_file(path: Path) -> list[Instance]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FaultError(f"{path}: can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FaultError(f"{path}: is no TOML: {error}") from error
    faults = table.get("fault")
    if set(table) != {"fault"} or not isinstance(faults, list) or not faults:
        raise FaultError(f"{path}: has to hold [[fault]] tables and nothing else")
    return [instance for fault in faults for instance in _of_fault(fault, path)]


def _of_fault(fault: Any, path: Path) -> Iterator[Instance]:
    where = f"{path}: fault {fault.get('id', '?')!r}" if isinstance(fault, dict) else f"{path}: [[fault]]"
    _check_keys(fault, FAULT_KEYS, ("id", "title", "layer", "phase", "at"), where)
    for place in fault["at"]:
        _check_keys(place, PLACE_KEYS, ("file", "old", "new"), where)
    if "base" in fault:
        _check_keys(fault["base"], BASE_KEYS, ("file", "old", "new"), where)
    for place in fault["at"]:
        for file in braces(place["file"]):
            yield from _of_place(fault, place, file, where, path)


def _check_keys(table: Any, known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    if not isinstance(table, Mapping):
        raise FaultError(f"{where}: a table is expected, not {table!r}")
    for key in table:
        if key not in known:
            raise FaultError(f"{where}: unknown key {key!r}: known are {', '.join(known)}")
    for key in needed:
        if key not in table:
            raise FaultError(f"{where}: the key {key!r} is missing")
    for key, value in table.items():
        kind, name = KINDS.get(key, (str, "text"))
        if not isinstance(value, kind):
            raise FaultError(f"{where}: {key!r} has to be a {name}, not {value!r}")


def braces(text: str) -> list[str]:
    """`a/{b,c}.py` as a shell expands it."""
    parts = [part.split(",") for part in re.split(r"[{}]", text)]
    return ["".join(choice) for choice in itertools.product(*parts)]


def _of_place(
    fault: Mapping[str, Any], place: Mapping[str, Any], file: str, where: str, path: Path
) -> Iterator[Instance]:
    models, implementation, backends = _runs(file, place, where)
    _check_diff(file, place["old"], place["new"], where)
    told, base = {**fault, **place}, _base(fault.get("base"), where)
    for model, backend in itertools.product(models, backends):
        if told["phase"] not in PHASES:
            raise FaultError(f"{where}: unknown phase {told['phase']!r}: known are {', '.join(PHASES)}")
        yield Instance(
            *(fault["id"], fault["title"], file, place["old"], place["new"], model, implementation, backend),
            mode=told.get("mode", mode_of(implementation, backend)),
            layer=layer_named(told["layer"], told["phase"], model, where),
            phase=told["phase"],
            **{key: told.get(key, "") for key in ("source", "equivalent", "benign")},
            base=base,
            catalogue="" if path.parent == CATALOGUE else str(path),
        )


def _base(place: Mapping[str, Any] | None, where: str) -> Base | None:
    if place is None:
        return None
    _check_diff(place["file"], place["old"], place["new"], where)
    if (kind := place.get("kind", "")) and kind not in KINDS_OF_BASE:
        raise FaultError(f"{where}: unknown kind {kind!r} in 'base': known are {', '.join(KINDS_OF_BASE)}")
    return Base(place["file"], place["old"], place["new"], place.get("layer", ""), kind)


def _runs(file: str, place: Mapping[str, Any], where: str) -> tuple[list[str], str, list[str]]:
    """Models, implementation and backends that run `file`."""
    parts = Path(file).with_suffix("").parts
    if parts[:2] == ("impls", "shim"):
        implementation, models = "shim", place.get("models", [])
        is_backend = parts[2:3] == ("backends",) and parts[3] in IMPLEMENTATIONS["shim"].backends
        backends = [parts[3]] if is_backend else place.get("backends", [])
    elif len(parts) == 3 and parts[0] == "impls" and parts[1] in MODELS and parts[2] in IMPLEMENTATIONS:
        implementation, models = parts[2], [parts[1]]
        backends = place.get("backends", list(IMPLEMENTATIONS[implementation].backends)[:1])
    else:
        raise FaultError(
            f"{where}: {file!r} is neither a program (impls/<model>/<implementation>.py) nor of impls/shim"
        )
    known = IMPLEMENTATIONS[implementation].backends
    for kind, names, all_names in (("models", models, MODELS), ("backends", backends, known)):
        if not names:
            raise FaultError(f"{where}: {kind!r} has to say what runs {file}: known are {', '.join(all_names)}")
        for name in names:
            if name not in all_names:
                raise FaultError(f"{where}: unknown name {name!r} in {kind!r}: known are {', '.join(all_names)}")
    if any(place.get("mode", mode_of(implementation, backend)) not in known[backend] for backend in backends):
        raise FaultError(f"{where}: {file} has no mode {place['mode']!r}")
    return models, implementation, backends


def mode_of(implementation: str, backend: str) -> str:
    """The mode that a fault runs in where it names none."""
    return "eager" if backend in EAGER else IMPLEMENTATIONS[implementation].backends[backend][0]


def _check_diff(file: str, old: str, new: str, where: str) -> None:
    path = ROOT / file
    if not path.is_file():
        raise FaultError(f"{where}: there is no file {file}")
    try:
        source = patching.patched(path.read_text(encoding="utf-8"), {"file": file, "old": old, "new": new})
        compile(source, file, "exec", dont_inherit=True)
    except patching.PatchError as error:
        raise FaultError(f"{where}: the diff does not apply: {error}") from error
    except SyntaxError as error:
        raise FaultError(f"{where}: {file} is no Python with {new!r} in it: {error}") from error
    if old == new:
        raise FaultError(f"{where}: old and new text are the same in {file}")


def layer_named(layer: str, phase: str, model: str, where: str) -> str:
    """The name of the layer that a row means: a name stays, a kind is the first or the last of that kind."""
    layers = MODELS[model].at("small")
    if layer in ELSEWHERE or layer in [known.name for known in layers]:
        return layer
    found = [known.name for known in layers if layer in (known.kind, known.activation)]
    if not found:
        known = ", ".join(dict.fromkeys([*ELSEWHERE, *(k.name for k in layers), *(k.kind for k in layers)]))
        raise FaultError(f"{where}: unknown layer {layer!r} of {model}: known are {known}")
    return found[-1 if phase == "backward" else 0]
