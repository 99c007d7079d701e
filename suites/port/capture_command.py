"""`triptych capture model.py --out a.npz`: run one side of a port in its own interpreter and keep its answers.

Both sides captured, `triptych compare a.npz b.npz` compares them anywhere. B starts from A's weights: --weights-from.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from suites.port import bundle, check, files
from suites.port.captures import Captured
from suites.port.errors import PortError
from suites.port.matching.table import mapping
from suites.records import terminal
from suites.runner.workers import Arrays, Pool

EPILOG = """
An interpreter that has no Triptych is served by one file: `triptych capture --single capture.pyz` writes it, and
there `python capture.pyz model.py --data x.npz --out a.npz` does the same (any Python from 3.6 on with NumPy).

exit status: 0 written, 2 bad input
"""


def parser() -> argparse.ArgumentParser:
    line = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("triptych capture", description=__doc__, epilog=EPILOG, formatter_class=line)
    made.add_argument("model", nargs="?", default="", help="a file that defines build(), or a model by name")
    made.add_argument("--out", metavar="FILE.npz", default="", help="the capture")
    made.add_argument("--data", metavar="FILE.npz", help="inputs by name, and y for gradients and training steps")
    made.add_argument("--random-data", metavar="SHAPE", help="instead of --data: 8x8x1:10")
    made.add_argument("--weights-from", metavar="A.npz", default="", help="the capture of A: its weights and its data")
    made.add_argument("--map", metavar="FILE.toml", help='which parameter is which: "A name" = "B name"')
    made.add_argument("--python", metavar="PYTHON", default="", help="the interpreter that the model runs in")
    made.add_argument("--backend", metavar="NAME", default="", help="backend of Keras or the shim")
    made.add_argument("--layout", choices=files.LAYOUTS, default="auto", help="how it takes images of (N, H, W, C)")
    made.add_argument("--own-weights", action="store_true", help="start from its own weights (default: random ones)")
    made.add_argument("--seed", type=int, default=0, help="of the random weights")
    made.add_argument("--tiny", action="store_true", help="shrink a model that has a name")
    made.add_argument("--single", metavar="FILE.pyz", default="", help="write the single file that runs elsewhere")
    return made


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except PortError as error:
        sys.stderr.write(error.traceback)
        return terminal.refuse(error)


def run(options: argparse.Namespace) -> int:
    """Write what was asked for. Raises PortError."""
    if options.single:
        shutil.copyfile(bundle.path(), options.single)
        print(f"{options.single}: run it with `python {options.single} model.py --data x.npz --out a.npz`")
        return 0
    if not options.model or not options.out:
        raise PortError("say what to capture, and where to: triptych capture model.py --data x.npz --out a.npz")
    files.expect_folder("--out", options.out)
    file = files.read(options.model, options.backend, options.layout, options.python, options.tiny)
    with tempfile.TemporaryDirectory() as folder:
        words = from_a(options, file, Path(folder)) if options.weights_from else own_words(options)
        return start(options, file, words)


def own_words(options: argparse.Namespace) -> list[str]:
    given = [f"--data={options.data}"] if options.data else []
    given += [f"--random-data={options.random_data}"] if options.random_data else []
    given += ["--own-weights"] if options.own_weights else []
    return [*given, f"--seed={options.seed}"]


def from_a(options: argparse.Namespace, file: files.File, folder: Path) -> list[str]:
    """A's weights under B's names, and A's data. Raises PortError."""
    if options.data or options.random_data:
        raise PortError("--weights-from brings the data of A: leave --data and --random-data out")
    captured = Captured(options.weights_from)
    np.savez(folder / "data.npz", **captured.data())  # type: ignore[arg-type]
    weights = carried(options, captured, file)
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
    return [f"--data={folder / 'data.npz'}", f"--weights={folder / 'weights.npz'}"]


def carried(options: argparse.Namespace, captured: Captured, file: files.File) -> Arrays:
    """B's weights, matched with A's as a comparison does. Raises PortError."""
    ours = files.read(options.weights_from)
    data = files.data(captured.data())
    with Pool() as pool:
        compared = check.settled(ours, file, data, pool, mapping(options.map))
        known = {weight.name for weight in compared.b.weights}
        return {name: array for name, array in compared.b.start.items() if name in known}


def start(options: argparse.Namespace, file: files.File, words: list[str]) -> int:
    """Run the capture in its interpreter; its exit status."""
    model = file.path if file.factory == "build" else f"{file.path}:{file.factory}"
    words = [model, f"--out={options.out}", f"--api={file.api}", f"--backend={file.backend}", *words]
    words += [f"--layout={file.layout}", *(["--tiny"] if file.tiny else [])]
    if file.python:
        command = [file.python, str(bundle.path())]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    else:
        command = [sys.executable, "-m", "impls.port.capture"]
        path = os.pathsep.join(filter(None, [str(bundle.ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path}
    status = subprocess.run([*command, *words], env=environment, check=False).returncode
    if status not in (0, 2):
        raise PortError(f"{file.path}: the process that captured it ended with status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
