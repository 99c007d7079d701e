"""A training that changes its backend half-way goes on to the losses it would have had without the move."""

from __future__ import annotations

from pathlib import Path

import pytest

from impls.shim.test_features import in_process

HEAD = """
import importlib
program = importlib.import_module(f"impls.{name}.shim")
model = program.build().to(backend=backend, dtype="float64")
rng = np.random.default_rng(0)
shape = (70, *(12 if n is None else n for n in model.input_shape))
x = rng.integers(0, 97, shape) if name == "rnn" else rng.normal(size=shape)
y = rng.integers(0, 10, shape if name == "rnn" else 70)
model.compile(optimizer=program.OPTIMIZER, loss=program.LOSS)
def losses(epochs):
    return model.fit(x, y, batch_size=32, epochs=epochs, resume=True)["loss"]
"""
START = "losses(5)\nmodel.save(path)\nprint(losses(10))"
GO_ON = "model.load(path)\nprint(losses(10))"


@pytest.mark.full
@pytest.mark.parametrize("name", ["mlp", *(pytest.param(name, marks=pytest.mark.catalogue) for name in ("cnn", "rnn"))])
def test_five_epochs_on_tensorflow_five_on_another_backend(name: str, tmp_path: Path) -> None:
    """Weights, running statistics, slots, the schedule's place and the shuffling all move; the losses are float64."""
    head = f"name, path = {name!r}, {str(tmp_path / 'model.npz')!r}" + HEAD
    stayed = parsed(in_process("tensorflow", head + START))
    for backend in ("torch", "jax"):
        assert parsed(in_process(backend, head + GO_ON)) == pytest.approx(stayed, rel=1e-12)


def parsed(lines: list[str]) -> list[float]:
    values = [float(word) for word in lines[-1].strip("[]").split(",")]
    assert len(values) == 5
    return values
