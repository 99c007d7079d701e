"""Attention, wherever a side computes one: scores, their scale, a mask, a softmax, each with its alternatives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from suites.port.hypotheses.causes import cause, nice, spell
from suites.port.hypotheses.distances import window_of
from suites.port.hypotheses.formulas import softmax
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.program import MASKED, Program, Step
from suites.port.hypotheses.question import Cause, Question
from suites.port.layouts import distance, orders

Array = np.ndarray
Sizes = list[tuple[int, str]]
SCALING = ("multiply", "divide")
MIXING = ("matmul", "einsum")
FEW = 4  # operations between the weights and their product
AXES = {
    3: {2: "the keys", 1: "the queries", 0: "the examples"},
    4: {3: "the keys", 2: "the queries", 1: "the heads", 0: "the examples"},
}


@dataclass(frozen=True)
class Site:
    """A softmax of scores: logits = scale * raw + bias where `attended`; the rest is masked."""

    step: Step
    logits: int
    raw: Array
    scale: float
    before: float  # what the scores were multiplied by before: in the queries, say
    bias: Array
    attended: Array
    sizes: Sizes
    fill: str  # what masked scores are: "none" (minus infinity), "added" (a large number is subtracted), "replaced"

    def computed(self, scale: float | None = None, attended: Array | None = None, fill: str = "") -> Array:
        """Other logits."""
        fill = fill or self.fill
        free = self.raw * (self.scale if scale is None else scale) + self.bias
        mask = self.attended if attended is None else np.broadcast_to(attended, free.shape)
        if fill == "added":
            return np.asarray(free + np.where(mask, 0.0, -1e9))
        return np.where(mask, free, -1e9 if fill == "replaced" else -np.inf)


def other_attention(question: Question) -> list[Cause]:
    """Another scale, mask or axis of A's attention that gives what B gives."""
    program = understand(question.a)
    for site in sites(program, question):
        for hypothesis in (other_scale, other_mask, other_axis, biased_scale, measured_scale, exchanged):
            found = hypothesis(question, program, site)
            if found:
                return found
    return []


def sites(program: Program, question: Question) -> Iterator[Site]:
    for step in program.steps:
        if step.name == "softmax" and step.ids and program.values[step.ids[0]].ndim > 2:
            found = _site(program, step, question)
            if found is not None:
                yield found


def _site(program: Program, step: Step, question: Question) -> Site | None:
    logits = program.values[step.ids[0]]
    base, factor = _scores(program, step.ids[0], logits.shape)
    raw = program.values[base]
    attended = logits > MASKED
    if raw.shape != logits.shape or not attended.any():
        return None
    bias = np.where(attended, logits - factor * raw, 0.0)
    bias = np.where(np.abs(bias) <= 1e-9 * np.abs(logits[attended]).max(), 0.0, bias)
    mixed = mixing(program, step.at)
    if mixed is None:
        return None
    sizes, before = _sizes(program, base, mixed, logits.shape, question), _before(program, base)
    return Site(step, step.ids[0], raw, factor, before, bias, attended, sizes, _fill(logits, attended))


def mixing(program: Program, at: int) -> Step | None:
    """The product of weights and values; the weights may have been multiplied on the way."""
    for _ in range(FEW):
        readers = program.readers(at)
        found = next((reader for reader in readers if reader.name in MIXING), None)
        if found is not None or not readers:
            return found
        at = readers[0].at
    return None


def _fill(logits: Array, attended: Array) -> str:
    masked = logits[~attended]
    if not masked.size or not np.isfinite(masked).all():
        return "none"
    return "replaced" if np.ptp(masked) == 0 else "added"


def _scores(program: Program, at: int, shape: tuple[int, ...]) -> tuple[int, float]:
    """Back through masks and scalar factors to the product of queries and keys: its id, and the factor in between."""
    factor = 1.0
    while (step := program.producer(at)) is not None and step.name not in MIXING:
        inputs = [each for each in step.ids if program.values[each].shape == shape]
        if not inputs:
            break
        if step.name in SCALING and len(inputs) == 1:
            number = _scalar(step, program)
            if number is None:
                break
            factor *= number
        at = inputs[0]
    return at, factor


def _scalar(step: Step, program: Program) -> float | None:
    """What a multiplication or division by one number multiplies by."""
    arrays = [each if not isinstance(each, int) else program.values[each] for each in step.inputs]
    numbers = [float(array.item()) for array in arrays if array.size == 1 and array.ndim <= 1]
    if len(numbers) != 1:
        return None
    return numbers[0] if step.name == "multiply" else 1 / numbers[0]


def _before(program: Program, base: int) -> float:
    """The scalar factors in queries and keys."""
    product, factor = program.producer(base), 1.0
    for at in product.ids if product is not None else ():
        while (step := program.producer(at)) is not None and (step.name in SCALING or step.moves) and step.ids:
            factor *= (_scalar(step, program) or 1.0) if step.name in SCALING else 1.0
            at = step.ids[0]
    return factor


