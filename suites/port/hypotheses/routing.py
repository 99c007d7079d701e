"""Experts of which each token goes to a few: how the scores of the chosen ones become weights.

Found by the numbers: scores (..., E) and, later, weights of the k highest (..., k), or (..., E) with zeros at the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from suites.port.fits import multiple
from suites.port.hypotheses.causes import cause, short
from suites.port.hypotheses.formulas import sigmoid, softmax
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.program import CLOSE, Program, limit_of
from suites.port.hypotheses.question import Cause, Part, Question

Array = np.ndarray
FEWEST, MOST = 3, 1024  # experts
LARGEST = 200_000  # elements of the scores
Way = Callable[[Array, Array], Array]
"""The weights of the chosen ones, of all scores and of those of the chosen ones, both sorted from the highest."""


def own_share(found: Array) -> Array:
    return np.asarray(found / found.sum(-1, keepdims=True))


def probabilities(scores: Array, count: int) -> Array:
    return softmax(scores)[..., :count]


WAYS: dict[str, Way] = {
    "sum to 1 (a softmax of the chosen scores, or one of all, renormalised)": lambda scores, top: softmax(top),
    "as a softmax over all gives them, not renormalised": lambda scores, top: probabilities(scores, top.shape[-1]),
    "a softmax twice (of the probabilities of the chosen)": lambda scores, top: softmax(
        probabilities(scores, top.shape[-1])
    ),
    "sigmoids, not renormalised": lambda scores, top: sigmoid(top),
    "sigmoids, renormalised to sum 1": lambda scores, top: own_share(sigmoid(top)),
    "a softmax of their sigmoids": lambda scores, top: softmax(sigmoid(top)),
    "the scores themselves": lambda scores, top: top,
    "the scores divided by their own sum": lambda scores, top: own_share(top),
    "all alike, sum 1": lambda scores, top: np.full(top.shape, 1.0 / top.shape[-1]),
    "all 1": lambda scores, top: np.ones(top.shape),
}
OF_CHOSEN: dict[str, Way] = {
    "as top-k gives them": lambda scores, top: top,
    "divided by their own sum (renormalised)": lambda scores, top: own_share(top),
    "a softmax of them": lambda scores, top: softmax(top),
    "their sigmoids": lambda scores, top: sigmoid(top),
    "their sigmoids, renormalised": lambda scores, top: own_share(sigmoid(top)),
}  # where both sides agree up to the choice, and no more is known
UNCLEAR = ("all alike, sum 1", "all 1")  # which may be anything else as well


@dataclass(frozen=True)
class Routing:
    """Scores of all, sorted from the highest, and the value of the weights, with the way that gives them."""

    scores: Array
    at: int
    count: int
    way: str
    factor: float = 1.0
    places: Array | None = None  # of the sorted scores among all, where the weights are those of all
    ways: Mapping[str, Way] = field(default_factory=lambda: WAYS)

    def weights(self, way: str, count: int, factor: float) -> Array:
        """Laid out as the side has them, for another way or fewer that are chosen."""
        found = np.zeros((*self.scores.shape[:-1], self.count))
        found[..., :count] = factor * self.ways[way](self.scores, self.scores[..., :count])
        return found if self.places is None else among_all(found, self.places)

    def others(self) -> Iterator[tuple[Array, Cause]]:
        """Other weights, and what they are called."""
        experts = self.scores.shape[-1]
        among = f" of {experts}" if self.ways is WAYS else ""
        subject = f"weights of the {self.count} chosen{among}"
        own = told(self.way, self.factor)
        for way, factor in itertools.product(self.ways, dict.fromkeys((self.factor, 1.0))):
            if way != self.way:
                yield self.weights(way, self.count, factor), cause("routing", subject, own, told(way, factor))
        for factor in (1.0, 2.0, 0.5, float(self.count), 1.0 / self.count):
            if factor != self.factor:
                named = cause("routing", subject, own, told(self.way, factor))
                yield self.weights(self.way, self.count, factor), named
        for count in range(1, self.count if among else 1):
            words = f"{self.count} of {experts}", f"{count} of {experts}"
            yield self.weights(self.way, count, self.factor), cause("routing", "experts that are chosen", *words)


def told(way: str, factor: float) -> str:
    return way if factor == 1.0 else f"{way}, times {short(factor)}"


def among_all(found: Array, places: Array) -> Array:
    whole = np.zeros(places.shape)
    np.put_along_axis(whole, places[..., : found.shape[-1]], found, -1)
    return whole


def other_routing(question: Question) -> list[Cause]:
    """Another way from the scores to the weights of the chosen ones that gives what B gives."""
    program = understand(question.a)
    for routing in routings(question.a, program):
        for weights, named in routing.others():
            found = program.result({routing.at: weights})
            if found is not None and question.agrees(found):
                return [named]
    return []


def routings(part: Part, program: Program) -> Iterator[Routing]:
    """For each value that may be scores the last one that is weights of its highest."""
    made = [at for op in part.ops for at in op.outputs if at in program.values]
    given = [entry.id for entry in part.entries]
    for entry in part.entries:
        if "top" in entry.origin and entry.array.dtype.kind == "f" and entry.array.ndim > 1:
            yield from of_chosen(entry.array, made, program)
    for place, at in enumerate([*given, *made]):
        scores = before_softmax(program.values[at])
        if not is_scores(scores):
            continue
        places = np.argsort(-scores, -1, kind="stable")
        ordered = np.take_along_axis(scores, places, -1)
        for later in reversed(made[max(place - len(given) + 1, 0) :]):
            found = routing_of(ordered, places, later, program.values[later])
            if found is not None:
                yield found
                break


def of_chosen(top: Array, made: Sequence[int], program: Program) -> Iterator[Routing]:
    """Where the highest scores come in: the last value of their shape that is made of them in one of these ways."""
    for at in reversed(made):
        weights = program.values[at]
        if weights.shape == top.shape and weights.dtype.kind == "f":
            found = next(fitting(Routing(top, at, top.shape[-1], "", ways=OF_CHOSEN), weights), None)
            if found is not None:
                yield found
                return


def before_softmax(array: Array) -> Array:
    """Of probabilities the scores that a softmax makes them of; anything else as it is."""
    positive = array.dtype.kind == "f" and array.ndim > 1 and array.size > 0 and bool(array.min() > 0)
    return np.log(array) if positive and np.allclose(array.sum(-1), 1.0, rtol=1e-9) else array


def is_scores(array: Array) -> bool:
    """Whether each row holds a number for each expert, no two alike."""
    if array.dtype.kind != "f" or array.ndim < 2 or not FEWEST <= array.shape[-1] <= MOST or array.size > LARGEST:
        return False
    return bool(np.isfinite(array).all() and (np.diff(np.sort(array, -1)) > 0).all())


def routing_of(ordered: Array, places: Array, at: int, weights: Array) -> Routing | None:
    """How weights are made of the scores; None where they are not."""
    if weights.dtype.kind != "f" or weights.shape[:-1] != ordered.shape[:-1]:
        return None
    count, among = weights.shape[-1], None
    if count == ordered.shape[-1]:
        used = np.count_nonzero(weights, -1)
        count, among = int(used.flat[0]), places
        if (used != count).any():
            return None
    if not 0 < count < ordered.shape[-1]:
        return None
    plain = Routing(ordered, at, count, "", places=among)
    return next(fitting(plain, weights), None)


def fitting(plain: Routing, weights: Array) -> Iterator[Routing]:
    for way in plain.ways:
        found = plain.weights(way, plain.count, 1.0)
        factor = multiple(found, weights, limit_of(weights))
        if way not in UNCLEAR and factor:
            yield replace(plain, way=way, factor=1.0 if abs(factor - 1.0) < CLOSE else factor)
