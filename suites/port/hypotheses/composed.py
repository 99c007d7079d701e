"""Operations that do several things at once, as what they consist of: fused and packed attention, a bag of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from suites.port.hypotheses.formulas import softmax
from suites.port.hypotheses.program import MASKED, REDUCTIONS, Array, Function, Step, close, over, reducing, right
from suites.port.hypotheses.question import Part
from suites.port.hypotheses.spectra import short_time_steps
from suites.port.recording import Op


def bag_steps(op: Op, part: Part, values: Mapping[int, Array], fresh: Iterator[int]) -> list[Step]:
    """nn.EmbeddingBag of (N, L) ids as what it consists of: rows of a table, and their sum, mean or maximum."""
    table = part.own.get(op.weights[0]) if op.weights else None
    name = str(op.attributes.get("mode") or "mean")
    if table is None or not op.values or op.values[0] not in values or name not in REDUCTIONS:
        return []
    ids = op.values[0]
    if values[ids].ndim != 2:
        return []
    rows = next(fresh)
    return [
        Step("embedding", (ids, table), rows, lambda a: a[1][a[0].astype(int)], op, moves=True),
        Step(name, (rows,), op.outputs[0], reducing(name, (1,), False), op, (1,)),
    ]


def attention_steps(op: Op, part: Part, values: Mapping[int, Array], fresh: Iterator[int]) -> list[Step]:
    """A fused attention as what it consists of: scores, scale, mask, softmax, mixing."""
    ids = op.values[:3]
    if len(ids) < 3 or any(at not in values for at in ids) or op.outputs[0] not in values:
        return []
    query, key, value = ids
    scale = op.attributes.get("scale") or 1 / math.sqrt(values[query].shape[-1])
    shape = (*values[query].shape[:-1], values[key].shape[-2])
    steps = scored(op, (query, key, value), float(scale), _fused_mask(op, values, shape), fresh, op.outputs[0])
    return steps if right(steps, values) else []


def scored(
    op: Op, ids: tuple[int, int, int], scale: float, mask: int | Array | None, fresh: Iterator[int], mixed: int
) -> list[Step]:
    """Attention of queries, keys and values (N, H, T, D / H); `mixed` is what it gives."""
    query, key, value = ids
    scores, scaled, weights = next(fresh), next(fresh), next(fresh)
    steps = [
        Step("matmul", (query, key), scores, lambda a: a[0] @ a[1].swapaxes(-1, -2), op),
        Step("multiply", (scores, np.asarray(scale)), scaled, lambda a: a[0] * a[1], op),
    ]
    last = scaled
    if mask is not None:
        last = next(fresh)
        steps.append(Step("where", (scaled, mask), last, _masking, op))
    steps.append(Step("softmax", (last,), weights, over(softmax, -1), op, (3,)))
    steps.append(Step("matmul", (weights, value), mixed, lambda a: a[0] @ a[1], op))
    return steps


def _fused_mask(op: Op, values: Mapping[int, Array], shape: tuple[int, ...]) -> int | Array | None:
    if op.attributes.get("causal"):
        return np.broadcast_to(np.tril(np.ones(shape[-2:], bool)), shape)
    more = [at for at in op.values[3:] if at in values]
    return more[0] if more else None


def _masking(a: Sequence[Array]) -> Array:
    """True attends where the mask is boolean; what it holds is added where it is not."""
    scores, mask = a
    return np.where(mask, scores, -np.inf) if mask.dtype.kind == "b" else np.asarray(scores + mask)


def packed_steps(op: Op, part: Part, values: Mapping[int, Array], fresh: Iterator[int]) -> list[Step]:
    """torch's F.multi_head_attention_forward of (T, N, D) with one packed projection, head by head (N, H, T, D / H)."""
    kernels, biases = packed_weights(op, part)
    heads = op.attributes.get("argument4")
    ids = op.values[:3]
    if len(kernels) != len(QKVO) or not isinstance(heads, int) or any(at not in values for at in ids):
        return []
    if len(ids) < 3 or op.outputs[0] not in values or values[ids[0]].ndim != 3:
        return []
    steps, split = [], []
    for at, kernel, bias in zip(ids, kernels, biases, strict=False):
        projected, parted = next(fresh), next(fresh)
        steps.append(Step("linear", (at, kernel, bias), projected, lambda a: a[0] @ a[1] + a[2], op))
        steps.append(Step("transpose", (projected,), parted, in_heads(heads), op, moves=True))
        split.append(parted)
    width = kernels[0].shape[-1]
    mask = packed_mask(op, values, heads)
    mixed = next(fresh)
    steps += scored(op, (split[0], split[1], split[2]), math.sqrt(heads / width), mask, fresh, mixed)
    whole = next(fresh)
    steps.append(Step("transpose", (mixed,), whole, out_of_heads, op, moves=True))
    steps.append(Step("linear", (whole, kernels[3], biases[3]), op.outputs[0], lambda a: a[0] @ a[1] + a[2], op))
    return steps if right(steps, values) else []


