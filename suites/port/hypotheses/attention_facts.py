"""What each side's attention is made of, laid side by side: queries, keys, values, scale, mask, axis of the softmax.

Nothing is computed again: the first thing that the two sides do not share is the cause. So heads that one side computes
one by one, and attention of which only a part is understood, are told as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from suites.port.hypotheses import arrangements, moves
from suites.port.hypotheses.attention import AXES, MIXING, Site, described, mixing, sites
from suites.port.hypotheses.causes import cause, spell
from suites.port.hypotheses.distances import slopes
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.program import Program
from suites.port.hypotheses.question import IN_FLOAT32, SINGLE, Cause, Question, same
from suites.port.hypotheses.relations import progression

Array = np.ndarray
NAMES = ("q", "k", "v")
CLOSE = 1e-9
WITH_HEADS = 4  # axes of scores (N, H, queries, keys)


@dataclass(frozen=True)
class Facts:
    """One side: queries, keys and values as its products read them, and all heads' scores (N, H, queries, keys).

    `read` is None where the scores come in, and not what they are made of.
    """

    read: tuple[Array, Array, Array] | None
    scores: Array
    scale: float
    attended: Array
    bias: Array
    axis: int
    site: Site
    whole: tuple[Array, ...]  # values (N, T, D): without heads, yet or no longer
    split: tuple[Array, ...]  # values with four axes


def compared_attention(question: Question) -> list[Cause]:
    """The first thing in which the attention of B is another one; [] where either side shows none."""
    a, b = facts_of(question), facts_of(question.swapped())
    if a is None or b is None:
        return []
    for compare in (heads, roles, arrangement, scale, axis, mask, bias):
        found = compare(a, b)
        if found is not None:
            return [found]
    return []


def facts_of(question: Question) -> Facts | None:
    """Of side A; None where there is not one attention, or one for each head."""
    program = understand(question.a)
    found = list(sites(program, question))
    if not found or len({(site.raw.shape, site.step.axis) for site in found}) > 1:
        return None
    operands = [read_by(program, site) for site in found]
    known = [each for each in operands if each is not None]
    stacked = None
    if len(known) == len(found):
        stacked = [together([each[i] for each in known]) for i in range(3)]
    first = found[0]
    arrays = [together([getattr(site, name) for site in found]) for name in ("raw", "attended", "bias")]
    axis_of = first.step.axis[0] % first.raw.ndim - first.raw.ndim
    factor = first.scale * first.before
    raw = arrays[0] / first.before if first.before else arrays[0]
    floats = [value for value in question.a.values.values() if value.dtype.kind == "f"]
    split = tuple(value for value in floats if value.ndim == 4)
    merged = [value.reshape(*value.shape[:2], -1) for value in split]
    whole = (*(value for value in floats if value.ndim == 3), *merged)
    read = (stacked[0], stacked[1], stacked[2]) if stacked is not None else None
    return Facts(read, raw, factor, arrays[1], arrays[2], axis_of, first, whole, split)


def read_by(program: Program, site: Site) -> tuple[Array, Array, Array] | None:
    """What the products of queries and keys, and of weights and values, read; scaled queries as they were."""
    mixed = mixing(program, site.step.at)
    products = [s for s in program.before(site.logits) if s.name in MIXING and has_shape(program, s.at, site)]
    product = products[-1] if products else None
    if mixed is None or product is None or len(product.ids) < 2:
        return None
    others = [at for at in mixed.ids if not reaches(program, at, site.step.at)]
    if not others:
        return None
    query, key = (program.values[at] for at in product.ids[:2])
    return query, key, program.values[others[-1]]


def has_shape(program: Program, at: int, site: Site) -> bool:
    return program.values[at].shape == site.raw.shape


def reaches(program: Program, at: int, start: int) -> bool:
    """Whether a value is computed from another."""
    return at == start or any(start in step.ids for step in program.before(at))


def together(arrays: Sequence[Array]) -> Array:
    """One for each head, along the axis of the heads."""
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, 1)


def unit(array: Array) -> Array:
    norm = float(np.linalg.norm(array))
    return array / norm if norm else array


def alike(a: Array, b: Array) -> bool:
    """The same numbers up to a factor, in some order of axes."""
    return same(unit(a), unit(b), CLOSE)


def heads(a: Facts, b: Facts) -> Cause | None:
    """How many there are, where the scores of one side tell them from examples."""
    shapes = a.scores.shape, b.scores.shape
    apart = next((shape for shape in shapes if len(shape) == WITH_HEADS), None)
    if apart is None or shapes[0][-2:] != shapes[1][-2:] or a.scores.size == b.scores.size:
        return None
    counts = [each.scores.size / (apart[0] * apart[2] * apart[3]) for each in (a, b)]
    return cause("heads", "number of heads", *(f"{count:g}" for count in counts))


def roles(a: Facts, b: Facts) -> Cause | None:
    """Which of the three parts of a projection is which."""
    if a.read is None or b.read is None:
        return None
    if all(alike(ours, theirs) for ours, theirs in zip(a.read, b.read, strict=True)):
        return None
    for order in itertools.permutations(range(3)):
        if all(alike(a.read[place], theirs) for place, theirs in zip(order, b.read, strict=True)):
            words = ", ".join(NAMES), ", ".join(NAMES[place] for place in order)
            return cause("qkv_order", "queries, keys and values: parts of the projection", *words)
    return None


def arrangement(a: Facts, b: Facts) -> Cause | None:
    """Heads tiled in place of repeated, heads and features or places mixed."""
    if a.read is None or b.read is None:
        return None
    for ours, theirs in itertools.product(a.read, b.read):  # which is which may be another question
        if alike(ours, theirs) or not arrangements.same_numbers(unit(theirs), unit(ours)):
            continue
        words = heads_in_words(unit(ours), unit(theirs))
        return words or split_otherwise(a, b)
    return None


def split_otherwise(a: Facts, b: Facts) -> Cause | None:
    """How each side makes heads of one value (N, T, D), where that is another way."""
    for source in (*a.whole, *b.whole):
        ours, theirs = heads_made_of(source, a), heads_made_of(source, b)
        if ours is None or theirs is None or same(ours, theirs, CLOSE):
            continue
        words = moves.own_move(source, ours), moves.own_move(source, theirs)
        if words[0] != words[1]:
            return cause("heads", f"heads, from {source.shape}", *words)
    return None


def heads_made_of(source: Array, side: Facts) -> Array | None:
    """The last value in heads that has the numbers of this one."""
    return next((each for each in reversed(side.split) if arrangements.same_numbers(source, each)), None)


def heads_in_words(a: Array, b: Array) -> Cause | None:
    if a.shape != b.shape and a.ndim == b.ndim:
        fitting = (axes for axes in itertools.permutations(range(b.ndim)) if b.transpose(axes).shape == a.shape)
        b = b.transpose(next(fitting, tuple(range(b.ndim))))
    if a.shape != b.shape:
        return None
    found = arrangements.arranged(a, b)
    return cause("heads", found[0], found[1], found[2]) if found is not None else None


def scale(a: Facts, b: Facts) -> Cause | None:
    """Of scores that are the same up to a factor."""
    if a.scores.size != b.scores.size or not alike(a.scores, b.scores):
        return None
    sizes = [np.linalg.norm(each.scores) * each.scale for each in (a, b)]
    if not sizes[0] or abs(sizes[1] / sizes[0] - 1) <= CLOSE:
        return None
    words = [spell(each.scale, each.site.sizes) for each in (a, b)]
    if words[0] == words[1]:
        return None
    if abs(sizes[1] / sizes[0] - 1) <= SINGLE:
        template = "precision: scale of the attention scores: A {a}, B {b} (one of them rounded to float32)"
        return Cause("float32", template, f"{a.scale:.12g}", f"{b.scale:.12g}", released=IN_FLOAT32)
    return replace(cause("attention_scale", "scale of the attention scores", *words), factor=float(sizes[1] / sizes[0]))


def axis(a: Facts, b: Facts) -> Cause | None:
    if a.axis == b.axis:
        return None
    words = [
        f"over {AXES.get(each.site.raw.ndim, {}).get(each.axis % each.site.raw.ndim, each.axis)}" for each in (a, b)
    ]
    return cause("softmax_axis", "softmax of the attention scores", *words)


def mask(a: Facts, b: Facts) -> Cause | None:
    """What attends to what, where the scores are the same."""
    masks = [np.broadcast_to(each.attended, each.scores.shape) for each in (a, b)]
    if masks[0].shape != masks[1].shape or np.array_equal(masks[0], masks[1]):
        return None
    words = [described(each) for each in masks]
    if words[0] == words[1]:
        words[1] = "attends to other places"
    return cause("attention_mask", "attention mask", *words)


def bias(a: Facts, b: Facts) -> Cause | None:
    """What is added to the scores."""
    ours, theirs = (slopes(each.bias, each.attended) for each in (a, b))
    if ours is not None and theirs is not None and not same(ours, theirs, CLOSE):
        words = [f"slopes {progression(each)} of the heads" for each in (ours, theirs)]
        return cause("alibi", "what is added to the scores for each place a key is farther on (ALiBi)", *words)
    sizes = [float(np.linalg.norm(each.bias)) for each in (a, b)]
    if bool(sizes[0]) != bool(sizes[1]):
        words = ["is added" if size else "is left out" for size in sizes]
        return cause("attention_bias", "what is added to the scores", *words)
    if not sizes[0] or not alike(a.bias, b.bias) or abs(sizes[1] / sizes[0] - 1) <= CLOSE:
        return None
    note = f"times {spell(sizes[1] / sizes[0], a.site.sizes)}"
    return cause("mask_scaled", "what is added to the scores", "as it is", note)
