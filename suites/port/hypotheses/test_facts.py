"""What both sides show of themselves: tiny pairs in NumPy, each with one thing done otherwise, and its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from suites.port.hypotheses import explain_formula, explain_place, explain_region
from suites.port.hypotheses.attention_facts import compared_attention
from suites.port.hypotheses.causes import spell
from suites.port.hypotheses.facts import channels_of, steps_taken
from suites.port.hypotheses.moves import own_move
from suites.port.hypotheses.question import Entry, Part, Question
from suites.port.loss_facts import crosses
from suites.port.recording import Op, Operand
from suites.port.training import still_rows

Array = np.ndarray
UNIT = 2.0**-53


@dataclass
class Tape:
    """A side that is written in NumPy: each call records an operation."""

    values: dict[int, Array] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    tables: dict[str, Array] = field(default_factory=dict)

    def given(self, array: Array) -> int:
        self.values[len(self.values)] = array
        return len(self.values) - 1

    def op(self, name: str, array: Array, *inputs: int | float, table: str = "", **settings: object) -> int:
        """The id of what an operation gave; a float among its inputs is written out."""
        at = self.given(array)
        operands = [Operand(value=each) if isinstance(each, int) else Operand(literal=each) for each in inputs]
        if table:
            operands.append(Operand(weights=(table,)))
        self.ops.append(Op(len(self.ops), name, name, (), tuple(operands), settings, (at,), f"x.py:{len(self.ops)}"))
        return at

    def part(self, *entries: int) -> Part:
        last = self.ops[-1].outputs[0]
        known = tuple(Entry(at, self.values[at], at, f"the input {at}") for at in entries)
        return Part(tuple(self.ops), known, last, self.values[last], self.values, own=self.tables)


def question(a: Part, b: Part) -> Question:
    return Question("inference", "between", a, b, UNIT)


def words(a: Part, b: Part) -> str:
    found = explain_region(question(a, b))
    return found[0].words() if found else ""


RNG = np.random.default_rng(0)
HEADS = [RNG.normal(size=(2, 2, 5, 3)) for _ in range(3)]
THREE_HEADS = [array.transpose(0, 2, 1, 3).reshape(2, 5, 3, 2).transpose(0, 2, 1, 3) for array in HEADS]


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def attention(
    order: tuple[int, int, int] = (0, 1, 2), scale: float = 3**-0.5, allowed: Array | None = None,
    axis: int = -1, arrange: Callable[[Array], Array] = lambda x: x, given: list[Array] = HEADS, whole: bool = True,
) -> Part:  # fmt: skip
    """Scores, scale, mask, softmax (`whole`, or as JAX writes it) and mixing, with what ports do otherwise."""
    tape = Tape()
    ids = [tape.given(array) for array in given]
    q, k, v = (ids[place] for place in order)
    v = tape.op("reshape", arrange(tape.values[v]), v)
    scores = tape.op("matmul", tape.values[q] @ tape.values[k].swapaxes(-1, -2), q, k)
    scaled = tape.op("multiply", tape.values[scores] * scale, scores, scale)
    if allowed is not None:
        mask = tape.given(np.broadcast_to(~allowed, tape.values[scaled].shape))
        masked = np.where(allowed, tape.values[scaled], -np.inf)
        scaled = tape.op("masked_fill", masked, scaled, mask, value=-np.inf)
    if whole:
        weights = tape.op("softmax", softmax(tape.values[scaled], axis), scaled)
    else:
        largest = tape.op("max", tape.values[scaled].max(axis, keepdims=True), scaled)
        shifted = tape.op("subtract", tape.values[scaled] - tape.values[largest], scaled, largest)
        powers = tape.op("exp", np.exp(tape.values[shifted]), shifted)
        total = tape.op("sum", tape.values[powers].sum(axis, keepdims=True), powers)
        weights = tape.op("divide", tape.values[powers] / tape.values[total], powers, total)
    tape.op("matmul", tape.values[weights] @ tape.values[v], weights, v)
    return tape.part(*ids)


CAUSAL = np.tril(np.ones((5, 5), bool))
PADDED = np.broadcast_to(np.arange(5) < 3, (5, 5))
OTHERS = {
    "queries, keys and values: parts of the projection: A q, k, v, B k, q, v": attention(order=(1, 0, 2)),
    "scale of the attention scores: A 1/sqrt(3) (head), B 1": attention(scale=1.0),
    "softmax of the attention scores: A over the keys, B over the queries": attention(axis=-2),
    "attention mask: A attends to everything, B attends to the past and itself (causal)": attention(allowed=CAUSAL),
    "attention mask: A attends to everything, B leaves padded keys out": attention(allowed=PADDED, whole=False),
    "number of heads: A 2, B 3": attention(given=THREE_HEADS, whole=False),
}


@pytest.mark.parametrize("expected", OTHERS)
def test_attention_is_compared_thing_by_thing(expected: str) -> None:
    """Where nothing can be computed again, what both sides show still says what is different, in both directions."""
    causes = compared_attention(question(attention(), OTHERS[expected]))
    assert [cause.words() for cause in causes] == [expected]
    back = compared_attention(question(OTHERS[expected], attention()))
    assert [cause.signature for cause in back] == [cause.signature for cause in causes]


def test_equal_attention_has_no_cause() -> None:
    assert compared_attention(question(attention(), attention())) == []


def test_heads_are_told_by_how_they_are_made() -> None:
    """A view of (heads, features) in place of (features, heads) mixes them."""
    source = RNG.normal(size=(2, 5, 6))
    right, wrong = source.reshape(2, 5, 2, 3).transpose(0, 2, 1, 3), source.reshape(2, 5, 3, 2).transpose(0, 3, 1, 2)
    assert own_move(source, right) == "splits axis 2 into (2, 3) and takes the axes in the order (0, 2, 1, 3)"
    assert own_move(source, wrong) == "splits axis 2 into (3, 2) and takes the axes in the order (0, 3, 1, 2)"


def looked_up(rows: list[int], table: Array) -> Part:
    tape = Tape(tables={"positions": table})
    x = tape.given(HEADS[0][0, 0, :3])
    taken = tape.op("embedding", table[rows], table="positions")
    tape.op("add", tape.values[x] + table[rows], x, taken)
    return tape.part(x)


def test_positions_are_told_by_their_rows() -> None:
    """An offset of a table of positions, and a cache whose positions start again."""
    table = RNG.normal(size=(9, 3))
    found = words(looked_up([2, 3, 4], table), looked_up([0, 1, 2], table))
    assert found == "positions: of the table positions: A rows 2, 3, 4, B rows 0, 1, 2: B's are 2 earlier"


def scaled(factor: Array, addend: Array, order: list[int]) -> Part:
    tape = Tape()
    x = tape.given(np.random.default_rng(1).uniform(0, 255, (2, 4, 4, 3)))
    tape.op("custom", tape.values[x][..., order] * factor + addend, x)
    return tape.part(x)


def test_preprocessing_is_told_by_the_channels() -> None:
    """BGR for RGB, and [-1, 1] for ImageNet's mean and deviation."""
    mean, deviation = np.array([123.7, 116.3, 103.5]), np.array([58.4, 57.1, 57.4])
    ours, theirs = (
        scaled(1 / deviation, -mean / deviation, [0, 1, 2]),
        scaled(np.full(3, 1 / 127.5), -np.ones(3), [0, 1, 2]),
    )
    assert words(ours, theirs).startswith("channels of the input are scaled and shifted: A 0.01712 x - 2.118; ")
    turned = words(scaled(np.ones(3), -mean, [2, 1, 0]), scaled(np.ones(3), -mean, [0, 1, 2]))
    assert turned == "order of the channels: A reversed (RGB becomes BGR), B as they come (RGB stays RGB)"


