"""What an operation makes of the gradient s that reaches it, as a rule: scaled, reversed, clipped, masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from suites.port.fits import CLOSE, multiple, near
from suites.port.hypotheses.causes import nice, short

Array = np.ndarray
NOTHING = "lets none through"
DERIVATIVES: dict[str, Callable[[Array], Array]] = {  # of what a step is often replaced by
    "1 - tanh(x)^2": lambda x: 1 - np.tanh(x) ** 2,
    "the slope of a sigmoid": lambda x: 1 / (2 + np.exp(x) + np.exp(-x)),
    "1 / (1 + x^2)": lambda x: 1 / (1 + x * x),
    "1 / (1 + (pi x)^2)": lambda x: 1 / (1 + (np.pi * x) ** 2),
    "1 / (1 + |x|)^2": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "max(0, 1 - |x|)": lambda x: np.maximum(0, 1 - np.abs(x)),
    "exp(-x^2 / 2)": lambda x: np.exp(-x * x / 2),
    "x": lambda x: x,
    "1 where x > 0": lambda x: (x > 0) * 1.0,
}


def rule_of(back: Array, s: Array, x: Array) -> str | None:
    """What makes `back` of the gradient `s` behind an operation of x; None where no rule does."""
    if not back.any():
        return NOTHING
    if back.shape != s.shape:
        return None
    with np.errstate(all="ignore"):
        return next((words for rule in RULES for words in rule(back, s, x)), None)


def scaled(back: Array, s: Array, x: Array) -> Iterator[str]:
    """One number for all; of which the norm that is left may be what was written."""
    factor = multiple(s, back)
    if factor is None:
        return
    norm = float(np.linalg.norm(back))
    if not np.isclose(factor, nice(factor, 4), rtol=CLOSE) and np.isclose(norm, nice(norm, 3), rtol=1e-6):
        yield f"cuts its norm to {short(norm)}"
    elif abs(factor - 1) < CLOSE:
        yield "passes it on as it is"
    elif abs(factor + 1) < CLOSE:
        yield "reverses its sign"
    else:
        yield f"multiplies it by {short(factor)}"


def by_rows(back: Array, s: Array, x: Array) -> Iterator[str]:
    if back.ndim < 2:
        return
    norms = [np.sqrt((array**2).sum(-1, keepdims=True)) for array in (back, s)]
    largest = float(norms[0].max())
    if near(back, s * np.minimum(1, largest / norms[1])) and (norms[1] > largest).any():
        yield f"cuts the norm of each row to {short(largest)}"


def by_value(back: Array, s: Array, x: Array) -> Iterator[str]:
    largest = float(np.abs(back).max())
    if near(back, np.clip(s, -largest, largest)) and (np.abs(s) > largest * (1 + CLOSE)).any():
        yield f"clips it at {short(largest)} by value"


def masked(back: Array, s: Array, x: Array) -> Iterator[str]:
    """Some of it, by where x lies."""
    for factor in (1.0, -1.0):
        through = back != 0
        if near(back, factor * s * through) and ((s != 0) & ~through).any():
            sign = "" if factor == 1 else ", with the other sign"
            yield f"passes it on {place_of(x, through, (s != 0) & ~through)}{sign}"


def place_of(x: Array, through: Array, stopped: Array) -> str:
    """Where x has to lie, told by the simplest number that parts what goes through from what does not."""
    size = np.abs(x)
    if size[through].max() < size[stopped].min():
        return f"where |x| <= {between(size[through].max(), size[stopped].min())}"
    if x[through].min() > x[stopped].max():
        return f"where x > {between(x[stopped].max(), x[through].min())}"
    if x[through].max() < x[stopped].min():
        return f"where x <= {between(x[through].max(), x[stopped].min())}"
    if size[through].min() > size[stopped].max():
        return f"where |x| > {between(size[stopped].max(), size[through].min())}"
    return "for some elements only"


def between(low: float, high: float) -> str:
    """The shortest number between two."""
    for digits in range(8):
        found = round((low + high) / 2, digits)
        if low <= found < high:
            return short(found)
        for value in (np.ceil(low * 10**digits) / 10**digits, np.floor(high * 10**digits) / 10**digits):
            if low <= value < high:
                return short(float(value))
    return short((low + high) / 2)


def times_a_slope(back: Array, s: Array, x: Array) -> Iterator[str]:
    for words, slope in DERIVATIVES.items():
        factor = multiple(s * slope(x), back)
        if factor is not None:
            yield f"multiplies it by {'' if abs(factor - 1) < CLOSE else short(factor) + ' times '}{words}"


RULES = (scaled, by_rows, by_value, masked, times_a_slope)
