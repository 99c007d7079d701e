"""`triptych doctor`: what is here, what is missing, and the line that installs it.

Nothing is imported to find that out; `--load` also starts each engine in a process of its own and lets it multiply.
Exit status 0: the commands that need no engine can run, and every engine that was loaded works; 1: not so.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from triptych import tree
from triptych.messages import guarded

# Each engine and API, and the group of pyproject.toml that installs it.
ENGINES = {
    "numpy": "data",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "jax": "jax",
    "keras": "keras",
    "numba": "numba",
    "onnxruntime": "onnx",
}
PRODUCTS = {
    "numpy": "import numpy as e; print(e.ones((2, 2)) @ e.ones((2, 2)))",
    "tensorflow": "import tensorflow as e; print(e.matmul(e.ones((2, 2)), e.ones((2, 2))))",
    "torch": "import torch as e; print(e.ones(2, 2) @ e.ones(2, 2))",
    "jax": "import jax.numpy as e; print(e.ones((2, 2)) @ e.ones((2, 2)))",
    "keras": "import keras; print(keras.ops.ones((2, 2)) @ keras.ops.ones((2, 2)))",
    "numba": "import numba; print(numba.njit(lambda: 2.0)())",
    "onnxruntime": "import onnxruntime as e; print(e.get_available_providers())",
}
PYTHONS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOAD_SECONDS = 120.0


@dataclass(frozen=True)
class Item:
    """One thing that may be here: its kind and name, what is known of it, and the line that installs it if it lacks.

    `needed` says that without it nothing runs.
    """

    kind: str
    name: str
    here: bool
    text: str
    install: str = ""
    needed: bool = False


def items(load: bool = False) -> Iterator[Item]:
    """Everything that is looked at, in the order in which it is shown."""
    yield Item("triptych", "version", True, f"{tree.version()}, {'installed' if tree.INSTALLED else 'a checkout'}")
    yield Item("triptych", "place", True, str(tree.ROOT))
    yield Item("system", "python", True, f"{platform.python_version()} at {sys.executable}")
    yield Item("system", "machine", True, f"{platform.platform()}, {os.cpu_count()} cores")
    yield from base()
    yield from engines(load)
    yield from devices()
    yield from interpreters()
    yield from browsers()
    yield tool("git", "the gate takes revisions from it")


@functools.cache
def project() -> dict[str, Any]:
    """The project file, which an installation has too."""
    return tomllib.loads((tree.ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages(group: str) -> list[str]:
    """The requirements of a dependency group, groups that it includes as well."""
    found: list[str] = []
    for item in project()["dependency-groups"][group]:
        found += packages(item["include-group"]) if isinstance(item, dict) else [item]
    return found


def install_line(group: str) -> str:
    """What installs a group into this environment, with the versions that Triptych is tested with."""
    line = f"{sys.executable} -m pip install {shlex.join(packages(group))}"
    cpu = " (on Linux without CUDA: add --index-url https://download.pytorch.org/whl/cpu)"
    return line + cpu if group == "torch" else line


def base() -> Iterator[Item]:
    """The packages that Triptych can't do without."""
    groups = project()["tool"]["triptych"]["base"]
    for requirement in sorted({item for group in groups for item in packages(group)}):
        name = re.split("[^A-Za-z0-9_.-]", requirement)[0]
        found = version(name)
        line = f"{sys.executable} -m pip install {shlex.quote(requirement)}"
        yield Item("base", name, bool(found), found or "missing", line, needed=True)


def version(distribution: str) -> str:
    """The version of an installed distribution, or nothing."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def engines(load: bool) -> Iterator[Item]:
    """Every engine and API; with `load` whether it starts and multiplies."""
    names = [name for name in ENGINES if version(name)]
    with ThreadPoolExecutor(2) as executor:
        failures = dict(zip(names, executor.map(failure, names), strict=True)) if load else {}
    for name, group in ENGINES.items():
        found = version(name)
        reason = failures.get(name, "")
        text = found or "missing"
        if found and name in failures:
            text += ", works"
        yield Item("engine", name, bool(found) and not reason, reason or text, install_line(group), needed=bool(reason))


def failure(engine: str) -> str:
    """Why an engine does not work in a process of its own, or nothing."""
    command = [sys.executable, "-c", PRODUCTS[engine]]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, timeout=LOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"does not load within {LOAD_SECONDS:.0f} s"
    if not done.returncode:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def devices() -> Iterator[Item]:
    """Graphics processors, as the driver lists them."""
    command = shutil.which("nvidia-smi")
    found = subprocess.run([command, "-L"], capture_output=True, text=True, check=False).stdout if command else ""
    lines = [line for line in found.splitlines() if line.startswith("GPU")]
    text = "; ".join(lines) or "none found: cells on gpu are skipped"
    yield Item("device", "gpu", bool(lines), text)


def interpreters() -> Iterator[Item]:
    """Other Pythons, which `upgrade`, `heritage` and the version matrix use."""
    find = tree.interpreters().find_python
    for name in PYTHONS:
        found = find(name)
        yield Item("interpreter", f"python {name}", bool(found), found or "missing", f"pyenv install {name}")


def browsers() -> Iterator[Item]:
    """What the tests of the page look at it with."""
    place = next(filter(None, map(shutil.which, BROWSERS)), None)
    yield Item("browser", "chromium", bool(place), place or "missing", "apt-get install chromium")
    found = version("playwright")
    yield Item("browser", "playwright", bool(found), found or "missing", install_line("browser"))


def tool(name: str, why: str) -> Item:
    found = shutil.which(name)
    return Item("tool", name, bool(found), found or f"missing: {why}", f"apt-get install {name}")


def table(found: Sequence[Item]) -> str:
    """A line for each item, then what is missing and the lines that install it."""
    width = max(len(f"{item.kind} {item.name}") for item in found)
    signs = {True: "  ", False: "- "}
    lines = [f"{signs[item.here]}{f'{item.kind} {item.name}':<{width}}  {item.text}" for item in found]
    missing = [f"  {item.name}: {item.install}" for item in found if not item.here and item.install]
    return "\n".join([*lines, "", "missing, and what installs it:", *missing] if missing else lines)


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Look, print, and say whether everything needed is here and works."""
    parser = argparse.ArgumentParser(prog="triptych doctor", description=(__doc__ or "").partition("`: ")[2])
    parser.add_argument("--load", action="store_true", help="also load each engine and let it multiply")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write it as JSON")
    options = parser.parse_args(arguments)
    found = list(items(options.load))
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps([asdict(item) for item in found], indent=1) + "\n", encoding="utf-8")
    return int(any(item.needed and not item.here for item in found))


if __name__ == "__main__":
    sys.exit(main())
