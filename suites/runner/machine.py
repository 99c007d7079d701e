"""The machine and the tree that a run is about to describe."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import cpuinfo
import psutil

from suites.records.run import Environment

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "scikit-learn", "tensorflow", "keras", "torch", "jax", "pytest", "pytest-benchmark")


def environment() -> Environment:
    """This machine, this interpreter, this commit."""
    return Environment(
        cpu=str(cpuinfo.get_cpu_info().get("brand_raw", platform.processor() or "unknown")),
        cores=len(psutil.Process().cpu_affinity() or []) if hasattr(psutil.Process, "cpu_affinity") else _cores(),
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := _version(name))},
        commit=commit() or _version("triptych") or "unknown",
        dirty=bool(commit() and _git("status", "--porcelain")),
        gpu=_output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
    )


def _cores() -> int:
    return psutil.cpu_count() or 1


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def commit() -> str:
    """The commit of this tree; nothing where it is installed, also where it lies inside the repository of something
    else (a virtual environment in a user's project)."""
    top = _git("rev-parse", "--show-toplevel")
    return _git("rev-parse", "HEAD") if top and Path(top).resolve() == ROOT else ""


def _git(*arguments: str) -> str:
    return _output("git", "-C", str(ROOT), *arguments)


def _output(*command: str) -> str:
    """What `command` prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
