"""Writes what layers, losses and optimizers of a framework compute: `python -m impls.port.references torch OUT.npz`."""

from __future__ import annotations

import importlib
import sys

import numpy as np

from impls.port.references import Arrays

GROUPS = {
    "torch": ("torch_layers", "torch_sequences", "torch_losses", "torch_optimizers"),
    "keras": ("keras_layers",),
}


def main(framework: str, path: str) -> None:
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for group in GROUPS[framework]:
        arrays.update(importlib.import_module(f"impls.port.references.{group}").compute(rng))
    np.savez(path, **{name.replace("/", "|"): array for name, array in arrays.items()})  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
