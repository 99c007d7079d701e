"""Keras, torch and optax behind pipes: a process for each, started when it is first asked for."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest

from impls.piped import Piped
from suites.references.shim import Arrays, measured


class Library(Piped):
    """One library in a process of its own."""

    def __init__(self, name: str) -> None:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
        counted = measured(name) if name == "keras" else []  # the one that runs the shim too
        command = [sys.executable, *counted, "-m", "impls.shim.testing.counterparts", name]
        super().__init__(
            command, {"OMP_NUM_THREADS": "1"}
        )  # threads that wait for each other cost more than they compute

    def ask(self, kind: str, name: str, options: dict[str, Any], arrays: Arrays) -> Arrays:
        """The arrays that a counterpart gives."""
        return self._asked(kind, name, options, arrays)[1]

    def run(self, name: str, backend: str) -> tuple[Any, Any]:
        """What one of the programs gives with Keras, and with the shim."""
        body, _ = self._asked("program", name, {"backend": backend}, {})
        return body["told"]["keras"], body["told"]["shim"]

    def programs(self) -> list[str]:
        """The names of all programs."""
        return list(self._asked("program", "", {}, {})[0]["told"])

    def _asked(self, kind: str, name: str, options: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        self.send({"kind": kind, "name": name, "options": options}, arrays)
        return self.answer()


class Libraries(dict[str, Library]):
    """A process for each library."""

    def __missing__(self, name: str) -> Library:
        self[name] = Library(name)
        return self[name]
