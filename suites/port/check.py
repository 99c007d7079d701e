"""Runs both models in their workers from the same weights on the same data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from suites.port import leaves, precision
from suites.port.bounds import Difference, compare
from suites.port.captures import Captured, is_capture
from suites.port.common_values import common
from suites.port.comparison import Comparison
from suites.port.draws import draw
from suites.port.errors import NotCaptured, PortError
from suites.port.files import Data, File, PortRole, roles
from suites.port.held import FILES, compare_held, own_numbers
from suites.port.layouts import fit, near
from suites.port.low.types import rounded
from suites.port.matching.assign import Matching, alternatives, exchanges, match
from suites.port.matching.crossings import crossings, uncrossed
from suites.port.matching.departing import departing, may_help
from suites.port.matching.gates import added_biases, in_native_order
from suites.port.matching.layers import Layer, layers_of
from suites.port.matching.links import carry
from suites.port.matching.table import Table
from suites.port.proof import prove
from suites.port.recording import MODES, Pass, Recording, Weight
from suites.port.side import Side
from suites.port.verdict import blind
from suites.runner.availability import availability
from suites.runner.workers import Arrays, Pool, Role, Worker

SAMPLES, FEW = 6, 4  # runs with rounding errors, for the bounds; few for a large model
LARGE = 20_000_000  # numbers in the weights of a large model
ROUGH = 1e-5  # of its norm: an output that is nearer comes of no other order of weights
TRIALS = 60  # matchings that are tried where the first one does not give A's outputs
NO_KERNEL = ("Could not find device for node", "not in the list of allowed values")  # what TensorFlow says
NO_TABLE = Table()
FOLDED = "folded into other numbers: export without that (torch.onnx.export: optimize=False)"
Progress = Callable[[str], None]


def run(
    a: File, b: File, data: Data, pool: Pool, table: Table = NO_TABLE, own_weights: bool = False,
    seed: int = 0, progress: Progress = lambda text: None, device: str = "cpu",
) -> Comparison:  # fmt: skip
    """Start both workers, carry A's weights over, run all phases. Raises PortError."""
    c = settled(a, b, data, pool, table, own_weights, seed, progress, device)
    progress("watching both, and checking that watching changes nothing")
    watch(c)
    sides = c.side_a, c.side_b
    progress("running both, and with rounding errors")
    size = sum(weight.size for weight in c.a.weights)
    samples = FEW if size > LARGE else SAMPLES
    captured = any(getattr(side.worker, "is_capture", False) for side in sides)  # a capture holds no sketches
    whole = [link for link in c.links if captured or not link.plain]
    names = [link.a.name for link in whole], [link.b.name for link in whole]
    for side, own in zip(sides, names, strict=True):
        side.measure(c.modes, samples, c.unit, own)
    c.pairs, c.unpaired = leaves.pair(*(side.recording.group("output/inference/") for side in sides))
    c.outcomes = list(c.everything())
    if not captured and any(precision.doubtful(each) for each in c.differences):
        for side, own in zip(sides, names, strict=True):
            if any(precision.inside(seen) for seen in side.recording.passes.values()):
                progress("running with rounding errors of float32, in which those of float64 are lost")
                side.measure_single(c.modes, samples, c.unit, own)
        c.outcomes = list(c.everything())
    if not captured and blind(c):
        progress("running with rounding errors in nothing that is exact")
        for side, own in zip(sides, names, strict=True):
            side.measure(c.modes, samples, c.unit, own, spares_exact=True)
        c.outcomes = list(c.everything())
    progress("proving that a bug would be found")
    c.proof = prove(c)
    return c


def watch(c: Comparison) -> None:
    """One pass of each side in each mode, operation by operation."""
    for mode in c.modes:
        for side in (c.side_a, c.side_b):
            side.recording.passes[mode], _ = side.watch(mode)


def elsewhere(side: Side, error: PortError, role: Role, pool: Pool) -> Side:
    """A Keras model on PyTorch, where TensorFlow has no float64 kernel for it; any other error is raised."""
    lacks = any(
        text in error.details for text in ("Could not find device for node", "not in the list of allowed values")
    )
    if side.file.api != "keras" or side.file.backend != "tensorflow" or not lacks or availability("tf_keras", "torch"):
        raise error
    file = side.file._replace(backend="torch")
    return Side(file, pool.serving(role._replace(backend="torch")))