def test_what_is_not_of_one_channel_is_no_preprocessing() -> None:
    x = RNG.normal(size=(2, 4, 4, 3))
    assert channels_of(x, 3, x**2) == [] and channels_of(x, 3, x @ RNG.normal(size=(3, 3))) == []


def test_steps_that_stop_at_the_padding_are_found() -> None:
    sequence = RNG.normal(size=(3, 6, 2))
    ends = np.array([5, 2, 3])
    found = steps_taken(sequence, sequence[np.arange(3), ends])
    assert found is not None and (found == ends).all()
    assert steps_taken(sequence, sequence.mean(1)) is None


def test_a_row_without_gradient_is_told_as_padding() -> None:
    """nn.Embedding(padding_idx=0) trains no row 0; the forward pass is the same."""
    ours = RNG.normal(size=(5, 3))
    theirs = ours.copy()
    theirs[0] = 0
    found = still_rows(ours, theirs)
    assert found is not None
    assert found.words() == "gradient of row 0 of the table (padding_idx): A gives it one, B none"
    assert still_rows(ours, 2 * ours) is None


def shuffled(axes: tuple[int, ...], parts: tuple[int, ...]) -> Part:
    """Channels of (2, 8, 3, 3) as blocks of two by two places."""
    tape = Tape()
    x = tape.given(IMAGE)
    split = tape.op("reshape", IMAGE.reshape(2, *parts, 3, 3), x)
    turned = tape.op("transpose", tape.values[split].transpose(axes), split)
    tape.op("reshape", tape.values[turned].reshape(2, 2, 6, 6), turned)
    return tape.part(x)


