"""Changes of any kind that are tried generically: two values exchanged, another operation, other constants.

Each puts what B may do in A's place, and counts only if B's result comes out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from suites.port.hypotheses.causes import cause, short
from suites.port.hypotheses.filterbanks import bank_of
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.moves import Change
from suites.port.hypotheses.named_meanings import BINARY
from suites.port.hypotheses.program import Function, Program, Step
from suites.port.hypotheses.question import Part, Question
from suites.port.hypotheses.wording import line_of

Array = np.ndarray
MOST = 16  # values of which any two are exchanged
LONGEST = 20_000  # numbers of a constant
CONSTANT = "a constant"  # the origin of what no operation makes and no input is
SHOWN = 4
ARITHMETIC = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
    "maximum": "max({0}, {1})", "minimum": "min({0}, {1})",
}  # fmt: skip


def other_operation(question: Question, program: Program) -> Iterator[Change]:
    """Another operation on the same number, or on a number that B has: a clamp where something is added."""
    theirs = _numbers(understand(question.b))
    for step in program.steps:
        for place, own in _scalars(step):
            for name, number in itertools.product(ARITHMETIC, dict.fromkeys([own, *theirs])):
                if step.name not in ARITHMETIC or name == step.name or _neutral(name, number):
                    continue
                inputs = tuple(np.asarray(number) if i == place else each for i, each in enumerate(step.inputs))
                other = replace(step, name=name, inputs=inputs, function=of_two(name))
                words = _spelled(step.name, place, own), _spelled(name, place, number)
                yield {}, {step.at: other}, cause("operation", f"operation{line_of(step)}", *words)


INVERSES = {"multiply": "divide", "divide": "multiply", "add": "subtract", "subtract": "add"}


def inverse_operation(question: Question, program: Program) -> Iterator[Change]:
    """A division where the other side multiplies, by whatever value: a temperature taken for its inverse."""
    for step in program.steps:
        if step.name not in INVERSES or len(step.inputs) != 2:
            continue
        name = INVERSES[step.name]
        for inputs, letters in ((step.inputs, "xy"), (step.inputs[::-1], "yx")):
            other = replace(step, name=name, inputs=inputs, function=of_two(name))
            words = ARITHMETIC[step.name].format("x", "y"), ARITHMETIC[name].format(*letters)
            yield {}, {step.at: other}, cause("operation", f"operation{line_of(step)}", *words)


def of_two(name: str) -> Function:
    function = BINARY[name]
    return lambda a: function(a[0], a[1])


def _spelled(name: str, place: int, number: float) -> str:
    operands = ("x", short(number)) if place else (short(number), "x")
    return ARITHMETIC[name].format(*operands)


def _neutral(name: str, number: float) -> bool:
    """Whether the operation does nothing with this number: that is one left out."""
    return number == (0.0 if name in ("add", "subtract") else 1.0) and name not in ("maximum", "minimum")


def _scalars(step: Step) -> Iterator[tuple[int, float]]:
    for place, each in enumerate(step.inputs):
        if not isinstance(each, int) and each.size == 1 and step.name in BINARY and len(step.inputs) == 2:
            yield place, float(np.ravel(each)[0])


def _numbers(program: Program) -> list[float]:
    return [number for step in program.steps for _, number in _scalars(step) if np.isfinite(number)]


PROBABLE = ("exp", "softmax", "sigmoid")  # what gives a probability


def complemented(question: Question, program: Program) -> Iterator[Change]:
    """x where the other side has 1 - x: the weight of a focal loss, a mask, a gate."""
    for step in program.steps:
        if step.name not in ("subtract", "rsubtract") or len(step.inputs) != 2:
            continue
        one, x = step.inputs if step.name == "subtract" else step.inputs[::-1]
        if isinstance(one, int) or one.size != 1 or float(np.ravel(one)[0]) != 1.0 or not isinstance(x, int):
            continue
        made = " ".join(each.name for each in program.before(x)[-3:])
        made += next((f" {entry.origin}" for entry in question.a.entries if entry.id == x), "")
        letter = "p" if any(name in made.split() for name in PROBABLE) else "x"
        powers = [each for each in program.readers(step.at) if each.name == "power"]
        exponents = [number for each in powers for _, number in _scalars(each)]
        power = f" ** {short(exponents[0])}" if exponents else ""
        subject = "weight of a focal loss" if power and letter == "p" else "complement"
        words = f"(1 - {letter}){power}" if power else f"1 - {letter}", f"{letter}{power}"
        yield {step.at: program.values[x]}, {}, cause("complement", subject + line_of(step), *words)


def distributed(question: Question, program: Program) -> Iterator[Change]:
    """g (x + y) where the other side has x + g y: a scale of what a branch adds that is put behind the addition."""
    for step in program.steps:
        if step.name != "add" or len(step.ids) != 2:
            continue
        for place, at in enumerate(step.ids):
            way = _moves_behind(program, at)
            product = program.producer(way[0].ids[0]) if way else program.producer(at)
            if product is None or product.name != "multiply":
                continue
            for factor, name, branch in _factors_of(question, program, product):
                scale = np.broadcast_to(factor, program.values[product.at].shape)
                plain = branch
                for move in way:
                    scale, plain = move.function([scale]), move.function([plain])
                whole = scale * (program.values[step.ids[1 - place]] + plain)
                if whole.shape == program.values[step.at].shape:
                    named = cause(
                        "scale_place",
                        f"place of the scale {name}{line_of(product)}",
                        "on what is added alone",
                        "on the sum",
                    )
                    yield {step.at: whole}, {}, named


def _moves_behind(program: Program, at: int) -> list[Step]:
    """The steps behind a product that only move its numbers, in order."""
    found: list[Step] = []
    step = program.producer(at)
    while step is not None and step.moves and len(step.ids) == 1:
        found.insert(0, step)
        step = program.producer(step.ids[0])
    return found


def _factors_of(question: Question, program: Program, product: Step) -> Iterator[tuple[Array, str, Array]]:
    """Each operand of a product that does not depend on the data, its name, and the other one."""
    arrays = [program.values[each] if isinstance(each, int) else each for each in product.inputs]
    for one, other in ((0, 1), (1, 0)):
        if (
            len(arrays) == 2
            and arrays[one].size < arrays[other].size
            and arrays[other].shape == program.values[product.at].shape
        ):
            yield arrays[one], weight_of(question.a, arrays[one]) or f"of shape {arrays[one].shape}", arrays[other]


def number_everywhere(question: Question, program: Program) -> Iterator[Change]:
    """One number that is written at several places, such as the cap of scores s tanh(x / s)."""
    holders: dict[float, list[tuple[Step, int]]] = {}
    for step in program.steps:
        for place, number in _scalars(step):
            holders.setdefault(number, []).append((step, place))
    for own, places in holders.items():
        for other in dict.fromkeys(_numbers(understand(question.b))):
            if len(places) < 2 or other == own or not np.isfinite(own):
                continue
            steps = {}
            for step, place in places:
                inputs = tuple(np.asarray(other) if i == place else each for i, each in enumerate(step.inputs))
                steps[step.at] = replace(step, inputs=inputs)
            yield {}, steps, cause("number", _where_twice(program, places), short(own), short(other))


def _where_twice(program: Program, places: list[tuple[Step, int]]) -> str:
    steps = [step for step, _ in places]
    capped = any(reader.name == "tanh" for step in steps for reader in program.readers(step.at))
    if capped and {step.name for step in steps} == {"divide", "multiply"}:
        return f"soft cap s tanh(x / s){line_of(steps[0])}"
    return f"number in {' and '.join(dict.fromkeys(step.name for step in steps))}{line_of(steps[0])}"


def exchanged_values(question: Question, program: Program) -> Iterator[Change]:
    """Two values of one shape that have changed places: the halves of a split, a scale and a shift."""
    pool = [(entry.id, entry.array, entry.origin) for entry in question.a.entries]
    for step in program.steps:
        if step.moves and step.at != program.exit_id:
            pool.append((step.at, program.values[step.at], _origin(program, step)))
    numbers = [each for each in pool if each[1].dtype.kind in "fi" and each[1].size > 1][:MOST]
    for (one, x, from_x), (other, y, from_y) in itertools.combinations(numbers, 2):
        if x.shape != y.shape or x.dtype.kind != y.dtype.kind or np.array_equal(x, y):
            continue
        if from_x == from_y:
            subject = f"the parts of {from_x or 'one value'}"
            yield {one: y, other: x}, {}, cause("halves", subject, "in order", "exchanged")
        else:
            named = cause("exchanged_values", f"{from_x} and {from_y}", "each at its place", "exchanged")
            yield {one: y, other: x}, {}, named


def _origin(program: Program, step: Step) -> str:
    """What a part is taken from."""
    source = program.producer(step.ids[0]) if step.ids else None
    if source is None:
        return f"what {step.name} takes apart"
    return f"the output of {source.name}{line_of(source)}"


def other_constants(question: Question, program: Program) -> Iterator[Change]:
    """Numbers that are no input's: another weight, another window, other slopes."""
    theirs = list(constants(question.b))
    for step in program.steps:
        for place, each in enumerate(step.inputs):
            if isinstance(each, int) or not 1 < each.size <= LONGEST or each.dtype.kind != "f":
                continue
            for array in (laid for other in theirs for laid in laid_as(each, other)):
                inputs = tuple(array if i == place else old for i, old in enumerate(step.inputs))
                words = _constants_in_words(question, each, array)
                named = cause("constants", f"{words[0]} in {step.name}{line_of(step)}", words[1], words[2])
                yield {}, {step.at: replace(step, inputs=inputs)}, named


