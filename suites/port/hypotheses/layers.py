"""What ports get wrong in a layer, each as a function that proposes other settings of A's formula and the words for it.

A proposal counts only if the layer, computed from its own input with that setting, is what B computed, up to rounding.
Settings that can be measured (an epsilon, a slope) are measured and not looked up in a list.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from suites.port.hypotheses import convolution_and_images, sequences
from suites.port.hypotheses.case import Case
from suites.port.hypotheses.causes import Proposal, nice, propose, short
from suites.port.hypotheses.formulas import ACTIVATIONS, ALIASES
from suites.port.hypotheses.question import Cause

Signature = Callable[[Case], Iterator[Proposal]]
ENOUGH = 4096  # numbers of a norm that its settings are tried on first
EXHAUSTIVE = 400  # pairs of proposals are tried as long as one evaluation is small: so many of them

SPOKEN = {
    "gelu": "GELU by erf",
    "gelu_tanh": "GELU by tanh",
    "quick_gelu": "the quick GELU x sigmoid(1.702 x)",
    "hard_sigmoid_6": "the hard sigmoid x/6 + 0.5",
    "hard_sigmoid_5": "the hard sigmoid 0.2x + 0.5",
    "linear": "none",
}
NORMS = {
    "batchnorm": "BatchNorm",
    "groupnorm": "GroupNorm",
    "instancenorm": "InstanceNorm",
    "layernorm": "LayerNorm",
    "rmsnorm": "RMSNorm",
    "scaling": "the norm",
}


def spoken(name: str) -> str:
    name = ALIASES.get(name, name)
    return SPOKEN.get(name, name)


def _own(case: Case) -> str:
    slope = case.config.get("slope")
    return spoken(str(case.config.get("name", "linear"))) + (f" with slope {short(slope)}" if slope is not None else "")


def other_activation(case: Case) -> Iterator[Proposal]:
    own = ALIASES.get(case.config.get("name", ""), case.config.get("name", ""))
    for name in ACTIVATIONS:
        if name not in ("leaky_relu", own):
            yield propose(
                {"name": name, "slope": None, "alpha": None}, "activation", "activation", _own(case), spoken(name)
            )


def slope(case: Case) -> Iterator[Proposal]:
    """Measured: y / x where x is negative."""
    negative = case.x < 0
    if case.x.shape != case.y.shape or not negative.any():
        return
    value = nice(float(np.median(case.y[negative] / case.x[negative])))
    changes = {"name": "leaky_relu", "slope": value}
    yield propose(changes, "slope", "slope of leaky ReLU", _own(case), short(value))


def elu_alpha(case: Case) -> Iterator[Proposal]:
    """Measured: y / (exp(x) - 1) where x is negative."""
    negative = case.x < 0
    if case.config.get("name") != "elu" or case.x.shape != case.y.shape or not negative.any():
        return
    value = nice(float(np.median(case.y[negative] / np.expm1(case.x[negative]))))
    yield propose({"alpha": value}, "alpha", "alpha of ELU", short(case.config.get("alpha") or 1.0), short(value))


def other_axis(case: Case) -> Iterator[Proposal]:
    """Of a softmax."""
    if case.config.get("name") not in ("softmax", "log_softmax"):
        return
    own = (case.config["axis"] if case.config.get("axis") is not None else -1) % case.x.ndim
    for axis in range(case.x.ndim):
        if axis != own:
            a, b = f"over axis {own}", f"over axis {axis}"
            yield propose({"axis": axis}, "axis", f"{case.config['name']}", a, f"{b} of {case.x.ndim}")


def epsilon(case: Case) -> Iterator[Proposal]:
    """Measured, from the row of least variance, by bisection: the output shrinks as epsilon grows."""
    ours, name = case.config.get("epsilon") or 0.0, NORMS[case.kind]
    for outside in (False, True):
        measured = _measured_epsilon(case, outside)
        where = ", added outside the root" if outside else ""
        for value in dict.fromkeys(nice(measured, digits) for digits in (1, 2, 4)):
            if value >= 0 and (value != ours or outside != bool(case.config.get("outside"))):
                changes = {"epsilon": value, "outside": outside}
                yield propose(changes, "epsilon", f"epsilon of {name}", short(ours), short(value) + where)
    rounded = float(np.float32(ours))
    yield propose({"epsilon": rounded}, "epsilon", f"epsilon of {name}", short(ours), "that value rounded to float32")


def _measured_epsilon(case: Case, outside: bool) -> float:
    """The value for which the formula comes nearest to B's output: by decades, by quarters of them, by thirds."""

    def error(value: float) -> float:
        return case.given({"epsilon": value, "outside": outside}).error()

    decade, _ = _nearest(error, [0.0, *10.0 ** np.arange(-14.0, 1.0)])
    start = max(math.log10(decade), -14.0) if decade else -14.0
    grid = [0.0, *10.0 ** np.arange(start - 1, start + 1.25, 0.25)]
    found, errors = _nearest(error, grid)
    at = grid.index(found)
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    if errors[at] > max(errors[max(at - 1, 0)], errors[min(at + 1, len(grid) - 1)]) / 2:
        return found  # at the true value the error is none, and grows on both sides of it
    for _ in range(60):
        third = (high - low) / 3
        if error(low + third) < error(high - third):
            high -= third
        else:
            low += third
    return float(low + high) / 2


