"""The parts of a first call that an engine tells apart: tracing Python, and compiling what was traced.

- tensorflow: `trace` is the time in which tf.function runs Python to make a graph. What XLA and the graph optimizer
  need after that is not told; it is the rest of the first call.
- jax: its own monitoring events: `trace` (jaxpr), `lower` (to MLIR) and `compile` (XLA).
- torch: what torch.compile notes of itself: `trace` (Dynamo) and `compile` (the compiler behind it); nothing in eager
  mode, which has neither.

Valid on Python 3.6.
"""

import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator

Phases = Dict[str, float]


@contextmanager
def watching(backend: str) -> Iterator[Phases]:
    """A dict that holds the seconds of each phase when the block has ended."""
    found = {}  # type: Phases
    with WATCHES.get(backend, _nothing)(found):
        yield found


@contextmanager
def _nothing(found: Phases) -> Iterator[None]:
    yield


def _replaced(module: Any, name: str, found: Phases, phase: str) -> Callable[[], None]:
    """Time the outermost calls of a function of `module`; returns what puts the original back."""
    original = getattr(module, name)
    inside = []  # type: Any

    def timed(*arguments: Any, **keywords: Any) -> Any:
        if inside:
            return original(*arguments, **keywords)
        inside.append(1)
        start = time.perf_counter()
        try:
            return original(*arguments, **keywords)
        finally:
            inside.pop()
            found[phase] = found.get(phase, 0.0) + time.perf_counter() - start

    setattr(module, name, timed)
    return lambda: setattr(module, name, original)


@contextmanager
def _tensorflow(found: Phases) -> Iterator[None]:
    from tensorflow.python.framework import func_graph

    restore = _replaced(func_graph, "func_graph_from_py_func", found, "trace")
    try:
        yield
    finally:
        restore()


JAX_EVENTS = {
    "jaxpr_trace_duration": "trace",
    "jaxpr_to_mlir_module_duration": "lower",
    "backend_compile_duration": "compile",
}


@contextmanager
def _jax(found: Phases) -> Iterator[None]:
    import jax

    listening = [True]

    def listen(event: str, duration: float, **details: Any) -> None:
        phase = JAX_EVENTS.get(event.split("/")[-1])
        if phase and listening:
            found[phase] = found.get(phase, 0.0) + duration

    jax.monitoring.register_event_duration_secs_listener(listen)  # there is no public way to take it out again
    try:
        yield
    finally:
        del listening[:]


@contextmanager
def _torch(found: Phases) -> Iterator[None]:
    yield
    dynamo = sys.modules.get("torch._dynamo.utils")
    noted = getattr(dynamo, "compilation_time_metrics", {})
    whole, behind = (sum(noted.get(name, ())) for name in ("_compile.compile_inner", "OutputGraph.call_user_compiler"))
    if whole:
        found.update(trace=whole - behind, compile=behind)


WATCHES = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}  # type: Dict[str, Any]