def response_steps(op: Op, part: Part, values: Mapping[int, Array], fresh: Iterator[int]) -> list[Step]:
    """torch's F.local_response_norm of (N, C, ...): x / (k + alpha / size * the sum of x^2 nearby)^beta."""
    size = op.attributes.get("size")
    if not isinstance(size, int) or not op.values or op.values[0] not in values:
        return []
    x = op.values[0]
    defaults = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}
    alpha, beta, k = (np.asarray(float(op.attributes.get(name, usual))) for name, usual in defaults.items())
    square, total, scaled, moved, powered = (next(fresh) for _ in range(5))
    at = np.arange(values[x].shape[1])
    apart = at - at[:, None]  # to a channel, from those that it sums up
    band = ((apart >= -((size - 1) // 2)) & (apart <= size // 2)).astype(float)
    steps = [
        Step("multiply", (x, x), square, lambda a: a[0] * a[1], op),
        Step("matmul", (square, band), total, lambda a: np.moveaxis(np.moveaxis(a[0], 1, -1) @ a[1], -1, 1), op),
        Step("multiply", (total, alpha / size), scaled, lambda a: a[0] * a[1], op),
        Step("add", (scaled, k), moved, lambda a: a[0] + a[1], op),
        Step("power", (moved, beta), powered, lambda a: a[0] ** a[1], op),
        Step("divide", (x, powered), op.outputs[0], lambda a: a[0] / a[1], op),
    ]
    return steps if right(steps, values) else []


def as_softmax(step: Step, before: Sequence[Step], values: Mapping[int, Array]) -> Step:
    """A quotient of exponentials and their sum, as JAX and old exporters write a softmax, as that; others unchanged."""
    made = {each.at: each for each in before}
    exponential = made.get(step.ids[0]) if step.name == "divide" and len(step.ids) == 2 else None
    if exponential is None or exponential.name != "exp" or step.at not in values:
        return step
    shifted = made.get(exponential.ids[0])
    found = [exponential.ids[0]] + (shifted.ids[:1] if shifted is not None and shifted.name == "subtract" else [])
    for at in reversed(found):
        for axis in reversed(range(values[at].ndim)):
            with np.errstate(all="ignore"):
                if close(softmax(values[at], axis), values[step.at]):
                    return Step("softmax", (at,), step.at, over(softmax, axis), step.op, (axis,))
    return step


QKVO = ("query", "key", "value", "output")  # the parts of a layer of attention


def packed_weights(op: Op, part: Part) -> tuple[list[Array], list[Array]]:
    """Kernels (in, out) and biases of the projections; zeros where there are no biases."""
    own = [part.own[name] for name in op.weights if name in part.own]
    kernels = [array for array in own if array.ndim == 2]
    biases = [array for array in own if array.ndim == 1]
    zeros = [np.zeros(kernel.shape[-1]) for kernel in kernels]
    return kernels, biases if len(biases) == len(kernels) else zeros


def in_heads(heads: int) -> Function:
    """(T, N, D) to (N, H, T, D / H)."""
    return lambda a: a[0].reshape(*a[0].shape[:2], heads, -1).transpose(1, 2, 0, 3)


def out_of_heads(a: Sequence[Array]) -> Array:
    """(N, H, T, D / H) to (T, N, D)."""
    turned = a[0].transpose(2, 0, 1, 3)
    return turned.reshape(*turned.shape[:2], -1)


def packed_mask(op: Op, values: Mapping[int, Array], heads: int) -> Array | None:
    """What may attend to what, of (N, S) keys that are left out and of (T, S) or (N H, T, S) places that are."""
    more = [values[at] for at in op.values[3:] if at in values]
    query, key = (values[at] for at in op.values[:2])
    examples, steps, keys = query.shape[1], query.shape[0], key.shape[0]
    found: Array | None = None
    for mask in more:
        kept = ~mask if mask.dtype.kind == "b" else mask > MASKED
        if mask.shape == (examples, keys):
            kept = kept[:, None, None, :]
        elif mask.shape == (examples * heads, steps, keys):
            kept = kept.reshape(examples, heads, steps, keys)
        found = kept if found is None else found & kept
    return found


Composing = Callable[[Op, Part, Mapping[int, Array], Iterator[int]], list[Step]]
COMPOSED: dict[str, Composing] = {
    "attention": attention_steps,
    "embedding_bag": bag_steps,
    "multi_head_attention": packed_steps,
    "local_response_norm": response_steps,
    "stft": short_time_steps,
}
