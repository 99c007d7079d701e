"""A training step and an inference as pure functions of a model, which its backend compiles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from impls.shim.backends.contract import Array, Arrays, Backend, Carry, Columns, Function, Held, Rates, Stepped
from impls.shim.layer import Run
from impls.shim.losses import average, kept, times
from impls.shim.metrics import share
from impls.shim.trained import Judge, Model

LARGEST = 3e38  # of the norm of finite gradients in float32


def form(model: Model, kind: str, names: Sequence[str]) -> Function:
    """A step, an epoch, an evaluation or a prediction in the model's mode, not compiled before its first call."""
    B, carry, mode = model.B, model.carry, model.mode
    if kind == "step":
        step = model.training_step(names)
        step.ahead = functools.partial(rates_ahead, model)  # type: ignore[attr-defined] # for a backend that brings many at once
        return B.compile(step, carry, mode)
    if kind == "epoch":
        count = sum(1 + pair for _, pair in model.labels)
        shape = (count,) if count > 1 else ()
        return B.compile_epoch(model.training_step(names), carry, mode, shape)
    return B.compile_inference(model.inference(names), carry, mode)


def rates_ahead(model: Model, count: int) -> list[Rates]:
    """The rates of this update and of those that follow it."""
    optimizer = model.optimizer
    return [optimizer.rates(t, model.learning_rate) for t in range(model.t, model.t + count)]  # type: ignore[union-attr]  # it is compiled


def training_step(model: Model, names: Sequence[str]) -> Function:
    """`step(carry, rates, columns)` -> `(carry, values)`, pure; `columns` are called `names`.

    In float16 the last column is the loss scale, and the last value says whether the update was done.
    """
    B, optimizer, scaled = model.B, model.optimizer, model.scaled
    unroll, traced = model.unroll, tracing(model)

    def objective(weights: Arrays, state: Arrays, columns: Columns) -> tuple[Array, tuple[Arrays, list[Array]]]:
        traced()
        known = dict(zip(names, columns, strict=False))
        run = Run(True, known, unroll)
        outputs = model.apply({**state, **weights}, inputs(model, columns), run)
        values = scores(model, known, outputs, run)
        return values[0] * known["scale"] if scaled else values[0], (run.updates, values)

    differentiate = B.value_and_grad(objective, model.mode)

    def step(carry: Carry, rates: Rates, columns: Columns) -> Stepped:
        state = carry["state"]
        (loss, (updates, values)), grads = differentiate(carry["weights"], state, columns)
        if scaled:
            grads = dict(zip(grads, B.scaled(list(grads.values()), 1 / columns[-1]), strict=True))
            finite = B.global_norm(list(grads.values())) < LARGEST  # not so of NaN
            values = [*values, share(B, finite, values[0])]
        else:
            values = [loss, *values[1:]]

        def update() -> Held:
            return optimizer.apply(B, carry["weights"], grads, carry["slots"], rates)  # type: ignore[union-attr]  # it is compiled

        weights, slots = B.when(finite, update, (carry["weights"], carry["slots"])) if scaled else update()
        state = {name: B.assign(old, updates[name]) if name in updates else old for name, old in state.items()}
        return {"weights": weights, "state": state, "slots": slots}, B.stack(values) if values[1:] else values[0]

    return step


def inference(model: Model, names: Sequence[str] = ()) -> Function:
    """`function(carry, columns)` in inference mode, pure: the outputs, or the loss and metrics of named columns."""
    traced, unroll = tracing(model), model.unroll

    def function(carry: Carry, columns: Columns) -> Array:
        traced()
        run = Run(False, None, unroll)
        outputs = model.apply({**carry["state"], **carry["weights"]}, inputs(model, columns), run)
        if not names:
            return outputs
        values = scores(model, dict(zip(names, columns, strict=False)), outputs, run)
        return model.B.stack(values) if len(values) > 1 else values[0]

    return function


def inputs(model: Model, columns: Columns) -> Array | Columns:
    """What `apply` takes: the inputs are the first columns."""
    return columns[0] if len(model.input_names) == 1 else columns[: len(model.input_names)]


def scores(model: Model, known: Arrays, outputs: Array, run: Run) -> list[Array]:
    """The loss and the metrics of a batch: of several outputs the sum of the losses, each loss, and all metrics."""
    if not model.heads:
        return judged(model, model.B, known["y"], known.get("w"), outputs, run.mask)
    losses, others = [], []
    for at, head in enumerate(model.heads):
        if f"y/{at}" in known:
            w = known.get(f"w/{at}")
            loss, *metrics = judged(head, model.B, known[f"y/{at}"], w, outputs[at], run.masks[at])
            if head.loss is not None:
                weight = 1.0 if head.weight is None else head.weight
                losses.append((loss, weight))
            others += metrics
    total = sum(loss * weight for loss, weight in losses)
    each = [loss for loss, _ in losses] if len(losses) > 1 else []
    return [total, *each, *others]


def judged(judge: Judge, B: Backend, y: Array, w: Array, outputs: Array, mask: Array) -> list[Array]:
    """The loss and the metrics of an output, without the places that a mask leaves out.

    A metric with weights is two values: the mean of the weighted one, and that of the weights.
    """
    places = None
    if mask is not None and len(outputs.shape) > 2:
        places = kept(B, mask, judge.dtype)
        w = times(B, w, places)
    found = [None if judge.loss is None else judge.loss(B, y, outputs, w)]
    metrics = [measure(B, y, outputs) for measure in judge.measures]
    found += [average(B, m, places) if len(m.shape) else m for m in metrics]
    for m in [measure(B, y, outputs) for measure in judge.weighted_measures]:
        if not len(m.shape):
            raise ValueError("a metric of weighted_metrics gives a value for each example, not one for a batch")
        found += [average(B, m, w), average(B, B.ones_like(m), w)]
    return found


def tracing(model: Model) -> Callable[[], None]:
    """A call for the body of a compiled function: counts its traces."""

    def traced() -> None:
        model.traces += 1

    return (lambda: None) if model.mode == "eager" else model.B.at_trace(traced)
