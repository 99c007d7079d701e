"""What a worker serves, where its code comes from, and how long and how large it may be."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """Where a worker's code comes from: any interpreter, any source root, with a planted fault or without.

    `environment` is added to this process's; `patch` is `{"file", "old", "new"}`, see `impls.worker.patching`.
    """

    python: str = sys.executable
    root: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    patch: Mapping[str, str] | None = None

    def __hash__(self) -> int:
        return hash(
            (
                self.python,
                str(self.root),
                json.dumps([*map(dict, (self.environment, self.patch or {}))], sort_keys=True),
            )
        )

    def variables(self) -> dict[str, str]:
        """The environment of a worker."""
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep) if self.python == sys.executable else []
        # A module that another root lacks must not be taken from this one.
        others = [folder for folder in inherited if folder and Path(folder) != ROOT]
        path = os.pathsep.join([str(self.root), *others])
        return {**os.environ, "PYTHONPATH": path, **self.environment}


HERE = Source()


class Role(NamedTuple):
    """What one worker serves, and where its code comes from; `replica` tells workers apart that serve the same."""

    implementation: str
    backend: str
    mode: str
    device: str = "cpu"
    dtype: str = "float64"
    threads: int = 1
    source: Source = HERE
    replica: str = ""

    @property
    def id(self) -> str:
        """`shim-torch-eager-cpu-float64`."""
        return "-".join(self[:5])

    def command(self) -> list[str]:
        """The command line of the worker."""
        options = [f"--{name}={value}" for name, value in zip(self._fields[:6], self, strict=False)]
        if self.source.patch is not None:
            options.append("--patch=" + json.dumps(dict(self.source.patch)))
        return [self.source.python, "-m", "impls.worker", *options]


@dataclass(frozen=True)
class Limits:
    """Seconds for a start and for a call, resident bytes (None: no limit), seconds of processor time for a call."""

    start: float = 180.0
    call: float = 300.0
    memory: int | None = None
    processor: float = math.inf
