"""What ports get wrong in convolutions, pools, pads and resizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from suites.port.hypotheses.case import Case
from suites.port.hypotheses.causes import Proposal, propose
from suites.port.hypotheses.image_formulas import PAD_MODES, crops_of, pads_of, reaches_of

Ends = Sequence[tuple[int, int]]
MODES = {
    "zeros": "pads with zeros",
    "constant": "pads with zeros",
    "reflect": "reflects",
    "replicate": "repeats the edge",
    "circular": "wraps around",
    "symmetric": "reflects with the edge",
}
ONLY_SOME = 3000  # candidates of pads are tried as long as they are few


def spell_ends(ends: Ends) -> str:
    """`(0, 1)` where all axes have the same, else all of them."""
    pairs = [tuple(int(n) for n in each) for each in ends]
    if len(set(pairs)) == 1:
        return str(pairs[0])
    names = {2: ("rows", "columns"), 3: ("depth", "rows", "columns")}.get(len(pairs), ("",))
    return ", ".join(f"{name} {pair}".strip() for name, pair in zip(names, pairs, strict=True))


def padding(case: Case) -> Iterator[Proposal]:
    """Every (before, behind) of the axes that gives B's output its size."""
    config = case.config
    if case.y.ndim != case.x.ndim:
        return
    choices = []
    for size, out, window, stride in zip(
        case.x.shape[1:-1], case.y.shape[1:-1], reaches_of(config), config["strides"], strict=True
    ):
        both = itertools.product(range(window), repeat=2)
        choices.append([(p, q) for p, q in both if (size + p + q - window) // stride + 1 == out])
    a = f"pads {spell_ends(pads_of(config, case.x))}{_called(case)}"
    for pads in itertools.islice(sorted(itertools.product(*choices), key=_oddness), ONLY_SOME):
        yield propose({"pads": pads}, "padding", "padding (before, behind)", a, f"pads {spell_ends(pads)}")


def _oddness(pads: Ends) -> tuple[int, int, int]:
    """The usual ones first: the same before and behind, the same for all axes, as little as possible."""
    uneven = sum(before != behind for before, behind in pads)
    return uneven, len(set(pads)), sum(map(sum, pads))


def _called(case: Case) -> str:
    padding = case.config.get("padding")
    return f" ({padding.upper()})" if isinstance(padding, str) else ""


def pad_mode(case: Case) -> Iterator[Proposal]:
    """Another filling of the padded places, with A's pads or with others of the same size."""
    key = "mode" if case.kind == "pad" else "pad_mode"
    own = case.config.get(key) or ("constant" if case.kind == "pad" else "zeros")
    for mode in ("constant", *PAD_MODES):
        if MODES[mode] != MODES[own]:
            yield propose({key: mode}, "pad_mode", "padding", MODES[own], MODES[mode])


def pad_ends(case: Case) -> Iterator[Proposal]:
    """Of a layer that only pads: the same total, otherwise shared out."""
    own = [tuple(ends) for ends in case.config["pads"]]
    totals = [y - x for x, y in zip(case.x.shape[1:-1], case.y.shape[1:-1], strict=True)]
    options = [[(before, total - before) for before in range(max(total, 0) + 1)] for total in totals]
    for ends in sorted(itertools.product(*options), key=_oddness):
        yield propose({"pads": ends}, "padding", "padding (before, behind)", spell_ends(own), spell_ends(ends))


def strides(case: Case) -> Iterator[Proposal]:
    own = list(case.config["strides"])
    for stride in range(1, 5):
        other = [stride] * len(own)
        if other != own:
            yield propose({"strides": other}, "strides", "stride", _one(own), _one(other))


def stride_or_dilation(case: Case) -> Iterator[Proposal]:
    """The one number given as the other: `nn.Conv1d(8, 8, 3, 2)` has a stride."""
    ones = [1] * len(case.config["window"])
    own = {"strides": list(case.config["strides"]), "dilation": list(case.config.get("dilation") or ones)}
    for taken, instead in (("dilation", "strides"), ("strides", "dilation")):
        if own[taken] != ones and own[instead] == ones:
            names = {"strides": "a stride", "dilation": "a dilation"}
            a, b = (f"takes {_one(own[taken])} for {names[each]}" for each in (taken, instead))
            yield propose({taken: ones, instead: own[taken]}, "strides", "convolution", a, b)


def dilation(case: Case) -> Iterator[Proposal]:
    own = list(case.config.get("dilation") or [1] * len(case.config["window"]))
    for rate in (1, 2, 3, 4, 8):
        other = [rate] * len(own)
        if other != own:
            yield propose({"dilation": other}, "dilation", "dilation", _one(own), _one(other))


def _one(numbers: Sequence[Any]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else str(tuple(numbers))


def flipped(case: Case) -> Iterator[Proposal]:
    own = bool(case.config.get("flipped"))
    names = {False: "as it is", True: "flipped"}
    yield propose({"flipped": not own}, "flipped", "kernel", f"uses it {names[own]}", names[not own])


def transposed(case: Case) -> Iterator[Proposal]:
    if len(case.config["window"]) > 1:
        b = "with height and width swapped"
        yield propose({"transposed": True}, "transposed", "kernel", "uses it as it is", b)


def channel_groups(case: Case) -> Iterator[Proposal]:
    if case.config.get("groups", 1) > 1:
        a, b = "neighbouring channels", "every n-th channel"
        yield propose({"interleaved": True}, "groups", "a group of the convolution sees", a, b)


def multiplier_order(case: Case) -> Iterator[Proposal]:
    own = bool(case.config.get("multiplier_first"))
    names = {False: "channel by channel (c M + m)", True: "multiplier by multiplier (m C + c)"}
    changes = {"multiplier_first": not own}
    yield propose(changes, "multiplier_order", "order of the depthwise outputs", names[own], names[not own])
    own = bool(case.config.get("kernels_by_multiplier"))
    changes = {"kernels_by_multiplier": not own}
    yield propose(changes, "multiplier_order", "order of the depthwise kernels", names[own], names[not own])


def crops(case: Case) -> Iterator[Proposal]:
    """Every (before, behind) that a transposed convolution can cut off to give B's output its size."""
    config = case.config
    if case.y.ndim != case.x.ndim:
        return
    own, options = crops_of(config, case.x), []
    for size, out, reach, stride in zip(
        case.x.shape[1:-1], case.y.shape[1:-1], reaches_of(config), config["strides"], strict=True
    ):
        total = (size - 1) * stride + reach - out
        spread = range(min(total, 0) - 1, max(total, 0) + 2)
        options.append([(before, total - before) for before in spread])
    for ends in sorted(itertools.product(*options), key=_oddness):
        a, b = f"crops {spell_ends(own)}{_called(case)}", f"crops {spell_ends(ends)}"
        note = _shift(own, ends)
        subject = "transposed convolution, what is cut off (before, behind)"
        yield propose({"crops": ends}, "crops", subject, a, b, note)


def _shift(own: Ends, other: Ends) -> str:
    shifts = {after[0] - before[0] for before, after in zip(own, other, strict=True)}
    shift = shifts.pop() if len(shifts) == 1 else 0
    return f"shifted by {abs(shift)} place{'s' * (abs(shift) > 1)}" if shift else ""


def pool_fill(case: Case) -> Iterator[Proposal]:
    yield propose({"fill": 0.0}, "pool_fill", "max-pool padding", "pads with minus infinity", "pads with 0")


def pool_count(case: Case) -> Iterator[Proposal]:
    names = {False: "leaves the padding out of the mean", True: "counts it"}
    own = bool(case.config.get("count_padding", False))
    yield propose({"count_padding": not own}, "pool_count", "average-pool padding", names[own], names[not own])


def pool_kind(case: Case) -> Iterator[Proposal]:
    own, rank = case.kind[:3], case.kind[7:]
    names = {"max": "the maximum", "avg": "the mean"}
    other = "avg" if own == "max" else "max"
    yield propose({"kind": f"{other}pool{rank}"}, "pool_kind", "pooling takes", names[own], names[other])


def pool_window(case: Case) -> Iterator[Proposal]:
    own = list(case.config["window"])
    for size in range(1, 5):
        other = [size] * len(own)
        if other != own:
            yield propose({"window": other}, "window", "window of the pool", _one(own), _one(other))


def ceil_mode(case: Case) -> Iterator[Proposal]:
    own = bool(case.config.get("ceil_mode"))
    names = {False: "drops it", True: "keeps it (ceil_mode)"}
    yield propose({"ceil_mode": not own}, "ceil_mode", "last window that is not full", names[own], names[not own])


def global_take(case: Case) -> Iterator[Proposal]:
    own = case.config.get("take", "mean")
    for name in ("mean", "max", "sum"):
        if name != own:
            yield propose({"take": name}, "pool_kind", "pooling over all places takes", f"the {own}", f"the {name}")


RESIZES: dict[str, dict[str, Any]] = {
    "nearest, by the floor of the place": {"method": "nearest", "half_pixel": False, "rounding": "floor"},
    "nearest, of half pixels": {"method": "nearest", "half_pixel": True, "rounding": "round"},
    "nearest, corners aligned": {"method": "nearest", "align_corners": True, "rounding": "round"},
    "bilinear, of half pixels": {"method": "bilinear", "half_pixel": True},
    "bilinear, corners aligned": {"method": "bilinear", "align_corners": True},
    "bilinear, from the upper left (no half pixels)": {"method": "bilinear", "half_pixel": False},
    "bilinear, antialiased": {"method": "bilinear", "half_pixel": True, "antialias": True},
    "bicubic (a = -0.75)": {"method": "bicubic", "half_pixel": True, "cubic": -0.75},
    "bicubic (a = -0.5)": {"method": "bicubic", "half_pixel": True, "cubic": -0.5, "outside": "dropped"},
    "bicubic (a = -0.75), corners aligned": {"method": "bicubic", "align_corners": True, "cubic": -0.75},
    "bicubic (a = -0.5), antialiased": {"method": "bicubic", "half_pixel": True, "cubic": -0.5, "antialias": True},
}
PLAIN = {"align_corners": False, "antialias": False, "half_pixel": True, "rounding": "floor", "outside": "kept"}


def resizing(case: Case) -> Iterator[Proposal]:
    size = list(case.y.shape[1:-1])
    ours = case.given({"size": list(case.config["size"])}).computed()
    own = "another one"
    for name, settings in RESIZES.items():
        found = case.given({**PLAIN, **settings}).computed()
        if ours is not None and found is not None and found.shape == ours.shape and abs(found - ours).max() < 1e-9:
            own = name
            break
    for name, settings in RESIZES.items():
        if name != own:
            yield propose({**PLAIN, **settings, "size": size}, "resize", "resizing", own, name)


CONVOLUTION = (padding, flipped, strides, dilation, stride_or_dilation, pad_mode, channel_groups)
POOL = (padding, pool_kind, strides, pool_window, ceil_mode)
SIGNATURES = {
    **{f"conv{n}d": (*CONVOLUTION, transposed) for n in (1, 2, 3)},
    **{f"depthwise_conv{n}d": (*CONVOLUTION, multiplier_order, transposed) for n in (1, 2)},
    **{f"conv{n}d_transpose": (crops, flipped, transposed, dilation) for n in (1, 2, 3)},
    **{f"maxpool{n}d": (pool_fill, *POOL) for n in (1, 2, 3)},
    **{f"avgpool{n}d": (pool_count, *POOL) for n in (1, 2, 3)},
    "adaptive_pool": (global_take,),
    "pad": (pad_mode, pad_ends),
    "resize": (resizing,),
}
