"""Networks drawn at random, as a list of steps that any framework can be written from; and bugs in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from suites.runner.workers import Arrays

ACTIVATIONS = ("relu", "tanh", "gelu", "gelu_tanh", "silu", "leaky_relu", "elu", "sigmoid", "softplus")
SMOOTH = tuple(name for name in ACTIVATIONS if name != "relu")
BATCH, CLASSES, WORDS = 5, 4, 11
KINDS = ("rows", "images", "sequences", "words")


@dataclass(frozen=True)
class Step:
    """One step of a forward pass; `inner` are those of a branch that is added to what goes in."""

    kind: str
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    inner: tuple[Step, ...] = ()
    shape: tuple[int, ...] = ()  # of what goes in: (C,), (T, C) or (H, W, C)

    def __getitem__(self, key: str) -> Any:
        return self.settings[key]


@dataclass(frozen=True)
class Network:
    """A network, its loss and its optimizer."""

    kind: str
    shape: tuple[int, ...]  # of one example
    steps: tuple[Step, ...]
    loss: Step
    optimizer: Step | None

    def flat(self) -> list[Step]:
        """All steps, those of branches too."""
        return list(_flat(self.steps))

    def data(self, seed: int) -> Arrays:
        """Inputs and labels."""
        rng = np.random.default_rng(seed)
        x = (
            rng.integers(0, WORDS, (BATCH, *self.shape))
            if self.kind == "words"
            else rng.normal(size=(BATCH, *self.shape))
        )
        if self.loss.kind == "cross_entropy":
            return {"x": x, "y": rng.integers(0, CLASSES, BATCH)}
        return {"x": x, "y": rng.normal(size=(BATCH, CLASSES))}


def _flat(steps: Sequence[Step]) -> list[Step]:
    found = []
    for step in steps:
        found += [step, *_flat(step.inner)]
    return found


class Draw:
    """Draws one network; `without` are kinds of steps that a framework at hand does not have."""

    def __init__(self, seed: int, without: Sequence[str] = ()) -> None:
        self.rng = np.random.default_rng(seed)
        self.without = without
        self.counts: dict[str, int] = {}

    def one(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def name(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}{self.counts[kind]}"

    def network(self) -> Network:
        kind = self.one(*KINDS)
        shape = {
            "rows": (self.one(5, 7, 8),),
            "images": (self.one(7, 8, 9), self.one(6, 8, 9), self.one(1, 2, 3)),
            "sequences": (self.one(5, 6, 8), self.one(3, 4)),
            "words": (self.one(5, 6, 8),),
        }[kind]
        steps: list[Step] = []
        now = shape
        if kind == "words":
            width = self.one(4, 6, 8)
            steps.append(Step("embedding", self.name("embed"), {"words": WORDS, "width": width}, (), now))
            now = (*now, width)
        for _ in range(int(self.rng.integers(2, 6))):
            made = self.block(now)
            steps += made
            now = shape_after(made, now)
        made = self.end(now)
        return Network(kind, shape, (*steps, *made), self.loss(), self.optimizer())

    def block(self, shape: tuple[int, ...]) -> list[Step]:
        """One to three steps that keep the number of axes."""
        makers = {1: self.row, 2: self.sequence, 3: self.image}
        return makers[len(shape)](shape)

    def allowed(self, *kinds: str) -> str:
        return str(self.one(*(kind for kind in kinds if kind not in self.without)))

    def row(self, shape: tuple[int, ...]) -> list[Step]:
        kind = self.allowed("dense", "dense", "norm", "dropout", "branch")
        if kind == "branch":
            return [self.branch(shape, [self.dense(shape, shape[-1]), self.activation()])]
        return self.simple(kind, shape)

    def sequence(self, shape: tuple[int, ...]) -> list[Step]:
        kind = self.allowed("dense", "conv", "norm", "attention", "lstm", "gru", "bidirectional", "dropout", "gated")
        if kind == "attention":
            heads = self.one(*(n for n in (1, 2, 4) if shape[-1] % n == 0))
            settings = {"heads": heads, "causal": bool(self.one(True, False))}
            return [
                self.branch(shape, [self.norm(shape), Step("attention", self.name("attention"), settings, (), shape)])
            ]
        if kind in ("lstm", "gru", "bidirectional"):
            return [Step(kind, self.name("rnn"), {"units": self.one(3, 5, 6)}, (), shape)]
        if kind == "gated":
            settings = {"width": self.one(4, 6), "function": self.one("silu", "gelu")}
            return [self.branch(shape, [Step("gated", self.name("gated"), settings, (), shape)])]
        return self.simple(kind, shape)

    def image(self, shape: tuple[int, ...]) -> list[Step]:
        kind = self.allowed("conv", "conv", "norm", "pool", "dropout", "branch", "upsample", "up_conv")
        if kind == "pool" and min(shape[:2]) >= 3:
            settings = {"size": self.one(2, 3), "stride": self.one(1, 2), "padding": self.one("same", "valid")}
            return [Step("max_pool", self.name("pool"), settings, (), shape)] if self.one(True, False) else [
                Step("average_pool", self.name("pool"), {**settings, "padding": "valid"}, (), shape)
            ]  # fmt: skip
        if kind == "branch":
            body = self.conv(shape, shape[-1], 1, "same")
            return [self.branch(shape, [body, self.norm(shape), self.activation()]), self.activation()]
        if kind == "upsample" and max(shape[:2]) <= 6:
            return [Step("upsample", self.name("up"), {}, (), shape)]
        if kind == "up_conv" and max(shape[:2]) <= 6:
            stride = self.one(1, 2)
            settings = {"width": self.one(2, 4), "size": stride + self.one(0, 1), "stride": stride}
            return [Step("up_conv", self.name("up"), settings, (), shape), self.activation()]
        return self.simple("conv" if kind in ("pool", "upsample", "up_conv") else kind, shape)

    def simple(self, kind: str, shape: tuple[int, ...]) -> list[Step]:
        if kind == "norm":
            return [self.norm(shape)]
        if kind == "dropout":
            return [Step("dropout", self.name("drop"), {"rate": self.one(0.1, 0.25, 0.5)}, (), shape)]
        if kind == "conv":
            small = min(shape[:-1]) < 5
            made = self.conv(shape, self.one(2, 4, 6), 1 if small else self.one(1, 1, 2), "same" if small else "")
        else:
            made = self.dense(shape, self.one(4, 6, 8))
        return [made, self.activation()]

    def activation(self) -> Step:
        return Step("activation", "", {"function": self.one(*ACTIVATIONS)})

    def dense(self, shape: tuple[int, ...], width: int) -> Step:
        return Step("dense", self.name("dense"), {"width": width, "bias": bool(self.one(True, True, False))}, (), shape)

    def conv(self, shape: tuple[int, ...], width: int, stride: int, padding: str) -> Step:
        settings = {
            "width": width,
            "size": self.one(1, 2, 3),
            "stride": stride,
            "padding": padding or self.one("same", "valid"),
            "bias": bool(self.one(True, True, False)),
            "groups": self.one(1, 1, 2) if shape[-1] % 2 == 0 and width % 2 == 0 else 1,
            "dilation": self.one(1, 1, 2) if stride == 1 and min(shape[:-1]) > 5 else 1,
        }
        return Step("conv", self.name("conv"), settings, (), shape)

    def norm(self, shape: tuple[int, ...]) -> Step:
        options = ["layer_norm", "batch_norm", "rms_norm"]
        if len(shape) == 3 and shape[-1] % 2 == 0:
            options.append("group_norm")
        kind = self.allowed(*options)
        settings = {"epsilon": self.one(1e-3, 1e-5, 1e-6), "keep": self.one(0.9, 0.99), "groups": 2}
        return Step(kind, self.name("norm"), settings, (), shape)

    def branch(self, shape: tuple[int, ...], inner: list[Step]) -> Step:
        return Step("branch", "", {}, tuple(inner), shape)

    def end(self, shape: tuple[int, ...]) -> list[Step]:
        kinds = {1: [], 2: ["mean", "last", "flatten"], 3: ["mean", "largest", "flatten"]}[len(shape)]
        found = [Step(self.one(*kinds), "", {}, (), shape)] if kinds else []
        width = math.prod(shape) if found and found[0].kind == "flatten" else shape[-1]
        return [*found, Step("dense", "logits", {"width": CLASSES, "bias": True}, (), (width,))]

    def loss(self) -> Step:
        return Step(self.one("cross_entropy", "cross_entropy", "squares"), "", {})

    def optimizer(self) -> Step | None:
        if self.one(True, False, False):
            return None
        settings = {"rate": self.one(0.1, 0.01), "decay": self.one(1.0, 1.0, 0.5)}
        if "adam" not in self.without and self.one(True, False):
            return Step("adam", "", {**settings, "epsilon": self.one(1e-7, 1e-8), "beta_1": self.one(0.9, 0.5)})
        # beside a schedule, Keras has another momentum than torch: its rate is inside the velocity
        settings["momentum"] = self.one(0.0, 0.9) if settings["decay"] == 1 else 0.0
        settings["nesterov"] = bool(settings["momentum"] and self.one(True, False))
        return Step("sgd", "", settings)


def shape_after(steps: Sequence[Step], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what comes out."""
    for step in steps:
        if step.kind == "dense":
            shape = (*shape[:-1], step["width"])
        elif step.kind == "bidirectional":
            shape = (*shape[:-1], 2 * step["units"])
        elif step.kind == "up_conv":
            shape = (*((n - 1) * step["stride"] + step["size"] for n in shape[:-1]), step["width"])
        elif step.kind in ("lstm", "gru"):
            shape = (*shape[:-1], step["units"])
        elif step.kind == "conv":
            reach = (step["size"] - 1) * step["dilation"] + 1
            shape = (*(windows(n, reach, step["stride"], step["padding"]) for n in shape[:-1]), step["width"])
        elif step.kind in ("max_pool", "average_pool"):
            extents = (windows(n, step["size"], step["stride"], step["padding"]) for n in shape[:-1])
            shape = (*extents, shape[-1])
        elif step.kind == "upsample":
            shape = (2 * shape[0], 2 * shape[1], shape[-1])
    return shape