def _sizes(program: Program, base: int, mixed: Step, shape: tuple[int, ...], question: Question) -> Sizes:
    """Numbers that a scale may come from."""
    found: Sizes = []
    product = program.producer(base)
    operands = product.ids if product is not None and product.name in MIXING else list(mixed.ids)
    head = [program.values[at].shape[-1] for at in operands if program.values[at].shape != shape]
    found += [(n, "head") for n in head[:1]]
    kernel = question.a.weights.get("kernel")
    width = kernel.shape[0] if kernel is not None else question.a.exit.shape[-1]
    found.append((int(width), "width"))
    if len(shape) > 3:
        found.append((shape[1], "heads"))
    return [*found, (shape[-1], "length")]


def tried(question: Question, program: Program, site: Site, logits: Array) -> bool:
    found = program.result({site.logits: logits})
    return found is not None and question.agrees(found)


def scales(site: Site) -> dict[float, None]:
    """Those that somebody could have written."""
    found: dict[float, None] = {}
    for n, _ in site.sizes:
        found.update(dict.fromkeys((n**-0.5, float(n) ** 0.5, 1.0 / n, float(n), n**-0.25)))
    found.update(dict.fromkeys((1.0, site.scale**2, site.scale / site.before, 0.5, 2.0)))
    return found


def scale_cause(site: Site, scale: float, note: str = "") -> Cause:
    a, b = spell(site.scale * site.before, site.sizes), spell(scale * site.before, site.sizes)
    named = cause("attention_scale", "scale of the attention scores", a, b, note)
    return replace(named, factor=scale / site.scale)


def other_scale(question: Question, program: Program, site: Site) -> list[Cause]:
    for scale in scales(site):
        for value in (scale, scale / site.before):
            if value != site.scale and tried(question, program, site, site.computed(value)):
                return [scale_cause(site, value)]
    return []


def measured_scale(question: Question, program: Program, site: Site) -> list[Cause]:
    """Where it is a number that nobody would guess."""

    def error(log: float) -> float:
        found = program.result({site.logits: site.computed(float(np.exp(log)))})
        return apart(question, found) if found is not None else 1e9

    grid = np.linspace(-5, 5, 41)
    start = grid[int(np.argmin([error(log) for log in grid]))]
    best = optimize.minimize_scalar(
        error, bounds=(start - 0.3, start + 0.3), method="bounded", options={"xatol": 1e-15}
    )
    value = nice(float(np.exp(best.x)))
    for scale in (value, float(np.exp(best.x))):
        if tried(question, program, site, site.computed(scale)):
            return [scale_cause(site, scale)]
    return []


def apart(question: Question, found: Array) -> float:
    """How far an array is from what B gives, in the best order of axes."""
    wanted = question.b.exit
    if found.size != wanted.size or not np.isfinite(found).all():
        return 1e9
    slim = [array.reshape([n for n in array.shape if n != 1]) for array in (found, wanted)]
    return min((distance(slim[1], slim[0].transpose(order)) for order in orders(slim[0], slim[1].shape)), default=1e9)


def masks(site: Site, question: Question) -> Iterator[tuple[str, str, Array]]:
    """(words for A, words for B, what B attends to)."""
    mask = site.attended
    shape: tuple[int, ...] = site.raw.shape
    ones = np.ones(shape[-2:], bool)
    own = described(mask)
    yield from _parts(mask)
    if not mask.all():
        yield own, "attends to everything", np.ones(shape, bool)
        yield "attends where its mask says so", "attends to what A masks (the mask is inverted)", ~mask
        yield (
            own,
            "masks queries where A masks keys (transposed)",
            mask.swapaxes(-1, -2) if ones.shape[0] == ones.shape[1] else mask,
        )
    for offset in dict.fromkeys((0, -1, 1, int(shape[-1]) - int(ones.shape[0]))):
        causal = np.tril(ones, offset)
        yield own, _causal_words(offset), np.broadcast_to(causal, shape)
        yield own, f"{_causal_words(offset)}, within A's mask", mask & causal
    yield (
        own,
        "attends to the present and the future (the causal mask is turned around)",
        np.broadcast_to(np.triu(ones), shape),
    )
    for shift in (1, -1):
        yield own, f"A's mask, shifted by {shift} along the keys", np.roll(mask, shift, -1)
    for entry in (*question.b.entries, *question.a.entries):
        yield from _of_data(own, entry.array, shape, mask)


def _causal_words(offset: int) -> str:
    if offset == 0:
        return "attends to the past and itself (causal)"
    if offset == -1:
        return "attends to the past without itself (causal, off by one)"
    return f"attends to {offset} step{'s' * (offset != 1)} of the future as well (causal, off by one)"


def described(mask: Array) -> str:
    """A mask in words."""
    if mask.all():
        return "attends to everything"
    offset, keys = causal_part(mask)
    if mask.shape[-1] == mask.shape[-2] and offset is not None:
        return _causal_words(offset) + ("" if keys.all() else ", padded keys left out")
    if np.array_equal(mask, np.broadcast_to(keys, mask.shape)):
        return "leaves padded keys out"
    window = window_of(mask)
    if window:
        return window
    return f"attends to {int(mask.sum())} of {mask.size} places"


