"""The programs: lines by section, and their text side by side with the same sections next to each other."""

from __future__ import annotations

import ast
import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache
from itertools import groupby

from markupsafe import Markup
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, String, _TokenType

from reports import formatting
from reports.evidence.load import Evidence
from suites.records.run import Concept, Program, Section

DEEPEST = 5  # levels of indentation that a wrapped line follows
SHOWN = 6  # kinds of operations named
PASSING = ("Placeholder", "ReadVariableOp", "Identity", "NoOp", "Const")  # hand values on and compute nothing
MAIN = "main"  # what runs a program by itself; it is counted and not shown
APIS = ("tf_keras", "shim")
PANELS = ("raw_tf", *APIS)  # the three ways of the question, in this order
MARKS = (  # an element for each kind of token; short ones, for a page holds thousands of them
    (Comment, "i"),
    (String, "u"),
    (Keyword.Constant, ""),
    (Keyword, "b"),
    (Name.Function, "em"),
    (Name.Class, "em"),
    (Name.Decorator, "em"),
)


@dataclass(frozen=True)
class Part:
    """A section of a program as shown: its counts, and its lines highlighted, or the program that has the same ones."""

    section: Section
    lines: list[Markup]
    same: str = ""


@dataclass(frozen=True)
class Panel:
    """One program as shown; `parts` has a place for each section of the model, None where it has no such section.

    `calls` says what a prediction asks of the engine, where that was traced.
    """

    program: Program
    panel: str
    parts: list[Part | None]
    calls: str = ""


@dataclass(frozen=True)
class Model:
    """The programs of a model, three side by side in a group; `most` is the longest one's logical lines."""

    model: str
    sections: list[str]
    groups: list[list[Panel]]
    most: int

    def panels(self) -> list[Panel]:
        """All of them, in order."""
        return [panel for group in self.groups for panel in group]


@dataclass(frozen=True)
class Saving:
    """Logical lines of a program against another one of the same model."""

    model: str
    lines: int
    against: int

    @property
    def share(self) -> float:
        """The share of the other program's lines that this one needs."""
        return self.lines / self.against


@dataclass(frozen=True)
class Known:
    """A concept; `models` says for each implementation which models' programs ask for it."""

    concept: Concept
    models: list[str]


@dataclass(frozen=True)
class Knowledge:
    """What a reader has to know, by implementation."""

    implementations: list[str]
    rows: list[Known]


def models(evidence: Evidence) -> list[Model]:
    """The programs of every model."""
    names = evidence.ordered({program.model for program in evidence.programs})
    return [_model(name, [item for item in evidence.programs if item.model == name], evidence) for name in names]


def knowledge(evidence: Evidence) -> Knowledge:
    """What the programs ask their reader to know, in the order of the record."""
    meanings = {concept.name: concept for run in evidence.runs for concept in run.concepts}
    programs = [program for program in evidence.programs if program.concepts]
    implementations = evidence.ordered({program.implementation for program in programs})
    rows = [
        Known(concept, [_models(programs, name, item) for item in implementations])
        for name, concept in meanings.items()
    ]
    return Knowledge(implementations, [row for row in rows if any(row.models)])


def _models(programs: list[Program], concept: str, implementation: str) -> str:
    """The models whose program asks for it, "all" where each does."""
    own = [program for program in programs if program.implementation == implementation]
    found = [program.model for program in own if concept in program.concepts]
    return "all" if len(found) == len(own) else ", ".join(found)


def savings(evidence: Evidence, implementation: str, against: str) -> list[Saving]:
    """`implementation` against another one, for each model that has both."""
    lines = {(item.model, item.implementation): item.logical_lines for item in evidence.programs}
    found = [(model, lines.get((model, implementation)), lines.get((model, against))) for model in evidence.models()]
    return [Saving(model, own, other) for model, own, other in found if own is not None and other]


def changed(old: Program, new: Program) -> float:
    """The share of the lines of `old` that are not in `new`; comments, docstrings and blank lines left out."""
    before, after = _code_lines(old), _code_lines(new)
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return 1 - sum(block.size for block in blocks) / max(1, len(before))


def _code_lines(program: Program) -> list[str]:
    lines = program.source.splitlines()
    spans = [(max(1, part.first_line), part.last_line) for part in program.sections]
    if spans:
        parts = [lines[first - 1 : last] for first, last in spans]
        lines = [line.strip() for part in parts for line in part]
    return [line for line in lines if line and not line.startswith("#")]