IMAGE = RNG.normal(size=(2, 8, 3, 3))


def test_a_pixel_shuffle_is_told_by_the_order_of_its_channels() -> None:
    """Both orders are written by hand as often as by nn.PixelShuffle."""
    ours = shuffled((0, 3, 4, 1, 5, 2), (2, 2, 2))
    theirs = shuffled((0, 1, 4, 2, 5, 3), (2, 2, 2))
    found = words(ours, theirs)
    assert found.startswith("channels of the pixel shuffle: A as (r, r, C)") and "B as (C, r, r)" in found


def capped(cap: float) -> Part:
    """A soft cap: one number at two places."""
    tape = Tape()
    x = tape.given(HEADS[0])
    divided = tape.op("divide", HEADS[0] / cap, x, cap)
    bent = tape.op("tanh", np.tanh(tape.values[divided]), divided)
    tape.op("multiply", cap * tape.values[bent], bent, cap)
    return tape.part(x)


def guarded(add: bool) -> Part:
    tape = Tape()
    x = tape.given(np.abs(HEADS[0]))
    guard = tape.values[x] + 0.5 if add else np.maximum(tape.values[x], 0.5)
    inner = tape.op("add" if add else "maximum", guard, x, 0.5)
    tape.op("log", np.log(guard), inner)
    return tape.part(x)


def gated(turned: bool) -> Part:
    """The halves of a gated linear unit."""
    tape = Tape()
    x = tape.given(RNG_OF_HALVES)
    halves = [tape.op("slice", part, x) for part in np.split(RNG_OF_HALVES, 2, -1)]
    gate = tape.op("sigmoid", 1 / (1 + np.exp(-tape.values[halves[1 - turned]])), halves[1 - turned])
    tape.op("multiply", tape.values[halves[turned]] * tape.values[gate], halves[turned], gate)
    return tape.part(x)


RNG_OF_HALVES = RNG.normal(size=(3, 6))


def windowed(window: Array) -> Part:
    tape = Tape(tables={})
    x = tape.given(np.random.default_rng(2).normal(size=(3, 20)))
    at = tape.given(window)
    tape.op("multiply", tape.values[x] * window, x, at)
    part = tape.part(x)
    op = part.ops[0]
    written = Operand(literal=window.tolist())
    return replace(part, ops=(replace(op, inputs=(op.inputs[0], written)),))


GENERIC = {
    "soft cap s tanh(x / s) (x.py:0): A 5, B 8": (capped(5.0), capped(8.0)),
    "operation (x.py:0): A max(x, 0.5), B x + 0.5": (guarded(False), guarded(True)),
    "window in multiply (x.py:0): A periodic Hann, B symmetric Hann": (
        windowed(np.hanning(21)[:-1]), windowed(np.hanning(20)),
    ),
    "constants in multiply (x.py:0): A 1/2, 1/4, ": (
        windowed(0.5 ** np.arange(1, 21)), windowed(0.25 ** np.arange(1, 21)),
    ),
}  # fmt: skip


