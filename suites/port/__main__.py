"""`nox -s port -- A.py B.py --data x.npz`: is B the same model as A, and if not, where and why not?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from suites.port import files, match, report
from suites.port.check import compare
from suites.port.diagnose import findings
from suites.port.files import PortError
from suites.runner.workers import Pool

EPILOG = """
Each file is a Python file of your own that defines
  build()                           the model: a torch.nn.Module, a keras.Model, a model of impls.shim, or an object
                                    with params (a dict of arrays) and forward(params, x) in JAX, TensorFlow or NumPy
and may define, for gradients and training steps (the data need y then),
  loss_fn(logits, y)                one number; the order (y, logits) is recognised by its names
  make_optimizer()                  in Keras; make_optimizer(model) in PyTorch, with step() and zero_grad()
  train_step(model, optimizer, x, y)  in PyTorch, if a step is more than loss, backward and step

exit status: 0 the same, 1 different, 2 bad input
"""


def parser() -> argparse.ArgumentParser:
    line = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("triptych port", description=__doc__, epilog=EPILOG, formatter_class=line)
    parser.add_argument("a", metavar="A.py", help="the model that is right")
    parser.add_argument("b", metavar="B.py", help="its port")
    parser.add_argument(
        "--data", metavar="FILE.npz", help="x, the inputs, and y, the labels; a batch of 4 to 32 is plenty"
    )
    parser.add_argument(
        "--random-data", metavar="SHAPE", help="instead of --data: 8x8x1:10 (shape of x : classes of y)"
    )
    parser.add_argument("--map", metavar="FILE.toml", help='which parameter is which: "A name" = "B name"')
    parser.add_argument("--own-weights", action="store_true", help="carry A's own weights over (default: random ones)")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--json", metavar="FILE", help="also write the findings as JSON")
    for side in "ab":
        parser.add_argument(
            f"--backend-{side}", metavar="NAME", default="", help=f"backend of Keras or the shim in {side.upper()}"
        )
        text = f"how {side.upper()} takes images x of (N, H, W, C): " + ", ".join(files.LAYOUTS)
        parser.add_argument(f"--layout-{side}", choices=files.LAYOUTS, default="auto", help=text)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except PortError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Compare, print, and give the exit status. Raises PortError."""
    a = files.read(options.a, options.backend_a, options.layout_a)
    b = files.read(options.b, options.backend_b, options.layout_b)
    if bool(options.data) == bool(options.random_data):
        raise PortError("say what to compare on: --data FILE.npz, or --random-data 8x8x1:10")
    data = files.data(options.data) if options.data else files.random_data(options.random_data)
    table = match.mapping(options.map)
    if options.json and not Path(options.json).absolute().parent.is_dir():
        raise PortError(f"--json {options.json}: there is no such folder")
    with Pool() as pool:
        progress = lambda text: print(f"{text} ...", file=sys.stderr)  # noqa: E731
        compared = compare(a, b, data, pool, table, options.own_weights, options.seed, progress)
    found = findings(compared)
    print(report.text(compared, found))
    if options.json:
        report.write(options.json, compared, found)
    return 0 if report.equal(found) else 1


if __name__ == "__main__":
    sys.exit(main())
