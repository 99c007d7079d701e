"""Which output of A is which of B: a wrong pair makes every matching of the weights wrong, and a large model slow."""

from __future__ import annotations

import numpy as np

from suites.port.leaves import pair

WHOLE, POOLED = np.zeros((2, 5, 3)), np.zeros((2, 3))


def test_outputs_of_other_names_and_another_order_are_paired_by_their_sizes() -> None:
    """As keras-hub's BERT on JAX and transformers' give them."""
    ours = {'out["pooled_output"]': POOLED, 'out["sequence_output"]': WHOLE}
    theirs = {"out.last_hidden_state": WHOLE, "out.pooler_output": POOLED}
    pairs, left = pair(ours, theirs)
    assert dict(pairs) == {
        'out["pooled_output"]': "out.pooler_output",
        'out["sequence_output"]': "out.last_hidden_state",
    }
    assert left == []


def test_outputs_of_one_size_are_paired_in_their_order() -> None:
    ours, theirs = {"out[0]": POOLED, "out[1]": POOLED}, {"out[0]": POOLED, "out[1]": POOLED, "out[2]": WHOLE}
    assert pair(ours, theirs) == ([("out[0]", "out[0]"), ("out[1]", "out[1]")], [("B", "out[2]")])


def test_outputs_of_one_size_are_paired_by_a_word_that_their_names_share() -> None:
    """As keras-hub's T5 and Whisper and transformers' give them: the encoder's was laid beside the decoder's."""
    ours = {'out["encoder_sequence_output"]': WHOLE, 'out["decoder_sequence_output"]': WHOLE}
    theirs = {"out.last_hidden_state": WHOLE, "out.encoder_last_hidden_state": WHOLE, "out.past.keys": POOLED}
    pairs, left = pair(ours, theirs)
    assert dict(pairs) == {
        'out["encoder_sequence_output"]': "out.encoder_last_hidden_state",
        'out["decoder_sequence_output"]': "out.last_hidden_state",
    }
    assert left == []
    unlike = {"out.one": WHOLE, "out.other": WHOLE}
    assert pair(ours, unlike)[0] == list(zip(ours, unlike, strict=True))
