"""Workers as the suites see them: started, asked, watched, stopped.

A worker is a process of its own (see `impls.worker`) that serves one (implementation, backend, mode, device, dtype).
Whatever happens in it, an exception, a crash, a hang, too much memory, costs its caller one `WorkerFailed` whose
`reason` a person can read. No framework is imported here.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from impls import protocol
from suites.records.terminal import LOG
from suites.runner.availability import availability, gpu_here
from suites.runner.failures import (
    WorkerDied,
    WorkerFailed,
    WorkerOutOfMemory,
    WorkerRaised,
    WorkerTimedOut,
    first_line,
)
from suites.runner.pipes import OverLimit, Pipes, processor_seconds
from suites.runner.roles import HERE, Limits, Role, Source

__all__ = [
    "HERE",
    "Limits",
    "Pool",
    "Role",
    "Source",
    "Worker",
    "WorkerDied",
    "WorkerFailed",
    "WorkerOutOfMemory",
    "WorkerRaised",
    "WorkerTimedOut",
    "availability",
    "first_line",
    "gpu_here",
]

Arrays = dict[str, np.ndarray]
TAIL_BYTES = 16384


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and every process it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError if only zombies are left
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own
    process.wait()


def _end(process: subprocess.Popen[bytes], scratch: tempfile.TemporaryDirectory[str], parent: int) -> None:
    """What is left to do when a worker is garbage, or this process ends."""
    if os.getpid() != parent:
        return  # a fork of the process that started it
    _kill(process)
    scratch.cleanup()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def compiled_once(name: str) -> dict[str, str]:
    """Variables by which workers share what JAX compiles and tunes, in files that the next run of that name reads."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(Path(tempfile.gettempdir(), f"triptych-{name}-{os.getuid()}")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


class Worker:
    """One worker process. It starts loading at once; the first call waits for it.

    A worker that was stopped, by its caller or because it failed, stays stopped: a `Pool` starts another one.
    """

    def __init__(self, role: Role, limits: Limits | None = None):
        self.role, self.limits = role, limits or Limits()
        self.implementation, self.backend, self.mode, self.device, self.dtype, self.threads, self.source = role[:7]
        self.lock = threading.RLock()
        self.loaded = False
        self.failure: WorkerFailed | None = None
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the worker)
        weakref.finalize(self, self.log.close)
        # TensorFlow's AutoGraph leaves a file for each function it reads, and a killed process removes none.
        self.scratch = tempfile.TemporaryDirectory(prefix="triptych-worker-", ignore_cleanup_errors=True)
        try:
            self.process = self._spawn()
        except OSError as error:
            raise WorkerFailed(role.id, f"can't be started: {error}") from error
        self.started = time.monotonic()
        LOG.debug("%s: process %d: %s", role.id, self.process.pid, " ".join(role.command()))
        self.pipes = Pipes(self.process, self.limits.memory)
        self._end = weakref.finalize(self, _end, self.process, self.scratch, os.getpid())

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.role.command(),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=self.source.root,
            env={**self.source.variables(), **self._places()},
            start_new_session=True,  # Ctrl-C is for the parent alone; and all its children can be killed at once
        )

    def _places(self) -> dict[str, str]:
        """Temporary files end with the worker; what torch.compile made serves the next one, as it does for users."""
        shared = Path(tempfile.gettempdir(), f"torchinductor_{os.getuid()}")
        return {"TMPDIR": self.scratch.name, "TORCHINDUCTOR_CACHE_DIR": str(shared)}

    @property
    def id(self) -> str:
        return self.role.id

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
        with self.lock:
            if self.failure is not None:
                raise self.failure
            if not self.loaded:
                self.pipes.deadline = self.started + self.limits.start
                self._exchange([], "while it started", self.limits.start)
                self.loaded = True
                LOG.debug("%s: loaded %.1f s after its start", self.id, time.monotonic() - self.started)
        return self

    def call(
        self, op: str, arrays: Arrays | None = None, timeout: float | None = None, **arguments: Any
    ) -> tuple[dict[str, Any], Arrays]:
        """The result and the arrays of one operation (`impls.worker.server.Worker.do_<op>`).

        Raises WorkerRaised for an exception in the worker, which lives on, and another WorkerFailed for all that
        ends it. `timeout` is in seconds, `Limits.call` by default.
        """
        message = protocol.encode({"op": op, **arguments}, arrays)
        seconds = self.limits.call if timeout is None else timeout
        with self.lock:
            self.ready()
            self.pipes.deadline = time.monotonic() + seconds
            if self.limits.processor < math.inf:
                self.pipes.most_processor = processor_seconds(self.pid) + self.limits.processor
            return self._exchange(message, f"in {op!r}", seconds)

    def _exchange(self, message: list[Any], doing: str, seconds: float) -> tuple[dict[str, Any], Arrays]:
        asked = time.monotonic()
        try:
            protocol.send(self.pipes, message)
            body, arrays = protocol.read(self.pipes)
            if self.loaded:
                LOG.debug("%s: %.3f s %s", self.id, time.monotonic() - asked, doing)
        except TimeoutError:
            late = time.monotonic() >= self.pipes.deadline
            limit = f"{seconds:g} s" if late else f"{self.limits.processor:g} s of processor time"
            raise self._failed(WorkerTimedOut, f"took longer than {limit} {doing} and was stopped") from None
        except OverLimit:
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
        if self.failure is None:
            self.failure = kind(self.id, reason, "\n".join(self.log_tail()))
        self.stop()
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
        """Kill it and every process it started; a call that another thread is waiting for fails."""
        if self.failure is None:
            self.failure = WorkerFailed(self.id, "was stopped")
        if self._end.alive:
            LOG.debug("%s: stopped", self.id)
            _kill(self.process)
        with self.lock:  # the other thread has to be done with the pipes
            self._end()


