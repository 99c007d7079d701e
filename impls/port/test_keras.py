"""What the port checker changes of Keras holds while a model of a user runs, and not after it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import keras
from keras.src.backend.common import dtypes

def state():
    return dict(dtypes.BIT64_TO_BIT32_DTYPE), keras.Layer.add_weight, keras.config.floatx()

before = state()
from impls.port.keras import PortOfKeras
assert state() == before, "importing the port changed Keras"
with PortOfKeras.conditions():
    assert keras.backend.result_type("float64", "float64") == "float64"
    layer = keras.layers.Layer()
    assert layer.add_weight(shape=(2,), dtype="float32").dtype == "float64"
    assert keras.layers.Dense(2)(keras.ops.ones((1, 3), "float64")).dtype == "float64"
assert state() == before, "Keras is another one afterwards"
try:
    with PortOfKeras.conditions():
        raise ZeroDivisionError
except ZeroDivisionError:
    assert state() == before, "Keras is another one after an error"

from keras.optimizers import SGD
from keras.optimizers.schedules import ExponentialDecay, LearningRateSchedule
from impls.port.keras_schedules import config_of, rates

class Halving(LearningRateSchedule):
    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start / 2 ** step

config = config_of(SGD(Halving(0.5)))
assert rates(config["learning_rate"])["rates"][:3] == [0.5, 0.25, 0.125]
assert SGD.from_config(config)._learning_rate is config["learning_rate"]
assert rates(config_of(SGD(ExponentialDecay(0.1, 1, 0.3)))["learning_rate"])["rates"][1] == 0.1 * 0.3
try:
    Halving(0.5).get_config()
except NotImplementedError:
    pass
else:
    raise AssertionError("Keras is another one after a schedule was read")
"""


def test_keras_is_untouched_before_and_after_a_model() -> None:
    """Another file that this process serves, or a user's own code, would compute by another Keras than the released.

    A schedule of the user's own, which need not be serializable, was refused.
    """
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    environment = {**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