def laid_as(own: Array, other: Array) -> Iterator[Array]:
    """Other numbers in the shape of a constant, as they lie and turned."""
    for array in (other, other.T) if other.ndim == 2 and len(set(_slim(other))) == 2 else (other,):
        fits = array.size == own.size and _slim(array) == _slim(own)
        if fits and not np.allclose(array.ravel(), own.ravel(), rtol=1e-12):
            yield array.reshape(own.shape)


def _slim(array: Array) -> list[int]:
    return [n for n in array.shape if n != 1]


def constants(part: Part) -> Iterator[Array]:
    """Weights, arrays that are written out, and what is computed of nothing else."""
    yield from part.own.values()
    fixed = [entry for entry in part.entries if entry.origin == CONSTANT and entry.array.dtype.kind in "biuf"]
    yield from (entry.array.astype(float) for entry in fixed)
    moving = {entry.id for entry in part.entries} - {entry.id for entry in fixed}
    for op in part.ops:
        for operand in op.inputs:
            if isinstance(operand.literal, list):
                yield np.asarray(operand.literal, float)
        if moving.intersection(op.values) or op.weights:
            moving.update(op.outputs)
            continue
        yield from (
            part.values[at].astype(float)
            for at in op.outputs
            if at in part.values and part.values[at].dtype.kind in "biuf"
        )


