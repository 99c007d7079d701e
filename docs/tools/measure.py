"""Measure what two figures of the ideas show, and write it to docs/data. Needs Keras, TensorFlow and PyTorch.

python docs/tools/measure.py rounds          # two equal calls, block after block and in turns; a minute
python docs/tools/measure.py localisation    # the port example, layer by layer
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs/data"
ROUNDS, CALLS = 1000, 8
# Of the example, where inference shows them.
BUGS = {"bn": "epsilon", "conv2": "padding", "flatten": "flatten_order"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=MEASURES)
    what = parser.parse_args().what
    DATA.mkdir(exist_ok=True)
    (DATA / f"{what}.json").write_text(json.dumps(MEASURES[what](), indent=1) + "\n", encoding="utf-8")


def rounds() -> dict[str, object]:
    """Seconds of the fastest of `CALLS` matrix products, twice the same code: A before B, and both in turns."""
    left = np.random.default_rng(0).normal(size=(128, 128))
    right = left.T.copy()

    def seconds() -> float:
        fastest = float("inf")
        for _ in range(CALLS):
            start = time.perf_counter()
            left @ right
            fastest = min(fastest, time.perf_counter() - start)
        return fastest

    seconds()
    blocks = {name: [seconds() for _ in range(ROUNDS)] for name in "AB"}
    turns: dict[str, list[float]] = {"A": [], "B": []}
    for index in range(ROUNDS):
        for name in "AB" if index % 2 else "BA":
            turns[name].append(seconds())
    return {"calls": CALLS, "cores": os.cpu_count(), "load": os.getloadavg()[0], "blocks": blocks, "turns": turns}


def localisation() -> dict[str, object]:
    """Outputs of the port example's two models, layer by layer, and what the port checker prints."""
    with tempfile.TemporaryDirectory() as folder:
        data, record = Path(folder, "digits.npz"), Path(folder, "port.json")
        from sklearn.datasets import load_digits

        digits = load_digits()
        x = digits.images[:16, :, :, None] / 16
        np.savez(data, x=x, y=digits.target[:16])
        files = [f"docs/examples/port/digits_{name}.py" for name in ("keras", "torch")]
        command = [sys.executable, "-m", "triptych", "port", *files, "--data", data, "--json", record]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        rounding = json.loads(record.read_text())["findings"][0]["difference"]["bound"]
    layers = [{"layer": name, "difference": difference} for name, difference in layer_by_layer(x)]
    return {"layers": layers, "named": BUGS, "rounding": rounding, "output": done.stdout.splitlines()}


def layer_by_layer(x: np.ndarray) -> Iterator[tuple[str, float]]:
    """(layer, relative difference of its output), in float64 and in inference; Keras runs on PyTorch here."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch
    from torch.nn import functional as F

    keras.config.set_floatx("float64")
    sys.path.insert(0, str(ROOT / "docs/examples/port"))
    import digits_keras
    import digits_torch

    a, b = digits_keras.build(), digits_torch.build().double().eval()
    rng = np.random.default_rng(0)
    a.set_weights([0.5 + rng.random(w.shape) if w.ndim == 1 else rng.normal(0, 0.3, w.shape) for w in a.get_weights()])
    for target, values in zip(weights_of(b), a.get_weights(), strict=True):
        order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[values.ndim]
        target.data.copy_(torch.tensor(values.transpose(order)))
    with torch.no_grad():
        theirs = [torch.tensor(x.transpose(0, 3, 1, 2))]
        steps = (b.conv1, b.bn, F.relu, lambda t: F.relu(b.conv2(t)), lambda t: F.max_pool2d(t, 2))
        for step in (*steps, lambda t: t.flatten(1), b.logits):
            theirs.append(step(theirs[-1]))
        ours = keras.Model(a.inputs, [layer.output for layer in a.layers])(x)
    for layer, one, other in zip(a.layers, ours, theirs[1:], strict=True):
        one, other = one.detach().numpy(), other.numpy()
        other = other.transpose(0, 2, 3, 1) if other.ndim == 4 else other
        yield layer.name, float(np.linalg.norm(other - one) / np.linalg.norm(one))


def weights_of(model: Any) -> list[Any]:
    """Parameters and statistics of the example in PyTorch, in the order of Keras's `get_weights`."""
    bn = model.bn
    pairs = [(layer.weight, layer.bias) for layer in (model.conv1, bn, model.conv2, model.logits)]
    statistics = [bn.running_mean, bn.running_var]
    return [*pairs[0], *pairs[1], *statistics, *pairs[2], *pairs[3]]


MEASURES = {"rounds": rounds, "localisation": localisation}

if __name__ == "__main__":
    main()
