"""Workers as the suites see them: started, asked, watched, stopped.

A worker is a process of its own (see `impls.worker`) that serves one (implementation, backend, mode, device, dtype).
Whatever happens in it, an exception, a crash, a hang, too much memory, costs its caller one `WorkerFailed` whose
`reason` a person can read. No framework is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from impls import protocol
from suites.availability import availability

__all__ = [
    "HERE",
    "Limits",
    "Pool",
    "Service",
    "Source",
    "Worker",
    "WorkerDied",
    "WorkerFailed",
    "WorkerOutOfMemory",
    "WorkerRaised",
    "WorkerTimedOut",
    "availability",
]

Arrays = dict[str, np.ndarray]
ROOT = Path(__file__).resolve().parent.parent
TAIL_BYTES = 16384


class WorkerFailed(RuntimeError):
    """A worker did not answer: `reason` is one line, `details` a traceback or the last lines of standard error."""

    def __init__(self, worker: str, reason: str, details: str = ""):
        super().__init__(f"{worker}: {reason}")
        self.worker, self.reason, self.details = worker, reason, details


class WorkerRaised(WorkerFailed):
    """An exception in the worker, which lives on: `error` is its type, `message` its text."""

    def __init__(self, worker: str, error: str, message: str, traceback: str):
        super().__init__(worker, f"{error}: {message}", traceback)
        self.error, self.message = error, message


class WorkerDied(WorkerFailed):
    """The worker's process ended, or what it wrote was no message."""


class WorkerTimedOut(WorkerFailed):
    """The worker was stopped because it took too long."""


class WorkerOutOfMemory(WorkerFailed):
    """The worker was stopped because it held more than its memory limit."""


@dataclass(frozen=True)
class Source:
    """Where a worker's code comes from: any interpreter, any source root, with a planted fault or without.

    `environment` is added to this process's; `patch` is `{"file", "old", "new"}`, see `impls.patching`.
    """

    python: str = sys.executable
    root: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    patch: Mapping[str, str] | None = None

    def __hash__(self) -> int:
        return hash(
            (
                self.python,
                str(self.root),
                json.dumps([*map(dict, (self.environment, self.patch or {}))], sort_keys=True),
            )
        )

    def variables(self) -> dict[str, str]:
        """The environment of a worker."""
        inherited = [os.environ["PYTHONPATH"]] if self.python == sys.executable and "PYTHONPATH" in os.environ else []
        path = os.pathsep.join([str(self.root), *inherited])
        return {**os.environ, "PYTHONPATH": path, **self.environment}


HERE = Source()


@dataclass(frozen=True)
class Service:
    """What one worker serves, and where its code comes from."""

    implementation: str
    backend: str
    mode: str
    device: str = "cpu"
    dtype: str = "float64"
    threads: int = 1
    source: Source = HERE

    @property
    def id(self) -> str:
        """`shim-torch-eager-cpu-float64`."""
        return "-".join((self.implementation, self.backend, self.mode, self.device, self.dtype))

    def command(self) -> list[str]:
        """The command line of the worker."""
        names = ("implementation", "backend", "mode", "device", "dtype", "threads")
        options = [f"--{name}={getattr(self, name)}" for name in names]
        if self.source.patch is not None:
            options.append("--patch=" + json.dumps(dict(self.source.patch)))
        return [self.source.python, "-m", "impls.worker", *options]


@dataclass(frozen=True)
class Limits:
    """Seconds for a start and for a call, and resident bytes (None: no limit)."""

    start: float = 180.0
    call: float = 300.0
    memory: int | None = None


class _OverLimit(Exception):
    pass


