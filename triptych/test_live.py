"""Models in memory: compared as files are, and afterwards the models and the process are as they were."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from triptych import tree

# Each defines wrong(), right() and a model `ours`, and what has to be as it was after a comparison.
TORCH = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, epsilon):
        super().__init__()
        self.hidden, self.norm, self.logits = nn.Linear(4, 5), nn.LayerNorm(5, eps=epsilon), nn.Linear(5, 3)

    def forward(self, x):
        return self.logits(self.norm(torch.relu(self.hidden(x))))

make = Net
loss = nn.functional.cross_entropy
optimizer = lambda model: torch.optim.SGD(model.parameters(), 0.1)

def state():
    weights = [(name, tuple(array.flatten().tolist()), array.dtype) for name, array in models[0].state_dict().items()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in models[0].modules()]
    return weights, hooks, torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().sum().item()
"""
KERAS = """
import keras

def make(epsilon):
    layers = [
        keras.Input((4,)), keras.layers.Dense(5, activation="relu"), keras.layers.LayerNormalization(epsilon=epsilon),
        keras.layers.Dropout(0.3), keras.layers.Dense(3),
    ]
    return keras.Sequential(layers)

crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
loss = lambda logits, y: crossentropy(y, logits)
optimizer = lambda: keras.optimizers.SGD(0.1)

def state():
    weights = [(array.tolist(), str(array.dtype)) for array in models[0].get_weights()]
    made = keras.ops.matmul(keras.ops.ones((2, 2)), keras.ops.ones((2, 2)))
    functions = keras.src.backend.random.dropout, keras.layers.Dense.call
    return weights, keras.config.floatx(), str(keras.config.dtype_policy().name), str(made.dtype)[-7:], functions
"""
SHIM = """
from triptych import shim

def make(epsilon):
    layers = [shim.Dense(5, activation="relu"), shim.LayerNorm(epsilon=epsilon), shim.Dense(3)]
    return shim.Sequential(layers, inputs=(4,), backend="numpy")

loss = "softmax_cross_entropy"
optimizer = shim.SGD(0.1)

def state():
    return models[0].dtype, {name: array.tolist() for name, array in models[0].get_weights().items()}
"""
JAX = """
import jax
import jax.numpy as jnp

class Net:
    def __init__(self, epsilon):
        self.epsilon = epsilon
        self.params = {"hidden": jnp.ones((4, 5)), "logits": jnp.ones((5, 3))}

    def forward(self, params, x):
        hidden = jax.nn.relu(x @ params["hidden"])
        spread = hidden.var(-1, keepdims=True)
        return (hidden - hidden.mean(-1, keepdims=True)) / jnp.sqrt(spread + self.epsilon) @ params["logits"]

make = Net
loss = lambda logits, y: -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(y)), y])
optimizer = None

def state():
    return str(models[0].params["hidden"].dtype), str(jnp.ones(2).dtype), jax.config.jax_enable_x64
"""
PROGRAM = """
import numpy as np
import random
import triptych

MODELS

x, y = np.random.default_rng(0).normal(size=(6, 4)), np.array([0, 1, 2, 0, 1, 2])
models = [make(1e-3), make(1e-3), make(1e-5)]
if hasattr(models[0], "get_weights"):
    models[0].get_weights()
before = state(), random.getstate(), np.random.get_state()[1].tolist()
same = triptych.compare_models(models[0], models[1], x)
assert same and same.verdict == "SAME", str(same)
wrong = triptych.compare_models(models[0], models[2], x, y, loss=loss, optimizer=optimizer)
assert not wrong and "inference" in wrong.findings[0].phase, str(wrong)
assert (state(), random.getstate(), np.random.get_state()[1].tolist()) == before
built = triptych.compare_models(lambda: make(1e-3), models[1], x)
assert built, str(built)
print(repr(wrong))
"""
CASES = {
    "shim": (SHIM, "numpy"),
    "torch": (TORCH, "torch"),
    "keras on torch": (KERAS, "torch"),
    "keras on jax": (KERAS, "jax"),
    "keras on tensorflow": (KERAS, "tensorflow"),
    "functions in jax": (JAX, "jax"),
}


@pytest.mark.parametrize(
    "case",
    [
        "shim",
        "torch",
        pytest.param("functions in jax", marks=pytest.mark.full),
        pytest.param("keras on tensorflow", marks=pytest.mark.full),
        pytest.param("keras on torch", marks=[pytest.mark.full, pytest.mark.catalogue]),
        pytest.param("keras on jax", marks=[pytest.mark.full, pytest.mark.catalogue]),
    ],
)
@pytest.mark.one_in(3)
def test_models_in_memory_are_compared_and_left_as_they_are(case: str, tmp_path: Path) -> None:
    """A test of a user's goes on with its models, in a process whose default types and random numbers are its own."""
    text, backend = CASES[case]
    for module in (backend, *(["keras"] if "keras" in case else [])):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    (tmp_path / "program.py").write_text(PROGRAM.replace("MODELS", text))
    variables = {**tree.environment(), "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DIFFERENT" in done.stdout


def test_what_is_no_model_is_answered_with_what_can_be_compared(tmp_path: Path) -> None:
    words = "import triptych; triptych.compare_models({}, 1, [[1.0]])"
    command = [sys.executable, "-c", words]
    done = subprocess.run(
        command, cwd=tmp_path, env=dict(tree.environment()), capture_output=True, text=True, check=False
    )
    assert "A: can't compare a builtins.dict: known are the path of a Python file or of an ONNX file" in done.stderr
    assert os.listdir(tmp_path) == []
