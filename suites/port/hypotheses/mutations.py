"""A's operations with one thing changed: a number, an axis, an operand, a place, an operation left out or put in.

For what has no formula: functional code between layers. What follows the change is computed again in NumPy, and the
change names the difference if B's result comes out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from suites.port.hypotheses import left_out_masks, positions, replaced, sampling, spectra, windows
from suites.port.hypotheses.causes import cause, nice, short, spell
from suites.port.hypotheses.formulas import ACTIVATIONS, may_be
from suites.port.hypotheses.generic import sizes
from suites.port.hypotheses.interpreter import BINARY, UNARY, understand
from suites.port.hypotheses.layers import spoken
from suites.port.hypotheses.left_out_masks import told as _told
from suites.port.hypotheses.moves import Change, floats, other_moves, other_slices, pixel_shuffles, repeated
from suites.port.hypotheses.program import REDUCTIONS, Program, Step
from suites.port.hypotheses.question import Cause, Question, same
from suites.port.hypotheses.relations import progression, relation

Array = np.ndarray
Changing = Callable[[Question, Program], Iterator[Change]]
LONGEST = 120  # operations of a region whose every change is tried
MEASURED = 1e-9  # relative: what two constants may be off and be a multiple of each other
LARGEST_NUMBER = 1e30
LARGEST = 300_000  # elements of its largest value
COMMUTING = ("add", "multiply", "maximum", "minimum", "concatenate", "equal", "not_equal")
SQUASHING = ("relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "exp", "abs")


def other_positions(question: Question) -> list[Cause]:
    return mutate(question, (position_codes, joined_otherwise))


def mutate(question: Question, changes: Sequence[Changing] = ()) -> list[Cause]:
    """The first change that turns one side's result into the other's; each is tried on A, then on B."""
    sides = [
        (asked, windows.completed(asked, understand(asked.a)))
        for asked in (question, question.swapped())
        if small(asked)
    ]
    for changing in changes or CHANGES:
        for asked, program in sides:
            found = first_change(asked, program, changing)
            if found is not None:
                return [found if asked is question else found.swapped()]
    return []


def small(question: Question) -> bool:
    return len(question.a.ops) <= LONGEST and question.a.exit.size <= LARGEST


def first_change(question: Question, program: Program, changing: Changing) -> Cause | None:
    for values, steps, named in changing(question, program):
        found = program.result(values, steps)
        if found is not None and agreeing(question, found):
            return named if isinstance(named, Cause) else named()
    return None


def agreeing(question: Question, found: Array) -> bool:
    """TensorFlow resizes in float32, whatever it is given: beside that no more can be asked."""
    single = any(op.raw.startswith("Resize") for op in (*question.a.ops, *question.b.ops))
    return question.agrees(found) or (single and same(found, question.b.exit, windows.ROUGHLY))


def position_codes(question: Question, program: Program) -> Iterator[Change]:
    """Rotary pairs, sinusoids, offsets."""
    entries = [e.array for part in (question.a, question.b) for e in part.entries if e.array.dtype.kind == "f"]
    for values, named in positions.alternatives(
        program, understand(question.b), [array for array in entries if array.ndim > 2]
    ):
        yield values, {}, named


def other_windows(question: Question, program: Program) -> Iterator[Change]:
    """Pools, pads, resizes and flattens."""
    for at, other, named in windows.other_windows(question, program):
        yield {at: other}, {}, named


def joined_otherwise(question: Question, program: Program) -> Iterator[Change]:
    """The parts of a concatenation in another order; of several in the same one, as keys and values behind a cache."""
    alike: dict[tuple[int, tuple[int, ...]], dict[int, tuple[Step, Array]]] = {}
    for step, axis, order, other in other_joins(program):
        b = f"in the order {', '.join(str(i + 1) for i in order)}"
        yield {step.at: other}, {}, cause("concatenation", f"parts of {_told(step)}", "in order", b)
        alike.setdefault((axis, order), {})[step.at] = step, other
    for (_, order), steps in alike.items():
        if len(steps) > 1:
            b = f"in the order {', '.join(str(i + 1) for i in order)}"
            told = " and of ".join(_told(step) for step, _ in steps.values())
            named = cause("concatenation", f"parts of {told}", "in order", b)
            yield {at: other for at, (_, other) in steps.items()}, {}, named


def other_joins(program: Program) -> Iterator[tuple[Step, int, tuple[int, ...], Array]]:
    """A concatenation, its axis, another order of its parts, and what that gives."""
    for step in program.steps:
        if step.name not in ("concatenate", "stack") or not 1 < len(step.ids) < 5:
            continue
        if program.values[step.at].dtype.kind != "f":  # places in a table: what is exchanged is the table's axes
            continue
        arrays, wanted = [program.values[at] for at in step.ids], program.values[step.at]
        for axis, order in itertools.product(range(wanted.ndim), itertools.permutations(range(len(arrays)))):
            whole = sum(array.shape[axis] for array in arrays if array.ndim == wanted.ndim)
            if whole == wanted.shape[axis] and order != tuple(range(len(arrays))):
                yield step, axis, order, np.concatenate([arrays[i] for i in order], axis)


def other_masks(question: Question, program: Program) -> Iterator[Change]:
    """A mask that comes in is ignored, or taken the other way round."""
    for entry in question.a.entries:
        values = np.unique(entry.array)
        if entry.array.ndim < 2 or len(values) != 2 or not np.array_equal(values.astype(float), [0.0, 1.0]):
            continue
        subject = f"the mask ({_entry(entry)})"
        yield {entry.id: np.ones_like(entry.array)}, {}, cause("mask", subject, "uses it", "ignores it")
        turned = np.asarray(1 - entry.array.astype(float)).astype(entry.array.dtype)
        yield {entry.id: turned}, {}, cause("mask", subject, "uses it as it is", "uses it inverted")


def other_activations(question: Question, program: Program) -> Iterator[Change]:
    """A function of one value, by whatever operations, is another one."""
    for step, y in floats(program):
        ancestors = {at for each in program.before(step.at)[-12:] for at in each.ids}
        for at in sorted(ancestors):
            x = program.values[at]
            name = _activation(x, y) if x.shape == y.shape and x.dtype.kind == "f" else ""
            if not name:
                continue
            for other, function in ACTIVATIONS.items():
                if other != name and may_be(other, x):
                    named = cause("activation", "activation", spoken(name), spoken(other))
                    yield {step.at: np.asarray(function(x))}, {}, named


def _activation(x: Array, y: Array) -> str:
    norm = float(np.linalg.norm(y))
    if not math.isfinite(norm):  # a mask is no function of one value
        return ""
    for name, function in ACTIVATIONS.items():
        if not may_be(name, x):
            continue
        if name != "linear" and norm and float(np.linalg.norm(function(x) - y)) <= 1e-9 * norm:
            return name
    return ""


def other_numbers(question: Question, program: Program) -> Iterator[Change]:
    """A number that is written in A: as B has it, as somebody could have meant it."""
    theirs = numbers_of(understand(question.b))
    for step in program.steps:
        for place, number in written(step):
            if abs(number) > LARGEST_NUMBER:
                continue  # a mask
            options = [*theirs, *_usual(number, question)]
            for other in dict.fromkeys(options):
                if other == number:
                    continue
                inputs = tuple(np.asarray(other) if i == place else each for i, each in enumerate(step.inputs))
                signature, subject = _role(program, step, number)
                of_a_size = signature == "number" and step.name in ("multiply", "divide")
                known = sizes(question) if of_a_size else ()
                a, b = (short(v) if float(v).is_integer() or not known else spell(v, known) for v in (number, other))
                named = replace(cause(signature, subject, a, b), factor=_ratio(step, place, number, other))
                yield {}, {step.at: replace(step, inputs=inputs)}, named


def _ratio(step: Step, place: int, number: float, other: float) -> float:
    """What the result is multiplied by with the other number; 1 where that is no factor."""
    if not number or not other or (step.name, place) not in (("multiply", 0), ("multiply", 1), ("divide", 1)):
        return 1.0
    return other / number if step.name == "multiply" else number / other


def written(step: Step) -> Iterator[tuple[int, float]]:
    """The numbers of a step, with their places among its inputs."""
    for place, each in enumerate(step.inputs):
        if not isinstance(each, int) and each.size == 1 and step.name in BINARY:
            yield place, float(np.ravel(each)[0])


def numbers_of(program: Program) -> list[float]:
    return [number for step in program.steps for _, number in written(step)]


def _usual(number: float, question: Question) -> Iterator[float]:
    yield from (
        -number,
        1 / number if number else 1.0,
        2 * number,
        number / 2,
        number**2,
        math.sqrt(abs(number)),
        1.0,
        0.0,
    )
    if 0 < number < 0.1:
        yield from (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12)
    for size, _ in sizes(question):
        yield from (size**0.5, size**-0.5, float(size), 1.0 / size)


def _role(program: Program, step: Step, number: float) -> tuple[str, str]:
    readers = program.readers(step.at)
    if step.name == "add" and any(reader.name in ("rsqrt", "sqrt") for reader in readers):
        return "epsilon", "epsilon inside the root"
    names = {"multiply": "factor", "divide": "divisor", "add": "addend", "subtract": "subtrahend", "power": "exponent"}
    return "number", f"{names.get(step.name, 'number')}{_where(step)}"


def _where(step: Step) -> str:
    line = step.op.line if step.op is not None else ""
    return f" of {step.name}" + (f" ({line})" if line else "")


def measured_number(question: Question, program: Program) -> Iterator[Change]:
    """The factor, or the addend, of a step whose result is B's result up to what it measures."""
    for step, y in floats(program):
        if step.at == program.exit_id:
            continue
        for scale in (2.0, 0.5, math.sqrt(2), math.sqrt(0.5), -1.0, *_dims(question, y)):
            b = f"times {spell(scale, sizes(question))}"
            yield {step.at: scale * y}, {}, cause("factor", f"result of {_told(step)}", "as it is", b)
    for entry in question.a.entries:
        if entry.array.dtype.kind != "f":
            continue
        width = [(n, "width") for n in entry.array.shape[-1:]]
        for scale in (*_dims(question, entry.array), 2.0, 0.5, -1.0):
            b = f"times {spell(scale, [*width, *sizes(question)])}"
            yield {entry.id: scale * entry.array}, {}, cause("factor", f"scale of {_entry(entry)}", "as it is", b)


