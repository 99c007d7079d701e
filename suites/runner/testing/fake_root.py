"""A source root for tests: the checkout's own worker, and an implementation that crashes, hangs or lies on request."""

from __future__ import annotations

import shutil
from pathlib import Path

from suites.runner.machine import ROOT

CORE = (
    "__init__",
    "layer_kinds",
    "specs",
    "weights",
    "protocol",
    "adapters/__init__",
)
REGISTER = """
IMPLEMENTATIONS["fake"] = Implementation("Fake", "fake", {"numpy": ("eager",)})
IMPLEMENTATIONS["broken"] = Implementation("Broken", "broken", {"numpy": ("eager",)})
"""
PROGRAM = """
def answer(x):
    return x * 2.0
"""
ADAPTER = '''
import inspect, os, signal, subprocess, sys, tempfile, threading, time
import numpy as np
from impls import adapters


class Adapter(adapters.Adapter):
    """`forward(x, training)`: `training` names what is to happen."""

    def load(self, weights):
        pass

    def forward(self, x, training):
        return {"out": getattr(self, training)(x)}

    def answer(self, x):
        return self.program.answer(x)

    def source(self, x):
        return np.frombuffer(inspect.getsource(self.program.answer).encode(), np.uint8)

    def marker(self, x):
        import marker
        return np.array(marker.VALUE)

    def same(self, x):
        return x

    def litter(self, x):
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write("what a framework leaves behind")
        return np.frombuffer(file.name.encode(), np.uint8)

    def kill(self, x):
        if os.fork() == 0:
            time.sleep(1000)  # a child that holds the pipes open
        os.kill(os.getpid(), signal.SIGKILL)

    def abort(self, x):
        os.abort()

    def leave(self, x):
        sys.stderr.write("loading the kernel\\nno such kernel\\n\\n")
        sys.stderr.flush()
        os._exit(3)

    def hang(self, x):
        subprocess.Popen(["sleep", "1000"])
        time.sleep(1000)

    def wait(self, x):
        time.sleep(0.6)
        return np.array(6.0)

    def burn(self, x):
        while True:
            pass

    def eat(self, x):
        self.eaten = []
        while True:
            self.eaten.append(np.ones(1 << 20))
            time.sleep(0.002)

    def chatter(self, x):
        print("Epoch 1/5 " * 20000, flush=True)
        os.write(1, b"\\0" * 4096)
        subprocess.call(["echo", "from a child"])
        sys.stdin.read()
        return x

    def raises(self, x):
        raise ArithmeticError("not today")

    def unsendable(self, x):
        return np.array([object()])
'''


def fake_root(folder: Path) -> Path:
    """A source root with the checkout's own worker and one implementation that does what a test asks for."""
    for name in CORE:
        (folder / "impls" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "impls" / f"{name}.py", folder / "impls" / f"{name}.py")
    shutil.copytree(ROOT / "impls" / "worker", folder / "impls" / "worker")
    with (folder / "impls" / "__init__.py").open("a") as registry:
        registry.write(REGISTER)
    (folder / "impls" / "adapters" / "fake.py").write_text(ADAPTER)
    (folder / "impls" / "adapters" / "broken.py").write_text("import a_framework_that_is_not_there\n")
    (folder / "impls" / "seed").mkdir()
    (folder / "impls" / "seed" / "fake.py").write_text(PROGRAM)
    return folder
