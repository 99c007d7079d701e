"""Measure what two figures of the ideas show, and write it to docs/data. Needs Keras on TensorFlow and PyTorch.

python docs/tools/measure.py rounds          # two equal calls, block after block and in turns; a minute
python docs/tools/measure.py localisation    # the port example, layer by layer
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs/data"
ROUNDS, CALLS = 1000, 8
ROW = re.compile(r"^  (?P<layer>\S.*?)  +\S.*?  +(?P<inference>agrees|differs by \S+)  +(?:agrees|differs by \S+)$")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=MEASURES)
    what = parser.parse_args().what
    DATA.mkdir(exist_ok=True)
    (DATA / f"{what}.json").write_text(json.dumps(MEASURES[what](), indent=1) + "\n", encoding="utf-8")


def rounds() -> dict[str, object]:
    """Seconds of the fastest of `CALLS` matrix products, twice the same code: first A, then B; and A and B in turns."""
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
    """What the port checker prints of each layer of the example, and which of them it names."""
    with tempfile.TemporaryDirectory() as folder:
        data, record = Path(folder, "digits.npz"), Path(folder, "port.json")
        from sklearn.datasets import load_digits

        digits = load_digits()
        np.savez(data, x=digits.images[:16, :, :, None] / 16, y=digits.target[:16])
        files = [f"docs/examples/port/digits_{name}.py" for name in ("keras", "torch")]
        command = [sys.executable, "-m", "suites.port", *files]
        options = ["--data", data, "--json", record]
        done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
        found = json.loads(record.read_text())["findings"]
    matches = [ROW.match(line) for line in done.stdout.splitlines()]
    layers = [{"layer": m["layer"], "difference": number(m["inference"])} for m in matches if m]
    named = {f["layer"]: f["signature"] for f in found if f["phase"] == "forward, inference"}
    rounding = found[0]["difference"]["bound"]
    return {"layers": layers, "named": named, "rounding": rounding, "output": done.stdout.splitlines()}


def number(text: str) -> float:
    return 0.0 if text == "agrees" else float(text.removeprefix("differs by "))


MEASURES = {"rounds": rounds, "localisation": localisation}

if __name__ == "__main__":
    main()