def _dims(question: Question, array: Array) -> Iterator[float]:
    for size in dict.fromkeys(array.shape[1:]):
        if size > 1:
            yield from (size**0.5, size**-0.5, float(size), 1.0 / size)


def _entry(entry: object) -> str:
    return getattr(entry, "origin", "") or "what comes in"


def other_axes(question: Question, program: Program) -> Iterator[Change]:
    """Of a softmax or a reduction."""
    for step in program.steps:
        if not step.axis or not step.ids:
            continue
        x = program.values[step.ids[0]]
        if not x.size:
            continue
        own = tuple(axis % x.ndim for axis in step.axis)
        keep = program.values[step.at].ndim == x.ndim
        for axes in itertools.combinations(range(x.ndim), len(own)):
            if axes != own:
                a, b = (f"over {_axes(each)} of {x.shape}" for each in (own, axes))
                yield {step.at: _again(step.name, x, axes, keep)}, {}, cause("axis", step.name, a, b)
        for name in REDUCTIONS:
            if step.name in REDUCTIONS and name != step.name:
                other = REDUCTIONS[name](x, axis=own, keepdims=keep)
                yield {step.at: other}, {}, cause("reduction", f"over {_axes(own)} of {x.shape}", step.name, name)


def all_alike(question: Question, program: Program) -> Iterator[Change]:
    """What weights that sum to 1 mix is taken alike."""
    yield from _entry_alike(question)
    for step in program.steps:
        if step.name == "softmax" and step.axis and step.ids:
            x = program.values[step.ids[0]]
            yield from _uniform(step, x, tuple(axis % x.ndim for axis in step.axis))