class _Pipes:
    """Both pipes of a worker as one stream for `protocol`: every wait ends at the deadline, or when it is gone."""

    def __init__(self, process: subprocess.Popen[bytes], memory: int | None):
        assert process.stdin is not None and process.stdout is not None
        self.process, self.memory = process, memory
        self.requests, self.replies = process.stdin.fileno(), process.stdout.fileno()
        self.deadline = 0.0
        for pipe in (self.requests, self.replies):
            os.set_blocking(pipe, False)

    def ready(self, pipe: int, seconds: float) -> bool:
        """Whether `pipe` can be read or written, or was closed, within `seconds`."""
        poll = select.poll()
        poll.register(pipe, select.POLLIN if pipe == self.replies else select.POLLOUT)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _wait(self, pipe: int) -> None:
        tick = 1.0 if self.memory is None else 0.05
        while not self.ready(pipe, min(tick, self.deadline - time.monotonic())):
            if self.memory is not None and resident_bytes(self.process.pid) > self.memory:
                raise _OverLimit
            if time.monotonic() >= self.deadline:
                raise TimeoutError
            if self.process.poll() is not None and not self.ready(pipe, 0.0):
                raise EOFError  # a grandchild may hold the pipe open

    def readinto(self, view: memoryview) -> int:
        while True:
            try:
                return os.readv(self.replies, [view])
            except BlockingIOError:
                self._wait(self.replies)

    def write(self, buffer: Any) -> None:
        rest = memoryview(buffer)
        while rest:
            try:
                rest = rest[os.write(self.requests, rest) :]
            except BlockingIOError:
                self._wait(self.requests)

    def flush(self) -> None:
        """Nothing is buffered here."""


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (FileNotFoundError, ProcessLookupError):
        found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return int(found.stdout.strip() or 0) * 1024


def _end(process: subprocess.Popen[bytes], parent: int) -> None:
    """Kill a worker and every process it started."""
    if os.getpid() != parent:
        return  # a fork of the process that started it
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError if only zombies are left
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


