"""What an operation makes of a gradient is told as a rule, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from suites.port.hypotheses.backward_rules import Array, rule_of

RNG = np.random.default_rng(0)
S, X = RNG.normal(size=(5, 6)), 1.5 * RNG.normal(size=(5, 6))
RULES: dict[str, Array] = {
    "lets none through": 0 * S,
    "passes it on as it is": S,
    "reverses its sign": -S,
    "multiplies it by -0.3": -0.3 * S,
    "cuts its norm to 0.5": S * 0.5 / np.linalg.norm(S),
    "cuts the norm of each row to 1": S * np.minimum(1, 1 / np.sqrt((S**2).sum(1, keepdims=True))),
    "clips it at 0.4 by value": S.clip(-0.4, 0.4),
    "passes it on where |x| <= 1": S * (np.abs(X) <= 1),
    "passes it on where x > 0": S * (X > 0),
    "multiplies it by 1 - tanh(x)^2": S * (1 - np.tanh(X) ** 2),
    "multiplies it by 2 times max(0, 1 - |x|)": 2 * S * np.maximum(0, 1 - np.abs(X)),
}


@pytest.mark.parametrize("words", RULES)
def test_a_rule_is_told(words: str) -> None:
    assert rule_of(RULES[words], S, X) == words


def test_what_has_no_rule_is_not_told() -> None:
    assert rule_of(RNG.normal(size=(5, 6)), S, X) is None
    assert rule_of(S * np.exp(X), S, X) is None
