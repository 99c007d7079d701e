"""The counters: golden snippets for each definition, a second counter that agrees, and the registry's programs."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import lizard
import pytest

from impls import MODELS
from suites.code import concepts, counts, syntax
from suites.records.run import Concept, Program
from suites.runner.laboratory import Laboratory
from suites.runner.plan import WRITTEN

PROGRAMS = [(model, name) for model in MODELS for name in WRITTEN]


class Golden(NamedTuple):
    """A snippet and what it counts: logical lines, tokens, and complexity and nesting of its first function."""

    source: str
    logical_lines: int
    tokens: int
    complexity: int
    nesting: int


GOLDEN = {
    "plain": Golden("def f(x):\n    return x + 1\n", 2, 10, 1, 0),
    "docstrings are free": Golden('"""Module."""\ndef f(x):\n    """Doc."""\n    return x + 1\n', 2, 10, 1, 0),
    "a docstring alone": Golden('def f(x):\n    """Doc."""\n', 1, 6, 1, 0),
    "semicolons": Golden("def f(x): a = 1; b = 2; return a\n", 4, 14, 1, 0),
    "parentheses and commas": Golden("def f(\n    x,\n):\n    return (\n        (x) + 1\n    )\n", 2, 10, 1, 0),
    "comments": Golden("# why\ndef f(x):  # why\n    # why\n    return x + 1\n", 2, 10, 1, 0),
    "an f-string is one token": Golden("def f(x):\n    return f'{x:{x}} {f\"{x}\"}'\n", 2, 8, 1, 0),
    "elif and else": Golden(
        """
        def f(x):
            if x:
                return 1
            elif x is None:
                return 2
            else:
                return 3
        """, 6, 22, 3, 1,
    ),
    "match": Golden(
        """
        def f(x):
            match x:
                case 1 | 2 if x:
                    return 1
                case [a, b]:
                    return a
                case _:
                    return 0
        """, 5, 32, 4, 1,
    ),
    "walrus": Golden(
        """
        def f(read):
            while (line := read()) and line != "end":
                print(line)
        """, 3, 23, 3, 1,
    ),
    "comprehension": Golden(
        "def f(rows):\n    return [x for row in rows if row for x in row if x and x > 1]\n", 2, 26, 6, 0
    ),
    "decorator": Golden("@cache\n@retry(3)\ndef f(x):\n    return x\n", 2, 15, 1, 0),
    "nested function": Golden(
        """
        def f(x):
            def g(y):
                return y if y else 0
            for z in x:
                with z:
                    g(z)
            return g
        """, 7, 32, 2, 2,
    ),
    "try": Golden(
        """
        def f(x):
            try:
                return x()
            except (TypeError, ValueError):
                return 1
            finally:
                x.close()
        """, 5, 28, 2, 1,
    ),
    "lambda belongs to its function": Golden("def f(x):\n    return sorted(x, key=lambda y: y or 0)\n", 2, 20, 2, 0),
}  # fmt: skip


def counted(source: str) -> Program:
    return counts.count(dedent(source), "snippet", "any", "snippet.py")


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    """A changed definition would silently change every published count."""
    golden = GOLDEN[name]
    found = counted(golden.source)
    function = found.functions[0]
    shown = (found.logical_lines, found.tokens, function.complexity, function.nesting)
    assert shown == (golden.logical_lines, golden.tokens, golden.complexity, golden.nesting)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are Python 3.12 syntax")
def test_golden_type_parameters() -> None:
    found = counted("type Pair[T] = tuple[T, T]\n\ndef first[T](pair: Pair[T]) -> T:\n    return pair[0]\n")
    assert (found.logical_lines, found.tokens, found.complexity) == (3, 33, 1)


def test_layout_cannot_win() -> None:
    """A program in another layout, with comments and other quotes, counts the same."""
    tight = "def f(a, b):\n    c = {'a': [1, 2]}\n    return c if a else ('x', b)\n"
    loose = """
        def f(
            a,
            b,
        ):
            # a comment
            c = {
                "a": [
                    1,
                    2,
                ],
            }

            return (
                c
                if (a)
                else ("x", b,)
            )
        """
    assert counted(tight).functions == counted(loose).functions


def test_sections() -> None:
    """Lines in the wrong section would put the saving in the wrong place."""
    found = counted(
        '''
        """Docstring."""
        import numpy as np

        SIZE = 3

        # Model
        @np.vectorize
        def build(size=SIZE):
            # Training
            return size

        alias = build

        # Loss
        loss = "# Optimizer"
        other = 1  # Optimizer

        # Training
        def train():
            return 1


        if __name__ == "__main__":
            train()
        '''
    )
    shown = [(part.name, part.logical_lines, part.first_line, part.last_line) for part in found.sections]
    assert shown == [
        ("imports", 2, 3, 6),
        ("Model", 3, 7, 14),
        ("Loss", 2, 15, 18),
        ("Training", 2, 19, 23),
        ("main", 2, 24, 25),
    ]
    assert sum(part.tokens for part in found.sections) == found.tokens
    assert sum(part.logical_lines for part in found.sections) == found.logical_lines


def test_names_resolve_aliases_and_leave_out_the_programs_own() -> None:
    found = counted(
        """
        import numpy as np
        import os.path
        from torch.nn import functional as F

        class Net:
            def own(self, x):
                self.field = np.float32(x)
                return F.relu(np.float32(x)).sum()

        def use(net):
            net.own(1); net.field(2)
            return os.path.join(net.name())
        """
    )
    assert found.names == [".name", ".sum", "numpy.float32", "os.path.join", "torch.nn.functional.relu"]


@pytest.mark.parametrize(
    ("text", "reason"), [("def f(:\n", "broken.py:1: not a Python program"), (None, "can't be read")]
)
def test_a_program_that_cannot_be_counted_is_named(tmp_path: Path, text: str | None, reason: str) -> None:
    folder = tmp_path / "impls" / "mlp"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "broken.py").write_text(text)
    with pytest.raises(syntax.ProgramError, match=reason) as failure:
        counts.program("mlp", "broken", root=tmp_path)
    assert "impls/mlp/broken.py" in str(failure.value)


def slack(node: syntax.FunctionNode) -> int:
    """What lizard counts more: one for each `finally` and for each bare `case _`."""
    finals = sum(isinstance(part, ast.Try) and bool(part.finalbody) for part in ast.walk(node))
    return finals + sum(isinstance(part, ast.match_case) and counts._decisions(part) == 0 for part in ast.walk(node))


def assert_lizard_agrees(source: str) -> int:
    """Equal complexity function by function, but for `slack`; returns how many functions were compared."""
    ours = dict(counts._functions(syntax.parse(source)))
    theirs = lizard.analyze_file.analyze_source_code("program.py", source).function_list
    for function in theirs:
        node = ours[min(ours, key=lambda name: abs(ours[name].lineno - function.start_line))]
        assert 0 <= function.cyclomatic_complexity - counts.complexity(node) <= slack(node), function.long_name
    return len(theirs)


def test_lizard_agrees_on_complexity() -> None:
    """Two counters that share no code agree on the snippets and on this project's own counter."""
    sources = [dedent(golden.source) for golden in GOLDEN.values()] + [
        path.read_text() for path in Path(counts.__file__).parent.glob("[!t]*.py")
    ]
    assert sum(assert_lizard_agrees(source) for source in sources) > 30