class Pool:
    """Workers by role. One that died is started again when it is next asked for. For any number of threads.

    At most `parallel` load at a time, since loading takes a core each (default: the number of cores). At most
    `keep` are alive (default: any number): the one that was not asked for longest is stopped for a new one, so
    only a caller with a single thread should set it.
    """

    def __init__(self, parallel: int | None = None, keep: int | None = None, limits: Limits | None = None):
        self.parallel = parallel or os.cpu_count() or 1
        self.keep = keep
        self.limits = limits or Limits()
        self.workers: dict[Role, Worker] = {}
        self.lock = threading.RLock()
        self.closed = False

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
        return self.serving(Role(implementation, backend, mode, device, dtype, threads, source))

    def serving(self, role: Role) -> Worker:
        """The worker of `role`. One that said at its start why it can't serve is not started again."""
        with self.lock:
            worker = self.workers.pop(role, None)
            if worker is None or not (worker.alive or isinstance(worker.failure, WorkerRaised)):
                worker = self._another(role)
            self.workers[role] = worker  # the last one is the one asked for last
        return worker

    def _another(self, role: Role) -> Worker:
        if self.closed:
            raise WorkerFailed(role.id, "was not started: the pool is closed")
        alive = [worker for worker in self.workers.values() if worker.alive]
        for worker in alive[: max(0, len(alive) - self.keep + 1)] if self.keep is not None else []:
            self.stop(worker)
        return Worker(role, self.limits)

    def start(self, roles: Iterable[Role], progress: Callable[[Worker], None] = lambda worker: None) -> None:
        """Load all of them, `parallel` at a time, and wait; `progress` is told each that has loaded or failed.

        A failure is kept for the first call of that worker.
        """
        waiting, loading = list(dict.fromkeys(roles)), list[Worker]()
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

    def stop(self, worker: Worker) -> None:
        """Stop one worker; the next request for its role starts another one."""
        with self.lock:
            if self.workers.get(worker.role) is worker:
                del self.workers[worker.role]
        worker.stop()

    def close(self) -> None:
        """Stop all workers and start no more."""
        with self.lock:
            self.closed = True
            workers = list(self.workers.values())
        for worker in workers:
            self.stop(worker)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self.close()
