"""Is B the same model as A, and if not, where and why not?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from suites.port import files, html, report, reproduce
from suites.port.api import compare
from suites.port.files import PortError
from suites.records import terminal

EPILOG = """
Each file is a Python file of your own that defines
  build()                           the model: a torch.nn.Module, a keras.Model, a model of triptych.shim, or an object
                                    with params (a dict of arrays) and forward(params, x) in JAX, TensorFlow or NumPy,
                                    an onnx.ModelProto, or a torch.export.ExportedProgram
and may define, for gradients and training steps (the data need y then),
  loss_fn(logits, y)                one number; the order (y, logits) is recognised by its names
  make_optimizer()                  in Keras and JAX (optax); make_optimizer(model) in PyTorch, with step(), zero_grad()
  train_step(model, optimizer, x, y)  if a step is more than loss, gradient and update; its arguments go by their names:
                                    (state, batch) of a TrainState, (params, opt_state, x, y) of functions in JAX

An ONNX file, model.onnx, takes the place of a Python file; its inference is compared.

exit status: 0 the same, 1 different, 2 bad input
"""


def parser() -> argparse.ArgumentParser:
    line = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("triptych port", description=__doc__, epilog=EPILOG, formatter_class=line)
    parser.add_argument("a", metavar="A.py", help="the model that is right: a file, file.py:function, or model.onnx")
    parser.add_argument("b", metavar="B.py", help="its port")
    parser.add_argument(
        "--data", metavar="FILE.npz", help="x, the inputs, and y, the labels; a batch of 4 to 32 is plenty"
    )
    parser.add_argument(
        "--random-data", metavar="SHAPE", help="instead of --data: 8x8x1:10 (shape of x : classes of y)"
    )
    parser.add_argument("--map", metavar="FILE.toml", help='which parameter is which: "A name" = "B name"')
    text = "carry A's own weights over (default: random ones), and compare those that B holds with them"
    parser.add_argument("--own-weights", action="store_true", help=text)
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--json", metavar="FILE", help="also write the findings as JSON")
    parser.add_argument(
        "--reproduce", metavar="FILE.py", help="also write the smallest program that shows the first cause"
    )
    parser.add_argument("--html", metavar="FILE", help="also write the report as one HTML file")
    parser.add_argument("--device", default="cpu", help="cpu or gpu (default: %(default)s)")
    text = "float32, bfloat16 or float16: also run both in that type, and say what rounding explains"
    parser.add_argument("--dtype", metavar="TYPE", default="float64", help=text)
    parser.add_argument("--strict", action="store_true", help="exit with 1 for differences that no port can avoid, too")
    parser.add_argument("--tiny", action="store_true", help="shrink models that have a name: few layers, small width")
    for side in "ab":
        text = f"the Python that {side.upper()} runs in (from 3.6 on, with NumPy and its framework)"
        parser.add_argument(f"--python-{side}", metavar="PYTHON", default="", help=text)
        parser.add_argument(
            f"--backend-{side}", metavar="NAME", default="", help=f"backend of Keras or the shim in {side.upper()}"
        )
        text = f"how {side.upper()} takes images x of (N, H, W, C): " + ", ".join(files.LAYOUTS)
        parser.add_argument(f"--layout-{side}", choices=files.LAYOUTS, default="auto", help=text)
    return parser


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except PortError as error:
        sys.stderr.write(error.traceback)
        return terminal.refuse(error)


def run(options: argparse.Namespace) -> int:
    """Compare, print, and give the exit status. Raises PortError."""
    for option, path in (("--json", options.json), ("--html", options.html), ("--reproduce", options.reproduce)):
        files.expect_folder(option, path)
    found = compare(
        options.a,
        options.b,
        options.data,
        random_data=options.random_data,
        map=options.map,
        own_weights=options.own_weights,
        seed=options.seed,
        backend_a=options.backend_a,
        backend_b=options.backend_b,
        layout_a=options.layout_a,
        layout_b=options.layout_b,
        python_a=options.python_a,
        python_b=options.python_b,
        tiny=options.tiny,
        device=options.device,
        dtype=options.dtype,
        strict=options.strict,
        progress=tell,
    )
    print(found.text())
    if options.json:
        report.write(options.json, found.to_json())
    if options.html:
        Path(options.html).write_text(html.page(found.to_json()), encoding="utf-8")
    if options.reproduce:
        print(reproduce.write(options.reproduce, found.comparison, found.findings))
    return found.status


def tell(text: str) -> None:
    terminal.LOG.info(f"{text} ...")


if __name__ == "__main__":
    sys.exit(main())
