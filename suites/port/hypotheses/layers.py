"""What ports get wrong in a layer, each as a function that proposes other settings of A's formula and the words for it.

A proposal counts only if the layer, computed anew from B's own input with that setting, is what B computed, up to
rounding. Settings that can be measured (an epsilon, a slope) are measured and not looked up in a list.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from suites.equivalence.bounds import reach
from suites.equivalence.compare import normwise
from suites.port.hypotheses.formulas import ACTIVATIONS, FORMULAS, activation, batch_variance

Proposal = tuple[dict[str, Any], str]
SAMPLES = 16  # of rounding errors, for the bound of one layer


@dataclass(frozen=True)
class Case:
    """A layer of B: A's kind, settings and weights, B's own input x and output y."""

    kind: str
    config: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray
    training: bool
    unit: float

    def given(self, changes: Mapping[str, Any]) -> Case:
        """The same layer with other settings."""
        return replace(self, config={**self.config, **changes})

    def computed(
        self, x: np.ndarray | None = None, weights: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray | None:
        """What the formula makes of x; None where the settings do not fit together."""
        formula = FORMULAS[self.config.get("kind", self.kind)]
        try:
            with np.errstate(all="ignore"):
                y = formula(self.config, weights or self.weights, self.x if x is None else x, self.training)
        except (ValueError, KeyError, IndexError, NotImplementedError):
            return None
        y = activation({"name": self.config["then"]}, {}, y, False) if "then" in self.config else y
        return np.asarray(y * self.config.get("times", 1.0))

    def bound(self, y: np.ndarray) -> float:
        """How far rounding can take the layer's output from `y`: the reach of random errors in its operands."""
        rng = np.random.default_rng(0)
        size = self.unit * math.sqrt(max(self.x.size, y.size))
        errors = []
        for _ in range(SAMPLES):
            noisy = {
                name: array * (1 + size * rng.standard_normal(array.shape)) for name, array in self.weights.items()
            }
            x = self.x * (1 + size * rng.standard_normal(self.x.shape)) if self.x.dtype.kind == "f" else self.x
            found = self.computed(x, noisy)
            if found is not None:
                errors.append(np.ravel(found * (1 + size * rng.standard_normal(y.shape)) - y))
        stacked = np.stack(errors)
        return math.sqrt(2) * reach(stacked @ stacked.T)

    def agrees(self) -> bool:
        """Whether B's output is what these settings compute, up to rounding."""
        return self.distance() <= 1

    def distance(self) -> float:
        """||computed - y|| over its bound; infinite where it can't be computed or has another shape."""
        y = self.computed()
        if y is None or y.shape != self.y.shape:
            return float("inf")
        difference = float(np.linalg.norm(np.ravel(y - self.y)))
        if not math.isfinite(difference):
            return 0.0 if np.array_equal(y, self.y, equal_nan=True) else float("inf")
        if difference > 1e-3 * float(np.linalg.norm(np.ravel(self.y))):
            return float("inf")  # no rounding is that large: the bound need not be computed
        bound = self.bound(y)
        return difference / bound if bound else (float("inf") if difference else 0.0)


def short(value: float) -> str:
    return f"{value:.4g}"


def epsilon(case: Case) -> Iterator[Proposal]:
    """Measured: (x - mean) / (y without gamma and beta) is the root of variance + epsilon."""
    axes = tuple(range(case.x.ndim - 1)) if case.kind == "batchnorm" else (-1,)
    mean, variance = case.x.mean(axes, keepdims=True), case.x.var(axes, keepdims=True)
    if case.kind == "batchnorm" and _statistics(case) == "running":
        mean, variance = case.weights["moving_mean"], case.weights["moving_variance"]
    gamma, beta = case.weights.get("gamma", np.ones(1)), case.weights.get("beta", np.zeros(1))
    with np.errstate(all="ignore"):
        plain = (case.y - beta) / gamma
        root = ((case.x - mean) * plain).sum(axes) / (plain * plain).sum(axes)
        spread = variance.reshape(root.shape)
        inside, outside = float(np.median(root**2 - spread)), float(np.median(root - np.sqrt(spread)))
    ours = case.config["epsilon"]
    yield from _epsilons(ours, inside, False)
    yield from _epsilons(ours, outside, True)
    yield {"epsilon": float(np.float32(ours))}, f"epsilon: A uses {short(ours)}, B that value rounded to float32"


def _epsilons(ours: float, measured: float, outside: bool) -> Iterator[Proposal]:
    where = ", added outside the root" if outside else ""
    for digits in (1, 2, 4):
        value = float(f"{measured:.{digits - 1}e}") if math.isfinite(measured) else 0.0
        if value >= 0 and (value != ours or outside):
            yield {"epsilon": value, "outside": outside}, f"epsilon: A uses {short(ours)}, B uses {short(value)}{where}"


def _statistics(case: Case) -> str:
    return str(case.config.get("statistics", "batch" if case.training else "running"))


