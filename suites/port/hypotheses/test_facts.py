"""What both sides show of themselves: tiny pairs in NumPy, each with one thing done otherwise, and its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from suites.port.gradients import still_rows
from suites.port.hypotheses.attention_facts import compared_attention
from suites.port.hypotheses.causes import spell
from suites.port.hypotheses.facts import channels_of, steps_taken
from suites.port.hypotheses.moves import own_move
from suites.port.hypotheses.question import Part
from suites.port.loss_facts import crosses
from suites.port.testing.tapes import Tape, question, softmax, words

Array = np.ndarray


RNG = np.random.default_rng(0)
HEADS = [RNG.normal(size=(2, 2, 5, 3)) for _ in range(3)]
THREE_HEADS = [array.transpose(0, 2, 1, 3).reshape(2, 5, 3, 2).transpose(0, 2, 1, 3) for array in HEADS]


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


def test_a_ratio_is_told_by_what_it_comes_from() -> None:
    """A variance of n - 1 by its n; a number that somebody wrote stays one."""
    assert spell(27 / 26).startswith("27/26 (n/(n-1)") and spell((27 / 26) ** 0.5).startswith("sqrt(27/26)")
    assert [spell(value) for value in (1.1, 1.25, 1.0123456)] == ["1.1", "1.25", "1.012"]
    assert [spell(2 - 1e-12), spell(0.5 + 1e-12), spell(2.0, [(4, "classes")])] == ["2", "1/2", "2"]


def test_a_column_against_a_row_is_every_output_with_every_label() -> None:
    assert crosses([(6, 1), (6,)]) and crosses([(6,), (6, 1)])
    assert not any(crosses(shapes) for shapes in ([(6, 1), (6, 1)], [(6,), (6,)], [(1,), (1, 1)], [(6, 1)]))