def _uniform(step: Step, x: Array, own: tuple[int, ...]) -> Iterator[Change]:
    """What a softmax weighs is taken alike: its mean, or its sum."""
    for weight, words in ((1 / x.shape[own[0]], "all alike: their mean"), (1.0, "none: their sum")):
        named = cause("weights", f"weights of {_told(step)}", "the softmax", words)
        yield {step.at: np.full(x.shape, weight)}, {}, named


def _entry_alike(question: Question) -> Iterator[Change]:
    """The same of weights that come in: rows that sum to 1."""
    for entry in question.a.entries:
        x = entry.array
        if x.ndim < 1 or x.dtype.kind != "f" or x.shape[-1] < 2 or x.min() < 0 or not np.allclose(x.sum(-1), 1.0):
            continue
        for weight, words in ((1 / x.shape[-1], "all alike: their mean"), (1.0, "none: their sum")):
            named = cause("weights", f"weights that sum to 1 ({_entry(entry)})", "those", words)
            yield {entry.id: np.full(x.shape, weight)}, {}, named


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"


def _again(name: str, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    if name in REDUCTIONS:
        return np.asarray(REDUCTIONS[name](x, axis=axes, keepdims=keep))
    moved = np.moveaxis(x, axes[0], -1)
    return np.asarray(np.moveaxis(UNARY[name](moved), -1, axes[0]))


def other_operands(question: Question, program: Program) -> Iterator[Change]:
    """Another value of the same shape: a residual from the wrong tensor, two operands exchanged."""
    pool = {entry.id: (entry.array, _entry(entry)) for entry in question.a.entries}
    theirs = [(entry.array, _entry(entry)) for entry in question.b.entries]
    for step in program.steps:
        if step.name in SQUASHING or step.name in ("identity", "cast"):
            continue
        for place, at in enumerate(step.inputs):
            if not isinstance(at, int) or program.values[at].dtype.kind != "f":
                continue
            own = _name(program, question, at)
            for array, name in _instead(program, step, at, pool, theirs):
                inputs = tuple(array if i == place else each for i, each in enumerate(step.inputs))
                named = partial(
                    _operands_in_words, f"operand of {_told(step)}", (own, program.values[at]), (name, array)
                )
                yield {}, {step.at: replace(step, inputs=inputs)}, named
        yield from _in_another_order(program, step, question)


def _operands_in_words(subject: str, ours: tuple[str, Array], theirs: tuple[str, Array]) -> Cause:
    """Two values by their names; by what was measured between them where they have none of their own."""
    if ours[0] == theirs[0]:
        found = relation(ours[1], theirs[1], lambda made: same(made, theirs[1], MEASURED))
        if found is not None:
            return found.cause(subject)
        if ours[1].shape == theirs[1].shape:
            return cause(
                "operand", subject, f"{ours[0]} ({progression(ours[1])})", f"another ({progression(theirs[1])})"
            )
    return cause("operand", subject, ours[0], theirs[0])


def transposed_operand(question: Question, program: Program) -> Iterator[Change]:
    """A square matrix that an operation reads the other way round: neighbours, transitions."""
    for step in program.steps:
        for place, each in enumerate(step.inputs):
            array = program.values[each] if isinstance(each, int) else each
            if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.shape[-1] < 2:
                continue
            subject = f"square operand of {_told(step)}, {array.shape}"
            named = cause("transposed", subject, "as it is", "transposed")
            alike = [step] if isinstance(each, int) else [s for s in program.steps if s.name == step.name]
            yield {}, {s.at: _turned(s, place, array) for s in alike if _reads(program, s, place, array)}, named


def _reads(program: Program, step: Step, place: int, array: Array) -> bool:
    """Whether an operand of a step is this array: a weight may be read again and again."""
    if place >= len(step.inputs):
        return False
    each = step.inputs[place]
    return np.array_equal(program.values[each] if isinstance(each, int) else each, array)


def _turned(step: Step, place: int, array: Array) -> Step:
    inputs = tuple(array.swapaxes(-1, -2) if i == place else other for i, other in enumerate(step.inputs))
    return replace(step, inputs=inputs)


def _instead(program: Program, step: Step, at: int, pool: dict, theirs: list) -> Iterator[tuple[Array, str]]:  # type: ignore[type-arg]
    wanted = program.values[at]
    for array, name in theirs:
        if array.shape == wanted.shape and array.dtype.kind == "f" and not np.array_equal(array, wanted):
            yield array, name
    for other, (array, name) in pool.items():
        if other != at and array.shape == wanted.shape:
            yield array, name
    for earlier in program.steps:
        if earlier.at >= step.at >= 0 or earlier.at == step.at:
            break
        array = program.values[earlier.at]
        if earlier.at != at and array.shape == wanted.shape and array.dtype.kind == "f":
            yield array, f"the result of {_told(earlier)}"


def _name(program: Program, question: Question, at: int) -> str:
    step = program.producer(at)
    if step is not None:
        return f"the result of {_told(step)}"
    return next((_entry(entry) for entry in question.a.entries if entry.id == at), "a constant")


def _in_another_order(program: Program, step: Step, question: Question) -> Iterator[Change]:
    """Operands of a subtraction, a matrix product or a concatenation in another order."""
    ids = step.inputs
    if len(ids) < 2 or len(ids) > 4 or (step.name in COMMUTING and step.name != "concatenate"):
        return
    arrays = [program.values[each] if isinstance(each, int) else each for each in ids]
    if len({array.shape for array in arrays}) > 1 or any(array.size < 2 for array in arrays):
        return
    for order in itertools.permutations(range(len(ids))):
        if order != tuple(range(len(ids))):
            inputs = tuple(ids[i] for i in order)
            listed = ", ".join(str(i + 1) for i in order)
            named = cause("operand_order", f"operands of {_told(step)}", "in order", f"in the order {listed}")
            yield {}, {step.at: replace(step, inputs=inputs)}, named


def linearised(question: Question, program: Program) -> Iterator[Change]:
    """exp(x) as 1 + x: a step of Euler's in place of the exact one. In a loop all of its steps at once."""
    lines: dict[tuple[str, str], list[Step]] = {}
    for step in program.steps:
        lines.setdefault((step.name, step.op.line if step.op is not None else ""), []).append(step)
    for (name, _), steps in lines.items():
        if name == "exp":
            named = cause("linearised", f"function{_where(steps[0])}", "exp(x)", "1 + x")
            yield {}, {step.at: replace(step, function=_one_more) for step in steps}, named
        places = [place for step in steps for place, number in written(step) if number == 1.0]
        if name == "add" and len(places) == len(steps):
            others = [partial(_exponential, 1 - place) for place in places]
            changed = {step.at: replace(step, function=other) for step, other in zip(steps, others, strict=True)}
            yield {}, changed, cause("linearised", f"function{_where(steps[0])}", "1 + x", "exp(x)")


def _one_more(arrays: Sequence[Array]) -> Array:
    return np.asarray(1 + arrays[0])


def _exponential(place: int, arrays: Sequence[Array]) -> Array:
    return np.asarray(np.exp(arrays[place]))


def activation_left_out(question: Question, program: Program) -> Iterator[Change]:
    """Before anything else that may look the same on the numbers of one batch."""
    yield from left_out(question, program, SQUASHING)


def left_out(question: Question, program: Program, names: Sequence[str] = ()) -> Iterator[Change]:
    """An operation (one of these names, if any are given) that B does not have: what goes in comes out."""
    for step in program.steps:
        if names and step.name not in names:
            continue
        y = program.values[step.at]
        for place, each in enumerate(step.inputs):
            if not isinstance(each, int) and not step.ids and each.shape == y.shape:  # of a weight alone
                named = cause("missing", _told(step), "computes it", "leaves it out")
                yield {}, {step.at: replace(step, function=partial(_given, place))}, named
        for at in step.ids:
            if program.values[at].shape == y.shape and program.values[at].dtype == y.dtype:
                named = in_order(program.values[at], y) or missing(question, program, step, at)
                yield {step.at: program.values[at]}, {}, named


def _given(place: int, arrays: Sequence[Array]) -> Array:
    return arrays[place]


def missing(question: Question, program: Program, step: Step, at: int) -> Cause:
    numbers = [number for _, number in written(step)]
    numbers += [float(np.ravel(program.values[i])[0]) for i in step.ids if i != at and program.values[i].size == 1]
    if len(numbers) == 1 and step.name in ("multiply", "divide"):
        return missing_factor(question, program, step, numbers[0])
    total = program.producer(step.ids[1]) if step.name == "divide" and len(step.ids) == 2 else None
    if total is not None and total.name in REDUCTIONS and total.ids == [at]:
        line = f" ({step.op.line})" if step.op is not None and step.op.line else ""
        return cause("missing", f"division by its own {total.name}{line}", "computes it", "leaves it out")
    others = [_name(program, question, other) for other in step.ids if other != at]
    what = f" of {others[0]}" if others and step.name == "add" else ""
    return cause("missing", f"{_told(step)}{what}", "computes it", "leaves it out")


def missing_factor(question: Question, program: Program, step: Step, number: float) -> Cause:
    """A factor that is left out, by its number."""
    factor = number if step.name == "multiply" else 1 / number if number else math.inf
    known = [*sizes(question), *((n, "length") for n in program.values[step.at].shape[1:])]
    return replace(
        cause("factor", f"factor{_where(step)}", spell(factor, known), "1"), factor=1 / factor if factor else 1.0
    )


def in_order(source: Array, wanted: Array) -> Cause | None:
    """A value whose slices along one axis are those of another one, in an order of their own."""
    for axis in range(wanted.ndim):
        ours, theirs = (np.moveaxis(each, axis, 0).reshape(wanted.shape[axis], -1) for each in (source, wanted))
        if len(ours) < 2 or len(ours) > LONGEST or ours.dtype.kind not in "fiu":
            continue
        order = np.array([int(np.abs(ours - row).sum(1).argmin()) for row in theirs])
        if np.array_equal(ours[order], theirs) and not np.array_equal(order, np.arange(len(order))):
            listed = ", ".join(map(str, order[:12])) + (", ..." if len(order) > 12 else "")
            if axis == 0:
                return cause("example_order", "the examples", f"in the order {listed}", "as they come")
            return cause("axis_order", f"axis {axis} of {wanted.shape}", f"in the order {listed}", "as it is")
    return None


def gone_around(question: Question, program: Program) -> Iterator[Change]:
    """Several operations, a whole layer of the user's, that B does not apply."""
    for step, y in floats(program):
        before = program.before(step.at)
        for at in dict.fromkeys(each for earlier in before for each in earlier.ids):
            if at in step.ids or program.values[at].shape != y.shape:
                continue
            held = {earlier.at for earlier in program.before(at)}
            left = [earlier for earlier in before if earlier.at not in held]
            yield {step.at: program.values[at]}, {}, cause("missing", _layers(left), "applies it", "leaves it out")


def _layers(steps: list[Step]) -> str:
    """The layers that operations are in, or their names."""
    layers = dict.fromkeys(step.op.layer for step in steps if step.op is not None)
    names = [name for name in layers if name] or list(dict.fromkeys(step.name for step in steps))
    return " and ".join(names[:3])


def put_in(question: Question, program: Program) -> Iterator[Change]:
    """A function that B applies on the way."""
    seen = [(entry.id, entry.array, _entry(entry)) for entry in question.a.entries]
    seen += [(step.at, array, f"the result of {_told(step)}") for step, array in floats(program)]
    for at, array, name in seen:
        if array.dtype.kind != "f" or at == program.exit_id:
            continue
        for function_name, function in ACTIVATIONS.items():
            odd = function_name in ("linear", "leaky_relu", "exponential") or not may_be(function_name, array)
            if not odd and np.ptp(function(array)):
                b = f"applies {spoken(function_name)} to it"
                named = cause("extra", name, "goes on with it as it is", b)
                yield {at: np.asarray(function(array))}, {}, named


def wide_measures(question: Question, program: Program) -> Iterator[Change]:
    """An epsilon that nobody would guess: measured in one step before a root."""
    for step in program.steps:
        readers = program.readers(step.at)
        if step.name != "add" or not any(reader.name in ("rsqrt", "sqrt") for reader in readers):
            continue
        for place, number in written(step):
            for exponent in np.arange(-12, 0):
                for digit in (1, 2, 5):
                    other = nice(digit * 10.0 ** float(exponent), 2)
                    inputs = tuple(np.asarray(other) if i == place else each for i, each in enumerate(step.inputs))
                    named = cause("epsilon", "epsilon inside the root", short(number), short(other))
                    yield {}, {step.at: replace(step, inputs=inputs)}, named


CHANGES = (
    other_masks,
    left_out_masks.mask_left_out,
    *spectra.CHANGES,
    sampling.other_sampling,
    other_activations,
    activation_left_out,
    other_windows,
    pixel_shuffles,
    joined_otherwise,
    repeated,
    replaced.complemented,
    replaced.distributed,
    other_axes,
    all_alike,
    other_slices,
    other_numbers,
    replaced.number_everywhere,
    replaced.inverse_operation,
    left_out,
    linearised,
    replaced.other_operation,
    replaced.other_constants,
    gone_around,
    other_moves,
    replaced.exchanged_values,
    transposed_operand,
    other_operands,
    measured_number,
    put_in,
    wide_measures,
)
