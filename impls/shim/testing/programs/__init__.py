"""Programs of a few calls that are Keras's and the shim's alike: one text, run by both, has to give the same.

A program is given a `Library` and a folder for its files, and returns what it found as numbers, texts, lists and
dictionaries of them. What the two libraries write differently is in `Library`, and nowhere else.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from impls.shim.testing.programs import callbacks, combined, data, losses, models, outputs
from impls.shim.testing.programs.library import Found, Keras, Library, Program, Shim

PROGRAMS: dict[str, Program] = {
    f"{subject}, {name}": program
    for subject, table in (
        ("callbacks", callbacks.PROGRAMS),
        ("data", data.PROGRAMS),
        ("losses", losses.PROGRAMS),
        ("models", models.PROGRAMS),
        ("outputs", outputs.PROGRAMS),
        ("options", combined.PROGRAMS),
    )
    for name, program in table.items()
}


def run(name: str, backend: str, folder: Path) -> dict[str, Found]:
    """What a program gives with Keras, and with the shim on a backend."""
    found: dict[str, Found] = {}
    libraries: list[Library] = [Keras(), Shim(backend)]
    for library in libraries:
        own = folder / library.name
        own.mkdir()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # Keras warns of values that are not there in every epoch
            found[library.name] = PROGRAMS[name](library, own)
    return found
