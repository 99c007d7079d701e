"""The pytest plugin: `assert_same_model` as a fixture with defaults of the command line and the configuration.

Users' tests may as well import the function; what the plugin adds in both cases is that inputs of a comparison that
fails are kept in pytest's cache, for the command that shows it alone. Nothing is shared between the processes of
pytest-xdist: names of kept files are drawn, and each worker compares in processes of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

OPTIONS = {  # of compare_models: the type of its value and its line of help
    "seed": "of the random weights that both models get",
    "backend_a": "the engine under Keras or the shim in A",
    "backend_b": "the engine under Keras or the shim in B",
}

pytest.register_assert_rewrite("triptych.comparison")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("triptych-models", "comparing models with Triptych")
    for name, text in OPTIONS.items():
        flag = f"--triptych-{name.replace('_', '-')}"
        group.addoption(flag, dest=f"triptych_{name}", metavar=name.upper(), help=text)
        parser.addini(f"triptych_{name}", f"{text} (default of {flag})", default="")


def defaults(config: pytest.Config) -> dict[str, Any]:
    """What the command line, or else the configuration, says of comparisons."""
    found: dict[str, Any] = {}
    for name in OPTIONS:
        value = config.getoption(f"triptych_{name}") or config.getini(f"triptych_{name}")
        if value:
            found[name] = value
    if "seed" in found:
        found["seed"] = number(found["seed"])
    return found


def number(text: str) -> int:
    if not text.isdecimal():
        raise pytest.UsageError(f"triptych_seed {text!r}: has to be a whole number from 0 on")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    defaults(config)  # a wrong value stops the session and not each test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Keep the inputs of comparisons that fail in this test."""
    from triptych.comparison import keeping_inputs

    with keeping_inputs(lambda: folder_of(item.config)):
        return (yield)


def folder_of(config: pytest.Config) -> Path:
    """Where inputs are kept: pytest's cache, or a temporary folder where it is switched off."""
    cache = getattr(config, "cache", None)
    if cache is None:
        return Path(tempfile.gettempdir(), "triptych-inputs")
    return Path(cache.mkdir("triptych"))


@pytest.fixture
def assert_same_model(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`triptych.assert_same_model` with the defaults of this session."""
    from triptych import comparison

    chosen = defaults(request.config)

    def check(a: Any, b: Any, x: Any, y: Any = None, **options: Any) -> None:
        __tracebackhide__ = True
        comparison.assert_same_model(a, b, x, y, **{**chosen, **options})

    return check
