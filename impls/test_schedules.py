"""A program's learning rate at every step of a training to its end and beyond: trajectories are of 20 steps."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "transformer"
ENGINE = SimpleNamespace(cos=np.cos, where=np.where, clip=np.clip, clip_by_value=np.clip)  # as tf and jnp have them
WRITTEN = {  # implementation: the function that gives a rate, and what it is multiplied by
    "raw_tf": ("learning_rate", 1.0),
    "raw_jax": ("learning_rate", 1.0),
    "raw_torch": ("learning_rate", 1.0),
    "torch_native": ("rate_of", 3e-3),
}
FIRST, HIGHEST, LAST, RISING, FALLING = 3e-4, 3e-3, 3e-4, 10, 470


def written(implementation: str, name: str) -> Any:
    """A function of a program and the constants above it, without the program's engine."""
    tree = ast.parse((FOLDER / f"{implementation}.py").read_text(encoding="utf-8"))
    body = [node for node in tree.body if constant(node) or getattr(node, "name", "") == name]
    found: dict[str, Any] = {"math": math, "tf": ENGINE, "jnp": ENGINE}
    exec(compile(ast.Module(body, []), implementation, "exec"), found)
    return found[name]


def constant(node: ast.stmt) -> bool:
    """Whether a statement gives names to numbers."""
    return isinstance(node, ast.Assign) and not any(isinstance(part, ast.Call) for part in ast.walk(node))


@pytest.mark.parametrize("implementation", WRITTEN)
def test_a_cosine_ends_where_it_ends(implementation: str) -> None:
    """Up by a line, down by half a cosine, and level from step 480 on: there a rate that went on would rise again."""
    name, factor = WRITTEN[implementation]
    rate = written(implementation, name)
    for step in range(2 * (RISING + FALLING)):
        share = 0.5 * (1 + math.cos(math.pi * min((step - RISING) / FALLING, 1)))
        falling = LAST + (HIGHEST - LAST) * share
        expected = FIRST + (HIGHEST - FIRST) * step / RISING if step < RISING else falling
        assert factor * float(rate(step)) == pytest.approx(expected, rel=1e-12), step
