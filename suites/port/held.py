"""The numbers that both sides hold for their weights, before any are carried over.

Two models that were initialised at random share none of them; where at least half of the weights hold the same numbers,
both sides hold one model's, and a weight that holds others is a difference. It is asked where a side is a file that
holds numbers of its own (ONNX), and for all sides with `--own-weights`. Numbers of two files, and those of a file with
`--own-weights`, are meant: any other number is a difference, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from impls.floating_types import FLOATING, Floating
from suites.port.draws import fixed
from suites.port.findings import Finding
from suites.port.hypotheses.arrangements import arranged
from suites.port.hypotheses.causes import cause, short, unlike
from suites.port.hypotheses.question import Cause
from suites.port.matching.links import Link
from suites.port.side import Side
from suites.runner.workers import Arrays

Array = np.ndarray
FILES = ("onnx",)  # APIs of files that hold numbers of their own
RELEASED = "numbers of a file in half the width"


TYPES = ("float32", "float16", "bfloat16")  # what a file is written in
SINGLE = FLOATING["float32"]
LOOSE = SINGLE._replace(unit=8 * SINGLE.unit)  # of a product of such numbers


@dataclass(frozen=True)
class Held:
    """How many of the weights that could tell anything hold the same numbers, and the findings where the others count.

    `counted` leaves out what has one number throughout, as every model has at its start (ones, zeros). `meant`: no side
    may have been initialised at random since.
    """

    counted: int = 0
    agreeing: int = 0
    meant: bool = False
    findings: Sequence[Finding] = field(default_factory=tuple)

    @property
    def common(self) -> bool:
        """Whether both sides hold the weights of one model."""
        return self.counted > 0 and (self.meant or self.counted <= 2 * self.agreeing)

    def words(self) -> str:
        if not self.counted:
            return (
                "the numbers that both sides hold for their weights say nothing: each weight is one number throughout"
            )
        if self.common:
            return (
                f"{self.agreeing} of {self.counted} weights hold the same numbers on both sides, so these are compared"
            )
        return (
            "both sides hold other numbers for their weights, which were replaced: both ran with the same ones. Of "
            f"{self.counted} weights {self.counted - self.agreeing} hold other numbers; for a file, --own-weights "
            "makes that a difference"
        )


def own_numbers(side: Side, names: Sequence[str]) -> Arrays:
    """What a side holds, by name; in half the memory where nothing is lost by it."""
    found = {}
    for name, array in side.read(names).items():
        single = array.astype(np.float32)
        found[name] = single if np.array_equal(single, array) else array
    return found


def compare_held(links: Sequence[Link], ours: Arrays, theirs: Arrays, meant: bool = False) -> Held:
    """Both sides' own numbers, link by link; `meant` as in `Held`."""
    pairs = [compared(link, ours, theirs) for link in links if not fixed(link)]
    telling = [pair for pair in pairs if pair.telling]
    counts = Held(len(telling), sum(pair.agreeing for pair in telling), meant)
    return replace(counts, findings=list(findings(pairs, ours, theirs))) if counts.common else counts


class Pair(NamedTuple):
    """What the numbers of a link say; not the numbers, of which all together would need several times the memory.

    `kind` is that of `type_of`; numbers that are one throughout are not `telling`.
    """

    link: Link
    kind: str
    telling: bool
    agreeing: bool


def compared(link: Link, ours: Arrays, theirs: Arrays) -> Pair:
    a, b = laid_together(link, ours, theirs)
    kind = type_of(a, b)
    telling = bool(a.size and np.ptp(a) and np.ptp(b))
    return Pair(link, kind, telling, kind != "" or 2 * int(alike(a, b).sum()) >= a.size)


def laid_together(link: Link, ours: Arrays, theirs: Arrays) -> tuple[Array, Array]:
    """Both sides' numbers in A's layout; of a GRU's biases, which one side adds up, the sums."""
    a, b = ours[link.a.name].astype(np.float64), theirs[link.b.name].astype(np.float64)
    picked = link.pick_a(a)
    turned = link.to_a(b)
    if (link.a.kind, link.a.role) == ("gru", "bias") and a.size != b.size:
        return np.atleast_2d(picked).sum(0), np.atleast_2d(b).sum(0)
    return picked, turned


def alike(a: Array, b: Array, kind: Floating = SINGLE) -> Array:
    """Where numbers are the same, each rounded at most once to such a type."""
    allowed = 2 * kind.unit * np.maximum(np.abs(a), np.abs(b))
    return np.asarray(np.abs(a - b) <= np.maximum(allowed, kind.smallest))


def type_of(a: Array, b: Array) -> str:
    """float32, where both are the same; the type that one side has the other's numbers in; "" where there is none."""
    for name in TYPES:
        kind = FLOATING[name]
        coarse = kind is SINGLE or written_in(a, kind) or written_in(b, kind)
        if coarse and alike(a, b, kind).all():
            return name
    return ""


def written_in(array: Array, kind: Floating) -> bool:
    """Whether no number needs more binary digits than the type has."""
    mantissa = np.frexp(array)[0] / kind.unit
    return bool((mantissa == np.round(mantissa)).all())


def findings(pairs: Sequence[Pair], ours: Arrays, theirs: Arrays) -> Iterator[Finding]:
    """One for each layer that holds other numbers, one for all that are rounded more coarsely."""
    told: set[str] = set()
    for link, name, _, _ in pairs:
        key = link.a.layer if name == "" else name
        if name == "float32" or key in told:
            continue
        told.add(key)
        a, b = laid_together(link, ours, theirs)
        yield Finding("weights", link.a.layer, link.b.layer, rounded(a, b, name) if name else other(link, a, b))


def rounded(a: Array, b: Array, name: str) -> Cause:
    """A side that holds the other's numbers in fewer digits."""
    words = "as they are", f"rounded to {name}"
    of_a, of_b = words[::-1] if written_in(a, FLOATING[name]) else words
    return cause("weights", "numbers of the weights", of_a, of_b, released=RELEASED)


def other(link: Link, a: Array, b: Array) -> Cause:
    """What the numbers of one weight are on both sides."""
    subject = f"numbers of {link.a.role}" if link.a.role in ("kernel", "bias") else f"numbers of {link.a.name}"
    apart = np.argwhere(~alike(a, b))
    if 2 * len(apart) < a.size:
        place = ", ".join(map(str, apart[0]))
        values = unlike(float(a[tuple(apart[0])]), float(b[tuple(apart[0])]))
        return cause("weights", f"{subject}: {len(apart)} of {a.size} differ, first at [{place}]", *values)
    ratio = float(np.vdot(a, b) / np.vdot(a, a)) if a.any() else 0.0
    if ratio and alike(a * ratio, b, LOOSE).all():
        return cause("weights", subject, "as they are", f"times {short(ratio)}")
    if alike(np.sort(a.ravel()), np.sort(b.ravel())).all():
        found = arranged(a, b) if a.ndim > 1 else None
        return cause("weights", f"{subject}: {found[0]}", *found[1:]) if found else moved(subject)
    sizes = short(float(np.linalg.norm(a))), short(float(np.linalg.norm(b)))
    return cause("weights", f"{subject}: other ones, whose norm is", *sizes)


def moved(subject: str) -> Cause:
    return cause("weights", subject, "as they are", "in another order")
