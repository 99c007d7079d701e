"""Normalisations that users write themselves: found by trying the known ones on A's numbers, then told apart in B."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from suites.port.hypotheses.case import Case
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.layers import confirmed, explain, part_of
from suites.port.hypotheses.other_numbers import numbers_of
from suites.port.hypotheses.question import Cause, Question

EPSILONS = (1e-6, 1e-5, 1e-8, 1e-12, 1e-3, 0.0)
KINDS = ("rmsnorm", "layernorm", "scaling")
FEW = 6  # vectors of one width; of more, those that the region reads: a large model has hundreds
Vectors = dict[str, np.ndarray]


def other_norm(question: Question) -> list[Cause]:
    """A divides by a root of a mean square: with which epsilon, with which scale, and what B does otherwise."""
    for ours in own_norms(question):
        if question.b.exit.shape == ours.y.shape:
            found = explain(replace(ours, y=question.b.exit))
            if found:
                return found
    return []


def own_norms(question: Question) -> Iterator[Case]:
    part = question.a
    epsilons = dict.fromkeys([*(n for n in numbers_of(understand(part)) if 0 < n < 0.1), *EPSILONS])
    for entry in part.entries:
        x = entry.array
        if x.dtype.kind != "f" or x.ndim < 2 or x.shape != part.exit.shape:
            continue
        for kind in KINDS:
            plain = Case(kind, {}, {}, x, part.exit, question.training, question.unit)
            some = part_of(plain)
            for weights, one_plus, epsilon in itertools.product(
                _vectors(question, x.shape[-1]), (False, True), epsilons
            ):
                case = replace(plain, config={"epsilon": epsilon, "one_plus": one_plus}, weights=weights)
                if confirmed(case, replace(some, config=case.config, weights=weights), {}):
                    yield case


def _vectors(question: Question, width: int) -> list[Vectors]:
    """What may be the scale, and the shift, of the norm."""
    part = question.a
    found = [v for v in (*part.weights.values(), *part.own.values()) if v.shape == (width,)]
    if len(found) > FEW:  # only those that are read here
        read = {name for op in part.ops for name in op.weights}
        own = [array for name, array in part.own.items() if name in read]
        found = [v for v in (*part.weights.values(), *own) if v.shape == (width,)]
    found = found[:FEW]
    pairs = [{"gamma": one, "beta": other} for one, other in itertools.permutations(found, 2)]
    return [{}, *({"gamma": each} for each in found), *pairs]