def _nearest(error: Callable[[float], float], grid: list[float]) -> tuple[float, list[float]]:
    """The value of least error, and all errors."""
    errors = [error(value) for value in grid]
    return grid[int(np.argmin(errors))], errors


def _statistics(case: Case) -> str:
    return str(case.config.get("statistics", "batch" if case.training else "running"))


def mode(case: Case) -> Iterator[Proposal]:
    names = {"batch": "with the batch statistics", "running": "with the running statistics"}
    own = _statistics(case)
    other = "running" if own == "batch" else "batch"
    when = "training" if case.training else "inference"
    yield propose({"statistics": other}, "mode", f"mode: in {when} BatchNorm normalises", names[own], names[other])


def unbiased_norm(case: Case) -> Iterator[Proposal]:
    changes = {"unbiased": not case.config.get("unbiased", False)}
    yield propose(changes, "unbiased_norm", "variance that is normalised by", "the biased one", "n/(n-1) times that")


def one_plus(case: Case) -> Iterator[Proposal]:
    names = {False: "x * w", True: "x * (1 + w)"}
    own = bool(case.config.get("one_plus"))
    yield propose({"one_plus": not own}, "one_plus", f"scale of {NORMS[case.kind]}", names[own], names[not own])


def centred(case: Case) -> Iterator[Proposal]:
    other = not case.config.get("centred", False)
    names = {False: "keeps the mean", True: "takes the mean off first, as LayerNorm does"}
    yield propose({"centred": other}, "centred", "mean in RMSNorm", names[not other], names[other])


def mean_kept(case: Case) -> Iterator[Proposal]:
    """A LayerNorm that became an RMSNorm."""
    changes = {"kind": "rmsnorm"}
    yield propose(changes, "norm_kind", "normalisation", "LayerNorm", "RMSNorm: the mean is not taken off")


def norm_axes(case: Case) -> Iterator[Proposal]:
    for count in range(2, case.x.ndim):
        axes = tuple(range(-count, 0))
        yield propose({"axes": axes}, "axis", "LayerNorm", "over the last axis", f"over the last {count} axes")


def norm_groups(case: Case) -> Iterator[Proposal]:
    channels = case.x.shape[-1]
    own = case.config.get("groups", channels)
    for groups in [n for n in range(1, channels + 1) if channels % n == 0]:
        if groups != own:
            yield propose({"groups": groups}, "groups", f"groups of {NORMS[case.kind]}", str(own), str(groups))
    a, b = "of neighbouring channels", "of every n-th channel"
    yield propose({"interleaved": True}, "groups", f"groups of {NORMS[case.kind]}", a, b)
    changes = {"places_apart": True}
    a, b = "over all places of an example", "over the channels of each place alone"
    yield propose(changes, "axis", f"statistics of {NORMS[case.kind]}", a, b)


def transposed(case: Case) -> Iterator[Proposal]:
    yield propose({"transposed": True}, "transposed", "kernel", "uses it as it is", "uses it transposed")


def without_bias(case: Case) -> Iterator[Proposal]:
    yield propose({"without_bias": True}, "bias", "bias", "adds it", "leaves it out")


