"""`compare_models` and `assert_same_model`: whether two models compute the same, and if not, where and why not."""

from __future__ import annotations

import contextlib
import html
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych import tree

Document = dict[str, Any]

# Gives the folder where inputs of a comparison that fails are kept, so that a command can show it alone.
kept_inputs: ContextVar[Callable[[], Path] | None] = ContextVar("kept_inputs", default=None)


@dataclass(frozen=True)
class Finding:
    """One difference that does not follow from another one.

    `signature` is its stable name ("epsilon"; "" where it is not recognised), `words` says what A does and what B does,
    `place` the layer, `phase` where in a training step, `released` why no port can avoid it ("" where one can).
    """

    signature: str
    words: str
    place: str
    phase: str
    released: str = ""

    def __str__(self) -> str:
        where = self.place if self.place == self.phase else f"{self.place}, {self.phase}"
        return f"{where}: {self.words}"


@dataclass(frozen=True)
class Result:
    """What a comparison of two models found. It is true where they are the same.

    `verdict` is "SAME", "SAME UP TO" (what no port can avoid), "DIFFERENT" or "UNDECIDED"; `findings` are in the order
    in which a mistake travels through a training step, so the first one is the one to look at. `str()` is the whole
    report, and a notebook shows it as HTML.
    """

    same: bool
    verdict: str
    findings: tuple[Finding, ...]
    text: str = field(repr=False)
    document: Document = field(repr=False)

    def __bool__(self) -> bool:
        return self.same

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        causes = "; ".join(map(str, self.findings)) or "no findings"
        return f"<{self.verdict}: {causes}>"

    def to_json(self) -> str:
        """The report for machines, as JSON text; its schema is that of `triptych port --json`."""
        return json.dumps(self.document, indent=1)

    def _repr_html_(self) -> str:
        rows = [(finding.place, finding.phase, finding.words) for finding in self.findings]
        cells = ["".join(f"<td>{html.escape(text)}</td>" for text in row) for row in rows]
        table = "".join(f"<tr>{row}</tr>" for row in cells)
        head = "<tr><th>place</th><th>phase</th><th>what differs</th></tr>" if rows else ""
        report = f"<details><summary>report</summary><pre>{html.escape(self.text)}</pre></details>"
        return f"<p><b>{html.escape(self.verdict)}</b></p><table>{head}{table}</table>{report}"


def compare_models(
    a: Any,
    b: Any,
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    optimizer: Any = None,
    map: str | os.PathLike[str] | None = None,
    own_weights: bool = False,
    seed: int = 0,
    backend_a: str = "",
    backend_b: str = "",
    layout_a: str = "auto",
    layout_b: str = "auto",
    device: str = "cpu",
    dtype: str = "float64",
    strict: bool = False,
) -> Result:
    """Whether `b` computes what `a` computes, from the same weights on the same data, and if not, what differs.

    `a` (the one that is right) and `b` are each a path or a model. A path is that of a Python file that defines
    `build()`, or that of an ONNX file; `file.py:function` names another function. A model is a torch.nn.Module, a
    torch.export.ExportedProgram, a keras.Model, a model of `triptych.shim`, an onnx.ModelProto, an object with a dict
    `params` and `forward(params, x)` in JAX, TensorFlow or NumPy, or a function without arguments that returns one of
    these. A file runs in a process of its own; a model in memory runs in this one, as a copy in float64, and is left as
    it is.

    `x` holds the inputs, shape (N, ...) with images as (N, H, W, C), or is a dict of several by name; 4 to 32 examples
    are plenty. `y` holds the labels, shape (N, ...): with it and a loss, loss, gradients and optimizer steps are
    compared too. A file defines `loss_fn(logits, y)` and `make_optimizer`; for models in memory `loss` and `optimizer`
    are these functions, or a pair of them, for `a` and for `b`: in PyTorch `optimizer(model)` makes one. Instead of
    arrays the path of an .npz file with all of them can be given as `x`.

    Random weights are drawn from `seed` and carried over, or with `own_weights` those of `a`. `map` is a TOML file that
    says which parameter is which. `backend_a` and `backend_b` choose the engine under Keras or the shim in a file,
    `layout_a` and `layout_b` how images are taken (auto, as_is, channels_first), `device` cpu or gpu. With a `dtype`
    (float32, bfloat16, float16) two files also run in that type, judged by what rounding in it may do; what that breaks
    is a finding whose phase is the type. With `strict` what no port can avoid counts as a difference. What counts as
    different is derived from rounding errors in float64 (Higham and Mary 2019, "A new approach to probabilistic
    rounding error analysis"): there is no tolerance to choose.

    Raises ValueError with one line that names the input and the way out where something can't be compared.
    """
    _refuse_windows()
    tree.open_rooms()
    from suites.port import api, files
    from suites.port.low.types import check
    from suites.port.matching.table import mapping
    from triptych.live import LivePool

    losses, optimizers = _pair(loss), _pair(optimizer)
    sides = [
        _side(a, "A", backend_a, layout_a, losses[0], optimizers[0]),
        _side(b, "B", backend_b, layout_b, losses[1], optimizers[1]),
    ]
    in_memory = next((live.file.path for _, live in sides if live is not None), "")
    if check(dtype) != "float64" and in_memory:
        raise ValueError(f"{in_memory}: a model in memory runs in float64; for dtype={dtype!r} give the path of a file")
    table = mapping(os.fspath(map) if map is not None else None)
    data = files.data(_data(x, y))
    with LivePool([live for _, live in sides]) as pool:
        return _result(
            api.compare_sides(
                sides[0][0], sides[1][0], data, pool, table, own_weights, seed, device, dtype, strict, lambda text: None
            )
        )