def _model(name: str, programs: list[Program], evidence: Evidence) -> Model:
    implementations = evidence.ordered({program.implementation for program in programs})
    first = [item for item in PANELS if item in implementations]
    ordered = first + [item for item in implementations if item not in PANELS]
    own = {program.implementation: program for program in programs}
    named = dict.fromkeys(part.name for item in ordered for part in own[item].sections)
    sections = [section for section in named if section != MAIN]
    seen: dict[tuple[str, ...], str] = {}
    panels = [replace(_panel(own[item], sections, seen), calls=calls(evidence, name, item)) for item in ordered]
    cut = len(first) or 3
    groups = [panels[:cut], *(panels[at : at + 3] for at in range(cut, len(panels), 3))]
    return Model(name, sections, groups, max(program.logical_lines for program in programs))


def _panel(program: Program, sections: list[str], seen: dict[tuple[str, ...], str]) -> Panel:
    """One program; `seen` are the lines that a program before it has shown, by whose they are."""
    lines, told = highlighted(program.source), docstrings(program.source)
    parts: dict[str, Part] = {}
    for index, section in enumerate(program.sections):
        first = 1 if index == 0 else max(1, section.first_line)
        own = enumerate(lines[first - 1 : section.last_line], first)
        shown = _trimmed([line for number, line in own if number not in told], section.name)
        owner = seen.setdefault((section.name, *shown), program.implementation)
        parts[section.name] = Part(section, shown, "" if owner == program.implementation else owner)
    return Panel(program, formatting.panel(program.implementation), [parts.get(name) for name in sections])


def calls(evidence: Evidence, model: str, implementation: str) -> str:
    """`2 MatMul, 1 BiasAdd of TensorFlow`: what a prediction asks for, on the first engine with a trace."""
    traced = {
        it.cell.backend: it.counts
        for it in evidence.operations
        if (it.cell.model, it.cell.implementation, it.what) == (model, implementation, "predict")
    }
    backend = next((name for name in formatting.BACKENDS if name in traced), "")
    return f"{operations(traced[backend])} of {formatting.BACKENDS[backend]}" if backend else ""


def operations(counts: Mapping[str, int]) -> str:
    """`2 MatMul, 1 Relu and 3 other kinds`: what computes, the most frequent first."""
    computing = [(name, count) for name, count in counts.items() if name not in PASSING]
    ordered = sorted(computing, key=lambda pair: (-pair[1], pair[0]))
    told = ", ".join(f"{count} {name}" for name, count in ordered[:SHOWN])
    return told if len(ordered) <= SHOWN else f"{told} and {len(ordered) - SHOWN} other kinds"


def docstrings(source: str) -> set[int]:
    """The lines of all docstrings, from 1: what a program says of itself is no line that had to be written."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        kinds = (ast.Module, ast.FunctionDef, ast.ClassDef)
        if isinstance(node, kinds) and len(node.body) > 1 and ast.get_docstring(node) is not None:
            found |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return found


def depth(line: str) -> int:
    """How many tabs a line starts with, for the indent of what is wrapped."""
    return min(len(line) - len(line.lstrip("\t")), DEEPEST)


def _trimmed(lines: list[Markup], name: str) -> list[Markup]:
    """`lines` without the heading, which the page writes, and without blank ones but one at a time in between."""
    if lines and lines[0].striptags() == f"# {name}":
        lines = lines[1:]
    kept: list[Markup] = []
    for line in lines:
        if line.strip() or (kept and kept[-1].strip()):
            kept.append(line)
    return kept if not kept or kept[-1].strip() else kept[:-1]


@cache
def highlighted(source: str) -> tuple[Markup, ...]:
    """The lines of `source`, each with its own marks, so that any run of lines can be shown."""
    found = PythonLexer(stripnl=False, ensurenl=False).get_tokens(source)
    marked = []
    for mark, run in groupby(found, key=lambda token: _mark(token[0])):
        text = "".join(text for _, text in run)
        marked.append("\n".join(_marked(mark, line) for line in text.split("\n")))
    return tuple(Markup(_indented(line)) for line in "".join(marked).split("\n"))


def _indented(line: str) -> str:
    """A tab for four spaces, which the page shows as wide as they are: a tenth of all code is indentation."""
    code = line.lstrip(" ")
    return "\t" * ((len(line) - len(code)) // 4) + " " * ((len(line) - len(code)) % 4) + code


@cache
def _mark(kind: _TokenType) -> str:
    return next((mark for of, mark in MARKS if kind in of), "")


def _marked(mark: str, text: str) -> str:
    """`text` as HTML. It stands in no attribute, so quotes are harmless."""
    written = html.escape(text, quote=False)
    return f"<{mark}>{written}</{mark}>" if mark and text.strip() else written
