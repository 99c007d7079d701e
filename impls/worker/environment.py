"""What a worker runs on: interpreter, versions, threads, flags, memory. Valid on Python 3.6."""

import os
import platform
import sys
from typing import Any, Callable, Dict, Optional

from impls import BACKENDS, IMPLEMENTATIONS

FLAGS = (
    "OMP_", "TF_", "XLA_", "JAX_", "KERAS_", "KMP_", "MKL_", "NUMBA_", "OPENBLAS_", "NVIDIA_TF32", "CUDA_VISIBLE",
    "CUDA_LAUNCH", "CUDA_DEVICE_MAX", "CUBLAS_", "CUDNN_", "PYTORCH_", "TORCH_", "TORCHINDUCTOR_", "ONEDNN_",
    "MXNET_", "THEANO_", "PYTENSOR_", "TRIPTYCH_",
)  # fmt: skip
FOREIGN = ("TF_CLI_",)  # Terraform's
LONGEST = 200  # characters of a value: a list of drivers that an image brings is no setting


def _steers(name: str) -> bool:
    return name.startswith(FLAGS) and not name.startswith(FOREIGN) and len(os.environ[name]) <= LONGEST


def version(module_name: str) -> str:
    """The version that an imported module gives of itself."""
    return str(getattr(sys.modules.get(module_name), "__version__", "unknown"))


def _torch(torch: Any) -> Dict[str, Any]:
    return {
        "intraop_threads": torch.get_num_threads,
        "interop_threads": torch.get_num_interop_threads,
        "onednn": torch.backends.mkldnn.is_available,
        "float32_matmul_precision": torch.get_float32_matmul_precision,
        "cudnn_tf32": lambda: torch.backends.cudnn.allow_tf32,
        "deterministic": torch.are_deterministic_algorithms_enabled,
        "cpu_capability": lambda: torch.backends.cpu.get_cpu_capability(),
        "cuda": lambda: torch.version.cuda,
        "gpu": lambda: torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _tensorflow(tf: Any) -> Dict[str, Any]:
    def gpu() -> Optional[str]:
        found = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(found[0]).get("device_name") if found else None

    def onednn() -> bool:
        from tensorflow.python.util import _pywrap_util_port as port

        return bool(port.IsMklEnabled())

    return {
        "intraop_threads": tf.config.threading.get_intra_op_parallelism_threads,
        "interop_threads": tf.config.threading.get_inter_op_parallelism_threads,
        "onednn": onednn,
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled,
        "gpu": gpu,
    }


def _jax(jax: Any) -> Dict[str, Any]:
    return {
        "x64": lambda: jax.config.jax_enable_x64,
        "matmul_precision": lambda: jax.config.jax_default_matmul_precision,
        "platform": jax.default_backend,
        "device": lambda: jax.devices()[0].device_kind,
    }


def _numpy(numpy: Any) -> Dict[str, Any]:
    def blas() -> str:
        found = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return "{} {}".format(found["name"], found["version"])

    return {"blas": blas}


ENGINES = {"torch": _torch, "tensorflow": _tensorflow, "jax": _jax, "numpy": _numpy}


def _ask(question: Callable[[], Any]) -> Any:
    """The answer; what an older or newer release does not have is recorded as such."""
    try:
        return question()
    except (AttributeError, ImportError, KeyError, TypeError) as error:
        return "not reported by this release ({})".format(error)


def engine(backend: str) -> Dict[str, Any]:
    """What an engine says of itself once it is loaded: its threads, its CPU or GPU, its precision switches."""
    module = sys.modules.get(BACKENDS[backend].module)
    if module is None or backend not in ENGINES:
        return {}
    return {name: _ask(question) for name, question in sorted(ENGINES[backend](module).items())}


def describe(implementation: str, backend: str) -> Dict[str, Any]:
    """Versions of what is loaded, the engine's own settings and the environment variables that steer it."""
    modules = ("numpy", BACKENDS[backend].module) + BACKENDS[backend].distributions
    modules += IMPLEMENTATIONS[implementation].requires
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in sorted(set(modules))},
        "flags": {name: os.environ[name] for name in sorted(os.environ) if _steers(name)},
        "engine": engine(backend),
    }


def peak_memory() -> int:
    """Peak resident memory of this process so far, in bytes."""
    try:
        with open("/proc/self/status") as file:
            peak = [line for line in file if line.startswith("VmHWM:")]
        return int(peak[0].split()[1]) * 1024
    except (OSError, IndexError):
        import resource

        # On Linux this one starts at what the parent had when it forked, so it is the second choice.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


DEVICE_PEAKS = {
    "torch": lambda torch: torch.cuda.max_memory_allocated(),
    "tensorflow": lambda tf: tf.config.experimental.get_memory_info("GPU:0")["peak"],
    "jax": lambda jax: jax.devices()[0].memory_stats()["peak_bytes_in_use"],
}  # type: Dict[str, Callable[[Any], int]]


def device_memory(backend: str) -> Optional[int]:
    """Peak memory that the engine took on its GPU so far, in bytes; None where it does not tell."""
    module = sys.modules.get(BACKENDS[backend].module)
    return DEVICE_PEAKS[backend](module) if module is not None and backend in DEVICE_PEAKS else None


def allocated(call: Callable[[], Any], calls: int = 5) -> int:
    """Bytes that Python and NumPy hold at the peak of `call`, beyond what they held before; the least of several."""
    import tracemalloc

    peaks = []
    tracemalloc.start()
    for _ in range(calls):
        before, _ = tracemalloc.get_traced_memory()
        if hasattr(tracemalloc, "reset_peak"):  # Python 3.9
            tracemalloc.reset_peak()
        call()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return min(peaks)
