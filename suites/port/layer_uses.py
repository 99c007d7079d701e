"""Where a pass uses the weights of a layer: what goes in, what comes out, and layers that stand for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from suites.port.graph import back
from suites.port.recording import Call, Op, Pass

OPEN = ("module", "custom")  # layers of the user: what follows a weight in them may be anything
# Layers whose output is that of the call: what they do with weights last may be to move their statistics.
WHOLE = ("lstm", "gru", "simple_rnn", "attention", "bidirectional", "batchnorm")
NORMS = ("batchnorm", "groupnorm", "instancenorm", "layernorm", "rmsnorm")
# What a norm of the user's may go on with inside of its call (timm's BatchNormAct2d) is a layer of its own elsewhere.
ACTIVATING = ("relu", "relu6", "clip", "gelu", "silu", "sigmoid", "tanh", "elu", "selu", "leaky_relu", "softplus",
              "hard_swish", "hard_sigmoid", "mish", "identity")  # fmt: skip


@dataclass
class Use:
    """The operations of a side that use a layer's weights in one call: what goes in, and what comes out.

    `outputs`: of a recurrent layer there may be several, the sequence and its last state.
    """

    path: str
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: tuple[int, ...] = ()
    call: Call | None = None
    joined: bool = False  # several layers that the other side has as one


def uses(seen: Pass, owner: Mapping[str, str]) -> dict[str, list[Use]]:
    """Each use of each layer. What is computed from a layer's weights alone belongs to the layer."""
    found: dict[str, list[Use]] = defaultdict(list)
    folded: dict[int, str] = {}
    made: dict[str, set[int]] = defaultdict(set)
    fed = set(seen.inputs.values())
    for op in seen.ops:
        paths = {owner[name] for name in op.weights if name in owner}
        paths |= {folded[at] for at in op.values if at in folded}
        moving = [at for at in op.values if at in fed]
        if moving:
            fed.update(op.outputs)
        for path in paths:
            if not moving:
                folded.update((at, path) for at in op.outputs)
                continue
            own = made[path]
            call = _call_at(seen, op, path)
            if not found[path] or not (any(at in own for at in moving) or _goes_on(found[path][-1], call)):
                found[path].append(Use(path, call=call))
            use = found[path][-1]
            use.ops.append(op)
            use.inputs += [at for at in moving if at not in own and at not in use.inputs]
            use.outputs = read_later(seen, op.outputs)
            own.update(op.outputs)
        if moving and not paths:
            _follow(seen, op, moving, found, made)
    for each in found.values():
        for use in each:
            _as_call(seen, use, owner, folded)
    return found


def read_later(seen: Pass, outputs: Sequence[int]) -> tuple[int, ...]:
    """Of what an operation or a layer gives, that on which an output of the model depends; all of it where none does.

    The last state of a scan, a counter of steps and a statistic that is moved are given as well, and read by nobody.
    """
    return tuple(at for at in outputs if at in seen.needed) or tuple(outputs)


def _goes_on(use: Use, call: Call | None) -> bool:
    """Whether an operation of a call belongs to a use: a layer that is WHOLE is used once in each of its calls."""
    return call is not None and call is use.call and call.kind in WHOLE


def _follow(
    seen: Pass, op: Op, moving: list[int], found: Mapping[str, list[Use]], made: Mapping[str, set[int]]
) -> None:
    """An operation that goes on with what a layer made, inside its call and of a known kind, is the layer's."""
    for path, own in made.items():
        use = found[path][-1] if found[path] else None
        if use is None or use.call is None or use.call.kind in OPEN or not any(at in own for at in moving):
            continue
        if use.call.kind in NORMS and op.name in ACTIVATING:
            continue
        if use.call.first <= op.at <= use.call.last and op.layer == use.call.name:
            use.ops.append(op)
            use.outputs = read_later(seen, op.outputs)
            own.update(op.outputs)


def _call_at(seen: Pass, op: Op, path: str) -> Call | None:
    """The call of the layer at `path` that an operation is in."""
    around = [call for call in seen.calls if call.first <= op.at <= call.last and call.name in (path, _parent(path))]
    return around[0] if around else None


def _parent(path: str) -> str:
    """The module that holds a part of its own, such as `attention` of `attention.query`, `bi` of `bi_l0_reverse`."""
    for mark in ("_l0", "_l1", "_l2", "_l3"):
        if mark in path:
            return path.partition(mark)[0]
    return path.rpartition("/" if "/" in path else ".")[0]