@pytest.mark.parametrize(("model", "implementation"), PROGRAMS, ids=lambda part: part)
def test_program(model: str, implementation: str) -> None:
    """Programs with other sections, or in another order, could not be shown side by side."""
    if reason := counts.unwritten(model, implementation):
        pytest.skip(reason)
    found = counts.program(model, implementation)
    assert tuple(part.name for part in found.sections) == (syntax.IMPORTS, *syntax.HEADINGS, syntax.MAIN)
    assert all(part.logical_lines for part in found.sections)
    assert_lizard_agrees(found.source)


@pytest.mark.bench
@pytest.mark.parametrize(("model", "implementation"), PROGRAMS, ids=lambda part: part)
def test_record(model: str, implementation: str, laboratory: Laboratory) -> None:
    """Puts the counts and the text of each selected program into the record of the run."""
    chosen = laboratory.selection
    if model not in (chosen.models or (model,)) or implementation not in (chosen.implementations or (implementation,)):
        pytest.skip("not selected")
    if reason := counts.unwritten(model, implementation):
        pytest.skip(reason)
    laboratory.record(programs=[counts.program(model, implementation)])


@pytest.mark.bench
def test_record_concepts(laboratory: Laboratory) -> None:
    """Puts what each concept means into the record of the run."""
    laboratory.record(concepts=[Concept(name, concept.meaning) for name, concept in concepts.CONCEPTS.items()])
