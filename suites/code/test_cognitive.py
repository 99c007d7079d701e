"""Cognitive complexity: the white paper's own examples, what it leaves open, and a second counter that agrees."""

from __future__ import annotations

import ast
from textwrap import dedent

import complexipy
import pytest

from suites.code import cognitive, counts, syntax

# The examples of the paper, in Python: what is written beside a line there is the total here.
PAPER = {
    "sumOfPrimes": (
        """
        def sum_of_primes(largest):
            total = 0
            for i in range(1, largest + 1):
                for j in range(2, i):
                    if i % j == 0:
                        break
                else:
                    total += i
            return total
        """, 7,
    ),
    "getWords": (
        """
        def get_words(number):
            match number:
                case 1:
                    return "one"
                case 2:
                    return "a couple"
                case _:
                    return "lots"
        """, 1,
    ),
    "myMethod": (
        """
        def my_method():
            try:
                if condition1:
                    for i in range(10):
                        while condition2:
                            pass
            except (FirstError, SecondError):
                if condition2:
                    pass
        """, 9,
    ),
    "myMethod2": ("def my_method2():\n    run = lambda: 1 if condition1 else 0\n", 2),
    "sequences: and, and; or; and": ("def f():\n    if a and b and c or d or e and g:\n        pass\n", 4),
    "sequences: a negation between": ("def f():\n    if a and not (b and c):\n        pass\n", 3),
    "a decorator": (
        """
        def a_decorator(a, b):
            def inner(func):
                if condition:
                    print(b)
                func()
            return inner
        """, 1,
    ),
    "not a decorator": (
        """
        def not_a_decorator(a, b):
            my_var = a * b
            def inner(func):
                if condition:
                    print(b)
                func()
            return inner
        """, 2,
    ),
    "a decorator of a decorator": (
        """
        def decorator_generator(a):
            def generator(func):
                def decorator(func):
                    if condition:
                        print(b)
                    return func()
                return decorator
            return generator
        """, 1,
    ),
}  # fmt: skip

OPEN = {
    "nothing": ("def f(x):\n    return x + 1\n", 0),
    "elif and else": ("def f(x):\n    if x:\n        pass\n    elif y:\n        pass\n    else:\n        pass\n", 3),
    "an if inside an elif": (
        "def f(x):\n    if x:\n        pass\n    elif y:\n        if z:\n            pass\n", 4
    ),
    "an if alone inside an else is an elif": (
        "def f():\n    if x:\n        a()\n    else:\n        if y:\n            b()\n", 2
    ),
    "a condition is not inside": ("def f(x):\n    while (a if b else c):\n        pass\n", 2),
    "recursion": ("def f(x):\n    return f(x - 1)\n", 1),
    "recursion in a round": ("def f(x):\n    return g(x)\ndef g(x):\n    return h(x)\ndef h(x):\n    return f(x)\n", 3),
    "recursion of a method": ("class A:\n    def f(self):\n        return self.f()\n", 1),
    "a method of another": ("class A:\n    def f(self):\n        return other.f()\n", 0),
    "walrus": ("def f(read):\n    while (line := read()) and line != 'end':\n        print(line)\n", 2),
    "comprehension": ("def f(rows):\n    return [x for row in rows if row for x in row]\n", 0),
    "parentheses alone make no new run": ("def f():\n    return a and (b and c)\n", 1),
    "try, with and finally": ("def f(x):\n    try:\n        with x:\n            a()\n    finally:\n        b()\n", 0),
    "outside of functions": ("for x in y:\n    if x:\n        pass\n", 3),
    "nested conditional expressions": ("def f():\n    return 1 if a else 2 if b else 3\n", 3),
}  # fmt: skip


def measured(source: str) -> int:
    tree = ast.parse(dedent(source))
    return cognitive.cognitive(tree, cognitive.cycles(tree))


@pytest.mark.parametrize("name", PAPER)
def test_the_examples_of_the_paper(name: str) -> None:
    source, expected = PAPER[name]
    assert measured(source) == expected


@pytest.mark.parametrize("name", OPEN)
def test_what_the_paper_leaves_open(name: str) -> None:
    """A changed definition would silently change every published count."""
    source, expected = OPEN[name]
    assert measured(source) == expected


def slack(node: ast.AST) -> int:
    """What complexipy may leave out: it does not look into every expression for conditions, `and` and `or`."""
    hidden = sum(isinstance(part, ast.IfExp | ast.BoolOp) for part in ast.walk(node))
    return hidden * (1 + counts.nesting(node))


def apart(node: ast.AST) -> bool:
    """Whether complexipy counts otherwise: comprehensions, `else` of loops and of `try`."""
    otherwise = any(isinstance(part, cognitive.LOOPS | cognitive.TRY) and part.orelse for part in ast.walk(node))
    return otherwise or any(isinstance(part, ast.comprehension) for part in ast.walk(node))


def first_line(node: syntax.FunctionNode) -> int:
    """Where complexipy says that a function starts: at its first decorator."""
    return min(part.lineno for part in (node, *node.decorator_list))


def agreed(source: str) -> int:
    """Equal function by function, but for `slack` and those set `apart`; returns how many were compared.

    Both read the same layout: to the syntax tree an `if` alone inside an `else` is an `elif`, to complexipy it is not.
    """
    tree = ast.parse(ast.unparse(ast.parse(source)))
    functions = {first_line(node): node for node in ast.walk(tree) if isinstance(node, syntax.FunctionNode)}
    cycles = cognitive.cycles(tree)
    compared = 0
    for theirs in complexipy.code_complexity(ast.unparse(tree), with_plans=False).functions:
        node = functions[theirs.line_start]
        if not apart(node) and node.name not in cycles:
            less = cognitive.cognitive(node, cycles) - theirs.complexity
            assert 0 <= less <= slack(node), f"{theirs.name}, line {theirs.line_start}: {theirs.complexity}"
            compared += 1
    return compared


@pytest.mark.full
@pytest.mark.catalogue
def test_complexipy_agrees() -> None:
    """Two counters that share no code agree on the examples, on the suites and on every program."""
    goldens = [dedent(source) for source, _ in (*PAPER.values(), *OPEN.values())]
    own = [path.read_text() for path in sorted(counts.ROOT.glob("suites/**/*.py"))]
    programs = [path.read_text() for path in sorted(counts.ROOT.glob("impls/*/*.py"))]
    assert sum(agreed(source) for source in [*goldens, *own, *programs]) > 500
