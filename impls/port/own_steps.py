"""A training step of the user's own, `train_step`: what each argument is, by the names that people give them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from impls.port.errors import UserError

if TYPE_CHECKING:
    from impls.port.annotations import Args, Function, Kwargs, Native, Natives, Program

NAMES = {
    "model": ("model", "net", "network", "module"),
    "optimizer": ("optimizer", "opt", "optim", "tx"),
    "scheduler": ("scheduler", "lr_scheduler", "sched"),
    "state": ("state", "train_state", "ts"),
    "params": ("params", "weights", "variables"),
    "opt_state": ("opt_state", "optimizer_state", "optim_state"),
    "x": ("x", "xb", "xs", "x_batch", "batch_x", "inputs", "input", "images", "data", "features"),
    "y": ("y", "yb", "ys", "y_batch", "batch_y", "labels", "label", "targets", "target"),
    "batch": ("batch",),
    "loss": ("loss_fn", "criterion", "loss_function"),
    "key": ("rng", "key", "dropout_rng", "dropout_key"),
}
WHAT = {name: what for what, names in NAMES.items() for name in names}
MOVED, FED = {"model", "state", "params"}, {"x", "batch"}
WAY_OUT = "call its arguments so, give the others defaults, or leave it out"


def own_step(program: Program) -> Function | None:
    """The user's step; None where the file has none."""
    return getattr(program, "train_step", None)


def batch_of(args: Args, kwargs: Kwargs, y: Native) -> Natives:
    """What a step calls its inputs and its labels."""
    x = args[0] if len(args) == 1 and not kwargs else (kwargs or args)
    return {"x": x, "y": y, "batch": (x, y)}


def take(step: Function, known: Natives, usual: tuple[str, ...]) -> Native:
    """What the step gives. `usual`: its arguments in this order where their names say nothing. Raises UserError."""
    args, kwargs = arguments(step, known, usual)
    return step(*args, **kwargs)


def arguments(step: Function, known: Natives, usual: tuple[str, ...]) -> tuple[Args, Kwargs]:
    parameters = inspect.signature(step).parameters.values()
    asked = {each.name: each for each in parameters if is_asked(each, known)}
    meant = {name: WHAT.get(name, "") for name in asked}
    if "y" not in meant.values() and meant.get("data") == "x":
        meant["data"] = "batch"  # as Keras calls both
    if all(what in known for what in meant.values()) and MOVED & set(meant.values()) and FED & set(meant.values()):
        by_name = {name: known[what] for name, what in meant.items() if asked[name].kind is asked[name].KEYWORD_ONLY}
        return tuple(known[what] for name, what in meant.items() if name not in by_name), by_name
    given = tuple(known[name] for name in usual)
    if not fits(step, given):
        unknown = ", ".join(name for name, what in meant.items() if what not in known)
        why = f"takes {unknown}" if unknown else "does not take what it moves, or what it learns from"
        raise UserError(
            f"train_step {why}; a comparison can give {', '.join(n for n in NAMES if n in known)}: {WAY_OUT}"
        )
    return given, {}


def is_asked(parameter: inspect.Parameter, known: Natives) -> bool:
    """Whether an argument is to be given: it has no default, or None, and is known."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return False
    return parameter.default is parameter.empty or (parameter.default is None and WHAT.get(parameter.name) in known)


def fits(step: Function, given: Args) -> bool:
    try:
        inspect.signature(step).bind(*given)
    except TypeError:
        return False
    return True
