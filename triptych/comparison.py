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
    map: str | os.PathLike[str] | None = None,
    own_weights: bool = False,
    seed: int = 0,
    backend_a: str = "",
    backend_b: str = "",
    layout_a: str = "auto",
    layout_b: str = "auto",
) -> Result:
    """Whether `b` computes what `a` computes, from the same weights on the same data, and if not, what differs.

    `a` (the one that is right) and `b` are paths of Python files that define `build()`, as for `triptych port`. `x`
    holds the input, or a dict the inputs by name, shape (N, ...) with images as (N, H, W, C), in the units that the
    models take; 4 to 32 examples are plenty. `y` holds the labels, shape (N, ...): with it, loss, gradients and
    optimizer steps are compared too. Instead of both the path of an .npz file with x and y can be given as `x`.

    Random weights are drawn from `seed` and carried over, or with `own_weights` those of `a`. `map` is a TOML file that
    says which parameter is which. `backend_a` and `backend_b` choose the engine under Keras or the shim, `layout_a` and
    `layout_b` how images are taken (auto, as_is, channels_first). Everything runs in float64, each file in a process of
    its own. What counts as different is derived from rounding errors (Higham and Mary 2019, "A new approach to
    probabilistic rounding error analysis"), so there is no tolerance to choose.

    Raises ValueError with one line that names the input and the way out where something can't be compared.
    """
    _refuse_windows()
    tree.open_rooms()
    from suites.port import api

    found = api.compare(
        os.path.abspath(a),
        os.path.abspath(b),
        _data(x, y),
        map=map,
        own_weights=own_weights,
        seed=seed,
        backend_a=backend_a,
        backend_b=backend_b,
        layout_a=layout_a,
        layout_b=layout_b,
    )
    return _result(found.to_json(), found.text())


def _refuse_windows() -> None:
    if os.name != "posix":
        raise OSError("models are compared in processes that need Linux or macOS: on Windows use WSL")


def _data(x: Any, y: Any) -> Any:
    """The data in memory as the port checker takes them; a path stays one."""
    import numpy as np

    if isinstance(x, (str, os.PathLike)):
        return os.fspath(x)
    arrays = {name: np.asarray(array) for name, array in x.items()} if isinstance(x, Mapping) else {"x": np.asarray(x)}
    if y is not None:
        arrays["y"] = np.asarray(y)
    return arrays


def _result(document: Document, text: str) -> Result:
    """The public form of what the port checker records."""
    found = tuple(_finding(item) for item in document["findings"])
    return Result(document["exit"] == 0, document["verdict"], found, text, document)


def _finding(item: Document) -> Finding:
    same = item["place_a"] == item["place_b"]
    place = item["place_a"] if same else f"{item['place_a']} of A, {item['place_b']} of B"
    return Finding(item["signature"], item["words"], place, item["phase"], str(item["released"] or ""))


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
            words += [flag] if value is True else [flag, str(value)] if value not in (False, None, "") else []
        yield shlex.join(words)


def _saved(x: Any, y: Any) -> str:
    """The path of an .npz file with these inputs; the user's own where they gave one."""
    if isinstance(x, (str, os.PathLike)):
        return os.fspath(x)
    import numpy as np

    keep = kept_inputs.get()
    folder = keep() if keep else Path(tempfile.mkdtemp(prefix="triptych-"))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="inputs-", suffix=".npz", delete=False) as file:
        if y is None:
            np.savez(file, x=np.asarray(x))
        else:
            np.savez(file, x=np.asarray(x), y=np.asarray(y))
    return file.name


@contextlib.contextmanager
def keeping_inputs(folder: Callable[[], Path]) -> Iterator[None]:
    """Inputs of comparisons that fail meanwhile are kept in the folder that `folder` gives."""
    token = kept_inputs.set(folder)
    try:
        yield
    finally:
        kept_inputs.reset(token)
