"""Floating-point operations of one call by the engine's own counter. Valid on Python 3.6.

The counters do not count the same: torch's counts products of matrices and convolutions only, TensorFlow's adds the
elementwise operations that it knows, XLA's counts every elementwise operation. Each counts the body of a loop once.
"""

from typing import Any, Callable, NamedTuple, Optional

from impls.worker.stopwatch import calls_of


class Found(NamedTuple):
    """Floating-point operations, a multiplication and an addition each; None with a reason where nothing counts."""

    flops: Optional[float]
    counter: str


def counted(adapter: Any, what: str, x: Any, y: Any) -> Found:
    """Of the next call of `what` (train_step or predict) on one batch; the model has to be newly opened."""
    if adapter.backend not in COUNTERS:
        return Found(None, "{} counts nothing".format(adapter.backend))
    native = adapter.batch(x, y)
    call = calls_of(adapter, native)[what]
    return COUNTERS[adapter.backend](adapter, what, native, call)


def _torch(adapter: Any, what: str, native: Any, call: Callable[[], Any]) -> Found:
    from torch.utils.flop_counter import FlopCounterMode

    call()  # the first call makes what later ones reuse
    with FlopCounterMode(display=False) as counter:
        call()
    return Found(float(counter.get_total_flops()), "torch.utils.flop_counter")


def _tensorflow(adapter: Any, what: str, native: Any, call: Callable[[], Any]) -> Found:
    from tensorflow.python.profiler import model_analyzer, option_builder

    from impls.worker import operation_counts

    with operation_counts.traced_graphs() as graphs:
        call()
    outermost = [graph for graph in graphs if graph.outer_graph not in graphs]
    if not outermost:
        return Found(None, "in eager mode there is no graph to count in")
    options = option_builder.ProfileOptionBuilder(option_builder.ProfileOptionBuilder.float_operation())
    silent = options.with_empty_output().build()
    totals = [model_analyzer.profile(graph, options=silent).total_float_ops for graph in outermost]
    return Found(float(sum(totals)), "tf.compat.v1.profiler")


def _jax(adapter: Any, what: str, native: Any, call: Callable[[], Any]) -> Found:
    import jax

    function, arguments = adapter.pure(what, *native)
    analysis = jax.jit(function).lower(*arguments).compile().cost_analysis()
    found = analysis[0] if isinstance(analysis, list) else analysis  # a list in older releases
    return Found(float(found["flops"]), "XLA cost analysis")


COUNTERS = {"torch": _torch, "tensorflow": _tensorflow, "jax": _jax}
