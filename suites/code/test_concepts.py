"""What a reader has to know: every concept is shown by what is meant, and by nothing else."""

from __future__ import annotations

from textwrap import dedent

import pytest

from impls import MODELS
from suites.code import counts
from suites.code.concepts import CONCEPTS
from suites.runner.plan import WRITTEN

RAW = """
    import numpy as np
    import tensorflow as tf

    # Model
    def build():
        return {"kernel": tf.Variable(tf.random.uniform((2, 2)))}

    def forward(params, x):
        return x @ params["kernel"]

    # Loss
    def loss_fn(logits, y):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)

    # Optimizer
    def update(params, gradients):
        for name, g in gradients.items():
            params[name].assign_sub(0.1 * g)

    # Training
    @tf.function
    def step(params, x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(forward(params, x), y)
        update(params, tape.gradient(loss, params))

    def train(params, x, y):
        for i in range(0, len(x), 8):
            step(params, x[i : i + 8], y[i : i + 8])

    if __name__ == "__main__":
        import torch

        with torch.no_grad():
            pass
    """
SHORT = """
    import keras

    # Model
    model = keras.Sequential([keras.layers.Dense(3)])

    # Loss
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    # Optimizer
    optimizer = keras.optimizers.SGD(0.1, global_clipnorm=1.0)

    # Training
    model.compile(optimizer, loss)
    model.fit(x, y)  # for x[1:2] in GradientTape
    """
GOLDEN = {
    RAW: {
        "a layer's arithmetic": ["@"],
        "variables": ["tensorflow.Variable"],
        "initial weights": ["tensorflow.random.uniform"],
        "loss of logits": ["tensorflow.nn.sparse_softmax_cross_entropy_with_logits"],
        "optimizer update": [".assign_sub()"],
        "gradient tape": ["tensorflow.GradientTape"],
        "tracing": ["tensorflow.function"],
        "loop": ["for"],
        "batching": ["[:]"],
    },
    SHORT: {
        "layers": ["keras.layers.Dense"],
        "loss of logits": ["from_logits="],
        "a ready optimizer": ["keras.optimizers.SGD"],
        "gradient clipping": ["global_clipnorm="],
        "compile and fit": [".fit()"],
    },
    "# Training\ndef train(x):\n    x.split(1)\n    return x.slice(1)\n": {"batching": [".split()"]},
    "# Prediction\ndef predict(x):\n    return x[1:], x[:2]\n": {},
    "# Optimizer\nclass Sgd:\n    def step(self, w):\n        w['a'] -= 1\n": {
        "own classes": ["class"],
        "optimizer update": ["[]="],
    },
}


@pytest.mark.parametrize("source", GOLDEN, ids=["raw", "short", "a method", "half a slice", "an update"])
def test_golden(source: str) -> None:
    """A concept that a reader doesn't meet, or one that is overlooked, makes one API look better than another."""
    assert counts.count(dedent(source), "snippet", "any", "snippet.py").concepts == GOLDEN[source]


def test_every_concept_is_needed_somewhere() -> None:
    """A concept that no program shows any more has lost its pattern to a renamed API."""
    pairs = [(model, name) for model in MODELS for name in WRITTEN if not counts.unwritten(model, name)]
    programs = [counts.program(model, implementation) for model, implementation in pairs]
    assert {name for program in programs for name in program.concepts} == set(CONCEPTS)


@pytest.mark.parametrize("model", MODELS)
def test_every_way_trains_predicts_and_has_a_loss(model: str) -> None:
    """Each has to be shown in some way by every program: none may win because its names are not known."""
    ways = (
        {"loss of logits", "loss of probabilities"},
        {"layers", "a layer's arithmetic"},
        {"a ready optimizer", "optimizer update"},
        {"loop", "compile and fit"},
    )
    for implementation in (name for name in WRITTEN if not counts.unwritten(model, name)):
        shown = counts.program(model, implementation).concepts.keys()
        assert all(shown & alternatives for alternatives in ways), implementation
