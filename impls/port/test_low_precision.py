"""Rounding is simulated in float64: what a bound rests on has to be what rounding does."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from impls.port import worker
from impls.port.low_precision import Rounding

UNIT = 2.0**-8  # of bfloat16


def test_errors_are_those_of_rounding() -> None:
    """Within half an ulp to both sides, of equal numbers the same, and none where nothing is rounded."""
    array = np.concatenate([np.random.default_rng(0).normal(size=1000), [0.0, 1.5, 1.5]])
    errors = Rounding(np.array([UNIT, 0.0]), np.zeros(2), 0)
    found = errors.disturbed(0, array)
    assert errors.disturbed(1, array) is array
    half_ulp = UNIT * 2.0 ** np.floor(np.log2(np.abs(array[:1000])))
    relative = (found - array)[:1000] / half_ulp
    assert np.abs(relative).max() <= 1 and abs(relative.mean()) < 0.1 and 0.5 < relative.std() < 0.65
    assert found[1000] == 0.0 and found[1001] == found[1002] != 1.5


@pytest.mark.parametrize("found", [True, False])
def test_a_missing_gpu_is_seen(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a comparison that was asked for on a GPU runs on the CPU, and says nothing of it."""
    devices = ["GPU:0"] if found else []
    fakes = {
        "torch": SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: found)),
        "tensorflow": SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda kind: devices)),
        "jax": SimpleNamespace(default_backend=lambda: "gpu" if found else "cpu"),
    }
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
        assert worker.lacks_gpu(name) is not found
    assert not worker.lacks_gpu("numpy")