def _as_call(seen: Pass, use: Use, owner: Mapping[str, str], folded: Mapping[int, str]) -> None:
    """A layer of a known kind gets what its call gets; one of those that are WHOLE gives what its call gives.

    Of others the output is that of their last operation on weights: an activation behind it is another thing. A kernel
    that was transposed first (`folded`: what is made of weights alone) is nothing that it gets.
    """
    call = use.call
    if call is None or not call.inputs:
        return
    own = call.name == use.path and {owner.get(name) for name in call.weights} == {use.path}
    if call.kind in OPEN and not own:
        return
    use.inputs = [at for at in dict.fromkeys(call.inputs) if at not in folded]
    if (call.kind in WHOLE or call.kind in OPEN) and call.outputs:
        use.outputs = read_later(seen, call.outputs)
    if call.kind in NORMS:
        use.outputs = tuple(before_activation(seen, call, at) for at in use.outputs)


def before_activation(seen: Pass, call: Call, at: int) -> int:
    """What a norm gives to the activation that stands behind it in its call, where one does."""
    op = seen.producers.get(at)
    while op is not None and op.name in ACTIVATING and call.first <= op.at <= call.last and len(op.values) == 1:
        at = op.values[0]
        op = seen.producers.get(at)
    return at


def scattered(use: Use, wrong: Sequence[int]) -> bool:
    """Whether operations that only share an owner are no layer: several weights that read several other values."""
    if use.call is not None or len(wrong) < 2:
        return False
    weights: set[str] = set().union(*[op.weights for op in use.ops])
    return len(weights) > 1


def ops_of(each: Sequence[Use]) -> set[int]:
    """The places of all operations of some uses."""
    return {op.at for use in each for op in use.ops}


def meets(path: str, group: Sequence[str], ops: Mapping[str, set[int]]) -> bool:
    """Whether a layer is one of a group, or shares an operation with one."""
    own = ops.get(path, set())
    return path in group or any(own & ops.get(other, set()) for other in group)


def parallel(each: Sequence[Use]) -> bool:
    """Whether layers read the same, as a query, a key and a value do."""
    first = each[0].inputs
    return len(set(first)) == 1 and all(use.inputs == first for use in each)


def beside(each: Sequence[Use]) -> Use:
    """Layers that read the same, as one; what a fused kernel gives can't be laid beside what its parts give."""
    paths = " and ".join(dict.fromkeys(use.path for use in each))
    return Use(paths, [op for use in each for op in use.ops], list(each[0].inputs))


def together(seen: Pass, each: Sequence[Use]) -> Use:
    """Layers that the other side has as one, as one: from what goes into the call around them all to what it gives."""
    each = sorted(each, key=lambda use: use.ops[-1].at)
    paths = " and ".join(dict.fromkeys(use.path for use in each))
    ops = [op for use in each for op in use.ops]
    call = around(seen, ops)
    own = {name for op in ops for name in op.weights}
    if call is not None and call.inputs and call.outputs and own.issuperset(call.weights):
        return Use(call.name or paths, ops, list(dict.fromkeys(call.inputs)), read_later(seen, call.outputs), call)
    made = {at for op in ops for at in op.outputs}
    inputs = [at for use in each for at in use.inputs if at not in made and not _behind(seen, at, made)]
    return Use(paths, ops, list(dict.fromkeys(inputs)), each[-1].outputs, joined=len(each) > 1)


def around(seen: Pass, ops: Sequence[Op]) -> Call | None:
    """The innermost call that all of some operations are inside of."""
    first, last = min(op.at for op in ops), max(op.at for op in ops)
    shared = set(ops[0].scope).intersection(*(op.scope for op in ops))
    inside = [call for call in seen.calls if call.name in shared and call.first <= first and last <= call.last]
    return min(inside, key=lambda call: call.last - call.first, default=None)


def _behind(seen: Pass, at: int, made: set[int]) -> bool:
    """Whether a value is computed from one of `made`."""
    part = back(seen, at, made.__contains__)
    return bool(made.intersection(part.entries))


def cut_alike(a: Pass, out_a: int, b: Pass, out_b: int) -> tuple[int, int]:
    """The outputs of a layer of both sides; where one gives more, what its user cuts out of it at once."""
    sizes = a.values[out_a].size, b.values[out_b].size
    if sizes[0] > sizes[1]:
        return cut_to(a, out_a, sizes[1]), out_b
    return out_a, cut_to(b, out_b, sizes[0])


def cut_to(seen: Pass, at: int, size: int) -> int:
    """The value of this size that slices make of another; the other where they make none."""
    now = at
    while seen.values[now].size > size:
        cuts = [op for op in seen.readers.get(now, ()) if op.name == "slice" and op.outputs]
        if len(cuts) != 1:
            return at
        now = cuts[0].outputs[0]
    return now if seen.values[now].size == size else at
