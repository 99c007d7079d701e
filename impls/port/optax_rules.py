"""What an optax optimizer does, read out of the closures of its transformations; {} where one of them is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impls.port.base import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from impls.port.annotations import Config, Function, Native

    Step = tuple[str, dict[str, Any]]  # the maker of a transformation, and its numbers

# transformation (the function that made it): its numbers, by their names in the description
KNOWN = {
    "scale_by_adam": {"b1": "beta_1", "b2": "beta_2", "eps": "epsilon", "nesterov": "nesterov"},
    "scale_by_amsgrad": {"b1": "beta_1", "b2": "beta_2", "eps": "epsilon"},
    "scale_by_adamax": {"b1": "beta_1", "b2": "beta_2", "eps": "epsilon"},
    "scale_by_rms": {"decay": "rho", "eps": "epsilon", "eps_in_sqrt": "epsilon_inside"},
    "scale_by_rss": {"initial_accumulator_value": "initial", "eps": "epsilon"},
    "scale_by_adadelta": {"rho": "rho", "eps": "epsilon"},
    "trace": {"decay": "momentum", "nesterov": "nesterov"},
    "add_decayed_weights": {"weight_decay": "weight_decay"},
    "clip_by_global_norm": {"max_norm": "clip_norm"},
    "clip": {"max_delta": "clip_value"},
    "scale": {"step_size": "scale"},
    "scale_by_schedule": {"step_size_fn": "schedule"},
    "identity": {},
}
RULES = {
    "scale_by_adam": "adam", "scale_by_amsgrad": "adam", "scale_by_adamax": "adamax", "scale_by_rms": "rmsprop",
    "scale_by_rss": "adagrad", "scale_by_adadelta": "adadelta",
}  # fmt: skip
INSIDE = ("scale_by_adamax", "scale_by_rss")  # what adds epsilon before a maximum or a root is taken


def cells(function: Function) -> dict[str, Any]:
    """The names that a closure closes over, with what they hold."""
    names = function.__code__.co_freevars
    return {name: cell.cell_contents for name, cell in zip(names, function.__closure__ or (), strict=True)}


def transformations(optimizer: Native) -> list[Step]:
    """`(maker's name, its numbers)` of each step of a chain, in order."""
    maker = optimizer.update.__qualname__.partition(".")[0]
    held = cells(optimizer.update)
    inner = held.get("tx", held.get("inner", held.get("update")))
    if maker not in KNOWN and maker != "chain" and hasattr(inner, "update"):
        return transformations(inner)
    return of_functions(optimizer.update, optimizer.init)


def of_functions(update: Function, init: Function) -> list[Step]:
    """Numbers of a step stand in either: an accumulator's first value where the state is made."""
    maker = update.__qualname__.partition(".")[0]
    held = cells(update)
    if maker == "chain":
        pairs = zip(held["update_fns"], cells(init)["init_fns"], strict=True)
        return [step for pair in pairs for step in of_functions(*pair)]
    if maker == "with_extra_args_support" and hasattr(held.get("tx"), "update"):
        return transformations(held["tx"])
    return [(maker, {**cells(init), **held})]


def describe(optimizer: Native) -> Config:
    """The update rule and its numbers as `Port.describe_optimizer` gives them."""
    if optimizer is None:
        return {}
    try:
        steps = transformations(optimizer)
    except (AttributeError, KeyError, ValueError):
        return {}
    names = [maker for maker, _ in steps]
    if any(name not in KNOWN for name in names):
        return {}
    found = {"rule": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "decoupled": False}
    for maker, held in steps:
        numbers = {ours: held[theirs] for theirs, ours in KNOWN[maker].items() if theirs in held}
        found.update(numbers, rule=RULES.get(maker, found["rule"]))
    found["decoupled"] = decays_after_rule(names)
    if any(name in INSIDE for name in names):
        found["epsilon_inside"] = True
    if not all(of_amsgrad(found, held) for maker, held in steps if maker == "scale_by_amsgrad"):
        return {}
    masked = any(maker == "add_decayed_weights" and held.get("mask") is not None for maker, held in steps)
    return {} if masked else with_rates(found)


def of_amsgrad(found: Config, held: dict[str, Any]) -> bool:
    """Notes of what optax takes the maximum; False where it corrects one of both averages alone."""
    first, second = held.get("bias_correction_mu", True), held.get("bias_correction_nu", True)
    found.update(amsgrad="corrected" if second else True, corrected=bool(first))
    return bool(first) == bool(second)


def decays_after_rule(names: Sequence[str]) -> bool:
    """Whether decay is added to the update and not to the gradient."""
    rule = next((at for at, name in enumerate(names) if name in RULES or name == "trace"), 0)
    return "add_decayed_weights" in names and names.index("add_decayed_weights") > rule


def with_rates(found: Config) -> Config:
    """Learning rates instead of the factors, which are negative."""
    schedule = found.pop("schedule", None)
    scale = found.pop("scale", -1.0)
    if schedule is not None:
        rates = [-float(schedule(step)) for step in range(STEPS)]
        found.update(rate=rates[0], rates=rates)
    else:
        found["rate"] = -float(scale)
    found.setdefault("epsilon_inside", False)
    return {**found, "library": "optax", "epsilon_hat": False, "rate_inside": False}