def windows(extent: int, size: int, stride: int, padding: str) -> int:
    return -(-extent // stride) if padding == "same" else (extent - size) // stride + 1


def same_padding(extent: int, size: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """What SAME puts before and behind."""
    total = max((-(-extent // stride) - 1) * stride + (size - 1) * dilation + 1 - extent, 0)
    return total // 2, total - total // 2


# What a port takes in the place of a mean over a sequence or an image, say.
OTHER_ENDS = {"mean": ("last", "largest"), "last": ("mean", "mean"), "largest": ("mean", "mean")}


def planted(network: Network, seed: int) -> tuple[Network, str] | None:
    """The network with one bug in it, and what it is; None where none fits."""
    draw = Draw(seed)
    steps = network.flat()
    for at in draw.rng.permutation(len(steps)):
        step = steps[at]
        if step.kind == "attention" and any(each.kind == "last" for each in steps):
            continue  # the last query sees every key, with a causal mask as well
        changed = change(step, draw)
        if changed is not None:
            found = tuple(_replaced(part, step, changed) for part in network.steps)
            words = f"{step.kind} {step.name}: {dict(step.settings)} is {changed.kind} {dict(changed.settings)}"
            return replace(network, steps=found), words
    return None


def _replaced(step: Step, old: Step, new: Step) -> Step:
    if step is old:
        return new
    return replace(step, inner=tuple(_replaced(part, old, new) for part in step.inner))


def change(step: Step, draw: Draw) -> Step | None:
    """A step with one of the mistakes that ports have in it; None where there is none for its kind."""

    def with_settings(**settings: Any) -> Step:
        return replace(step, settings={**step.settings, **settings})

    if step.kind == "activation":
        return with_settings(function=draw.one(*(name for name in SMOOTH if name != step["function"])))
    if step.kind.endswith("_norm"):
        return with_settings(epsilon=step["epsilon"] * 10)
    if step.kind == "dropout":
        return with_settings(rate=0.3)
    if step.kind == "attention":
        return with_settings(causal=not step["causal"])
    if step.kind == "gated":
        return with_settings(function="tanh")
    if step.kind == "conv" and step["padding"] == "same" and step["stride"] == 2 and step["size"] == 3:
        return with_settings(padding="even") if any(n % 2 == 0 for n in step.shape[:-1]) else None
    if step.kind in OTHER_ENDS and math.prod(step.shape[:-1]) > 1:
        return replace(step, kind=OTHER_ENDS[step.kind][len(step.shape) - 2])
    return None
