"""Tries the wheel as a stranger would: `python -m triptych.testing.installed DIST PYTHON...`, see `nox -s package`.

For each interpreter an empty environment inside a repository of somebody else, an empty folder and an empty home: the
source tree can't be imported there. Two interpreters are tried side by side. Only the standard library is used.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MODEL = """
from triptych import shim

def build():
    return shim.Sequential([shim.Dense(3, "{}", name="only")], inputs=(4,), backend="numpy")
"""
TEST = """
import numpy as np

def test_port(assert_same_model):
    assert_same_model("a.py", "b.py", np.ones((4, 4)))
"""
PROGRAM = """
import sys, time
start = time.perf_counter()
import triptych
seconds = time.perf_counter() - start
assert not {"numpy", "torch", "tensorflow", "jax", "impls"} & set(sys.modules)
import importlib.util
assert importlib.util.find_spec("impls") is None, "the source tree can be imported"
frame = triptych.load_results("results")
assert len(frame) > 100 and frame.value.dtype == float and set(frame.quantity) >= {"train_step time", "disagreement"}
from triptych import shim
import numpy as np
model = shim.Sequential([shim.Dense(2, name="d")], inputs=(3,), backend="numpy")
model.compile(optimizer=shim.SGD(0.1), loss="mean_squared_error")
losses = model.fit(np.ones((8, 3)), np.zeros((8, 2)), epochs=3)["loss"]
assert losses[-1] < losses[0]
print(f"{triptych.__file__} {seconds:.4f} {len(frame)}")
"""
BENCH = ("--quick", "--model", "seed", "--implementation", "shim", "--backend", "numpy")
IMPORT_SECONDS = 0.15


class Stranger:
    """An environment with the wheel in it, and a folder to work in."""

    def __init__(self, python: str, place: Path):
        self.place = place
        self.folder = place / "project" / "work"
        self.home = place / "home"
        self.bin = place / "project" / "venv" / "bin"
        for folder in (self.folder, self.home):
            folder.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", str(place / "project")], check=True)
        subprocess.run([python, "-m", "venv", str(self.bin.parent)], check=True)
        self.name = self.package_folder().parent.name

    def run(self, *command: str, status: int = 0) -> str:
        """What a command of the environment prints, standard error too. Raises SystemExit where it ends otherwise."""
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "PIP_INDEX_URL", "SSL_CERT_FILE") if name in os.environ
        }
        variables = {**kept, "HOME": str(self.home)}
        words = [str(self.bin / command[0]), *command[1:]]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != status:
            raise SystemExit(f"$ {' '.join(command)}\n{done.stdout}\nexit status {done.returncode}, expected {status}")
        self.say(f"{' '.join(command[:4])}: exit status {status}, as it should")
        return done.stdout

    def say(self, line: str) -> None:
        print(f"  {self.name}: {line}", flush=True)

    def package_folder(self) -> Path:
        """Where pip puts packages."""
        (found,) = self.bin.parent.glob("lib/python3*/site-packages")
        return found

    def files(self) -> set[str]:
        """Every file of the installed package; bytecode is Python's own business."""
        package = self.package_folder() / "triptych"
        found = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(package)) for path in found}


def try_wheel(python: str, wheel: Path) -> None:
    """Everything that needs no engine, in an environment of `python`."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="triptych-installed-") as place:
        stranger = Stranger(python, Path(place).resolve())
        try_commands(stranger, wheel)
    stranger.say(f"all of it: {time.monotonic() - started:.0f} s")


def try_commands(stranger: Stranger, wheel: Path) -> None:
    """Each command that needs no engine, and what it leaves behind."""
    stranger.run("pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    before = stranger.files()
    assert "triptych 0." in stranger.run("triptych", "--version")
    stranger.run("triptych", "doctor")
    answer = stranger.run("triptych", "demo")
    assert "epsilon" in answer, answer
    try_ports(stranger)
    stranger.run("triptych", "bench", *BENCH)
    try_record(stranger)
    (stranger.folder / "program.py").write_text(PROGRAM)
    where, seconds, rows = stranger.run("python", "program.py").split()
    stranger.say(f"import triptych: {seconds} s from {where}; load_results: {rows} rows")
    assert float(seconds) <= IMPORT_SECONDS, f"import triptych takes {seconds} s"
    said = stranger.run("triptych", "gate", "--own", "--base", "HEAD", status=2)
    assert "the gate compares revisions of a checkout" in said, said
    assert "is installed" in stranger.run("triptych", "heritage", "--keep", status=2)
    changed = stranger.files() ^ before
    assert not changed, f"written into the installed package: {sorted(changed)}"


def try_ports(stranger: Stranger) -> None:
    """Two files of the user, by the command and in a test of theirs."""
    for name, activation in (("a", "relu"), ("b", "tanh")):
        (stranger.folder / f"{name}.py").write_text(MODEL.format(activation))
    (stranger.folder / "test_port.py").write_text(TEST)
    words = ("a.py", "b.py", "--random-data", "4")
    text = stranger.run("triptych", "port", *words, status=1)
    assert "tanh" in text, text
    text = stranger.run("triptych", "--json", "port", *words, status=1)
    document = json.loads(text[text.index("{") :])
    assert (document["code"], document["result"]["findings"][0]["signature"]) == ("finding", "activation"), document
    text = stranger.run("python", "-m", "pytest", "-q", "test_port.py", status=1)
    assert "B is not the same model as A" in text and "tanh" in text, text


def try_record(stranger: Stranger) -> None:
    """The run names the installed version, not the commit of the repository around it."""
    (path,) = (stranger.folder / "results").glob("[0-9]*.json")
    environment = json.loads(path.read_text())["run"]["environment"]
    assert environment["commit"].startswith("0.") and not environment["dirty"], environment
    assert (stranger.folder / "report" / "triptych.html").stat().st_size > 10_000


def contents(wheel: Path, sdist: Path) -> None:
    """Both hold every file that is needed, and the wheel nothing beside its own folder."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0].partition("-")[0] for name in names}
    assert tops == {"triptych"}, f"the wheel would put {tops} beside other packages"
    assert not [name for name in names if "__pycache__" in name or "/results/" in name]
    with tarfile.open(sdist) as file:
        sources = {name.partition("/")[2] for name in file.getnames()}
    missing = [name for name in names if name.startswith("triptych/_tree/") and name[15:] not in sources]
    assert not missing, f"in the wheel and not in the sdist: {missing}"
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


def main(arguments: Sequence[str]) -> int:
    dist = Path(arguments[0])
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    contents(wheel, sdist)
    if not arguments[1:]:
        print("no Python 3.11, 3.12 or 3.13 is here", file=sys.stderr)
        return 1
    with ThreadPoolExecutor(max_workers=2) as side_by_side:
        tried = [side_by_side.submit(try_wheel, python, wheel) for python in arguments[1:]]
    for attempt in tried:
        attempt.result()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
