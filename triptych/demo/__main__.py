"""`triptych demo`: in under a minute and without a network, a port with a bug, the bug by its name, and it mended.

The model is written with the shim on NumPy, the port for whatever engine is here. Exit status 0: the bug was found and
named, and the mended port is the same model; 1: not so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych import tree
from triptych.comparison import Result, compare_models
from triptych.messages import complain, guarded

MODELS = Path(__file__).with_name("models")
EPSILON = "1e-6"
EXAMPLES = 6


@dataclass(frozen=True)
class Port:
    """A port for an engine: what has to be installed, its file, and the line of it with the bug and mended."""

    needs: tuple[str, ...]
    file: str
    bug: str
    mended: str
    backend: str = ""


# In the order in which one is chosen: what loads fastest first.
PORTS = {
    "torch": Port(("torch",), "port_torch.py", "nn.LayerNorm(16)", f"nn.LayerNorm(16, eps={EPSILON})"),
    "jax": Port(
        ("keras", "jax"),
        "port_keras.py",
        'LayerNormalization(name="norm")',
        f'LayerNormalization(epsilon={EPSILON}, name="norm")',
        backend="jax",
    ),
    "tensorflow": Port(
        ("keras", "tensorflow"),
        "port_keras.py",
        'LayerNormalization(name="norm")',
        f'LayerNormalization(epsilon={EPSILON}, name="norm")',
        backend="tensorflow",
    ),
    "numpy": Port((), "port_numpy.py", 'LayerNorm(name="norm")', f'LayerNorm(epsilon={EPSILON}, name="norm")'),
}


def here(engine: str) -> bool:
    """Whether what a port needs is installed."""
    return all(importlib.util.find_spec(module) for module in PORTS[engine].needs)


def write(engine: str, folder: Path) -> None:
    """The model, its port with the bug, and the port mended, as files of the user."""
    port = PORTS[engine]
    text = (MODELS / port.file).read_text(encoding="utf-8")
    assert text.count(port.bug) == 1
    (folder / "model.py").write_text((MODELS / "model_shim.py").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "port.py").write_text(text, encoding="utf-8")
    mended = text.replace(port.bug, port.mended).replace("Its port", "Its port, mended,").partition(" The bug:")
    (folder / "mended.py").write_text(f'{mended[0]}"""{mended[2].partition(chr(34) * 3)[2]}', encoding="utf-8")


def compare(engine: str, name: str) -> Result:
    """The model against one of the ports, in the current folder."""
    tree.open_rooms()
    import numpy as np

    x = np.random.default_rng(0).normal(size=(EXAMPLES, 8))
    return compare_models("model.py", name, x, backend_b=PORTS[engine].backend)


def show(engine: str, folder: Path) -> tuple[Result, Result]:
    """Print the files and both reports."""
    os.chdir(folder)
    for name in ("model.py", "port.py"):
        print(f"{name}\n{indented(Path(name).read_text(encoding='utf-8'))}\n")
    print("Are they the same model?   triptych port model.py port.py --random-data 8\n", flush=True)
    wrong = compare(engine, "port.py")
    print(f"{indented(str(wrong))}\n")
    print(f"mended.py says {PORTS[engine].mended}:   triptych port model.py mended.py --random-data 8\n", flush=True)
    right = compare(engine, "mended.py")
    print(f"{indented(str(right))}\n")
    return wrong, right


def indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines())


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="triptych demo", description=(__doc__ or "").partition("`: ")[2])
    parser.add_argument("--engine", choices=PORTS, help="of the port (default: the first of these that is here)")
    parser.add_argument("--save", metavar="FOLDER", type=Path, help="keep the three files there")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the report of the bug as JSON")
    options = parser.parse_args(arguments)
    engine = options.engine or next(filter(here, PORTS))
    if not here(engine):
        return complain(f"--engine {engine}: {' and '.join(PORTS[engine].needs)} have to be installed")
    answer = options.json.resolve() if options.json else None
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="triptych-demo-") as temporary:
        folder = (options.save or Path(temporary)).resolve()
        write(engine, folder)
        wrong, right = show(engine, folder)
        os.chdir("/")
    named = [finding for finding in wrong.findings if finding.signature == "epsilon"]
    if answer:
        answer.write_text(wrong.to_json() + "\n", encoding="utf-8")
    print(f"{time.monotonic() - started:.0f} s; the model ran on numpy, its port on {engine}.")
    return 0 if named and not wrong.same and right.same else 1


if __name__ == "__main__":
    sys.exit(main())