def flatten_order(case: Case) -> Iterator[Proposal]:
    own = "channels last (H, W, C)"
    yield propose({"order": "CHW"}, "flatten_order", "flatten order", own, "channels first (C, H, W)")
    yield propose({"order": "WHC"}, "flatten_order", "flatten order", own, "(W, H, C)")


def ids(case: Case) -> Iterator[Proposal]:
    for shift in (1, -1, 2, -2):
        yield propose({"shift": shift}, "shift", "ids that are looked up", "as they are", f"{shift:+d}")
    for row in np.unique(case.x)[:8]:
        changes = {"zero_row": int(row)}
        yield propose(
            changes, "padding_idx", f"row {int(row)} of the embedding", "looks it up", "takes zeros (padding_idx)"
        )


def then(case: Case) -> Iterator[Proposal]:
    """A's result goes through another function."""
    last = case.config.get("name") if case.kind == "activation" else None
    for name in ACTIVATIONS:
        if name not in ("linear", "leaky_relu"):
            b = f"applies {spoken(name)} to it" + (" a second time" if name == last else "")
            yield propose({"then": name}, "then", "what follows", "leaves the result as it is", b)


SIGNATURES: dict[str, tuple[Signature, ...]] = {
    "activation": (other_activation, slope, elu_alpha, other_axis),
    "batchnorm": (epsilon, mode, unbiased_norm),
    "dense": (transposed, without_bias),
    "embedding": (ids,),
    "flatten": (flatten_order,),
    "groupnorm": (epsilon, norm_groups, unbiased_norm),
    "instancenorm": (epsilon, norm_groups, unbiased_norm),
    "layernorm": (epsilon, unbiased_norm, mean_kept, one_plus, norm_axes),
    "output": (),
    "prelu": (),
    "rmsnorm": (epsilon, one_plus, centred),
    "scaling": (one_plus,),
    **convolution_and_images.SIGNATURES,
    **sequences.SIGNATURES,
}
GENERAL: tuple[Signature, ...] = (then,)


def explain(case: Case) -> list[Cause]:
    """The one setting, or the two, that make A's layer B's; [] where none does."""
    own = SIGNATURES.get(case.kind, ())
    part = part_of(case)
    for signature in (*own, *GENERAL):
        for proposal in signature(part):
            if confirmed(case, part, proposal.changes):
                return [proposal.cause]
    return _two_together(case, part, own)


def part_of(case: Case) -> Case:
    """Some channels of a batch norm, some rows of a norm of rows: each is normalised by itself, and that is quicker.

    Rounding may take the part as far as it may take the whole.
    """
    plain = not case.others and not {"axes", "moved"}.intersection(case.config) and case.x.shape == case.y.shape
    if case.x.size <= ENOUGH or not plain:
        return case
    width = case.x.shape[-1]
    if case.kind == "batchnorm":
        count = max(ENOUGH * width // case.x.size, 1)
        weights = {name: array[:count] if array.shape == (width,) else array for name, array in case.weights.items()}
        part = replace(case, x=case.x[..., :count], y=case.y[..., :count], weights=weights)
    elif case.kind in ("layernorm", "rmsnorm", "scaling"):
        x, y = (array.reshape(-1, width) for array in (case.x, case.y))
        rows = np.linspace(0, len(x) - 1, max(ENOUGH // width, 8)).astype(int)
        part = replace(case, x=x[rows], y=y[rows])
    else:
        return case
    return replace(part, unit=case.unit * math.sqrt(case.x.size / part.x.size))


def confirmed(case: Case, part: Case, changes: Mapping[str, Any]) -> bool:
    """Whether settings make the whole of A's layer B's; the part is asked first."""
    return part.given(changes).agrees() and (part is case or case.given(changes).agrees())


def _two_together(case: Case, part: Case, signatures: tuple[Signature, ...]) -> list[Cause]:
    tried = 0
    for first, second in itertools.permutations(signatures, 2):
        for proposal in first(part):
            changed = part.given(proposal.changes)
            if not math.isfinite(changed.error()):
                continue
            for other in second(changed):
                tried += 1
                if confirmed(case, part, {**proposal.changes, **other.changes}):
                    return [proposal.cause, other.cause]
                if tried > EXHAUSTIVE:
                    return []
    return []