def settled(
    a: File, b: File, data: Data, pool: Pool, table: Table = NO_TABLE, own_weights: bool = False,
    seed: int = 0, progress: Progress = lambda text: None, device: str = "cpu", dtype: str = "float64",
) -> Comparison:  # fmt: skip
    """Both sides at work, their weights matched, and the same numbers in them. Raises PortError.

    `dtype`: a type to whose numbers the weights are rounded; everything is computed in float64.
    """
    progress("loading the frameworks")
    wanted = roles(a, b, device)
    pool.start([role for file, role in zip((a, b), wanted, strict=True) if not is_capture(file.path)])
    sides = [Side(file, served(file, role, pool)) for file, role in zip((a, b), wanted, strict=True)]
    for at, side in enumerate(sides):
        try:
            side.open(data)
        except PortError as error:
            sides[at] = elsewhere(side, error, wanted[at], pool)
            sides[at].open(data)
    refuse_folded(sides[0].recording, sides[1].recording)
    refuse_folded(sides[1].recording, sides[0].recording)
    progress("matching the weights")
    for own, other in (sides, sides[::-1]):
        for pair in () if is_capture(own.file.path) else added_biases(own.recording.weights, other.recording.weights):
            own.add_up(*pair)
    layers = [layers_of(side.recording.weights, side.watch("inference", keep=0)[0]) for side in sides]
    found = match(layers[0], layers[1], table)
    found.links = in_native_order(found.links, (sides[0].recording.api, sides[1].recording.api))
    refuse_constants(sides[0].recording, found.lone_b, found.own_a)
    refuse_constants(sides[1].recording, found.lone_a, found.own_b)
    c = Comparison(sides[0], sides[1], data, found, modes_of(sides[0], sides[1]))
    numbered = sum(side.recording.api in FILES for side in sides)  # sides that are files with numbers
    held = own_weights or numbered > 0
    ours = own_numbers(sides[0], [link.a.name for link in c.links]) if held else {}
    theirs = own_numbers(sides[1], [link.b.name for link in c.links]) if held else {}
    settle(c, layers, own_weights or is_capture(a.path), seed, progress, dtype)
    meant = numbered > 1 or (own_weights and numbered > 0)
    c.held = compare_held(c.links, ours, theirs, meant) if held else None
    return c


def round_weights(side: Side, dtype: str) -> None:
    """A side's own weights are numbers of a type from now on."""
    for weight in side.recording.weights:
        array = side.read([weight.name])[weight.name]
        near_by = rounded(array.astype(np.float64), dtype)
        if not np.array_equal(near_by, array, equal_nan=True):
            side.take({weight.name: near_by})


def refuse_folded(file: Recording, other: Recording) -> None:
    """Raises PortError for an ONNX file that has no statistics of norms that the other side has."""
    if file.api != "onnx":
        return
    ours, theirs = ([w.layer for w in side.weights if w.role == "moving_mean"] for side in (file, other))
    if len(ours) < len(theirs):
        raise PortError(
            f"{file.path}: holds the running statistics of {len(ours)} of {len(theirs)} normalisations "
            f"({theirs[0]} ...): they are left out, or {FOLDED}"
        )


def refuse_constants(file: Recording, lone: Sequence[Weight], constants: Sequence[Weight]) -> None:
    """Raises PortError where an ONNX file lacks weights, and has constants that may be made of them."""
    if file.api == "onnx" and lone and constants:
        names = ", ".join(weight.name for weight in constants[:3])
        raise PortError(f"{file.path}: has no {lone[0].name}: it may be a constant of the file ({names}), {FOLDED}")


def served(file: File, role: PortRole, pool: Pool) -> Worker | Captured:
    """What answers for a side: a worker, or the capture that it is."""
    return Captured(file.path) if is_capture(file.path) else pool.serving(role)


def modes_of(a: Side, b: Side) -> tuple[str, ...]:
    """Both modes, where both sides have them."""
    return MODES if a.recording.training_mode and b.recording.training_mode else MODES[:1]


def settle(
    c: Comparison, layers: Sequence[Sequence[Layer]], own_weights: bool, seed: int, progress: Progress,
    dtype: str = "float64",
) -> None:  # fmt: skip
    """Weights on both sides, and the matching that gives A's outputs where several are possible."""
    names = [link.a.name for link in c.links]
    start = c.side_a.read(names) if own_weights else draw(c.links, c.a.start, seed)
    if dtype != "float64":
        start = {name: rounded(array, dtype) for name, array in start.items()}
        for side in (c.side_a, c.side_b):  # what is not drawn keeps its own numbers, as the type has them
            round_weights(side, dtype)
    c.side_a.take(start)
    ours, wanted = c.side_a.watch("inference", keep=0)
    agree = reproduces(c, start, wanted) or turning(c, start) or rematched(c, layers, start, ours, wanted, progress)
    follow_names(c, layers, start, wanted, agree)


def rematched(
    c: Comparison, layers: Sequence[Sequence[Layer]], start: Arrays, ours: Pass, wanted: Arrays, progress: Progress
) -> bool:
    """Whether another matching of the weights gives A's outputs."""
    progress("trying other matchings of the weights")
    first = c.matching
    shared, wrong = shared_values(c, layers[1], start, ours)
    tried = (other for other in alternatives(first, *layers) if may_help(first, other, wrong))
    for other in itertools.islice(tried, TRIALS):
        c.matching = other
        if reproduces(c, start, wanted):
            c.notes.append(described(first, other))
            if other.gates is not None and not other.gates.customary((c.a.backend, c.b.backend)):
                c.matching = replace(other, without=as_they_lie(c, first, start, wanted))
                c.side_b.take(carried(c, start))
            return True
    c.matching = first
    if improved(c, layers, start, ours, wanted, shared, wrong):
        c.notes.append(described(first, c.matching))
        return True
    c.matching = first
    c.side_b.take(carried(c, start))
    return False


