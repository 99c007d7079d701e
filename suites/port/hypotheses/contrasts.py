"""Contrastive losses of embeddings: of pairs (van den Oord et al. 2018), both ways (CLIP), of two views (NT-Xent)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from suites.port.hypotheses.causes import nice, short
from suites.port.hypotheses.formulas import Array, log_softmax
from suites.port.hypotheses.loss_formulas import unit
from suites.port.hypotheses.measured_losses import crossings

PAIR = 2
DIGITS = 3  # of a temperature that a person writes
CLOSE = 1e-6  # relative: as near one is measured, before it is tried with those digits
COARSE = [float(at) for at in np.geomspace(1e-1, 1e3, 41)]  # scales; between two a loss may cross its value
MOST = 512  # embeddings of which all similarities are taken


def contrasts(outputs: Mapping[str, Array], value: float, limit: float) -> Iterator[tuple[str, str]]:
    """(loss, option) of each contrastive loss that has this value; temperatures are measured, or are outputs."""
    for u, v in views(outputs):
        scales = scales_in(outputs)
        for normed, directions in itertools.product((True, False), DIRECTIONS):
            sides = (unit(u), unit(v)) if normed else (u, v)
            of = "of unit embeddings" if normed else "of embeddings as they are"
            for words in temperatures(sides, directions, value, limit, scales):
                yield f"contrastive cross-entropy {of}", f"{directions}, {words}"


def views(outputs: Mapping[str, Array]) -> Iterator[tuple[Array, Array]]:
    """Pairs of embeddings (N, D): two outputs, or the halves and the odd and even rows of one."""
    arrays = [array for array in outputs.values() if array.ndim == PAIR and array.shape[-1] > 1]
    if len(arrays) == PAIR and arrays[0].shape == arrays[1].shape and len(arrays[0]) <= MOST:
        yield arrays[0], arrays[1]
    if len(arrays) == 1 and len(outputs) == 1 and len(arrays[0]) % PAIR == 0 and PAIR < len(arrays[0]) <= MOST:
        (z,) = arrays
        yield z[: len(z) // PAIR], z[len(z) // PAIR :]
        yield z[::PAIR], z[1::PAIR]


def scales_in(outputs: Mapping[str, Array]) -> dict[str, float]:
    """Factors of the similarities that a model gives itself."""
    numbers = [float(np.ravel(array)[0]) for array in outputs.values() if array.size == 1]
    found = {}
    with np.errstate(all="ignore"):
        for number in numbers:
            found.update({"times the model's scale": number, "times exp of the model's scale": float(np.exp(number))})
            found["divided by the model's temperature"] = float(np.float64(1) / number)
    return found


def right_ones(similar: Array) -> Array:
    return np.asarray(-np.diagonal(log_softmax(similar)))


def one_way(u: Array, v: Array, scale: float) -> float:
    return float(right_ones(scale * u @ v.T).mean())


def both_views(u: Array, v: Array, scale: float) -> float:
    """NT-Xent (Chen et al. 2020): each of 2 N against all others but itself."""
    z = np.concatenate([u, v])
    similar = scale * z @ z.T
    np.fill_diagonal(similar, -np.inf)
    at = np.arange(len(z))
    return float(-log_softmax(similar)[at, (at + len(u)) % len(z)].mean())


DIRECTIONS = {
    "from the first to the second": one_way,
    "from the second to the first": lambda u, v, scale: one_way(v, u, scale),
    "mean of both directions": lambda u, v, scale: 0.5 * (one_way(u, v, scale) + one_way(v, u, scale)),
    "both directions added": lambda u, v, scale: one_way(u, v, scale) + one_way(v, u, scale),
    "each of both views against all others (NT-Xent)": both_views,
}


def temperatures(
    sides: Sequence[Array], directions: str, value: float, limit: float, scales: Mapping[str, float]
) -> Iterator[str]:
    """The temperatures by which this loss has the value, in words."""
    u, v = sides
    loss = DIRECTIONS[directions]
    with np.errstate(all="ignore"):
        for words, scale in scales.items():
            if math.isfinite(scale) and abs(loss(u, v, scale) - value) <= limit:
                yield words
        for scale in crossings(lambda at: loss(u, v, at) - value, COARSE):
            temperature = nice(1 / scale, DIGITS)
            written = nice(scale, DIGITS)
            if (
                math.isclose(1 / scale, temperature, rel_tol=CLOSE)
                and abs(loss(u, v, 1 / temperature) - value) <= limit
            ):
                yield f"temperature {short(temperature)}"
            elif math.isclose(scale, written, rel_tol=CLOSE) and abs(loss(u, v, written) - value) <= limit:
                yield f"times {short(written)}"
