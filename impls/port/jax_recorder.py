"""A function of JAX, run primitive by primitive from its jaxpr, each one an operation of a `Trace`.

What the user jitted runs as one compiled call, as it does without anyone watching, so that not a bit changes; the
operations inside it are run once more on the side, to be seen.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core

from impls.port import vocabulary

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Collection, Iterable, Sequence

    from impls.port.annotations import Function, Native, Natives, Setting
    from impls.port.recorder import Trace
    from impls.port_messages import Operand

    Step = tuple[list[Native], list[Operand]]  # arrays, and what they are to the trace

MARK = re.compile(r"«(.*?)»")  # a layer, in a name stack
CALLS = (
    "jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "custom_jvp_call", "custom_vjp_call",
    "custom_jvp_call_jaxpr", "custom_vjp_call_jaxpr", "remat2",
)  # fmt: skip
OWN_GRADIENT = ("custom_jvp_call", "custom_vjp_call", "custom_jvp_call_jaxpr", "custom_vjp_call_jaxpr")
BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")
TOLD = (
    "axes", "axis", "dimension", "dimensions", "permutation", "new_sizes", "dimension_numbers", "window_strides",
    "padding", "padding_config", "feature_group_count", "lhs_dilation", "rhs_dilation", "start_indices",
    "limit_indices", "strides", "y", "broadcast_dimensions", "shape", "new_dtype", "window_dimensions", "reverse",
)  # fmt: skip
NAMES = {
    "dimension": "axis", "permutation": "axes", "new_sizes": "shape", "window_strides": "strides", "y": "exponent",
    "feature_group_count": "groups", "rhs_dilation": "dilation", "window_dimensions": "window", "new_dtype": "dtype",
}  # fmt: skip


def scope(path: str) -> contextlib.AbstractContextManager[None]:
    """What is computed inside belongs to the layer at `path`."""
    return jax.named_scope(f"«{path}»")


class Interpreter:
    """Runs a jaxpr; `trace` is told of every operation, `overrides` are arrays that take a value's place by its id."""

    def __init__(self, trace: Trace, overrides: dict[int, np.ndarray] | None = None) -> None:
        self.trace = trace
        self.overrides = {} if overrides is None else overrides
        self.given: list[list[int]] = []  # the ids of what each operation gave, in order

    def run(
        self,
        jaxpr: core.Jaxpr,
        constants: Sequence[Native],
        inputs: Sequence[Native],
        operands: Sequence[Operand],
        outer: Sequence[str] = (),
    ) -> Step:
        """`(arrays, operands)` of the outputs; `operands` say what each input is to the trace."""
        arrays: dict[Native, Native] = {}  # by the variable of the jaxpr
        known: dict[Native, Operand] = {}

        def read(var: core.Var) -> Native:
            return var.val if isinstance(var, core.Literal) else arrays[var]

        def told(var: core.Var) -> Operand:
            if isinstance(var, core.Literal):
                return self.constant(var.val)
            return known[var]

        for var, array in zip(jaxpr.constvars, constants, strict=True):
            arrays[var], known[var] = array, self.constant(array)
        for var, array, operand in zip(jaxpr.invars, inputs, operands, strict=True):
            arrays[var], known[var] = array, operand
        for eqn in jaxpr.eqns:
            given = [read(var) for var in eqn.invars]
            found, seen = self.one(eqn, given, [told(var) for var in eqn.invars], outer)
            for var, array, operand in zip(eqn.outvars, found, seen, strict=True):
                arrays[var], known[var] = array, operand
        return [read(var) for var in jaxpr.outvars], [told(var) for var in jaxpr.outvars]

    def constant(self, array: Native) -> Operand:
        names = self.trace.weights.get(id(array))
        if names is not None:
            return {"weights": names}
        if hasattr(array, "dtype") and is_key(array):  # as nnx.RNN's cells hand on
            return {"literal": None}
        if np.iscomplexobj(array):
            return self.trace.operand(np.asarray(array))
        if np.size(array) <= 8:
            return {"literal": np.asarray(array).tolist()}
        return self.trace.operand(array)

    def one(self, eqn: core.JaxprEqn, given: Sequence[Native], operands: list[Operand], outer: Sequence[str]) -> Step:
        """One equation: its arrays, and what they are to the trace."""
        paths = [*outer, *MARK.findall(str(eqn.source_info.name_stack))]
        name = eqn.params.get("name") if eqn.primitive.name in CALLS else eqn.primitive.name
        inner = body_of(eqn)
        found = bind(eqn, given)
        if inner is not None:
            return self.inside(eqn, inner, str(name or eqn.primitive.name), given, operands, paths, found)
        return self.told(eqn, str(name), operands, paths, found)

    def inside(
        self,
        eqn: core.JaxprEqn,
        inner: Native,
        name: str,
        given: Sequence[Native],
        operands: Sequence[Operand],
        paths: list[str],
        found: list[Native],
    ) -> Step:
        """A call: a function of jax.nn is one operation, of any other one what is inside is seen."""
        constants = inner.consts if hasattr(inner, "consts") else []
        body = inner.jaxpr if hasattr(inner, "jaxpr") else inner
        if name in vocabulary.JAX or len(body.invars) != len(given):
            return self.told(eqn, name, operands, paths, found)
        if gives_back(eqn, body):  # differentiated otherwise than what it took
            return self.told(eqn, "identity", list(operands), paths, found)
        return self.through(eqn, (body, constants, given, operands, paths), found)

    def through(self, eqn: core.JaxprEqn, inner: tuple[Native, ...], found: list[Native]) -> Step:
        """A call of which the inside is seen: what `run` takes of it, and what the call itself gave."""
        arrays, known = self.run(*inner)
        return (arrays if self.overrides or self.trace.rounding else found), known

    def told(
        self, eqn: core.JaxprEqn, name: str, operands: Sequence[Operand], paths: list[str], found: list[Native]
    ) -> Step:
        trace = self.trace
        settings = {NAMES.get(key, key): plain(eqn.params[key]) for key in TOLD if key in eqn.params}
        trace.scope = paths
        if eqn.primitive.name == "name" and str(eqn.params["name"]).startswith("dropout "):
            _, kind, rate = eqn.params["name"].split()
            trace.dropout(float(rate), kind, None, True, value=operands[0].get("value"))
            return found, list(operands)
        kept = [np.asarray(array) for array in found if not is_key(array)]
        if len(kept) != len(found):
            return found, [{"literal": None} for _ in found]
        ids = trace.op(eqn.primitive.name, vocabulary.JAX.get(name, name), list(operands), settings, kept)
        trace.ops[-1]["line"] = line_of(eqn, trace.files)
        self.given.append(ids)
        found = [self.instead(at, array) for at, array in zip(ids, found, strict=True)]
        return found, [{"value": at} for at in ids]

    def instead(self, at: int, array: Native) -> Native:
        """`array`, or what takes its place."""
        if at not in self.overrides:
            return array
        made = jax.numpy.asarray(self.overrides[at], array.dtype)
        if self.trace.rounding is not None:
            del self.overrides[at]  # there is one for each value
        return made


