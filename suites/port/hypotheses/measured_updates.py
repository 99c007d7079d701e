"""What two updates that follow no known rule have to do with each other: measured, from the first step that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from suites.port.fits import multiple, near
from suites.port.hypotheses.added_gradients import added
from suites.port.hypotheses.causes import nice, short
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.steps import Run, StepsQuestion

Array = np.ndarray
CLOSE = 1e-7  # relative: what a fit may leave
SHOWN = 3
ORDINALS = ("first", "second", "third")


def measured(question: StepsQuestion) -> Cause | None:
    """B's update as A's, the weight and the gradient together; else from which step on, and where, they differ."""
    for step, ordinal in enumerate(ORDINALS[: min(len(question.a.after), len(question.b.after))]):
        ours, theirs = updates(question.a, step), updates(question.b, step)
        apart = [name for name in ours if not near(ours[name], theirs[name], question.unit**0.5)]
        if apart:
            if not step and (found := added(question)) is not None:
                return found
            return told(question, ours, theirs, apart, ordinal)
    return None


def updates(run: Run, step: int) -> dict[str, Array]:
    before = run.after[step - 1] if step else run.start
    return {name: np.ravel(run.after[step][name] - before[name]) for name in run.start}


def told(
    question: StepsQuestion, ours: Mapping[str, Array], theirs: Mapping[str, Array], apart: Sequence[str], ordinal: str
) -> Cause | None:
    where = "" if len(apart) == len(ours) else f" of {listed(apart)}"
    start = f"{ordinal} update{where}: "
    if ordinal != ORDINALS[0]:
        start = (
            f"what is kept between steps (averages, momentum, their correction): the first update agrees, the {start}"
        )
    words = factors(ours, theirs, apart) or mixture(question, ours, theirs, apart, ordinal)
    if not words and ordinal == ORDINALS[0] and len(apart) == len(ours):
        return None
    return Cause("update_measured", start + (words or "it is another one").replace("{", "{{").replace("}", "}}"))


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def factors(ours: Mapping[str, Array], theirs: Mapping[str, Array], apart: Sequence[str]) -> str:
    """One number for each parameter, or for all of them."""
    found: dict[str, float] = {}
    for name in apart:
        factor = multiple(ours[name], theirs[name], CLOSE)
        if factor is None:
            return ""
        found[name] = factor
    values = list(found.values())
    if all(np.isclose(value, values[0], rtol=CLOSE) for value in values):
        return f"B's is {short(values[0])} times A's"
    parts = [f"{short(found[name])} for {name}" for name in apart[:SHOWN]]
    more = ", ..." if len(apart) > SHOWN else ""
    lengths = f"times {', '.join(parts)}{more} (a ratio of norms, or rates of layers)"
    return f"B's is A's in direction and not in length: {lengths}"


def mixture(
    question: StepsQuestion, ours: Mapping[str, Array], theirs: Mapping[str, Array], apart: Sequence[str], ordinal: str
) -> str:
    """B's update as a sum of A's, of the weight, of the gradient and of its sign, each times one number."""
    if ordinal != ORDINALS[0]:
        return ""
    weights, slopes = question.b.start, question.b.slopes[0]
    columns = {
        "A's": np.concatenate([ours[name] for name in apart]),
        "the weight": np.concatenate([np.ravel(weights[name]) for name in apart]),
        "the gradient": np.concatenate([np.ravel(slopes[name]) for name in apart]),
        "the gradient's sign": np.concatenate([np.ravel(np.sign(slopes[name])) for name in apart]),
    }
    wanted = np.concatenate([theirs[name] for name in apart])
    for chosen in (("A's", "the weight"), ("A's", "the gradient"), ("the gradient", "the weight"), tuple(columns)):
        table = np.stack([columns[name] for name in chosen], 1)
        shares, *_ = np.linalg.lstsq(table, wanted, rcond=None)
        if near(wanted, table @ shares, CLOSE):
            sizes = np.abs(shares) * np.linalg.norm(table, axis=0)
            kept = [
                (x, name) for x, name, size in zip(shares, chosen, sizes, strict=True) if size > CLOSE * sizes.max()
            ]
            return "B's is " + " plus ".join(f"{short(nice(float(x), 6))} times {name}" for x, name in kept)
    return ""
