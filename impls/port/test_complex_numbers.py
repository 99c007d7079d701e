"""Complex numbers of a pass: kept whole, told apart by their prints, and nothing that JSON would have to hold."""

from __future__ import annotations

import json

import numpy as np

from impls.port.recorder import Trace, prints

NUMBERS = np.array([1 + 2j, 3 - 1j, -0.5j])


def test_complex_numbers_are_kept_and_not_written_out() -> None:
    trace = Trace(np.asarray)
    operand = trace.operand(NUMBERS)
    json.dumps(operand)
    assert np.array_equal(trace.arrays[operand["value"]], NUMBERS)


def test_prints_tell_a_number_from_its_conjugate_and_from_its_real_part() -> None:
    others = np.conj(NUMBERS), NUMBERS.real, 1j * NUMBERS
    assert all(not np.allclose(prints(NUMBERS), prints(other)) for other in others)
    assert np.allclose(prints(NUMBERS), prints(NUMBERS[::-1]))
