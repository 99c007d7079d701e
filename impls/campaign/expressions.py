"""Evaluates expressions of an engine's own API on arrays, in a type and a mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from impls.campaign.messages import Arrays, Expression, Function, Native

PRELUDES = {
    "torch": "import torch\nfrom torch.nn import functional as F",
    "jax": "import jax\nimport jax.numpy as jnp\nfrom jax import lax",
    "tensorflow": """import tensorflow as tf
def gradient(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)""",
    "keras": "import keras\nfrom keras import ops",
}


def evaluate(expressions: list[Expression], arrays: Arrays, engine: str) -> Arrays:
    """`<at>/0`, `<at>/1` ...: the results of the expression at this place, as float64 (int64 for integers).

    One request serves many expressions, each with arrays of its own. An exception is an answer too: `<at>/error`, its
    text as an array of bytes.
    """
    found: Arrays = {}
    for at, one in enumerate(expressions):
        own = [key for key in arrays if key.startswith(f"{at}/")]
        given = {key.partition("/")[2]: arrays[key] for key in own}
        try:
            result = call(one, given, engine)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            found[f"{at}/error"] = np.frombuffer(text.encode("utf-8", "replace")[:600], np.uint8)
            continue
        results = result if isinstance(result, (tuple, list)) else [result]
        found.update((f"{at}/{i}", numpy(value)) for i, value in enumerate(results))
    return found


def call(one: Expression, given: Arrays, engine: str) -> Native:
    """One expression, in its mode: eager, compiled (graph, xla, jit, compile), or vmap over the rows of `x`."""
    space: dict[str, Any] = {}
    exec(PRELUDES[one["api"]], space)
    for name, value in one["options"].items():
        space[name] = tuple(value) if isinstance(value, list) else value
    native = {name: convert(value, one["dtype"], one["api"], engine) for name, value in given.items()}
    names = list(native)
    function = eval(f"lambda {', '.join(names)}: {one['expression']}", space)
    return MODES[one["mode"]](function, engine)(*native.values())


def convert(value: np.ndarray, dtype: str, api: str, engine: str) -> Native:
    """An array of the engine: numbers in the type that is asked for, booleans and indices as they are."""
    if value.dtype.kind == "f" or (value.dtype.kind == "i" and dtype[0] in "iu" and value.dtype == np.int64):
        kind = dtype
    else:
        kind = str(value.dtype)
    if engine == "torch":
        import torch

        return torch.as_tensor(np.array(value)).to(getattr(torch, kind))
    if engine == "jax":
        import jax.numpy as jnp

        return jnp.asarray(value.astype(jnp.dtype(kind)))  # by NumPy: JAX would compile it for each shape
    import tensorflow as tf

    return tf.cast(tf.constant(value), kind)


def numpy(value: Native) -> np.ndarray:
    """A result as float64, int64 or bool."""
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.double() if value.is_floating_point() else value
    array = np.asarray(value)
    if array.dtype.kind in "fV":  # V: bfloat16
        return array.astype(np.float64)
    return array if array.dtype.kind in "bc" else array.astype(np.int64)


def eager(function: Function, engine: str) -> Function:
    return function


def graph(function: Function, engine: str) -> Function:
    import tensorflow as tf

    return tf.function(function)


def xla(function: Function, engine: str) -> Function:
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def jit(function: Function, engine: str) -> Function:
    import jax

    return jax.jit(function)


def compiled(function: Function, engine: str) -> Function:
    import torch

    torch._dynamo.reset()
    return torch.compile(function)


def vmap(function: Function, engine: str) -> Function:
    if engine == "torch":
        import torch

        return torch.func.vmap(function)
    if engine == "jax":
        import jax

        return jax.vmap(function)
    import tensorflow as tf

    def of_rows(rows: Sequence[Native]) -> Native:
        return function(*rows)

    return lambda *given: tf.vectorized_map(of_rows, given)


MODES = {"eager": eager, "graph": graph, "xla": xla, "jit": jit, "compile": compiled, "vmap": vmap}
