"""The first value that differs, told by what each side computes there: a cyclic shift, or a short formula.

A cause counts only where putting A's numbers into B at that place makes all that follows agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from suites.port.hypotheses.causes import cause, escaped, short
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.peeling import peeled
from suites.port.hypotheses.program import Program, Step
from suites.port.hypotheses.question import Cause, Part, Question
from suites.port.hypotheses.regions import explain_region
from suites.port.hypotheses.relations import partial_relation, relation
from suites.port.hypotheses.replaced import listed, weight_of

Array = np.ndarray
LONGEST = 7  # operations of a formula that a person reads at a glance
SILENT = ("identity", "cast", "expand_dims", "squeeze", "broadcast", "reshape", "stopgradient")
FORMS = {
    "add": "({} + {})", "subtract": "({} - {})", "multiply": "({} * {})", "divide": "({} / {})", "power": "{} ** {}",
    "matmul": "({} @ {})", "negative": "-{}", "rsubtract": "({1} - {0})",
}  # fmt: skip
LETTERS = "xyzuvw"


def explain_place(question: Question) -> list[Cause]:
    """A cyclic shift, a kind of normalisation, anything that a region may be, or both formulas."""
    with np.errstate(all="ignore"):
        return cyclic_shift(question) or normalised(question) or explain_region(question) or explain_formula(question)


def explain_measured(question: Question) -> list[Cause]:
    """The first pair of values that all of it follows from, with B's put into A or with A's into B; a relation."""
    with np.errstate(all="ignore"):
        found = peeled(question, explain_region, explain_formula)
        if not found:
            found = [cause.swapped() for cause in peeled(question.swapped(), explain_region, explain_formula)]
    return found or explain_relation(question)


def explain_relation(question: Question) -> list[Cause]:
    """What was measured between the two results, whatever makes them."""
    found = relation(question.a.exit, question.b.exit, question.agrees)
    return [found.cause(f"result{place(question)}")] if found is not None else []


def explain_part(question: Question) -> list[Cause]:
    """At which places the two results are not the same, where these follow a rule."""
    found = partial_relation(question.a.exit, question.b.exit)
    return [found.cause(f"result{place(question)}")] if found is not None else []


def cyclic_shift(question: Question) -> list[Cause]:
    """Both roll the same value, by other distances."""
    for entry in question.a.entries:
        partner = next((other for other in question.b.entries if other.id == entry.partner), None)
        if partner is None:
            continue
        shifts = shift_of(entry.array, question.a.exit), shift_of(partner.array, question.b.exit)
        if None not in shifts and shifts[0] != shifts[1]:
            words = [f"by {shift}" if any(shift or ()) else "not at all" for shift in shifts]
            subject = f"cyclic shift of {entry.origin or 'what comes in'} along the axes of {entry.array.shape}"
            return [cause("roll", subject, *words)]
    return []


def shift_of(x: Array, y: Array) -> tuple[int, ...] | None:
    """By how many places along each axis y is x, rolled; the shorter way round. None where it is not."""
    if x.shape != y.shape or x.dtype.kind != "f" or x.size < 2:
        return None
    places = (np.unravel_index(int(np.argmax(each)), each.shape) for each in (x, y))
    start, end = (np.array(place) for place in places)
    shift = (end - start) % x.shape
    if not np.array_equal(np.roll(x, tuple(shift), tuple(range(x.ndim))), y):
        return None
    return tuple(int(s if 2 * s <= n else s - n) for s, n in zip(shift, x.shape, strict=True))


def normalised(question: Question) -> list[Cause]:
    """Sums of rows or columns that are 1 on one side only: a matrix of neighbours, gates of experts."""
    a, b = kind_of_matrix(question.a.exit), kind_of_matrix(question.b.exit)
    if a == b or not (a or b):
        return []
    names = known_names(question)
    ours, theirs = formula(question.a, names[0]), formula(question.b, names[1])
    words = [f"{kind or 'neither rows nor columns sum to 1'}, {text}" for kind, text in ((a, ours), (b, theirs))]
    return [cause("normalisation", f"normalisation{place(question)}", *words)] if ours and theirs else []


def kind_of_matrix(array: Array) -> str:
    if array.ndim < 2 or array.dtype.kind != "f" or array.shape[-1] < 2:
        return ""
    square = array.shape[-1] == array.shape[-2]
    if np.allclose(array.sum(-1), 1.0, rtol=1e-9):
        return "each row sums to 1"
    if square and np.allclose(array.sum(-2), 1.0, rtol=1e-9):
        return "each column sums to 1"
    return "symmetric" if square and np.allclose(array, array.swapaxes(-1, -2), rtol=1e-9) else ""


def explain_formula(question: Question, longest: int = LONGEST) -> list[Cause]:
    """What each side computes of what both have, where that is short."""
    names = known_names(question)
    ours, theirs = formula(question.a, names[0], longest), formula(question.b, names[1], longest)
    if not ours or not theirs or ours == theirs:
        return []
    letters = {letter: words for letter, words in names[2].items() if letter in ours + theirs}
    where = "; ".join(f"{letter} is {words}" for letter, words in letters.items())
    return [cause("formula", f"what is computed{place(question)}", ours, theirs, where)]


def place(question: Question) -> str:
    """The line of A that computes it."""
    line = question.a.ops[-1].line if question.a.ops else ""
    return f" ({line})" if line else ""


def known_names(question: Question) -> tuple[dict[int, str], dict[int, str], dict[str, str]]:
    """A letter for each value that comes in: A's ids, B's ids, and what each letter is."""
    ours: dict[int, str] = {}
    theirs: dict[int, str] = {}
    told: dict[str, str] = {}
    for letter, entry in zip(LETTERS, question.a.entries, strict=False):
        ours[entry.id] = letter
        told[letter] = escaped(entry.origin or "what comes in")
        for other in question.b.entries:
            if other.partner == entry.id or other.id == entry.partner:
                theirs[other.id] = letter
    further = [other for other in question.b.entries if other.id not in theirs and other.partner is not None]
    for letter, other in zip(LETTERS[len(told) :], further, strict=False):
        theirs[other.id] = letter
        told[letter] = escaped(other.origin or "what comes in") + " of B"
    return ours, theirs, told


def formula(part: Part, names: Mapping[int, str], longest: int = LONGEST) -> str:
    """The exit in terms of what comes in; "" where it is long, or holds an operation that isn't understood."""
    program = understand(part)
    steps = [step for step in program.before(part.exit_id) if step.name not in SILENT]
    if len(steps) > longest:
        return ""
    text = _spell(program, part, part.exit_id, names)
    if "?" in text:
        return ""
    return text.removeprefix("(").removesuffix(")") if _wrapped(text) else text


def _wrapped(text: str) -> bool:
    """Whether one pair of brackets is around all of it."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and at < len(text) - 1:
            return False
    return text.startswith("(")


def _spell(program: Program, part: Part, at: int, names: Mapping[int, str]) -> str:
    if at in names:
        return names[at]
    step = program.producer(at)
    if step is None:
        return "?"
    inputs = [_spell(program, part, i, names) if isinstance(i, int) else _constant(part, i) for i in step.inputs]
    if step.name in SILENT:
        return inputs[0]
    if step.name in FORMS and FORMS[step.name].count("{") == len(inputs):
        return FORMS[step.name].format(*inputs)
    return f"{step.name}({', '.join([*inputs, *_axes(step)])})"


def _axes(step: Step) -> Iterator[str]:
    if step.axis:
        yield f"axis {step.axis[0]}" if len(step.axis) == 1 else f"axes {step.axis}"


def _constant(part: Part, array: Array) -> str:
    if array.size == 1:
        return short(float(np.ravel(array)[0]))
    return weight_of(part, array) or f"[{listed(array)}]"