def linked(turned: bool) -> Part:
    tape = Tape(tables={})
    adjacency, x = (tape.given(np.random.default_rng(3).normal(size=(2, 4, n))) for n in (4, 3))
    matrix = tape.values[adjacency]
    tape.op("matmul", (matrix.swapaxes(1, 2) if turned else matrix) @ tape.values[x], adjacency, x)
    part = tape.part(adjacency, x)
    return replace(part, ops=tuple(replace(op, name="einsum") for op in part.ops)) if turned else part


def sorted_ids(order: Sequence[int]) -> Part:
    tape = Tape(tables={})
    x = tape.given(np.random.default_rng(4).integers(1, 99, (4, 5)))
    tape.op("slice", tape.values[x][list(order)], x)
    return tape.part(x)


def discretised(exact: bool) -> Part:
    """A loop of two steps, h = f(x) h + 1, with exp(x) or with Euler's 1 + x."""
    tape = Tape(tables={})
    x, h = (tape.given(np.random.default_rng(5).normal(size=(3, 4))) for _ in range(2))
    for _ in range(2):
        array = tape.values[x]
        factor = tape.op("exp", np.exp(array), x) if exact else tape.op("add", 1 + array, x, 1.0)
        moved = tape.op("multiply", tape.values[factor] * tape.values[h], factor, h)
        h = tape.op("subtract", tape.values[moved] - 2.0, moved, 2.0)
    part = tape.part(x, 1)
    return replace(part, ops=tuple(replace(op, line="x.py:0") for op in part.ops))


def mixed(weighted: bool) -> Part:
    """Experts weighted by a gate, or their mean."""
    tape = Tape(tables={})
    rng = np.random.default_rng(6)
    gates, experts = tape.given(softmax(rng.normal(size=(5, 2)))), tape.given(rng.normal(size=(5, 2, 3)))
    if weighted:
        scaled = tape.op("einsum", np.einsum("nk,nkd->nd", tape.values[gates], tape.values[experts]), gates, experts)
        tape.op("tanh", np.tanh(tape.values[scaled]), scaled)
    else:
        mean = tape.op("mean", tape.values[experts].mean(1), experts)
        tape.op("tanh", np.tanh(tape.values[mean]), mean)
    part = tape.part(gates, experts)
    equation = {"first": "nk,nkd->nd"}
    return replace(part, ops=tuple(replace(op, attributes=equation) if op.name == "einsum" else op for op in part.ops))


def tempered(divides: bool) -> Part:
    """Similarities times a temperature, or divided by it."""
    tape = Tape(tables={})
    rng = np.random.default_rng(7)
    x, scale = tape.given(rng.normal(size=(4, 5))), tape.given(np.exp(rng.normal(size=(4, 1))))
    made = tape.values[x] / tape.values[scale] if divides else tape.values[x] * tape.values[scale]
    tape.op("divide" if divides else "multiply", made, x, scale)
    return tape.part(x, scale)


GENERIC["function of exp (x.py:0): A exp(x), B 1 + x"] = discretised(True), discretised(False)
GENERIC["operation (x.py:0): A x * y, B x / y"] = tempered(False), tempered(True)
GENERIC["weights that sum to 1 ("] = mixed(True), mixed(False)
GENERIC["square operand of matmul (x.py:0), (2, 4, 4): A as it is, B transposed"] = (
    linked(False), linked(True),
)  # fmt: skip


def test_examples_in_another_order_are_told_by_it() -> None:
    """Sorted by their lengths for packing, and never sorted back: whole numbers as well."""
    assert "the examples: A as they come, B in the order 2, 0, 3, 1" in words(
        sorted_ids([0, 1, 2, 3]), sorted_ids([2, 0, 3, 1])
    )


def test_a_value_that_only_one_side_comes_in_by_has_a_letter_of_its_own() -> None:
    """A formula of B's was left out where it started from another value that both sides have."""
    x, squared = np.array([0.5, 2.0]), np.array([0.25, 4.0])
    parts = []
    for entry in (x, squared):
        tape = Tape()
        at = tape.given(entry)
        tape.op("subtract", 1 - entry, 1.0, at)
        parts.append(tape.part(at))
    known = replace(parts[1], entries=(Entry(0, squared, 7, "the squares"),))
    ours = replace(parts[0], entries=(Entry(0, x, None, "the output"),))
    (found,) = explain_formula(Question("loss", "output", ours, known, UNIT))
    assert "A 1 - x, B 1 - y" in found.words() and "y is the squares of B" in found.words()


