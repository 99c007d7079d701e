"""A region where two passes part, asked of every hypothesis: the first that turns one side into the other names it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from suites.port.hypotheses import (
    arrangements,
    attention,
    attention_facts,
    elementwise,
    facts,
    generic,
    mutations,
    norms,
    routing,
    steps_taken,
)
from suites.port.hypotheses.case import FORMULAS, Case
from suites.port.hypotheses.ends import explain_ends
from suites.port.hypotheses.layers import explain
from suites.port.hypotheses.question import Cause, Question

Array = np.ndarray
LARGEST = 200_000  # elements of an input: of more, only some examples are computed again
EXAMPLES = 4  # of a batch, where a layer's examples do not depend on each other
TOGETHER = ("batchnorm",)  # kinds whose examples do
CELLS = {"lstm": 2, "gru": 1, "simple_rnn": 1}  # how many states each has
TIMED = ("lstm", "gru", "simple_rnn", "bidirectional")  # a scan of the user's has time first


Hypothesis = Callable[[Question], list[Cause]]
FAILURES = (ArithmeticError, LookupError, TypeError, ValueError)


def explain_region(question: Question, failed: list[str] | None = None) -> list[Cause]:
    """The causes that turn what A does in a region into what B does; told from B's side where only that is known.

    A hypothesis that fails names nothing, and the next one is asked; `failed` gets a line for each.
    """
    failed = [] if failed is None else failed
    for hypothesis in HYPOTHESES:
        for swapped in (False,) if hypothesis in SYMMETRIC else (False, True):
            found = attempt(hypothesis, question.swapped() if swapped else question, failed)
            if found:
                return [cause.swapped() for cause in found] if swapped else found
    return []


def attempt(hypothesis: Hypothesis, question: Question, failed: list[str]) -> list[Cause]:
    try:
        with np.errstate(all="ignore"):
            return hypothesis(question)
    except FAILURES as error:
        failed.append(f"{hypothesis.__name__} failed: {type(error).__name__}: {error}")
        return []


def of_layer(question: Question) -> list[Cause]:
    """A layer of a known kind: A's formula with another setting."""
    for ours in layer_cases(question):
        theirs = [replace(ours, y=y) for y in layouts(question.b.exit)]
        if ours.kind in TIMED and question.b.exit.ndim > 2:
            theirs.append(replace(ours, y=question.b.exit.swapaxes(0, 1)))
            if len(question.b.exit) == 1:  # PyTorch's final states are (layers, N, units)
                theirs.append(replace(ours, y=question.b.exit[0]))
        fitting = [each for each in theirs if each.y.shape == ours.y.shape] + theirs
        begun = [given for each in fitting for given in started(question, each)]
        for each in [*fitting, *begun]:
            found = explain(each)
            if found:
                return found
    return []


def started(question: Question, case: Case) -> Iterator[Case]:
    """A recurrent layer that A starts from zeros, with what B may start it from: values of the size of its states."""
    if case.kind not in CELLS or "recurrent_kernel" not in case.weights:
        return
    shape = len(case.x), case.weights["recurrent_kernel"].shape[0]
    arrays = [entry.array for entry in question.b.entries if entry.array.dtype.kind == "f"]
    states = [array.reshape(shape) for array in arrays if array.shape in (shape, (1, *shape))]
    for chosen in itertools.permutations(states, CELLS[case.kind]):
        yield replace(case, others={**case.others, "start": np.stack(chosen)})


def layer_cases(question: Question) -> Iterator[Case]:
    """A's layer in the canonical layout, for every input and layout in which its formula gives what A gives."""
    part, call = question.a, question.a.call
    if call is None or call.kind not in FORMULAS or question.kind == "between":
        return
    for x in inputs_of(question):
        final = (
            [(x, part.exit[0])] if call.kind in TIMED and len(part.exit) == 1 else []
        )  # PyTorch's (layers, N, units)
        for given, output in [*zip(layouts(x), layouts(part.exit), strict=False), *final]:
            ours = Case(call.kind, call.config, part.weights, given, output, question.training, question.unit)
            yield from (each for each in (ours, *cut_cases(ours)) if each.agrees())


def cut_cases(case: Case) -> Iterator[Case]:
    """A recurrent layer of whose sequence its user takes one step at once."""
    if case.kind in TIMED and case.y.ndim == case.x.ndim - 1:
        for place in ("last", "first"):
            yield case.given({"return_sequences": False, "take": place})


def inputs_of(question: Question) -> list[Array]:
    """What the layer may have got: what its call got, what enters the region, the latter in the shape of the output."""
    part, call = question.a, question.a.call
    found = [part.values[at] for at in (call.inputs if call else ()) if at in part.values]
    found += [entry.array for entry in part.entries]
    found += [e.array.reshape(part.exit.shape) for e in part.entries if e.array.size == part.exit.size]
    return found


def layouts(array: Array) -> list[Array]:
    """As it is, and from channels first to channels last."""
    return [array, np.moveaxis(array, 1, -1)] if array.ndim > 2 else [array]


HYPOTHESES: tuple[Hypothesis, ...] = (
    of_layer,
    steps_taken.other_step,
    facts.other_rows,
    facts.other_affine,
    routing.other_routing,
    mutations.other_positions,
    arrangements.other_arrangement,
    norms.other_norm,
    elementwise.activations,
    attention.other_attention,
    attention_facts.compared_attention,
    elementwise.inner_activations,
    facts.stopped,  # a query that attends to one place gives that place's value, as a layer that stops there
    mutations.mutate,
    mutations.in_a_loop,
    generic.explain_exit,
    explain_ends,
)
SYMMETRIC = (  # they look at both sides themselves
    steps_taken.other_step,
    facts.other_rows,
    facts.other_affine,
    elementwise.activations,
    elementwise.inner_activations,
    attention_facts.compared_attention,
    mutations.other_positions,
    mutations.mutate,
    mutations.in_a_loop,
)