class Worker:
    """One worker process. It starts loading at once; the first call waits for it.

    A worker that was stopped, by its caller or because it failed, stays stopped: a `Pool` starts another one.
    """

    def __init__(self, service: Service, limits: Limits | None = None):
        self.service, self.limits = service, limits or Limits()
        self.loaded = False
        self.failure: WorkerFailed | None = None
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the worker)
        weakref.finalize(self, self.log.close)
        try:
            self.process = self._spawn()
        except OSError as error:
            raise WorkerFailed(service.id, f"can't be started: {error}") from error
        self.started = time.monotonic()
        self.pipes = _Pipes(self.process, self.limits.memory)
        self._end = weakref.finalize(self, _end, self.process, os.getpid())

    def _spawn(self) -> subprocess.Popen[bytes]:
        source = self.service.source
        return subprocess.Popen(
            self.service.command(),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=source.root,
            env=source.variables(),
            start_new_session=True,  # Ctrl-C is for the parent alone; and all its children can be killed at once
        )

    @property
    def id(self) -> str:
        return self.service.id

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._end.alive and self.process.poll() is None

    @property
    def settled(self) -> bool:
        """Whether `ready` would return or raise at once."""
        late = time.monotonic() >= self.started + self.limits.start
        return self.loaded or not self.alive or late or self.pipes.ready(self.pipes.replies, 0.0)

    def ready(self) -> Worker:
        """Wait until it has loaded its framework; raises WorkerFailed, the same again, if it could not."""
        if self.failure is not None:
            raise self.failure
        if not self.loaded:
            self.pipes.deadline = self.started + self.limits.start
            self._exchange([], "while it started", self.limits.start)
            self.loaded = True
        return self

    def call(
        self, op: str, arrays: Arrays | None = None, timeout: float | None = None, **arguments: Any
    ) -> tuple[dict[str, Any], Arrays]:
        """The result and the arrays of one operation (`impls.worker.Worker.do_<op>`).

        Raises WorkerRaised for an exception in the worker, which lives on, and another WorkerFailed for all that
        ends it. `timeout` is in seconds, `Limits.call` by default.
        """
        self.ready()
        message = protocol.encode({"op": op, **arguments}, arrays)
        seconds = self.limits.call if timeout is None else timeout
        self.pipes.deadline = time.monotonic() + seconds
        return self._exchange(message, f"in {op!r}", seconds)

    def _exchange(self, message: list[Any], doing: str, seconds: float) -> tuple[dict[str, Any], Arrays]:
        try:
            protocol.send(self.pipes, message)
            body, arrays = protocol.read(self.pipes)
        except TimeoutError:
            raise self._failed(WorkerTimedOut, f"took longer than {seconds:g} s {doing} and was stopped") from None
        except _OverLimit:
            limit = f"its memory limit of {(self.limits.memory or 0) / 2**20:,.0f} MiB"
            raise self._failed(WorkerOutOfMemory, f"exceeded {limit} {doing} and was stopped") from None
        except (EOFError, BrokenPipeError):
            raise self._failed(WorkerDied, f"{self._cause()} {doing}{self._last_words()}") from None
        except ValueError as error:
            raise self._failed(WorkerDied, f"answered with something else than a message {doing} ({error})") from error
        except BaseException:
            self.stop()  # half a message may be in its pipes
            raise
        return self._result(body, arrays)

    def _result(self, body: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        if body["ok"]:
            return body["result"], arrays
        raised = WorkerRaised(self.id, body["error"], body["message"], body["traceback"])
        if not self.loaded:
            self.failure = raised
            self.stop()
        raise raised

    def _failed(self, kind: type[WorkerFailed], reason: str) -> WorkerFailed:
        self.stop()
        self.failure = kind(self.id, reason, "\n".join(self.log_tail()))
        return self.failure

    def _cause(self) -> str:
        """How the process ended, which it is about to do: it has closed its pipe."""
        try:
            status = self.process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            return "closed its pipe, but did not exit,"
        if status >= 0:
            return f"exited with status {status}"
        name = signal.Signals(-status).name
        return f"was killed by signal {-status} ({name}{'; out of memory?' if name == 'SIGKILL' else ''})"

    def _last_words(self) -> str:
        return "".join(f": {line}" for line in self.log_tail()[-1:])

    def log_tail(self, lines: int = 20) -> list[str]:
        """The last lines that the worker, and whatever runs in it, printed."""
        size = os.fstat(self.log.fileno()).st_size
        text = os.pread(self.log.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES)).decode("utf-8", "replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]

    def stop(self) -> None:
        """Kill it and every process it started."""
        self._end()
        if self.failure is None:
            self.failure = WorkerFailed(self.id, "was stopped")


class Pool:
    """Workers by what they serve. One that died is started again when it is next asked for.

    At most `parallel` load at a time, since loading takes a core each (default: the number of cores). At most
    `keep` are alive (default: any number): the one that was not asked for longest is stopped for a new one.
    """

    def __init__(self, parallel: int | None = None, keep: int | None = None, limits: Limits | None = None):
        self.parallel = parallel or os.cpu_count() or 1
        self.keep = keep
        self.limits = limits or Limits()
        self.workers: dict[Service, Worker] = {}

    def worker(
        self,
        implementation: str,
        backend: str,
        mode: str,
        device: str = "cpu",
        dtype: str = "float64",
        threads: int = 1,
        source: Source = HERE,
    ) -> Worker:
        """The worker that serves this; it may still be loading."""
        return self.serving(Service(implementation, backend, mode, device, dtype, threads, source))

    def serving(self, service: Service) -> Worker:
        """The worker of `service`. One that said at its start why it can't serve is not asked again."""
        worker = self.workers.pop(service, None)
        if worker is None or not (worker.alive or isinstance(worker.failure, WorkerRaised)):
            self._make_room()
            worker = Worker(service, self.limits)
        self.workers[service] = worker  # the last one is the one asked for last
        return worker

    def _make_room(self) -> None:
        alive = [worker for worker in self.workers.values() if worker.alive]
        for worker in alive[: max(0, len(alive) - self.keep + 1)] if self.keep is not None else []:
            self.stop(worker.service)

    def start(self, services: Iterable[Service], progress: Callable[[Worker], None] = lambda worker: None) -> None:
        """Load all of them, `parallel` at a time, and wait; `progress` is told each that has loaded or failed.

        A failure is kept for the first call of that worker.
        """
        waiting, loading = list(dict.fromkeys(services)), list[Worker]()
        while waiting or loading:
            while waiting and len(loading) < self.parallel:
                loading.append(self.serving(waiting.pop(0)))
            settled = [worker for worker in loading if worker.settled]
            for worker in settled:
                loading.remove(worker)
                with contextlib.suppress(WorkerFailed):
                    worker.ready()
                progress(worker)
            if not settled:
                time.sleep(0.02)

    def stop(self, service: Service | None = None) -> None:
        """Stop one worker, or all."""
        for key in list(self.workers) if service is None else [service]:
            worker = self.workers.pop(key, None)
            if worker is not None:
                worker.stop()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self.stop()
