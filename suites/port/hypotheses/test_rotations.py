"""A rotation is measured by what goes in and what comes out: base, first place, scale, pairs, ids, features."""

from __future__ import annotations

import numpy as np
import pytest

from suites.port.hypotheses.rotations import Rotary, joined, measure, paired, rotated

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 2, 7, 8))  # (N, heads, T, d)


@pytest.mark.parametrize(
    "rotary, features",
    [
        (Rotary(), 0),
        (Rotary("neighbours", 500_000.0, 3), 0),
        (Rotary("halves", 777.0, -2, -1), 0),
        (Rotary("neighbours", 10_000.0, 0, 1, 4.0), 0),
        (Rotary("halves", 10_000.0, 100, 1, 0.5), 0),
        (Rotary("halves", 10_000.0, 1), 4),
    ],
)
def test_a_rotation_is_told_by_its_numbers(rotary: Rotary, features: int) -> None:
    """And applied again as it was measured, wherever the heads are."""
    y = rotated(rotary, X, 2, features)
    for x, turned, axis in ((X, y, 2), (X.swapaxes(1, 2), y.swapaxes(1, 2), 1)):
        found = measure(x, turned, axis)
        assert found is not None
        share = " of the first 4 of 8 features" if features else ""
        assert found.words() == rotary.words().replace(rotary.pairs, rotary.pairs + share)
        assert np.allclose(rotated(found, x, axis), turned, rtol=1e-12)


def test_positions_that_are_handed_in_are_told_by_their_ids() -> None:
    ids = np.array([[0, 1, 2, 0, 1, 2, 3], [5, 5, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6]])
    angles = ids[:, None, :, None] * 10_000.0 ** (-np.arange(4) / 4)
    y = joined(paired(X, "halves") * np.exp(1j * angles), "halves", X[..., 8:])
    found = measure(X, y, 2)
    assert found is not None and found.words() == "pairs of halves, base 1e+04, positions 0, 1, 2, 0, ..."
    assert np.allclose(rotated(found, X, 2), y, rtol=1e-12)


def test_what_is_no_rotation_is_none() -> None:
    """A turn by one angle everywhere, as half of a rotation by hand is; a scale; other numbers."""
    rows = RNG.normal(size=(3, 7, 8))
    assert (
        measure(rows, np.concatenate([rows[..., 4:], rows[..., :4]], -1), 1) is None
    )  # each pair by an angle of its own
    quarter = np.concatenate([-X[..., 4:], X[..., :4]], -1)
    for y in (X, quarter, 2 * X, rotated(Rotary(), 2 * X, 2), RNG.normal(size=X.shape), X[..., ::-1]):
        assert measure(X, y, 2) is None
