"""What a user's own step adds to the gradient of the loss (a penalty on gradients or weights), measured from an update.

The gradient that a first update was made of follows from it where the optimizer says its rule. What is left when the
gradient of the loss is taken off is what the step added.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suites.port.fits import multiple
from suites.port.hypotheses.causes import cause, nice, short
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.steps import Run, StepsQuestion
from suites.port.hypotheses.update_rules import Array, Config, update

HALVINGS = 90
NOTHING = 1e-5  # of the gradient of the loss: what rounding leaves of a gradient that is found again
FAR = 1e6  # times the largest gradient: within which one is looked for
DIVIDING = ("adam", "rmsprop")  # rules whose first update hardly grows with the gradient, so that digits are lost
CLOSE, CLOSE_DIVIDED = 1e-7, 1e-3  # relative: what a fit may leave
DIGITS = 3


def added(question: StepsQuestion) -> Cause | None:
    """What both steps add, where one adds nothing, or one number times what the other does."""
    runs = question.a, question.b
    if not all(set(run.each) == set(run.start) and run.slopes and rules(run) for run in runs):
        return None
    ours, theirs = (extra(run) for run in runs)
    if ours is None or theirs is None:
        return None
    limit = CLOSE_DIVIDED if any(rule in DIVIDING for run in runs for rule in rules(run)) else CLOSE
    silent = [
        float(np.linalg.norm(each)) <= NOTHING * size(run) for each, run in zip((ours, theirs), runs, strict=True)
    ]
    if all(silent):
        return None
    subject = "what train_step adds to the gradient of the loss"
    if not any(silent):
        factor = share(ours, theirs, limit)
        return None if factor is None else cause("step_adds", subject, "1", f"{short(factor)} times A's")
    words = [
        "nothing" if none else described(each, run, limit)
        for each, run, none in zip((ours, theirs), runs, silent, strict=True)
    ]
    return cause("step_adds", subject, *words)


def rules(run: Run) -> set[str]:
    """The rules of a side; none where it has one that can't be turned round."""
    found = {str(config.get("rule")) for config in run.each.values()}
    return found if found <= {"sgd", *DIVIDING} else set()


def size(run: Run) -> float:
    return float(np.linalg.norm(joined(run.slopes[0])))


def joined(arrays: Mapping[str, Array]) -> Array:
    return np.concatenate([np.ravel(array) for array in arrays.values()])


def extra(run: Run) -> Array | None:
    """What the first update was made of, without the gradient of the loss; None where there is no such gradient."""
    found = {name: taken(run.each[name], w, run.after[0][name], run.slopes[0][name]) for name, w in run.start.items()}
    made = joined(found)
    return made - joined(run.slopes[0]) if np.isfinite(made).all() else None


def taken(config: Config, w: Array, after: Array, slope: Array) -> Array:
    """The gradient of which a rule makes this update, by halving: the greater it is, the smaller what comes after."""
    reach = FAR * max(float(np.abs(slope).max()), 1.0)
    low, high = np.full_like(w, -reach), np.full_like(w, reach)
    with np.errstate(all="ignore"):
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            greater = update(config, w, [middle])[0] > after  # the gradient has to be greater
            low, high = np.where(greater, middle, low), np.where(greater, high, middle)
    return np.asarray(0.5 * (low + high))


def share(a: Array, b: Array, limit: float) -> float | None:
    """b / a where that is one number."""
    factor = multiple(a, b, limit)
    return None if factor is None else nice(factor, DIGITS)


def described(found: Array, run: Run, limit: float) -> str:
    weights = joined(run.start)
    kernels = joined({name: w if w.ndim > 1 else np.zeros_like(w) for name, w in run.start.items()})
    for what, array in {
        "the weights (a sum of squares)": weights,
        "the kernels (a sum of squares)": kernels,
        "the signs of the weights (a sum of sizes)": np.sign(weights),
        "the signs of the kernels (a sum of sizes)": np.sign(kernels),
    }.items():
        factor = share(array, found, limit)
        if factor is not None:
            return f"{short(factor)} times {what}"
    return f"something, {short(float(np.linalg.norm(found)) / size(run))} times as long as that"
