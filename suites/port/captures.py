"""A side that ran elsewhere: its answers come out of a capture instead of a worker.

`impls.port.capture` writes the file. It holds numbers and JSON only; what is truncated, of another program, of a later
version or too large is refused before anything in it is used.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from impls.port_messages import PassFacts
from suites.port.errors import NotCaptured, PortError
from suites.port.recording import Pass, Weight
from suites.runner.workers import Arrays

FORMAT, VERSION = "triptych capture", 1
LARGEST = 16 * 2**30  # bytes when it is unpacked
LONGEST_HEADER = 2**30
END = ".npz"
BAD = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError)


class Answers(BaseModel):
    """What the worker said, by operation."""

    model_config = ConfigDict(extra="forbid")

    file: dict[str, Any]
    record: dict[str, dict[str, Any]]
    inject: list[tuple[str, dict[str, Any]]]
    repeats: bool
    measure: dict[str, Any]


class Header(BaseModel):
    """Who made a capture, and the answers."""

    model_config = ConfigDict(extra="forbid")

    format: str
    version: int
    model: str
    api: str
    backend: str
    inputs: list[str]
    python: str
    versions: dict[str, str]
    answers: Answers


def is_capture(path: str) -> bool:
    return path.endswith(END)


class Captured:
    """Answers as a worker does, from a file. Raises PortError for a file that can't be used."""

    is_capture = True

    def __init__(self, path: str):
        self.path = path
        check_size(path)
        try:
            with zipfile.ZipFile(path) as file:
                broken = file.testzip()
            self.file = np.load(path, allow_pickle=False)
        except BAD as error:
            raise PortError(f"{path}: is truncated, or no capture at all: {one_line(error)}") from error
        if broken is not None:
            raise PortError(f"{path}: is damaged: {broken} in it is not what was written")
        self.header = self.read_header()
        self.answers = self.header.answers
        self.check_answers()

    def read_header(self) -> Header:
        if "header" not in self.file.files:
            raise PortError(f"{self.path}: is an .npz file, but no capture: `triptych capture` writes one")
        try:
            found = json.loads(bytes(self.array("header")).decode("utf-8"))
        except ValueError as error:
            raise PortError(f"{self.path}: its header can't be read: {one_line(error)}") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise PortError(f"{self.path}: was written by another program: its header does not say {FORMAT!r}")
        version = found.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise PortError(f"{self.path}: is of version {version} of the format, this Triptych reads up to {VERSION}")
        try:
            return Header.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise PortError(f"{self.path}: its header is wrong at {place}: {first['msg']}") from error

    def check_answers(self) -> None:
        """Whether all that is going to be asked can be answered."""
        try:
            for weight in map(Weight.of, self.answers.file["weights"]):
                if self.array(f"start/{weight.name}").shape != weight.shape:
                    raise PortError(f"{self.path}: {weight.name} does not have the shape that the header gives it")
            for mode, body in self.answers.record.items():
                Pass.of(cast(PassFacts, body), self.group(f"record/{mode}/"))
            data = [name for name in self.file.files if name.startswith("data/")]
            missing = [name for name in self.header.inputs if f"data/input/{name}" not in data]
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise PortError(f"{self.path}: is incomplete: {type(error).__name__}: {one_line(error)}") from error
        if missing or "inference" not in self.answers.record:
            raise PortError(f"{self.path}: is incomplete: it lacks {', '.join(missing) or 'the pass in inference'}")

    def array(self, name: str) -> np.ndarray:
        """One array. Raises PortError."""
        try:
            found = np.asarray(self.file[name])
        except BAD as error:
            raise PortError(f"{self.path}: {name} in it can't be read: {one_line(error)}") from error
        if found.dtype.kind not in "biufc":
            raise PortError(f"{self.path}: {name} in it has dtype {found.dtype}: numbers are expected")
        return found

    def group(self, prefix: str) -> Arrays:
        """The arrays whose names start so, by what comes behind."""
        return {name[len(prefix) :]: self.array(name) for name in self.file.files if name.startswith(prefix)}

    def data(self) -> Arrays:
        """The inputs and labels it ran on, as a data file has them."""
        found = {name.removeprefix("input/"): array for name, array in self.group("data/").items()}
        if "labels" in found:
            found["y"] = found.pop("labels")
        return found

    # What a worker can be asked.

    def call(
        self, op: str, arrays: Arrays | None = None, timeout: float | None = None, **request: Any
    ) -> tuple[dict[str, Any], Arrays]:
        """The answer that the worker gave to this operation. Raises NotCaptured where it was not asked this."""
        given = arrays or {}
        operations = {
            "file": self.opened,
            "read": self.read,
            "take": self.taken,
            "outputs": self.outputs,
            "record": self.recorded,
            "measure": self.measured,
        }
        if op not in operations:
            raise NotCaptured(f"{self.path}: a capture can't be asked for {op!r}: nothing runs behind it")
        return operations[op](given, request)

    def opened(self, given: Arrays, request: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        stored = self.group("data/")
        for name, array in given.items():
            if name not in stored or not np.array_equal(stored[name], array):
                raise PortError(f"{self.path}: ran on other data: {name.rpartition('/')[2]} differs or is not in it")
        return dict(self.answers.file), self.group("start/")

    def read(self, given: Arrays, request: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        """The weights that it ran with, by name."""
        return {}, {name: self.array(f"start/{name}") for name in request["names"]}

    def taken(self, given: Arrays, request: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        """Nothing is to be done where these are the weights that it ran with."""
        for name, array in given.items():
            if not np.array_equal(self.array(f"start/{name}"), array):
                raise NotCaptured(
                    f"{self.path}: did not run with these weights ({name} differs): "
                    f"capture it again with --weights-from the other side's capture"
                )
        return {}, {}

    def recorded(self, given: Arrays, request: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        if any(name.startswith("override/") for name in given):
            raise NotCaptured(f"{self.path}: is a capture, it can't be run again with other numbers inside")
        changed = [name.removeprefix("change/") for name in given if name.startswith("change/")]
        if changed:
            return self.injected(changed[0])
        mode = request["mode"]
        if mode not in self.answers.record:
            raise NotCaptured(f"{self.path}: holds no pass in {mode}")
        return dict(self.answers.record[mode]), self.group(f"record/{mode}/")

    def outputs(self, given: Arrays, request: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        return {}, self.group("record/inference/output/")

    def injected(self, weight: str) -> tuple[dict[str, Any], Arrays]:
        for at, (name, body) in enumerate(self.answers.inject):
            if name == weight:
                return dict(body), self.group(f"inject/{at}/")
        raise NotCaptured(f"{self.path}: holds no pass with a bug in {weight}")

    def measured(self, given: Arrays, request: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        """Errors scale with the unit roundoff: the spread is that of the coarser side."""
        scale = (request["unit"] / self.answers.file["unit"]) ** 2
        found = self.group("measure/")
        spread = {name: array * scale for name, array in found.items() if name.startswith("spread/")}
        return dict(self.answers.measure), {**found, **spread}


def check_size(path: str) -> None:
    """Refuse what would not fit, before it is unpacked. Raises PortError."""
    if not Path(path).is_file():
        raise PortError(f"{path}: can't be read: No such file or directory")
    try:
        sizes = dict(sizes_in(path))
    except BAD as error:
        raise PortError(f"{path}: is truncated, or no capture at all: {one_line(error)}") from error
    size = sum(sizes.values())
    if size > LARGEST or sizes.get("header.npy", 0) > LONGEST_HEADER:
        raise PortError(f"{path}: would be {size / 2**30:.1f} GiB unpacked, {LARGEST / 2**30:.0f} GiB are allowed")


def sizes_in(path: str) -> Iterator[tuple[str, int]]:
    with zipfile.ZipFile(path) as file:
        for entry in file.infolist():
            yield entry.filename, entry.file_size


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
