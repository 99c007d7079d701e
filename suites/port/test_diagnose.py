"""Findings that belong together are one."""

from __future__ import annotations

import numpy as np
import pytest

from suites.port.cancelling import moved_scales
from suites.port.findings import Finding
from suites.port.healing import turned_image
from suites.port.hypotheses.question import Cause


def factor(a: str, b: str, times: float) -> Finding:
    """B's numbers are `times` A's from here on."""
    return Finding("inference", "x", "x", Cause("number", "factor: A {a}, B {b}", a, b, factor=times))


FIRST = "A multiplies first and adds then, B adds first and multiplies all of it by 1/2"


@pytest.mark.parametrize(
    "early, late, words",
    [
        (factor("1/2", "1", 2.0), factor("1", "1/2", 0.5), [FIRST]),
        (factor("1/2", "1", 2.0), factor("1", "1/4", 0.25), ["A 1/2, B 1", "A 1, B 1/4"]),
        (factor("1/2", "1/4", 0.5), factor("1/4", "1/2", 2.0), ["A 1/2, B 1/4", "A 1/4, B 1/2"]),
    ],
    ids=["moved", "two of them", "two numbers"],
)
def test_a_scale_that_was_moved_behind_a_sum_is_one_finding(early: Finding, late: Finding, words: list[str]) -> None:
    """Two factors of which each undoes the other are one mistake, in whatever order the sides are."""
    found = moved_scales([early, late])
    assert [one.words().partition(": ")[2] for one in found] == words
    swapped = [Finding("inference", "x", "x", one.cause.swapped()) for one in (early, late) if one.cause]
    assert len(moved_scales(swapped)) == len(words)


def test_an_image_with_as_many_channels_as_pixels_is_turned() -> None:
    """A's (N, H, W, C) goes into B's (N, C, H, W) turned, which shapes alone do not tell."""
    image = np.random.default_rng(0).normal(size=(2, 4, 4, 4))
    wanted = image.transpose(0, 3, 1, 2)
    found = turned_image(image, wanted * 1.01)
    assert found is not None
    assert np.array_equal(found, wanted)
    assert turned_image(image, image * 1.01) is None
    sequence = image[0]
    assert turned_image(sequence, sequence.transpose(0, 2, 1) * 1.01) is None