def _refuse_windows() -> None:
    if os.name != "posix":
        raise OSError("models are compared in processes that need Linux or macOS: on Windows use WSL")


def _pair(value: Any) -> tuple[Any, Any]:
    """What is given for both sides, or for each."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"a pair, for A and for B, has two parts: here are {len(value)}")
        return value[0], value[1]
    return value, value


def _side(model: Any, letter: str, backend: str, layout: str, loss: Any, optimizer: Any) -> tuple[Any, Any]:
    """The file that stands for a model, and what serves it where it is in memory."""
    from suites.port import files
    from triptych import live

    if isinstance(model, (str, os.PathLike)):
        return files.read(os.fspath(model), backend, layout), None
    found = live.live(model, letter, layout, loss, optimizer, live.calling_file())
    return found.file, found


def _data(x: Any, y: Any) -> Any:
    """The data as the port checker takes them: a path, or arrays by name."""
    import numpy as np

    if isinstance(x, (str, os.PathLike)):
        return os.fspath(x)
    given = dict(x) if isinstance(x, Mapping) else {"x": x}
    if y is not None:
        given["y"] = y
    return {name: np.asarray(array) for name, array in given.items()}


def _result(found: Any) -> Result:
    """The public form of what the port checker says."""
    from suites.port.low.judge import worse

    findings = [_finding(item) for item in found.findings]
    verdict = found.verdict
    if found.low is not None:
        verdict = worse(verdict, found.low.verdict)
        wrong = [item for item in found.low.findings if item.wrong]
        findings += [Finding(item.signature, item.words, item.place, found.low.dtype) for item in wrong]
    return Result(found.same, verdict.value, tuple(findings), found.text(), found.to_json())


def _finding(item: Any) -> Finding:
    return Finding(item.signature, item.words(), item.place, item.phase, item.released)


def assert_same_model(a: Any, b: Any, x: Any, y: Any = None, **options: Any) -> None:
    """Fail where `compare_models(a, b, x, y, **options)` finds a difference; shapes, units and options are its own.

    Raises AssertionError with every cause, the first one on top, and the command that shows the comparison alone; and
    ValueError where nothing can be compared.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    result = compare_models(a, b, x, y, **options)
    if not result.same:
        raise AssertionError("\n".join(message(result, a, b, x, y, options)))


def message(result: Result, a: Any, b: Any, x: Any, y: Any, options: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a failure: the first cause, the others, the command, the report."""
    causes = [finding for finding in result.findings if not finding.released] or list(result.findings)
    yield f"B is not the same model as A: {causes[0] if causes else result.verdict}"
    yield from (f"  and {finding}" for finding in causes[1:])
    yield ""
    yield from (f"alone: {line}" for line in commands(a, b, x, y, options))
    yield from ("", str(result))


def commands(a: Any, b: Any, x: Any, y: Any, options: Mapping[str, Any]) -> Iterator[str]:
    """The command lines that show this comparison alone: its test, and the two files."""
    if test := os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]:
        yield f"python -m pytest {shlex.quote(test)}"
    if all(isinstance(model, (str, os.PathLike)) for model in (a, b)):
        words = ["triptych", "port", os.fspath(a), os.fspath(b), "--data", _saved(x, y)]
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            elif value not in (False, None, ""):
                words += [flag, str(value)]
        yield shlex.join(words)


def _saved(x: Any, y: Any) -> str:
    """The path of an .npz file with these inputs; the user's own where they gave one."""
    if isinstance(x, (str, os.PathLike)):
        return os.fspath(x)
    import numpy as np

    keep = kept_inputs.get()
    folder = keep() if keep else Path(tempfile.mkdtemp(prefix="triptych-"))
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _data(x, y)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="inputs-", suffix=".npz", delete=False) as file:
        save: Callable[..., None] = np.savez  # a name of an input could be one of its own options, and is not
        save(file, **arrays)
    return file.name


@contextlib.contextmanager
def keeping_inputs(folder: Callable[[], Path]) -> Iterator[None]:
    """Inputs of comparisons that fail meanwhile are kept in the folder that `folder` gives."""
    token = kept_inputs.set(folder)
    try:
        yield
    finally:
        kept_inputs.reset(token)
