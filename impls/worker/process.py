"""The process of a worker: its environment, its end, its place in the kernel's list, and its pipes.

Valid on Python 3.6, and it imports nothing but the standard library.
"""

import os
import select
import signal
from typing import IO, Dict, Tuple


def settings(backend: str, device: str, dtype: str, threads: int) -> Dict[str, str]:
    """Environment variables that have to be set before the framework loads.

    TRIPTYCH_TF32=1 in the environment lets a GPU round the operands of float32 products to 11 bits.
    """
    count = str(threads)
    chosen = {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # an idle worker must not spin while another one is measured
        "KMP_BLOCKTIME": "0",
        "OPENBLAS_THREAD_TIMEOUT": "4",  # by default its threads spin for 2**26 cycles after every product
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "JAX_ENABLE_X64": "1" if dtype == "float64" else "0",
        "KERAS_BACKEND": backend,
        "KERAS_FLOATX": dtype,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # several workers share one GPU
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if threads == 1:
        chosen["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if os.environ.get("TRIPTYCH_TF32") != "1":
        chosen["NVIDIA_TF32_OVERRIDE"] = "0"
    if device == "cpu":
        chosen.update({"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"})
    return chosen


def end_with(pipe: int) -> None:
    """End this process and its children as soon as nobody holds the other end of `pipe`, in mid-call too.

    Blocks in poll(2): it costs an idle worker nothing.
    """
    closed = select.poll()
    closed.register(pipe, 0)  # POLLHUP is reported without being asked for, and data is not
    closed.poll()
    if os.getsid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def be_the_first_to_go() -> None:
    """Where the machine's memory runs out, the kernel is to kill this process and not the one that measures."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        return  # another system, or one that forbids it: the kernel then chooses by itself


def take_pipes() -> Tuple[IO[bytes], IO[bytes]]:
    """The pipes of the protocol; from here on nothing that a framework reads or prints gets into them."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return requests, replies