def causal_part(mask: Array) -> tuple[int | None, Array]:
    """(offset, keys) where the mask is a causal one of this offset and one of keys; (None, keys) where it is not."""
    keys: Array = np.asarray(mask.any(-2, keepdims=True))
    for offset in (0, -1, 1):
        if np.array_equal(mask, np.tril(np.ones(mask.shape[-2:], bool), offset) & keys):
            return offset, keys
    return None, keys


def _parts(mask: Array) -> Iterator[tuple[str, str, Array]]:
    """Where A's mask is a causal one and one of keys: another offset of the first, and each alone."""
    offset, keys = causal_part(mask)
    if offset is None:
        return
    own = described(mask)
    for other in (0, -1, 1):
        if other != offset:
            causal = np.tril(np.ones(mask.shape[-2:], bool), other)
            yield own, _causal_words(other), causal & keys
    if not keys.all():
        yield own, "attends to the future as well, padded keys left out", np.broadcast_to(keys, mask.shape)
        causal = np.tril(np.ones(mask.shape[-2:], bool), offset)
        yield own, "attends to padded keys as well", np.broadcast_to(causal, mask.shape)


def _of_data(own: str, array: Array, shape: tuple[int, ...], mask: Array) -> Iterator[tuple[str, str, Array]]:
    """A mask that comes in, as it is and inverted, over keys or queries."""
    values = np.unique(array)
    if array.ndim < 2 or len(values) > 2 or not set(np.abs(values.astype(float))) <= {0.0, 1.0}:
        return
    kept = array.astype(bool)
    forms = [kept] if array.ndim == len(shape) else []
    if array.shape[0] == shape[0] and array.shape[-1] == shape[-1]:
        middle = (1,) * (len(shape) - 2)
        forms.append(kept.reshape(shape[0], *middle, -1) if kept.size == shape[0] * shape[-1] else kept)
    for form in forms:
        try:
            full = np.broadcast_to(form, shape)
        except ValueError:
            continue
        yield own, "attends where the mask of the data is 1 alone", full
        yield own, "attends where the mask of the data is 0 (inverted)", ~full


def other_mask(question: Question, program: Program, site: Site) -> list[Cause]:
    for (a, b, attended), fill in itertools.product(masks(site, question), ("none", "added", "replaced")):
        if np.array_equal(attended, site.attended):
            continue
        if fill != "none" and attended.any(-1).all():
            continue  # it makes no difference where no row is masked altogether
        if tried(question, program, site, site.computed(None, attended, fill)):
            return [cause("attention_mask", "attention mask", a, b)]
    return masked_rows(question, program, site)


ROWS = {
    "none": "gives NaN",
    "added": "attends as if nothing were masked (a large number is subtracted)",
    "replaced": "attends to all keys alike",
    "zero": "gives 0",
}


def masked_rows(question: Question, program: Program, site: Site) -> list[Cause]:
    """Queries that may attend to nothing."""
    if site.attended.any(-1).all():
        return []
    weights = program.values[site.step.at]
    rows = ~site.attended.any(-1, keepdims=True)
    options = {fill: softmax(site.computed(None, None, fill)) for fill in ("none", "added", "replaced")}
    options["zero"] = np.where(rows, 0.0, options["added"])
    own = next((fill for fill, found in options.items() if np.allclose(found, weights, equal_nan=True)), None)
    for fill, found in options.items():
        result = program.result({site.step.at: found})
        if fill != own and result is not None and question.agrees(result):
            a = ROWS[own] if own else "has its own way"
            return [cause("masked_rows", "queries whose keys are all masked", a, ROWS[fill])]
    return []


def other_axis(question: Question, program: Program, site: Site) -> list[Cause]:
    logits = program.values[site.logits]
    own = site.step.axis[0] % logits.ndim
    names = AXES.get(logits.ndim, {})
    for axis in reversed(range(logits.ndim)):
        found = program.result({site.step.at: softmax(logits, axis)})
        if axis != own and found is not None and question.agrees(found):
            a, b = (f"over {names.get(each, f'axis {each}')}" for each in (own, axis))
            return [cause("softmax_axis", "softmax of the attention scores", a, b)]
    return []


def biased_scale(question: Question, program: Program, site: Site) -> list[Cause]:
    """What is added to the scores is scaled with them, or no longer."""
    if not site.bias.any():
        return []
    for factor, b in ((site.scale, "after it: scaled as well"), (1 / site.scale, "without the scale")):
        if tried(question, program, site, replace(site, bias=site.bias * factor).computed()):
            return [cause("mask_scaled", "what is added to the scores", "is added to the scaled scores", b)]
    if tried(question, program, site, replace(site, bias=np.zeros_like(site.bias)).computed()):
        return [cause("attention_bias", "what is added to the scores", "adds it", "leaves it out")]
    return []


def exchanged(question: Question, program: Program, site: Site) -> list[Cause]:
    """Keys for queries."""
    if site.raw.shape[-1] != site.raw.shape[-2]:
        return []
    if tried(question, program, site, replace(site, raw=site.raw.swapaxes(-1, -2)).computed()):
        return [cause("queries_keys", "scores", "queries times keys", "keys times queries (exchanged)")]
    return []
