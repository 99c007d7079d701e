"""Running numbers of a user's own (a centre, a codebook, an average of norms): by how much of a value they move.

Statistics of norms have formulas (`hypotheses.state`). Any other buffer that moves in training is compared with the
values of the pass: what moves it is the first value v of its size for which the move is a share of v - buffer.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.fits import CLOSE, multiple, near
from suites.port.hypotheses.causes import cause, short
from suites.port.hypotheses.question import Cause
from suites.port.matching.assign import STATISTICS, role
from suites.port.matching.links import Link
from suites.port.recording import Pass, Recording

AS_ONCE = "move as in one pass"
STEP_CLOSE = 1e-7  # of the float32 in some engine's kernels


def of_buffers(c: Comparison) -> Iterator[Finding]:
    """Buffers that move otherwise, where both move along one line, or only one moves."""
    for link in c.links:
        if role(link.a) in STATISTICS or c.difference(f"state/{link.a.name}") is None or link.a.trainable:
            continue
        told = moved_otherwise(c, link)
        if told is not None:
            found = c.difference(f"state/{link.a.name}")
            yield Finding("state", link.a.layer or link.a.name, link.b.layer or link.b.name, told, found)


def moved_otherwise(c: Comparison, link: Link) -> Cause | None:
    name = f"state/{link.a.name}"
    ours, theirs = c.a.arrays.get(name), c.b.arrays.get(f"state/{link.b.name}")
    if ours is None or theirs is None or ours.size != link.a.size:
        return None
    start = np.ravel(link.pick_a(c.a.start[link.a.name]))
    moves = np.ravel(link.pick_a(ours)) - start, np.ravel(link.to_a(theirs)) - start
    subject = f"running {link.a.role} of {link.a.layer or 'the model'}"
    if not moves[0].any() or not moves[1].any():
        a, b = ("moves in training" if move.any() else "stays as it is" for move in moves)
        return cause("buffer", subject, a, b)
    times = multiple(*moves)
    if times is None:
        return None
    share = share_of(c.a.passes["training"], start, moves[0])
    if not share:
        return cause("buffer", subject, "moves", f"moves {short(times)} times as far")
    exchanged = abs(share + times * share - 1) < CLOSE
    note = "the shares have changed places" if exchanged else "the momentum"
    a, b = (f"takes {short(each)} of the new value and keeps {short(1 - each)}" for each in (share, times * share))
    return cause("buffer_momentum", subject, a, b, note)


def of_steps_alone(c: Comparison) -> Iterator[Finding]:
    """Running statistics that a training step moves otherwise than a pass in training does, on one side."""
    for link in c.links:
        if role(link.a) not in STATISTICS:
            continue
        words = [in_a_step(side, name) for side, name in ((c.a, link.a.name), (c.b, link.b.name))]
        if words[0] and words[1] and words[0] != words[1]:
            told = cause("moved_in_step", "running statistics in a training step", words[0], words[1])
            yield Finding("state", link.a.layer, link.b.layer, told)
            return


def in_a_step(side: Recording, name: str) -> str:
    """How the first step moves a statistic, in words; by the pass from the same numbers on the same data."""
    after, once = side.arrays.get(f"stepped/{name}"), side.arrays.get(f"state/{name}")
    if not side.steps or once is None or name not in side.start:
        return ""
    if after is None:  # the step went on from the gradients of one pass
        return AS_ONCE
    step, one = np.ravel(after - side.start[name]), np.ravel(once - side.start[name])
    if near(step, one, STEP_CLOSE):
        return AS_ONCE
    if not step.any():
        return "stay as they are"
    times = multiple(one, step, STEP_CLOSE)
    if times is None:
        return "move otherwise than in one pass of this batch"
    return "move twice" if 1 < times < 2 else f"move {short(times)} times as far as in one pass"


def share_of(seen: Pass, start: np.ndarray, move: np.ndarray) -> float:
    """The share of a value's way that a move is: of the first value for which it is one; 0 where there is none."""
    for value in seen.values:
        if value.array is None or value.size != move.size or value.array.dtype.kind != "f":
            continue
        share = multiple(np.ravel(value.array) - start, move)
        if share is not None and 0 < share < 1:
            return share
    return 0.0


def without_followers(found: list[Finding], buffers: list[Finding]) -> list[Finding]:
    """The findings without what differs in training alone: a buffer that the pass reads has moved otherwise."""
    if not buffers or any(each.phase == "inference" and not each.released for each in found):
        return found
    return [each for each in found if each.phase != "training" or each.released or dropping(each)]


def dropping(found: Finding) -> bool:
    """Whether it is of a dropout, which no buffer moves."""
    return found.signature.startswith(("dropout", "always_on"))