def as_they_lie(c: Comparison, first: Matching, start: Arrays, wanted: Arrays) -> Difference | None:
    """How far B's outputs are from A's where the blocks of gates are carried over as they lie."""
    kept, c.matching = c.matching, first
    outputs = outputs_with(c, start, wanted)
    c.matching = kept
    for path, found in outputs.items():
        one = compare(f"output/inference/{path}", wanted[path], found, (None, None), c.unit)
        if one.difference is not None:
            return one.difference
    return None


def improved(
    c: Comparison, layers: Sequence[Sequence[Layer]], start: Arrays, ours: Pass, wanted: Arrays,
    best: int, wrong: frozenset[str],
) -> bool:  # fmt: skip
    """Whether one exchange of two layers after the other, each of which brings B nearer to A, gives A's outputs.

    Nearer is the side that has more of A's values, `best` of them with the matching as it is: so several layers that
    lie otherwise are found one by one. `wrong`: the layers that depart.
    """
    trials = 0
    better = True
    while better:
        better = False
        for other in exchanges(c.matching, *layers):
            if not may_help(c.matching, other, wrong):
                continue
            trials += 1
            if trials > TRIALS:
                return False
            before, c.matching = c.matching, other
            shared, still_wrong = shared_values(c, layers[1], start, ours)
            if shared > best:
                if reproduces(c, start, wanted):
                    return True
                best, wrong = shared, still_wrong
                better = True
                break
            c.matching = before
    return False


def shared_values(c: Comparison, layers: Sequence[Layer], start: Arrays, ours: Pass) -> tuple[int, frozenset[str]]:
    """How many of A's values B has, with the weights that the matching carries to it, and the layers that depart."""
    try:
        c.side_b.take(carried(c, start))
    except NotCaptured:
        return 0, frozenset()
    theirs, _ = c.side_b.watch("inference", keep=0)
    both = common(ours, theirs, ROUGH)
    return len(both.of_a), departing(theirs, both.of_b, layers)


def follow_names(c: Comparison, layers: Sequence[Sequence[Layer]], start: Arrays, wanted: Arrays, agree: bool) -> None:
    """Where layers bear each other's names: those that names say are carried over, if they give as much.

    If they do not, that is what is wrong with the port: whoever carries weights over by their names gets other outputs.
    """
    pairs = crossings(c.links, layers[0], layers[1], (c.a.api, c.b.api))
    pairs = [pair for pair in pairs if pair[0] not in c.matching.fixed]
    by_names = uncrossed(c.matching, pairs, layers[0], layers[1]) if pairs else None
    if by_names is None:
        return
    crossed, c.matching = c.matching, by_names
    if agree and not reproduces(c, start, wanted):
        c.matching = replace(crossed, crossed=pairs)
    c.side_b.take(carried(c, start))


def turning(c: Comparison, start: Arrays) -> bool:
    """Where images fit both ways (as many rows as channels): whether A's outputs come out the other way round."""
    sides = [
        side for side in (c.side_b, c.side_a)
        if side.recording.api in ("torch", "onnx") and side.file.layout == "auto"
    ]  # fmt: skip
    images = any(array.ndim >= 3 and array.dtype.kind == "f" for array in c.data.inputs.values())
    if not images or len(sides) != 1 or not sides[0].turn():
        return False
    _, wanted = c.side_a.watch("inference")
    if reproduces(c, start, wanted):
        return True
    sides[0].turn()
    return False


def carried(c: Comparison, start: Arrays) -> Arrays:
    """B's weights; buffers that are no statistics are a part of a model and stay as they are."""
    return carry([link for link in [*c.links, *c.matching.copied] if link.a.name in start], start)


def reproduces(c: Comparison, start: Arrays, wanted: Arrays) -> bool:
    """Whether B, with the weights that the matching carries to it, gives what A gives, roughly."""
    try:
        outputs = outputs_with(c, start, wanted)
    except NotCaptured:
        return False  # it ran with other weights: matched otherwise, or not A's
    return bool(outputs) and all(near(found, wanted[path], ROUGH) for path, found in outputs.items())


def outputs_with(c: Comparison, start: Arrays, wanted: Arrays) -> Arrays:
    """B's outputs by A's names, in A's layout, with the weights that the matching carries over. Raises NotCaptured."""
    c.side_b.take(carried(c, start))
    found = c.side_b.outputs()
    pairs, _ = leaves.pair(wanted, found)
    turned = c.a.turned != c.b.turned
    return {path: fit(found[other], wanted[path], turned) for path, other in pairs}


def described(before: Matching, after: Matching) -> str:
    """What a reader has to know where names or order say something else than what gives the same outputs."""
    old = {(link.a.name, link.b.name): link for link in before.links}
    moved = [link for link in after.links if old.get((link.a.name, link.b.name)) != link]
    pairs = ", ".join(f"{link.a.name} is {link.b.name}" for link in moved[:4])
    more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
    found = f"weights are matched by what gives A's outputs, not by names and order: {pairs}{more}"
    if after.gates is not None:
        found += "; order of the gates: A {}, B {}".format(*after.gates.words())
    return found
