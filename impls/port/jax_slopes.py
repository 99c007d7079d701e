"""The gradient of what a recorded function of JAX comes to, in every value of its record.

The jaxpr runs once more with a zero added to each value, and the gradient in these zeros is what is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np

from impls.port.jax_recorder import OWN_GRADIENT, Interpreter, is_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jax.extend import core

    from impls.port.annotations import Function, Native
    from impls.port.jax_recorder import Step
    from impls.port.recorder import Trace
    from impls.port_messages import Operand


class Replay(Interpreter):
    """Runs what was recorded, with something added to each value; `given` are the ids, in the order of the record."""

    def __init__(self, trace: Trace, given: Sequence[Sequence[int]], added: dict[int, Native]) -> None:
        super().__init__(trace)
        self.ids = iter(given)
        self.added = added
        self.values: dict[int, Native] = {}
        self.inside_own = 0  # calls with a gradient of their own around this one: what is in there has none

    def constant(self, array: Native) -> Operand:
        return {"literal": None}

    def through(self, eqn: core.JaxprEqn, inner: tuple[Native, ...], found: list[Native]) -> Step:
        own = eqn.primitive.name in OWN_GRADIENT
        self.inside_own += own
        arrays, known = self.run(*inner)
        self.inside_own -= own
        if own and not self.inside_own:
            arrays = [self.with_zero(operand.get("value"), array) for operand, array in zip(known, found, strict=True)]
        return arrays, known

    def told(
        self, eqn: core.JaxprEqn, name: str, operands: Sequence[Operand], paths: list[str], found: list[Native]
    ) -> Step:
        if eqn.primitive.name == "name" and str(eqn.params["name"]).startswith("dropout "):
            return found, list(operands)
        if any(is_key(array) for array in found):
            return found, [{"literal": None} for _ in found]
        ids = next(self.ids)
        if not self.inside_own:
            found = [self.with_zero(at, array) for at, array in zip(ids, found, strict=True)]
        return found, [{"value": at} for at in ids]

    def with_zero(self, at: int | None, array: Native) -> Native:
        if at is None or at not in self.added:
            return array
        self.values[at] = array = array + self.added[at]
        return array


def slopes(
    objective: Function,
    trace: Trace,
    given: Sequence[Sequence[int]],
    closed: core.ClosedJaxpr,
    leaves: Sequence[Native],
    tree: Native,
) -> dict[int, Native]:
    """By the ids of values: the gradient of `objective(output, values)`."""
    assert trace.natives is not None
    numbers = {at: trace.natives[at] for ids in given for at in ids if is_floating(trace.natives[at])}
    zeros = {at: jax.numpy.zeros_like(jax.numpy.asarray(array)) for at, array in numbers.items()}

    def total(added: dict[int, Native]) -> Native:
        replay = Replay(trace, given, added)
        arrays, _ = replay.run(closed.jaxpr, closed.consts, leaves, [{"literal": None} for _ in leaves])
        return objective(jax.tree.unflatten(tree, arrays), replay.values)

    return jax.grad(total)(zeros)


def is_floating(array: Native) -> bool:
    return np.asarray(array).dtype.kind == "f"