def note_dropout(kind: str, rate: float, tensor: Native) -> Native:
    """The same tensor, with a note for the interpreter that it would be dropped here."""
    return checkpoint_name(tensor, f"dropout {kind} {rate}")


def gives_back(eqn: core.JaxprEqn, body: core.Jaxpr) -> bool:
    """Whether a call with a gradient of its own gives what it took, as it is."""
    return eqn.primitive.name in OWN_GRADIENT and any(out is var for out in body.outvars for var in body.invars)


def is_key(array: Native) -> bool:
    return jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key)


def body_of(eqn: core.JaxprEqn) -> Native:
    if eqn.primitive.name not in CALLS:
        return None
    return next((eqn.params[name] for name in BODIES if name in eqn.params), None)


def bind(eqn: core.JaxprEqn, given: Sequence[Native]) -> list[Native]:
    """The equation as JAX itself runs it outside of jit."""
    params = eqn.primitive.get_bind_params(eqn.params)
    functions = ()
    if isinstance(params, tuple):  # before JAX 0.7
        functions, params = params
    found = eqn.primitive.bind(*functions, *given, **params)
    return list(found) if eqn.primitive.multiple_results else [found]


def line_of(eqn: core.JaxprEqn, files: Collection[str]) -> str:
    traceback = eqn.source_info.traceback
    if traceback is None:
        return ""
    for frame in traceback.frames:
        if frame.file_name in files:
            return f"{os.path.basename(frame.file_name)}:{frame.line_num}"
    return ""


def plain(value: Native) -> Setting:
    """A parameter of a primitive as JSON has it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def record(
    trace: Trace,
    function: Function,
    weights: Natives,
    inputs: Iterable[Native],
    overrides: dict[int, np.ndarray] | None = None,
) -> Native:
    """Run `function(weights, *inputs)`, weights a dict of arrays by name, and record it.

    Its output (nested as it is, of arrays), after `trace` was told of every operation in it. Inputs that the trace
    knows are looked up by identity (`Port.arrange` recorded them).
    """
    leaves, tree = jax.tree.flatten((weights, tuple(inputs)))
    names = [path_name(path) for path, _ in jax.tree_util.tree_flatten_with_path((weights, tuple(inputs)))[0]]
    shapes = {}

    def flat(*values: Native) -> list[Native]:
        given, rest = jax.tree.unflatten(tree, values)
        found, shapes["tree"] = jax.tree.flatten(in_order(function(given, *rest)))
        return found

    closed = jax.make_jaxpr(flat)(*leaves)
    operands = []
    for name, leaf in zip(names, leaves, strict=True):
        operands.append({"weights": [name]} if name is not None else trace.operand(leaf))
    interpreter = Interpreter(trace, overrides)
    arrays, known = interpreter.run(closed.jaxpr, closed.consts, leaves, operands)
    if trace.follow is not None:
        trace.slopes = trace.follow(trace, interpreter.given, closed, leaves, shapes["tree"])
    arrays = [jax.numpy.asarray(array) for array in arrays]
    for array, operand in zip(arrays, known, strict=True):
        trace.remember(array, operand)
    trace.scope = []
    return jax.tree.unflatten(shapes["tree"], arrays)


def in_order(value: Native) -> Native:
    """What a model gives, with dicts whose parts JAX leaves in the user's order; it sorts those of a plain one."""
    if type(value) is dict:
        return OrderedDict((name, in_order(part)) for name, part in value.items())
    return type(value)(map(in_order, value)) if type(value) in (list, tuple) else value


def path_name(path: Sequence[Native]) -> str | None:
    """The name of a weight at this place of (weights, inputs); None for an input."""
    first, *rest = path
    return "/".join(str(getattr(key, "key", key)) for key in rest) if first.idx == 0 else None
