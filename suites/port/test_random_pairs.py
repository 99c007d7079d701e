"""Correct ports drawn at random are the same, and bugs in them are found."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from suites.port.random_pairs import available, draw, run
from suites.port.testing.networks import Draw
from suites.port.testing.programs import WRITERS, write

PAIRS, BUGS = 24, 12


@pytest.mark.parametrize("api", WRITERS)
def test_a_program_can_be_written_from_every_network(api: str) -> None:
    """A step that a framework lacks is not drawn for it: the first pair of a long run would be the last."""
    for seed in range(20):
        text = write(Draw(seed, WRITERS[api].lacks).network(), api)
        defined = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        assert "build" in defined and "loss_fn" in text


def test_a_seed_gives_the_same_pair_again_and_a_bug_changes_one_side() -> None:
    """Whoever reports a seed reports the programs."""
    apis = list(WRITERS)
    changed = 0
    for seed in range(30):
        pair, again = draw(seed, 1.0, apis), draw(seed, 1.0, apis)
        assert pair == again
        if pair.bug:
            changed += pair.texts[1] != draw(seed, 0.0, apis).texts[1]
    assert changed > 25


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("share, count", [(0.0, PAIRS), (1.0, BUGS)], ids=["correct", "with a bug"])
def test_the_verdict_on_random_pairs_is_right(tmp_path: Path, share: float, count: int) -> None:
    """No false alarm, no wrong SAME, nothing refused."""
    apis = available()
    if len(apis) < 2:
        pytest.skip(f"two frameworks are needed, here is {', '.join(apis) or 'none'}")
    answers = list(run(range(count), share, apis, tmp_path))
    wrong = [answer for answer in answers if not answer.right]
    assert len(answers) == count and not wrong, wrong