def mode(case: Case) -> Iterator[Proposal]:
    other = "running" if _statistics(case) == "batch" else "batch"
    words = "batch statistics" if other == "batch" else "running statistics"
    ours = "training" if case.training else "inference"
    yield {"statistics": other}, f"mode: in {ours} B normalises with the {words}, A does not"


def unbiased_norm(case: Case) -> Iterator[Proposal]:
    yield {"unbiased": True}, "variance: B normalises by the unbiased one, n/(n-1) times A's"


def padding(case: Case) -> Iterator[Proposal]:
    """Every (before, behind) of both axes that gives B's output its size."""
    config = case.config
    dilation = config.get("dilation", [1, 1])
    reaches = [(w - 1) * d + 1 for w, d in zip(config["window"], dilation, strict=True)]
    choices = []
    for size, out, window, stride in zip(case.x.shape[1:3], case.y.shape[1:3], reaches, config["strides"], strict=True):
        both = itertools.product(range(window), repeat=2)
        choices.append([(p, q) for p, q in both if (size + p + q - window) // stride + 1 == out])
    for pads in sorted(itertools.product(*choices), key=_oddness):
        rows, columns = pads
        both_axes = f"{rows}" if rows == columns else f"rows {rows}, columns {columns}"
        yield {"pads": pads}, f"padding: B pads {both_axes} (before, behind); A pads {_ours(case)}"


def _oddness(pads: tuple[tuple[int, int], ...]) -> tuple[int, int, int]:
    """The usual ones first: the same before and behind, the same for both axes, as little as possible."""
    rows, columns = pads
    return (rows[0] != rows[1]) + (columns[0] != columns[1]), int(rows != columns), sum(map(sum, pads))


def _ours(case: Case) -> str:
    from suites.port.hypotheses.formulas import pads_of

    dilation = case.config.get("dilation", [1, 1])
    reaches = tuple((w - 1) * d + 1 for w, d in zip(case.config["window"], dilation, strict=True))
    rows, columns = pads_of(case.config, case.x, reaches)
    name = f" ({case.config['padding'].upper()})" if isinstance(case.config.get("padding"), str) else ""
    return (f"{rows}" if rows == columns else f"rows {rows}, columns {columns}") + name


def flipped(case: Case) -> Iterator[Proposal]:
    yield {"flipped": True}, "kernel: B uses it flipped (a true convolution), A does not (a cross-correlation)"


def transposed(case: Case) -> Iterator[Proposal]:
    axes = "height and width swapped" if case.kind != "dense" else "transposed"
    yield {"transposed": True}, f"kernel: B uses it {axes}"


def pool_fill(case: Case) -> Iterator[Proposal]:
    yield {"fill": 0.0}, "max-pool padding: B pads with 0, A with minus infinity"


def pool_count(case: Case) -> Iterator[Proposal]:
    other = not case.config.get("count_padding", False)
    does, not_ = ("counts", "does not") if other else ("does not count", "does")
    yield {"count_padding": other}, f"average-pool: B {does} the padding, A {not_}"


def pool_kind(case: Case) -> Iterator[Proposal]:
    for kind, name in (("maxpool2d", "maximum"), ("avgpool2d", "mean")):
        if kind != case.kind:
            yield {"kind": kind}, f"pooling: B takes the {name}"


def flatten_order(case: Case) -> Iterator[Proposal]:
    yield {"order": "CHW"}, "flatten order: B flattens channels first (C, H, W), A channels last (H, W, C)"
    yield {"order": "WHC"}, "flatten order: B flattens (W, H, C), A (H, W, C)"


def gate_order(case: Case) -> Iterator[Proposal]:
    letters = "ifco" if case.kind == "lstm" else "zrh"
    for order in itertools.permutations(range(len(letters))):
        if order != tuple(range(len(letters))):
            found = [""] * len(letters)
            for gate, block in enumerate(order):
                found[block] = letters[gate]
            yield {"order": order}, f"gate order: B takes the blocks as {', '.join(found)}, A as {', '.join(letters)}"


def forget_bias(case: Case) -> Iterator[Proposal]:
    for value in (1.0, -1.0):
        more, who = ("adds 1 to", "") if value > 0 else ("subtracts 1 from", " (A adds one, perhaps)")
        yield {"forget_bias": value}, f"forget bias: B {more} the forget gate{who}"


def reset_after(case: Case) -> Iterator[Proposal]:
    ours = case.config["reset_after"]
    when = {True: "after the matrix product", False: "before the matrix product"}
    yield {"reset_after": not ours}, f"reset_after: B resets {when[not ours]}, A {when[ours]}"


def folded_bias(case: Case) -> Iterator[Proposal]:
    yield {"folded": True}, "biases: B adds the recurrent bias outside the reset gate, as a part of the input's bias"


def update_gate(case: Case) -> Iterator[Proposal]:
    yield {"z_inverted": True}, "update gate: B keeps (1 - z) of the old state, A keeps z"


def gate_activation(case: Case) -> Iterator[Proposal]:
    for name in ("sigmoid", "hard_sigmoid_6", "hard_sigmoid_5"):
        ours = case.config.get("recurrent_activation", "sigmoid")
        yield {"recurrent_activation": name}, f"recurrent activation: A uses {spoken(ours)}, B uses {spoken(name)}"
    for name in ("tanh", "relu", "linear"):
        yield {"activation": name}, f"activation of the cell: A uses {case.config.get('activation', 'tanh')}, B {name}"


def direction(case: Case) -> Iterator[Proposal]:
    yield {"go_backwards": not case.config.get("go_backwards", False)}, "direction: B runs over time the other way"


def time_axis(case: Case) -> Iterator[Proposal]:
    yield {"time_axis": 0}, "batch_first: B takes the first axis for time, A the second"


SPOKEN = {
    "gelu": "GELU with erf",
    "gelu_tanh": "GELU by tanh",
    "hard_sigmoid": "the hard sigmoid x/6 + 0.5",
    "hard_sigmoid_6": "the hard sigmoid x/6 + 0.5",
    "hard_sigmoid_5": "the hard sigmoid 0.2x + 0.5",
    "linear": "none",
}


def spoken(name: str) -> str:
    return SPOKEN.get(name, name)


def other_activation(case: Case) -> Iterator[Proposal]:
    for name in ACTIVATIONS:
        if name not in ("leaky_relu", case.config.get("name")):
            yield {"name": name}, f"activation: A uses {_own(case)}, B uses {spoken(name)}"


def _own(case: Case) -> str:
    slope = case.config.get("slope")
    return spoken(str(case.config.get("name", "linear"))) + (f" with slope {short(slope)}" if slope is not None else "")


def slope(case: Case) -> Iterator[Proposal]:
    """Measured: y / x where x is negative."""
    negative = case.x < 0
    if case.x.shape != case.y.shape or not negative.any():
        return
    value = float(f"{np.median(case.y[negative] / case.x[negative]):.6g}")
    yield {"name": "leaky_relu", "slope": value}, f"slope of leaky ReLU: A uses {_own(case)}, B uses {short(value)}"


def then(case: Case) -> Iterator[Proposal]:
    """A's result goes through another function."""
    last = case.config.get("then") or (case.config.get("name") if case.kind == "activation" else None)
    for name in ACTIVATIONS:
        if name not in ("linear", "leaky_relu"):
            twice = " a second time" if name == last else ""
            yield {"then": name}, f"B applies {spoken(name)}{twice} to what A computes here"


def factor(case: Case) -> Iterator[Proposal]:
    y = case.computed()
    if y is not None and y.shape == case.y.shape and np.linalg.norm(y) > 0 and np.isfinite(y).all():
        value = float(f"{float((y * case.y).sum() / (y * y).sum()):.6g}")
        if value not in (0.0, 1.0):
            yield {"times": value}, f"scale: B's output is {short(value)} times A's"


Signature = Callable[[Case], Iterator[Proposal]]
SIGNATURES: dict[str, tuple[Signature, ...]] = {
    "activation": (other_activation, slope),
    "adaptive_pool": (),
    "avgpool2d": (padding, pool_count, pool_kind),
    "batchnorm": (epsilon, mode, unbiased_norm),
    "conv2d": (padding, flipped, transposed),
    "dense": (transposed,),
    "depthwise_conv2d": (padding, flipped, transposed),
    "embedding": (),
    "flatten": (flatten_order,),
    "gru": (reset_after, gate_order, update_gate, folded_bias, gate_activation, direction, time_axis),
    "layernorm": (epsilon, unbiased_norm),
    "lstm": (gate_order, forget_bias, gate_activation, direction, time_axis),
    "maxpool2d": (padding, pool_fill, pool_kind),
    "output": (),
}
GENERAL: tuple[Signature, ...] = (then, factor)


def explain(case: Case) -> list[tuple[str, str]]:
    """(signature, words) of the setting, or the two, that make A's layer B's; [] where none does."""
    signatures = (*SIGNATURES[case.kind], *GENERAL)
    for signature in signatures:
        for changes, words in signature(case):
            if case.given(changes).agrees():
                return [(signature.__name__, words)]
    for first, second in itertools.permutations(SIGNATURES[case.kind], 2):
        for changes, words in first(case):
            changed = case.given(changes)
            if changed.computed() is None:
                continue
            for more, other in second(changed):
                if changed.given(more).agrees():
                    return [(first.__name__, words), (second.__name__, other)]
    return []


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, biased and unbiased variance of each channel."""
    return x.mean(tuple(range(x.ndim - 1))), batch_variance(x), batch_variance(x, True)


__all__ = ["GENERAL", "SIGNATURES", "Case", "explain", "normwise", "short", "statistics"]
