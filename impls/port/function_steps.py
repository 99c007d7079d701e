"""Training steps of models in plain functions: with an optax optimizer, with Keras's on TensorFlow, or the user's own.

In JAX `make_optimizer()` gives an optax transformation (or any object with `init` and `update`), and the file may
define `train_step(params, opt_state, x, y)`, which gives the new params and state first. In TensorFlow it gives an
optimizer with `apply_gradients(pairs)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from impls.port import own_steps
from impls.port.conventions import made_for
from impls.port.errors import UserError
from impls.port.trees import flat, nested, part_of

if TYPE_CHECKING:
    from impls.port.annotations import Args, Config, Function, FunctionsOfUser, Kwargs, Native, Natives, Tree

STEP_OF_JAX = "train_step(params, opt_state, x, y)"


def steps_of(port: FunctionsOfUser) -> Steps | None:
    """What makes the steps of a model; None where the file has no optimizer, or its engine no gradients."""
    kind = KINDS.get(port.backend)
    return kind(port) if kind is not None and hasattr(port.program, "make_optimizer") else None


class Steps:
    """The optimizer of a file; `start` makes its state afresh, `step` moves the port's params."""

    def __init__(self, port: FunctionsOfUser) -> None:
        self.port = port
        self.optimizer = made_for(port.program.make_optimizer, port.model)
        self.check()

    def check(self) -> None:
        """Raises UserError where the optimizer is none of this engine's."""
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def step(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        raise NotImplementedError

    def describe(self) -> Config:
        return {}

    def refuse(self, wanted: str) -> None:
        found = type(self.optimizer).__name__
        raise UserError(f"make_optimizer() has to return {wanted}, it returned {found}")

    def slopes(self, args: Args, kwargs: Kwargs, y: Native) -> Natives:
        """The gradient of each trained parameter, by its name."""
        slopes = self.port.value_and_grads(args, kwargs, y)[1]
        return dict(zip(self.port.trained(), slopes, strict=True))


class StepsOfJax(Steps):
    def check(self) -> None:
        self.optimizer = getattr(self.optimizer, "tx", self.optimizer)
        if not all(callable(getattr(self.optimizer, name, None)) for name in ("init", "update")):
            self.refuse("an optax optimizer")

    def start(self) -> None:
        jax = importlib.import_module("jax")
        self.update = jax.jit(self.optimizer.update)
        self.state = self.optimizer.init(self.tree(self.port.params))

    def tree(self, named: Natives) -> Tree:
        """What is trained, nested as the user's params are; without their folder where statistics lie beside it."""
        names = self.port.trained()
        kept = part_of(self.port.model.params, names)
        found = nested({name: named[name] for name in names}, kept)
        return found["params"] if self.inside() else found

    def inside(self) -> bool:
        params = self.port.model.params
        return "params" in params and len(params) > 1

    def named(self, tree: Tree) -> Natives:
        """The way back."""
        return flat({"params": tree} if self.inside() else tree)

    def step(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        own = own_steps.own_step(self.port.program)
        if own is not None:
            self.step_of_user(own, own_steps.batch_of(args, kwargs, y))
            return
        jax = importlib.import_module("jax")
        params = self.tree(self.port.params)
        updates, self.state = self.update(self.tree(self.slopes(args, kwargs, y)), self.state, params)
        moved = jax.tree.map(lambda weight, update: weight + update, params, updates)
        self.port.params.update(self.named(moved))

    def step_of_user(self, own: Function, batch: Natives) -> None:
        params = self.tree(self.port.params)
        known = {**batch, "params": params, "opt_state": self.state, "state": self.state, "optimizer": self.optimizer}
        made = own_steps.take(own, known, ("params", "opt_state", "x", "y"))
        if not isinstance(made, tuple) or len(made) < 2:
            raise UserError(f"{STEP_OF_JAX} has to return the new params, the new state, and what else it likes")
        named = self.named(made[0])
        if set(named) != set(self.port.trained()):
            raise UserError(f"{STEP_OF_JAX} has to return params like those that it got, first")
        self.state = made[1]
        self.port.params.update(named)

    def describe(self) -> Config:
        from impls.port import optax_rules

        own = hasattr(self.port.program, "train_step")  # what it does besides, the optimizer does not say
        return {} if own else optax_rules.describe(self.optimizer)


class StepsOfTensorflow(Steps):
    def check(self) -> None:
        if not callable(getattr(self.optimizer, "apply_gradients", None)):
            self.refuse("an optimizer with apply_gradients(pairs of gradients and variables)")

    def start(self) -> None:
        tf = importlib.import_module("tensorflow")
        if own_steps.own_step(self.port.program) is not None:
            raise UserError("train_step can't be followed in plain functions of TensorFlow: build a keras.Model")
        self.optimizer = made_for(self.port.program.make_optimizer, self.port.model)
        self.variables = {name: tf.Variable(self.port.params[name], name=name) for name in self.port.trained()}

    def step(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        slopes = self.slopes(args, kwargs, y)
        pairs = [(slopes[name], variable) for name, variable in self.variables.items() if slopes[name] is not None]
        self.optimizer.apply_gradients(pairs)
        self.port.params.update((name, variable.value()) for name, variable in self.variables.items())

    def describe(self) -> Config:
        if not type(self.optimizer).__module__.startswith("keras."):
            return {}
        from impls.port import keras_optimizers

        return keras_optimizers.describe(self.optimizer, self.variables, {})


KINDS: dict[str, type[Steps]] = {"jax": StepsOfJax, "tensorflow": StepsOfTensorflow}
