"""Banks of triangular filters on a mel scale, (bins, filters) or turned: which of the usual ones a constant is."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

Array = np.ndarray
CLOSE = 1e-5  # of the norm: banks are made in float32
FEWEST = 4  # bins, and filters
LARGEST = 100_000  # numbers
RATES = (16000, 8000, 22050, 24000, 44100, 48000, 32000, 11025)
LOWS = (0.0, 20.0, 30.0, 40.0, 50.0, 60.0, 64.0, 80.0, 125.0)
HIGHS = (8000.0, 7600.0, 7500.0, 4000.0, 3800.0, 11025.0, 12000.0, 14000.0)


def htk(hertz: Array) -> Array:
    return np.asarray(2595.0 * np.log10(1.0 + hertz / 700.0))


def from_htk(mel: Array) -> Array:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


def slaney(hertz: Array) -> Array:
    """Linear up to 1 kHz, logarithmic above (Slaney's Auditory Toolbox)."""
    high = 15.0 + 27.0 * np.log(np.maximum(hertz, 1e-9) / 1000.0) / np.log(6.4)
    return np.where(hertz >= 1000.0, high, hertz * 3.0 / 200.0)


def from_slaney(mel: Array) -> Array:
    return np.where(mel >= 15.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)), mel * 200.0 / 3.0)


SCALES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "HTK": (htk, from_htk), "Slaney": (slaney, from_slaney),
}  # fmt: skip
NO_NORM = "none (peaks of 1)"
NORMS = (NO_NORM, "Slaney's (equal areas)", "each filter sums to 1")


class Bank(NamedTuple):
    """What tells one bank from another."""

    scale: str
    norm: str
    straight: str  # over what the sides of the triangles are straight
    low: float
    high: float
    rate: int

    def made(self, bins: int, filters: int, which: Sequence[int] | slice = slice(None)) -> Array:
        """(bins, filters), or some of the filters."""
        there, back = SCALES[self.scale]
        hertz = np.linspace(0.0, self.rate / 2, bins)
        low, high = (float(each) for each in there(np.array([self.low, self.high])))
        edges = np.linspace(low, high, filters + 2)
        corners = back(edges)
        places, points = (there(hertz), edges) if self.straight == "mel" else (hertz, corners)
        start, peak, end = points[:-2][which], points[1:-1][which], points[2:][which]
        rising = (places[:, None] - start) / (peak - start)
        falling = (end - places[:, None]) / (end - peak)
        found = np.maximum(0.0, np.minimum(rising, falling))
        if self.norm == NORMS[1]:
            return np.asarray(found * (2.0 / (corners[2:] - corners[:-2])[which]))
        if self.norm == NORMS[2]:
            found = found / np.maximum(found.sum(0), 1e-30)
        return np.asarray(found)

    def unlike(self, other: Bank) -> tuple[str, str, str]:
        """The first thing that another bank has otherwise, and both."""
        for name, subject in SUBJECTS.items():
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                unit = " Hz" if isinstance(ours, (int, float)) else ""
                return subject, f"{words(ours)}{unit}", f"{words(theirs)}{unit}"
        return "mel filters", "as they are", "others"


SUBJECTS = {
    "scale": "mel scale of the filters", "norm": "norm of the mel filters",
    "straight": "sides of the mel filters, straight over", "low": "lowest frequency of the mel filters",
    "high": "highest frequency of the mel filters", "rate": "sampling rate of the mel filters",
}  # fmt: skip


def words(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def bank_of(array: Array) -> Bank | None:
    """The bank that a constant is; None where it is none of the usual ones."""
    if array.ndim != 2 or array.dtype.kind != "f" or min(array.shape) < FEWEST or array.size > LARGEST:
        return None
    for bank in (array, array.T):
        if like_a_bank(bank):
            return searched(bank.shape, np.ascontiguousarray(bank, float).tobytes())
    return None


def like_a_bank(bank: Array) -> bool:
    """Whether no number is negative, and each column goes up once and down once, further on in the next one."""
    if len(bank) <= bank.shape[1] or bank.min() < 0 or (bank == 0).mean() < 0.5:
        return False
    steps = np.sign(np.diff(bank, axis=0))
    turns = [int(np.count_nonzero(np.diff(column[column != 0]))) for column in steps.T]
    return max(turns) <= 1 and bool((np.diff(bank.argmax(0)) >= 0).mean() > 1 / 2)


@functools.lru_cache(maxsize=16)
def searched(shape: tuple[int, int], numbers: bytes) -> Bank | None:
    bank = np.frombuffer(numbers).reshape(shape)
    few = [0, shape[1] // 2, shape[1] - 1]
    likely = (each for each in usual() if near(each.made(*shape, few), bank[:, few]))
    return next((each for each in likely if near(each.made(*shape), bank)), None)


def near(found: Array, wanted: Array) -> bool:
    return float(np.linalg.norm(found - wanted)) <= CLOSE * float(np.linalg.norm(wanted))


def usual() -> Iterator[Bank]:
    for rate, low, norm, straight, scale in itertools.product(RATES, LOWS, NORMS, ("Hz", "mel"), SCALES):
        highs = dict.fromkeys((rate / 2, *(high for high in HIGHS if high < rate / 2)))
        yield from (Bank(scale, norm, straight, low, high, rate) for high in highs)
