"""A finding as a program of a few lines, which needs the engine alone and prints the number found and the right one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from impls.floating_types import UNIT
from suites.campaign.cases import Case
from suites.campaign.engines import Realisation
from suites.campaign.operations import plain

GRADIENT = """def gradient(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)"""
IMPORTS = {
    "torch": ["import torch", "from torch.nn import functional as F"],
    "jax": [
        "import jax",
        'jax.config.update("jax_enable_x64", True)',
        "import jax.numpy as jnp",
        "from jax import lax",
    ],
    "tensorflow": ["import tensorflow as tf", GRADIENT],
    "keras": ["from keras import ops"],
}
LONGEST_LITERAL = 400  # characters


def write(case: Case, realisation: Realisation, element: int, right: float | None, versions: str) -> str:
    """The program of an operation: it prints what is found at an element, and what is right there."""
    api, engine = realisation.api, realisation.engine
    lines = [f"# {versions}"]
    if api == "keras":
        lines += ["import os", f'os.environ["KERAS_BACKEND"] = "{engine}"']
        if engine == "jax":
            lines.append('os.environ["JAX_ENABLE_X64"] = "1"')
    lines += ["import numpy as np", *_used(IMPORTS[api], case.entry.forms[api])]
    for name, value in case.arrays.items():
        lines.append(f"{name} = {array(value, case.dtype, api, engine)}")
    lines += [f"{name} = {value!r}" for name, value in plain(case.options).items() if _mentions(case, api, name)]
    expression = case.entry.forms[api]
    lines.append(f"found = {MODES[realisation.mode].format(expression=expression, names=', '.join(case.arrays))}")
    if right is None:
        return "\n".join([*lines, "print(found.shape)", ""])
    wide = "np.asarray(found.float())" if engine == "torch" and case.dtype == "bfloat16" else "np.asarray(found)"
    lines.append(f"print(float({wide}.ravel()[{element}]), {_named(right)})")
    return "\n".join([*lines, ""])


MODES = {
    "eager": "{expression}",
    "jit": "jax.jit(lambda {names}: {expression})({names})",
    "graph": "tf.function(lambda {names}: {expression})({names})",
    "xla": "tf.function(lambda {names}: {expression}, jit_compile=True)({names})",
    "compile": "torch.compile(lambda {names}: {expression})({names})",
    "vmap": "__import__('torch').func.vmap(lambda {names}: {expression})({names})",
}


def _named(number: float) -> str:
    """A number as a program says it."""
    return repr(number) if np.isfinite(number) else f'float("{number}")'


def _mentions(case: Case, api: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", case.entry.forms[api]) is not None


def _used(imports: list[str], expression: str) -> list[str]:
    """Without the imports of names that the expression does not use."""
    short = {
        "from torch.nn import functional as F": "F.",
        "from jax import lax": "lax.",
        GRADIENT: "gradient(",
        "import jax.numpy as jnp": "",
    }
    return [line for line in imports if short.get(line, "") in expression]


def array(value: np.ndarray, dtype: str, api: str, engine: str) -> str:
    """An array as the API makes it."""
    kind = dtype if value.dtype.kind == "f" or (value.dtype == np.int64 and dtype not in UNIT) else str(value.dtype)
    text = literal(value)
    if api == "torch":
        return f"torch.tensor(np.array({text})).to(torch.{kind})"
    if api == "jax":
        return f"jnp.asarray(np.array({text})).astype({kind!r})"
    if api == "tensorflow":
        return f"tf.cast(np.array({text}), {kind!r})"
    return f"ops.cast(np.array({text}), {kind!r})" if engine != "tensorflow" else f"ops.cast({text}, {kind!r})"


def literal(value: np.ndarray) -> str:
    """A short text for an array: a constant, a range, or its numbers."""
    if value.size > 3 and (value == value.flat[0]).all():
        return f"np.full({value.shape}, {value.flat[0].item()!r})"
    for period in (5, 7, 11):
        if value.size > 20 and np.array_equal(value, pattern(value.shape, period)):
            return f"(np.arange({value.size}.) % {period}).reshape({value.shape})"
    return repr(value.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")


def pattern(shape: tuple[int, ...], period: int) -> Any:
    """0, 1, 2, ... again and again: what a large array is replaced by where the finding allows it."""
    return (np.arange(float(np.prod(shape, dtype=int))) % period).reshape(shape)
