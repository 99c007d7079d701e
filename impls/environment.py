"""What a worker runs on: interpreter, versions, threads, flags. Valid on Python 3.6."""

import os
import platform
import sys
from typing import Any, Dict

from impls import BACKENDS, IMPLEMENTATIONS

FLAGS = ("OMP_", "TF_", "XLA_", "JAX_", "KERAS_", "KMP_", "MKL_", "OPENBLAS_", "NVIDIA_", "CUDA_VISIBLE")


def version(module_name: str) -> str:
    """The version that an imported module gives of itself."""
    return str(getattr(sys.modules.get(module_name), "__version__", "unknown"))


def describe(implementation: str, backend: str) -> Dict[str, Any]:
    """Versions of what is loaded and the environment variables that steer it."""
    modules = ("numpy", BACKENDS[backend].module) + IMPLEMENTATIONS[implementation].requires
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in modules},
        "flags": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(FLAGS)},
    }