def _constants_in_words(question: Question, ours: Array, theirs: Array) -> tuple[str, str, str]:
    """(what it is, A's, B's)."""
    names = weight_of(question.a, ours), weight_of(question.b, theirs)
    if all(names) and names[0] not in names[1]:
        return "weight", names[0], names[1]
    windows = window(ours), window(theirs)
    if all(windows):
        return "window", windows[0], windows[1]
    banks = bank_of(ours), bank_of(theirs)
    if banks[0] is not None and banks[1] is not None:
        return banks[0].unlike(banks[1])
    return "constants", listed(ours), listed(theirs)


def weight_of(part: Part, array: Array) -> str:
    return next((name for name, own in part.own.items() if own.size == array.size and same(own, array)), "")


def same(one: Array, other: Array) -> bool:
    return bool(np.allclose(np.ravel(one), np.ravel(other), rtol=1e-12, atol=0))


def listed(array: Array) -> str:
    numbers = [_fraction(float(each)) for each in np.ravel(array)[:SHOWN]]
    return ", ".join(numbers) + (", ..." if array.size > SHOWN else "")


def _fraction(value: float) -> str:
    """1/256 where it is the inverse of a whole number."""
    inverse = 1 / value if value else 0.0
    return (
        f"1/{inverse:.0f}" if abs(inverse) > 1 and abs(inverse - round(inverse)) < 1e-9 * abs(inverse) else short(value)
    )


WINDOWS = {"Hann": np.hanning, "Hamming": np.hamming, "Blackman": np.blackman, "Bartlett": np.bartlett}
SINGLE = 1e-6  # relative: windows are made in float32


def window(array: Array) -> str:
    """`periodic Hann`, `symmetric Hamming`; "" where it is none of the windows of signal processing."""
    flat = np.ravel(array)
    for name, make in WINDOWS.items():
        forms = {"symmetric": make(len(flat)), "periodic": make(len(flat) + 1)[:-1]}
        for form, wanted in forms.items():
            if len(flat) > 2 and np.allclose(flat, wanted, rtol=SINGLE, atol=SINGLE):
                return f"{form} {name}"
    return ""
