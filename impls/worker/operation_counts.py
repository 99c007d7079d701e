"""Counts, without a clock and so without noise, what one step or one prediction asks of its engine.

What is counted is the engine's own word for an operation, so counts of different engines are not to be compared:

- tensorflow: nodes of the graph that the first call traces; a function that a node calls counts at each call.
- jax: equations of the jaxpr; what an equation holds (a call, a loop, a branch) counts as well.
- torch: operations that reach the dispatcher while an eager call runs, those of the backward pass included.

The body of a loop in a graph or a jaxpr counts once, however often it runs; torch runs it, and counts every round.
Valid on Python 3.6.
"""

from collections import Counter
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

from impls.worker.stopwatch import calls_of

STEADY = 5  # calls with the same shapes, after which nothing may be traced or compiled again

# Nodes that hand values on and compute nothing; what a call calls is counted in its place.
PLUMBING = {
    "tensorflow": (
        "Const",
        "Identity",
        "IdentityN",
        "NoOp",
        "PartitionedCall",
        "Placeholder",
        "StatefulPartitionedCall",
    ),
    "jax": ("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "jit", "pjit"),
    "torch": ("profiler._record_function_enter_new", "profiler._record_function_exit"),
}  # type: Dict[str, Any]


class Found(NamedTuple):
    """How often each operation occurs, which of them the engine does not know, and traces of `STEADY` later calls."""

    counts: Dict[str, int]
    foreign: List[str]
    retraces: int


def count(adapter: Any, what: str, x: Any, y: Any) -> Found:
    """The operations of the next call of `what` (train_step or predict) of a model that has just been opened."""
    if adapter.backend not in ENGINES:
        raise ValueError("operations of {} are not counted: known are {}".format(adapter.backend, ", ".join(ENGINES)))
    native = adapter.batch(x, y)
    call = calls_of(adapter, native)[what]
    counts, foreign, traces = ENGINES[adapter.backend](adapter, what, native, call)
    for _ in range(STEADY):  # the adapter's first calls may have settled what a step is given
        call()
    with traces() as seen:
        for _ in range(STEADY):
            adapter.value(call())
    return Found(dict(sorted(counts.items())), sorted(foreign), len(seen))


def total(counts: Dict[str, int], backend: str) -> int:
    """Operations that compute."""
    return sum(number for name, number in counts.items() if name not in PLUMBING[backend])


def _tensorflow(adapter: Any, what: str, native: Any, call: Callable[[], Any]) -> Any:
    with traced_graphs() as graphs:
        call()
    outermost = [graph for graph in graphs if graph.outer_graph not in graphs]
    if not outermost:
        raise ValueError("{!r} traced no graph: in eager mode there is none, and a model has one once".format(what))
    counts = Counter()  # type: Counter[str]
    for graph in outermost:
        definition = graph.as_graph_def()
        bodies = {function.signature.name: function.node_def for function in definition.library.function}
        counts.update(in_graph(definition.node, bodies))
    return counts, unregistered(counts), traced_graphs


def in_graph(nodes: Any, bodies: Dict[str, Any]) -> "Counter[str]":
    """Nodes by type, with those of the functions that they name: calls, loops, branches."""
    counts = Counter(node.op for node in nodes)  # type: Counter[str]
    for node in nodes:
        for attribute in node.attr.values():
            for function in [attribute.func] if attribute.HasField("func") else attribute.list.func:
                counts.update(in_graph(bodies.get(function.name, ()), bodies))
    return counts


@contextmanager
def traced_graphs() -> Iterator[List[Any]]:
    """The graphs of functions that TensorFlow starts to trace meanwhile."""
    from tensorflow.python.framework import func_graph

    started, original = [], func_graph.FuncGraph.__init__

    def noted(graph: Any, *arguments: Any, **keywords: Any) -> None:
        started.append(graph)
        original(graph, *arguments, **keywords)

    func_graph.FuncGraph.__init__ = noted
    try:
        yield started
    finally:
        func_graph.FuncGraph.__init__ = original


def unregistered(names: Any) -> List[str]:
    """Those of `names` that are no operation of the TensorFlow in this process."""
    from tensorflow.python.framework import op_def_registry

    return [name for name in names if op_def_registry.get(name) is None]


def _jax(adapter: Any, what: str, native: Any, call: Callable[[], Any]) -> Any:
    import jax

    function, arguments = adapter.pure(what, *native)
    counts = Counter()  # type: Counter[str]
    modules = {}  # type: Dict[str, str]
    for equation in _equations(jax.make_jaxpr(function)(*arguments).jaxpr):
        counts[equation.primitive.name] += 1
        modules[equation.primitive.name] = type(equation.primitive).__module__
    return counts, [name for name, module in modules.items() if module.split(".")[0] != "jax"], _jax_traces


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of `jaxpr` and of the jaxprs in its equations' parameters."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for item in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(item, "jaxpr", item)
                if hasattr(inner, "eqns"):
                    yield from _equations(inner)


@contextmanager
def _jax_traces() -> Iterator[List[str]]:
    """The compilations that JAX reports meanwhile."""
    import jax

    seen, listening = [], [True]

    def listen(event: str, duration: float, **details: Any) -> None:
        if listening[0] and event.endswith("backend_compile_duration"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)  # there is no public way to take it out again
    try:
        yield seen
    finally:
        listening[0] = False


def _torch(adapter: Any, what: str, native: Any, call: Callable[[], Any]) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    counts = Counter()  # type: Counter[str]

    class Count(TorchDispatchMode):  # type: ignore
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            with self:  # a composite operation arrives whole in inference mode only: its parts count everywhere
                parts = function.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
            counts[str(function.overloadpacket)] += 1
            return function(*args, **(kwargs or {}))

    call()  # the first call makes what later ones reuse
    with Count():
        call()
    known = [name for name in counts if name.startswith("aten.") or name in PLUMBING["torch"]]
    return counts, [name for name in counts if name not in known], _torch_traces


@contextmanager
def _torch_traces() -> Iterator[List[str]]:
    """The frames that torch.compile compiles meanwhile."""
    from torch._dynamo.utils import counters

    seen, before = [], counters["stats"]["unique_graphs"]  # type: List[str], int
    try:
        yield seen
    finally:
        seen.extend(["compiled"] * (counters["stats"]["unique_graphs"] - before))


ENGINES = {"tensorflow": _tensorflow, "torch": _torch, "jax": _jax}  # type: Dict[str, Callable[..., Any]]
