"""A number in A's operations, written or measured: another one that somebody could have meant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from suites.port.hypotheses.causes import cause, nice, short, spell
from suites.port.hypotheses.generic import sizes
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.moves import Change, floats
from suites.port.hypotheses.named_meanings import BINARY
from suites.port.hypotheses.program import Array, Program, Step
from suites.port.hypotheses.question import Question
from suites.port.hypotheses.wording import describe, describe_entry, where

LARGEST_NUMBER = 1e30


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
                a, b = spell_or_short(number, known), spell_or_short(other, known)
                named = replace(cause(signature, subject, a, b), factor=_ratio(step, place, number, other))
                yield {}, {step.at: replace(step, inputs=inputs)}, named


def spell_or_short(number: float, known: Sequence[tuple[int, str]]) -> str:
    """A whole number as it is; another one by the sizes that it may come from."""
    return short(number) if not known or float(number).is_integer() else spell(number, known)


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
    return "number", f"{names.get(step.name, 'number')}{where(step)}"


def measured_number(question: Question, program: Program) -> Iterator[Change]:
    """The factor, or the addend, of a step whose result is B's result up to what it measures."""
    for step, y in floats(program):
        if step.at == program.exit_id:
            continue
        for scale in (2.0, 0.5, math.sqrt(2), math.sqrt(0.5), -1.0, *_dims(question, y)):
            b = f"times {spell(scale, sizes(question))}"
            yield {step.at: scale * y}, {}, cause("factor", f"result of {describe(step)}", "as it is", b)
    for entry in question.a.entries:
        if entry.array.dtype.kind != "f":
            continue
        width = [(n, "width") for n in entry.array.shape[-1:]]
        for scale in (*_dims(question, entry.array), 2.0, 0.5, -1.0):
            b = f"times {spell(scale, [*width, *sizes(question)])}"
            yield (
                {entry.id: scale * entry.array},
                {},
                cause("factor", f"scale of {describe_entry(entry)}", "as it is", b),
            )


def _dims(question: Question, array: Array) -> Iterator[float]:
    for size in dict.fromkeys(array.shape[1:]):
        if size > 1:
            yield from (size**0.5, size**-0.5, float(size), 1.0 / size)


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
