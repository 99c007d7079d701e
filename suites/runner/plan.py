"""Which cells a run covers: what the user selected, checked against the registry and the machine."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impls import BACKENDS, DEVICES, DTYPES, IMPLEMENTATIONS, MODELS
from impls.datasets import DATASETS
from suites.records.run import Cell
from suites.runner import requirements
from suites.runner.availability import gpu_here
from suites.runner.machine import ROOT

SIZES = tuple(dict.fromkeys(size for spec in MODELS.values() for size in spec.sizes))


def _modes_of_all() -> tuple[str, ...]:
    """Every mode of any implementation on any device, once."""
    found: dict[str, None] = {}
    for device, entry in itertools.product(DEVICES, IMPLEMENTATIONS.values()):
        for backend in entry.backends:
            found |= dict.fromkeys(entry.modes(backend, device))
    return tuple(found)


MODES = _modes_of_all()
OPTIONS = {
    "model": "models, comma-separated (default: all)",
    "implementation": "implementations, comma-separated (default: all)",
    "backend": "backends, comma-separated (default: all)",
    "mode": "modes, comma-separated (default: the first of each backend)",
    "device": "cpu or gpu (default: cpu)",
    "size": "small or large (default: small)",
    "require": "backends, browser or heritage, comma-separated: a test that lacks them fails and is not skipped",
}
ORACLE = ("shim", "numpy", "eager", "cpu", "float64")


class PlanError(ValueError):
    """The user asked for something that does not exist; the message lists what does."""


WRITTEN = tuple(name for name, entry in IMPLEMENTATIONS.items() if not entry.program)  # have programs of their own


@dataclass(frozen=True)
class Selection:
    """What the user asked for; an empty tuple means everything. `modes` empty: each backend's default mode.

    On a GPU that is also each mode that needs one: the best that the backend has there.
    """

    models: tuple[str, ...] = ()
    implementations: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    device: str = "cpu"
    size: str = "small"
    require: tuple[str, ...] = ()

    def cells(self, dtype: str) -> list[Cell]:
        """Every selected cell with `dtype`, those of one worker next to each other."""
        models = [model for model in MODELS if _chosen(model, self.models)]
        found = []
        for implementation, entry in IMPLEMENTATIONS.items():
            for backend in entry.backends:
                if self._asked(implementation, backend):
                    for mode, model in itertools.product(self._modes(implementation, backend), models):
                        found.append(Cell(model, implementation, backend, mode, self.device, dtype, self.size))
        return found

    def _asked(self, implementation: str, backend: str) -> bool:
        """Whether an implementation on a backend was asked for, and can run on the device."""
        if self.device != "cpu" and backend == "numpy":
            return False
        named = _chosen(implementation, self.implementations) and _chosen(backend, self.backends)
        return named and self._meant(implementation, backend)

    def _modes(self, implementation: str, backend: str) -> list[str]:
        """The modes that were asked for; else the default one, and those that only a GPU has."""
        entry = IMPLEMENTATIONS[implementation]
        known = entry.modes(backend, self.device)
        if self.modes:
            return [mode for mode in known if mode in self.modes]
        return [mode for mode in known if mode == known[0] or mode not in entry.backends[backend]]

    def _meant(self, implementation: str, backend: str) -> bool:
        """Whether what is extra was asked for: of an implementation that is, by its name, else by the backend's."""
        if IMPLEMENTATIONS[implementation].extra:
            return implementation in self.implementations
        return not BACKENDS[backend].extra or backend in self.backends


def _chosen(name: str, selected: Sequence[str]) -> bool:
    return not selected or name in selected


def names(option: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """The comma-separated names in `text`, each of which has to be in `known`."""
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in found:
        if name not in (known := tuple(known)):
            raise PlanError(f"unknown {option} {name!r}: known are {', '.join(known)}")
    return found


def selection(given: Mapping[str, str]) -> Selection:
    """The selection that the command line's words mean. Raises PlanError for a name that does not exist."""
    (device,) = names("device", given["device"], DEVICES) or ("cpu",)
    (size,) = names("size", given["size"], SIZES) or ("small",)
    chosen = Selection(
        models=names("model", given["model"], MODELS),
        implementations=names("implementation", given["implementation"], IMPLEMENTATIONS),
        backends=names("backend", given["backend"], BACKENDS),
        modes=names("mode", given["mode"], MODES),
        device=device,
        size=size,
        require=names("name in --require", given["require"], requirements.MISSING),
    )
    for name in chosen.require:
        if name in BACKENDS and not _chosen(name, chosen.backends):
            raise PlanError(f"--require {name}: --backend {given['backend']} leaves it out")
    if not chosen.cells(DTYPES[0]):
        raise PlanError(f"nothing to run: no implementation has this combination of {_words(given)}")
    return chosen


def _words(given: Mapping[str, str]) -> str:
    return ", ".join(f"--{option} {text}" for option, text in given.items() if text)


def check_device(device: str) -> None:
    """Raises PlanError where the user asks for a GPU and none is there."""
    if device == "gpu" and not gpu_here():
        raise PlanError("--device gpu: no GPU found on this machine; known devices here are cpu")


def check_folder(folder: Path) -> None:
    """Raises PlanError where results can't be written to `folder`, before anything is measured."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(f"--results {folder}: can't be created: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise PlanError(f"--results {folder}: is not writable; name another folder")


def threads(text: str) -> int:
    """The number of threads that the word means. Raises PlanError for one that no worker can have."""
    if text == "all":
        return os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise PlanError(f"--threads {text}: has to be a number from 1 on, or all")
    return int(text)


def chosen(options: Mapping[str, str], *, bench: bool) -> tuple[Selection, int]:
    """What pytest's options select, and the threads of a worker. Raises PlanError for the first that is wrong.

    The folder of results is tried under `bench` only: nothing else writes there.
    """
    selected = selection({name: options[name] for name in OPTIONS})
    check_device(selected.device)
    number = threads(options["threads"])
    if bench:
        check_folder(Path(options["results"]))
    return selected, number


def program_path(cell: Cell) -> Path:
    """The file of the program that the cell runs."""
    own = IMPLEMENTATIONS[cell.implementation].program or cell.implementation
    return ROOT / "impls" / cell.model / f"{own}.py"


def label(cell: Cell) -> str:
    """A short readable name: `rnn-shim-torch-float64`; what is not the default is added."""
    default = IMPLEMENTATIONS[cell.implementation].backends[cell.backend][0]
    parts = [cell.model, cell.implementation, cell.backend, cell.mode * (cell.mode != default)]
    parts += [cell.device * (cell.device != "cpu"), cell.dtype, cell.size * (cell.size != "small")]
    return "-".join(part for part in parts if part)


def oracle(cell: Cell) -> Cell:
    """The reference of `cell`: the shim on NumPy in float64."""
    return Cell(cell.model, *ORACLE, cell.size)


def batch_size(cell: Cell) -> int:
    return MODELS[cell.model].batch_size[cell.size]


def compared_batch(cell: Cell) -> int:
    """The examples of a batch where steps are compared with the reference."""
    return MODELS[cell.model].compared_batch or batch_size(cell)


def dataset(cell: Cell) -> str:
    """The name of the cell's data set in `impls.datasets`."""
    name = MODELS[cell.model].datasets[cell.size]
    assert name in DATASETS, f"{cell.model}: unknown data set {name!r}"
    return name
