"""A live pytest session of one side, as the controller sees it: started, asked, watched, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from suites.gate import placement
from suites.projects.janitor import Janitor

PLUGIN = Path(__file__).with_name("session_plugin.py")
NAME = "triptych_gate_session"  # of the plugin, wherever it is copied to
SOCKET = "TRIPTYCH_GATE_SOCKET"
SYNCHRONIZE = "TRIPTYCH_GATE_SYNCHRONIZE"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
COLLECT_SECONDS = 600.0
LINE_BYTES = 1 << 16
TAIL_LINES = 3


class SessionFailed(RuntimeError):
    """A session ended or took too long, or its test came to no measurement; the message is one line that says why.

    `outcome` is that of the test; "died": there is no session any more.
    """

    def __init__(self, side: str, reason: str, outcome: str = "died") -> None:
        super().__init__(reason or f"the test {outcome} without a call of benchmark")
        self.side, self.outcome = side, outcome


@dataclass(frozen=True)
class Ground:
    """Where the sessions of a side run: interpreter, tree, what of it is imported, and options of pytest."""

    python: str
    tree: Path
    paths: tuple[Path, ...]
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def install_plugin(folder: Path) -> Path:
    """A folder that holds the plugin and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PLUGIN, folder / f"{NAME}.py")
    return folder


class Session:
    """One process of pytest that runs what it is told to run."""

    def __init__(
        self, name: str, ground: Ground, pair: int, folder: Path, arguments: Sequence[str], janitor: Janitor, bind: bool
    ) -> None:
        self.name, self.ground, self.pair = name, ground, pair
        self.side = name.rstrip("-0123456789")
        self.running = False  # a test
        self.measured = self.waited = 0.0  # seconds of blocks, and of them without a core
        self.tests: list[dict[str, str]] = []
        self.errors: list[dict[str, str]] = []
        self.python = ""
        self._rest = b""
        scratch = folder / name
        scratch.mkdir(parents=True, exist_ok=True)
        self.log: IO[bytes] = (folder / f"{name}.log").open("wb")
        self.socket, theirs = socket.socketpair()
        python = placement.launcher(ground.python, folder, f"python-{name}")
        command = [python, "-m", "pytest", "-p", NAME, *ground.options, f"--basetemp={scratch / 'pytest'}", *arguments]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                cwd=ground.tree,
                env=self._variables(folder, scratch, theirs.fileno(), bind),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for the controller; all its children can be killed at once
            )
        except OSError as error:
            raise SessionFailed(self.side, f"{ground.python}: can't be started: {error}") from error
        finally:
            theirs.close()
        janitor.watch_group(self.process.pid)

    def _variables(self, folder: Path, scratch: Path, number: int, bind: bool) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        paths = [install_plugin(folder / "plugin"), *self.ground.paths]
        threads = {name: os.environ.get(name, "1") for name in ONE_THREAD} if bind else {}
        return {
            **inherited,
            **threads,
            **placement.environment(self.pair),
            **self.ground.variables,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(scratch),
            SOCKET: str(number),
        }

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def collected(self) -> Session:
        """Wait until it knows its tests."""
        if not self.python:
            message = self.receive(COLLECT_SECONDS)
            self.tests, self.errors, self.python = message["tests"], message["errors"], message["python"]
        return self

    def send(self, **message: Any) -> None:
        try:
            self.socket.sendall((json.dumps(message) + "\n").encode())
        except OSError:
            raise SessionFailed(self.side, self.ending()) from None

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next message. Raises SessionFailed where there is none within so many seconds."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                part = self.socket.recv(LINE_BYTES)
            except TimeoutError:
                self.kill()
                raise SessionFailed(self.side, f"took longer than {seconds:.0f} s and was ended") from None
            except OSError:
                part = b""
            if not part:
                raise SessionFailed(self.side, self.ending())
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        self.running = self.running and found["event"] != "finished"
        return found

    def run(self, test: str, following: str | None) -> None:
        """Begin a test; `following` is the next one, whose fixtures stay."""
        self.send(op="run", test=test, next=following)
        self.running = True

    def ready(self, seconds: float) -> bool:
        """Wait until the test wants to be measured; whether its calls can be repeated without anything between."""
        message = self.receive(seconds)
        if message["event"] == "finished":
            raise SessionFailed(self.side, message["reason"], message["outcome"])
        return bool(message["repeats"])

    def end(self, seconds: float) -> str:
        """Let a running test go on to its end; why it failed then, or nothing."""
        if self.running and self.alive:
            self.send(op="end")
        message: dict[str, Any] = {"outcome": "passed"}
        while self.running and self.alive:
            message = self.receive(seconds)
        return f"{self.side}: {message['reason']}" if message["outcome"] == "failed" else ""

    def block(self, calls: int, inner: int, seconds: float) -> list[float]:
        """Seconds of each of so many times `inner` calls. Raises SessionFailed where the test ends in them."""
        self.send(op="block", calls=calls, inner=inner)
        message = self.receive(seconds)
        if message["event"] == "finished":
            ended = f"the function that it measures ended with an error, and the test {message['outcome']}"
            raise SessionFailed(self.side, message["reason"] or ended, message["outcome"])
        times: list[float] = message["calls"]
        self.measured += sum(times)
        self.waited += message["waited"]
        return times

    def ending(self) -> str:
        """How its process ended, with the last lines that it wrote."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        status = self.process.poll()
        if status is not None and status < 0:
            return f"its process was ended by {signal.Signals(-status).name}"
        return f"its process ended with status {status}: {self.tail()}"

    def tail(self) -> str:
        """The last lines that it wrote, as one."""
        self.log.flush()
        lines = Path(self.log.name).read_text(encoding="utf-8", errors="replace").splitlines()
        return " · ".join([line.strip() for line in lines if line.strip()][-TAIL_LINES:])

    def kill(self) -> None:
        """End it and every process that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.socket.close()
        self.log.close()
