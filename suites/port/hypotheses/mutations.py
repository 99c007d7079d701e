"""A's operations with one thing changed: a number, an axis, an operand, a place, an operation left out or put in.

For what has no formula: functional code between layers. What follows the change is computed again in NumPy, and the
change names the difference if B's result comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from suites.port.hypotheses import left_out_masks, positions, replaced, sampling, spectra, windows
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.left_out import activation_left_out, gone_around, left_out, put_in
from suites.port.hypotheses.looping import other_operands_in_a_loop
from suites.port.hypotheses.moved_steps import moved_step, other_epsilons
from suites.port.hypotheses.moves import Change, other_moves, other_slices, pixel_shuffles, repeated
from suites.port.hypotheses.other_axes import all_alike, other_axes
from suites.port.hypotheses.other_functions import linearised, other_activations, other_masks
from suites.port.hypotheses.other_numbers import measured_number, other_numbers, wide_measures
from suites.port.hypotheses.other_operands import joined_otherwise, other_operands, transposed_operand
from suites.port.hypotheses.program import Program
from suites.port.hypotheses.question import Cause, Question, same

Array = np.ndarray
Changing = Callable[[Question, Program], Iterator[Change]]
LONGEST = 120  # operations of a region whose every change is tried
LONGEST_LOOP = 1500  # of a loop that is written out
LARGEST = 300_000  # elements of its largest value


def other_positions(question: Question) -> list[Cause]:
    return mutate(question, (position_codes, joined_otherwise))


def in_a_loop(question: Question) -> list[Cause]:
    return mutate(question, (other_operands_in_a_loop, linearised), LONGEST_LOOP)


def mutate(question: Question, changes: Sequence[Changing] = (), longest: int = LONGEST) -> list[Cause]:
    """The first change that turns one side's result into the other's; each is tried on A, then on B."""
    sides = [
        (asked, windows.completed(asked, understand(asked.a)))
        for asked in (question, question.swapped())
        if small(asked, longest)
    ]
    for changing in changes or CHANGES:
        for asked, program in sides:
            found = first_change(asked, program, changing)
            if found is not None:
                return [found if asked is question else found.swapped()]
    return []


def small(question: Question, longest: int) -> bool:
    return len(question.a.ops) <= longest and question.a.exit.size <= LARGEST


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
    other_epsilons,
    replaced.number_everywhere,
    replaced.inverse_operation,
    left_out,
    linearised,
    replaced.other_operation,
    replaced.other_constants,
    gone_around,
    moved_step,
    other_moves,
    replaced.exchanged_values,
    transposed_operand,
    other_operands,
    measured_number,
    put_in,
    wide_measures,
)
