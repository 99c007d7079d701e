"""What can run here, and if not why not, told without importing a framework."""

from __future__ import annotations

import functools
import glob
import importlib.util
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from impls import BACKENDS, DEVICES, IMPLEMENTATIONS


def _installed(module: str) -> bool:
    try:
        found = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return False
    return found is not None and found.origin is not None  # a folder left behind by an uninstall has no origin


@functools.cache
def gpu_here() -> bool:
    """Whether there is a GPU that is not hidden by CUDA_VISIBLE_DEVICES; no framework is asked."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if glob.glob("/dev/nvidia[0-9]*") or os.path.exists("/dev/kfd"):
        return True
    return shutil.which("nvidia-smi") is not None and _lists_gpus()


def _lists_gpus() -> bool:
    found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    return found.returncode == 0 and "GPU" in found.stdout


def _torch_for_gpu() -> bool:
    found = importlib.util.find_spec("torch")
    version = Path(found.origin or "").with_name("version.py").read_text() if found else ""
    return "cuda: Optional[str] = None" not in version or "hip: Optional[str] = None" not in version


def _jax_for_gpu() -> bool:
    plugins = itertools.product(("cuda", "rocm"), ("", *range(11, 20)))
    return any(_installed(f"jax_{kind}{number}_plugin") for kind, number in plugins)


BUILT_FOR_GPU: dict[str, Callable[[], bool]] = {
    "numpy": lambda: False,
    "numba": lambda: False,
    "torch": _torch_for_gpu,
    "jax": _jax_for_gpu,
}


def _unknown(kind: str, name: str, known: Iterable[str], place: str = "") -> str:
    return f"unknown {kind} {name!r}{place}: known are {', '.join(known)}"


def availability(implementation: str, backend: str, device: str = "cpu", mode: str | None = None) -> str:
    """The reason why this can't run here, '' if it can, as far as can be told without importing a framework."""
    if implementation not in IMPLEMENTATIONS:
        return _unknown("implementation", implementation, IMPLEMENTATIONS)
    known = IMPLEMENTATIONS[implementation]
    if backend not in BACKENDS:
        return _unknown("backend", backend, BACKENDS)
    if device not in DEVICES:
        return _unknown("device", device, DEVICES)
    if backend not in known.backends:
        return f"{implementation} has no backend {backend!r}: it has {', '.join(known.backends)}"
    if mode is not None and mode not in (modes := known.modes(backend, device)):
        return f"{implementation} on {backend} has no mode {mode!r}: it has {', '.join(modes)}"
    for module in (BACKENDS[backend].module, *known.requires):
        if not _installed(module):
            return f"{module} is not installed"
    if device == "gpu" and not gpu_here():
        return "no GPU found"
    if device == "gpu" and not BUILT_FOR_GPU.get(backend, lambda: True)():
        return f"{backend} as installed here can't use a GPU"
    return ""