def test_any_number_is_some_factor_times_another_one() -> None:
    """A loss that does something else was told as 2.504 times the loss of A, and nothing more was looked for."""
    x = np.linspace(-1.0, 2.0, 7)
    sides = []
    for name, total in (("mystery", 0.27), ("enigma", 0.677)):
        tape = Tape()
        entry = tape.given(x)
        tape.op(name, np.asarray(total), entry)
        sides.append(tape.part(entry))
    assert explain_region(Question("loss", "output", sides[0], sides[1], UNIT)) == []
    halved = replace(sides[1], exit=np.asarray(0.135), values={**sides[1].values, sides[1].exit_id: np.asarray(0.135)})
    (found,) = explain_region(Question("loss", "output", sides[0], halved, UNIT))
    assert "times 1/2" in found.words() or "times 0.5" in found.words()


@pytest.mark.parametrize("expected", GENERIC)
def test_another_number_or_operation_is_tried_generically(expected: str) -> None:
    """Only where B's numbers come out: with a third thing different as well, nothing is named so."""
    ours, theirs = GENERIC[expected]
    assert words(ours, theirs).startswith(expected)
    other = theirs.exit + RNG.normal(size=theirs.exit.shape)
    assert words(ours, replace(theirs, exit=other, values={**theirs.values, theirs.exit_id: other})) == ""


def test_halves_that_have_changed_places_are_named() -> None:
    assert "A in order, B exchanged" in words(gated(False), gated(True))


def rolled(shift: int) -> Part:
    tape = Tape()
    x = tape.given(IMAGE)
    tape.op("roll", np.roll(IMAGE, (shift, shift), (2, 3)), x)
    return tape.part(x)


def neighbours(by_rows: bool) -> Part:
    """(A + I) of a graph, normalised by the degrees of its rows, or of rows and columns."""
    tape = Tape()
    adjacency = np.random.default_rng(3).integers(0, 2, (4, 5, 5)).astype(float)
    adjacency = np.triu(adjacency, 1) + np.triu(adjacency, 1).swapaxes(1, 2) + np.eye(5)
    x = tape.given(adjacency)
    degrees = tape.given(adjacency.sum(-1, keepdims=True))
    if by_rows:
        tape.op("divide", adjacency / tape.values[degrees], x, degrees)
    else:
        root = tape.op("power", tape.values[degrees] ** -0.5, degrees, -0.5)
        half = tape.op("multiply", tape.values[root] * adjacency, root, x)
        turned = tape.op("transpose", tape.values[root].swapaxes(1, 2), root)
        tape.op("multiply", tape.values[half] * tape.values[turned], half, turned)
    return tape.part(x, degrees)


def test_the_first_place_that_differs_is_told_by_what_is_computed_there() -> None:
    """A cyclic shift by its distances, a normalisation by its sums and as a formula."""
    (shift,) = explain_place(question(rolled(-1), rolled(1)))
    assert shift.words().endswith("A by (0, 0, -1, -1), B by (0, 0, 1, 1)")
    (found,) = explain_place(question(neighbours(False), neighbours(True)))
    assert "A symmetric, " in found.words() and found.words().endswith("B each row sums to 1, x / y")


def test_a_ratio_is_told_by_what_it_comes_from() -> None:
    """A variance of n - 1 by its n; a number that somebody wrote stays one."""
    assert spell(27 / 26).startswith("27/26 (n/(n-1)") and spell((27 / 26) ** 0.5).startswith("sqrt(27/26)")
    assert [spell(value) for value in (1.1, 1.25, 1.0123456)] == ["1.1", "1.25", "1.012"]
    assert [spell(2 - 1e-12), spell(0.5 + 1e-12), spell(2.0, [(4, "classes")])] == ["2", "1/2", "2"]


def test_a_column_against_a_row_is_every_output_with_every_label() -> None:
    assert crosses([(6, 1), (6,)]) and crosses([(6,), (6, 1)])
    assert not any(crosses(shapes) for shapes in ([(6, 1), (6, 1)], [(6,), (6,)], [(1,), (1, 1)], [(6, 1)]))
