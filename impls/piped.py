"""A script of ours behind a pipe: messages of `impls.protocol` go to it and back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impls import protocol

ROOT = Path(__file__).resolve().parents[1]
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
# Compiling takes longer than computing here.
UNOPTIMISED = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}


class Piped:
    """A process that answers each message, and ends when nothing more can come."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
            env={**os.environ, **environment},
        )  # fmt: skip

    def send(self, message: dict[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Hand it a message, which it answers in its own time."""
        assert self.process.stdin
        protocol.write(self.process.stdin, message, dict(arrays or {}))

    def receive(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Wait for the next answer, which may tell an error."""
        assert self.process.stdout
        return protocol.read(self.process.stdout)

    def answer(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Wait for the next answer, which may be no error."""
        body, arrays = self.receive()
        assert body["ok"], body.get("error")
        return body, arrays

    def close(self) -> None:
        """End the process, which writes what it has counted."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)
