"""The plugin of a pytest session that a gate walks test by test, and the `benchmark` fixture of that session.

It is copied into a folder by itself and runs in the user's environment, so it needs nothing but pytest and Python 3.8.
Messages are lines of JSON over one socket. A `benchmark` that was handed a function serves blocks of calls of it until
the controller has measured enough; then the test goes on as if pytest-benchmark had measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import inspect
import json
import os
import platform
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

SOCKET = "TRIPTYCH_GATE_SOCKET"
SYNCHRONIZE = "TRIPTYCH_GATE_SYNCHRONIZE"
KEPT_TIMES = 100000  # of one test, for its `benchmark.stats`
LONGEST_REASON = 300


class Channel:
    """Lines of JSON to and from the controller; where that is gone, this process ends too."""

    def __init__(self, number: int) -> None:
        self.socket = socket.socket(fileno=number)
        self.socket.set_inheritable(False)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.waits = Waits()

    def send(self, **message: Any) -> None:
        try:
            self.socket.sendall((json.dumps(message) + "\n").encode())
        except OSError:
            os._exit(3)

    def receive(self) -> dict[str, Any]:
        try:
            line = self.lines.readline()
        except OSError:
            line = ""
        if not line.endswith("\n"):
            os._exit(3)
        message: dict[str, Any] = json.loads(line)
        return message


class Stats:
    """What tests read from `benchmark.stats` after a measurement, in seconds."""

    def __init__(self, data: list[float]) -> None:
        self.data = sorted(data)
        self.rounds, self.iterations = len(data), 1
        self.total, self.min, self.max = sum(data), min(data), max(data)
        self.mean, self.median = statistics.fmean(data), statistics.median(data)
        self.stddev = statistics.stdev(data) if len(data) > 1 else 0.0
        self.ops = 1 / self.mean if self.mean else 0.0
        self.stats = self

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class Waits:
    """Seconds in which this thread was ready and had no core, as Linux counts them; always 0 elsewhere."""

    def __init__(self) -> None:
        try:
            self.number = os.open("/proc/thread-self/schedstat", os.O_RDONLY)  # open as long as the session is
        except OSError:
            self.number = -1

    def read(self) -> float:
        if self.number < 0:
            return 0.0
        return int(os.pread(self.number, 100, 0).split()[1]) / 1e9


class AlreadyUsed(Exception):
    """A second measurement with one fixture, which pytest-benchmark refuses too."""


class Benchmark:
    """The fixture: pytest-benchmark's names, measured by the controller."""

    def __init__(
        self, node: Any, channel: Channel, synchronize: Callable[[Any], None] | None, disable_gc: bool
    ) -> None:
        marker = node.get_closest_marker("benchmark")
        options = marker.kwargs if marker else {}
        self.name, self.fullname = node.name, node.nodeid
        self.group: str | None = options.get("group")
        callspec = getattr(node, "callspec", None)
        self.param = callspec.id if callspec else None
        self.params = callspec.params if callspec else None
        self.extra_info: dict[str, Any] = {}
        self.stats: Stats | None = None
        self.enabled, self.disabled, self.has_error, self.skipped = True, False, False, False
        self._clock = options.get("timer") or time.perf_counter
        self._disable_gc = options.get("disable_gc", disable_gc)
        self._channel, self._synchronize = channel, synchronize
        self._used = ""
        self._waits = channel.waits
        self._times: list[float] = []

    def __call__(self, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._use("benchmark(...)")
        with _plain(function_to_benchmark) as function:
            self._serve(lambda calls, inner: self._block(function, args, kwargs, calls, inner), repeats=True)
            return function(*args, **kwargs)

    def pedantic(
        self,
        target: Callable[..., Any],
        args: Any = (),
        kwargs: Any = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """As pytest-benchmark's, with as many rounds as the comparison needs; `setup` goes before every call."""
        self._use("benchmark.pedantic(...)")
        for name, number, least in (
            ("iterations", iterations, 1),
            ("rounds", rounds, 1),
            ("warmup_rounds", warmup_rounds, 0),
        ):
            if not isinstance(number, int) or number < least:
                raise ValueError(f"Must have positive int for `{name}`.")
        if setup and iterations > 1:
            raise ValueError("Can't use more than 1 `iterations` with a `setup` function.")
        kwargs = kwargs or {}
        with _plain(target) as function:
            if setup is None and teardown is None:
                self._serve(lambda calls, inner: self._block(function, args, kwargs, calls, inner), repeats=True)
                return function(*args, **kwargs)
            prepared = _Prepared(function, args, kwargs, setup, teardown)
            self._serve(lambda calls, inner: self._prepared_block(prepared, calls), repeats=False)
            return prepared.result

    def weave(self, *args: Any, **kwargs: Any) -> None:
        """Measures a function wherever the test calls it; nothing that can be called in turn with another process."""
        pytest.skip("benchmark.weave is not gated: hand the function to benchmark() instead")

    patch = weave

    def _use(self, mode: str) -> None:
        if self._used:
            self.has_error = True
            raise AlreadyUsed(f"Fixture can only be used once. Previously it was used in {self._used} mode.")
        self._used = mode

    def _serve(self, block: Callable[[int, int], list[float]], repeats: bool) -> None:
        """Run blocks until the controller has enough of them."""
        gc.collect()
        self._channel.send(event="ready", repeats=repeats, group=self.group)
        while True:
            message = self._channel.receive()
            if message["op"] != "block":
                break
            before = self._waits.read()
            with _undisturbed(self._disable_gc):
                times = block(message["calls"], message["inner"])
            self._channel.send(event="times", calls=times, waited=self._waits.read() - before)
            if len(self._times) < KEPT_TIMES:
                self._times += [seconds / message["inner"] for seconds in times]
        if self._times:
            self.stats = Stats(self._times)

    def _block(self, function: Callable[..., Any], args: Any, kwargs: Any, calls: int, inner: int) -> list[float]:
        """Seconds of each of so many times `inner` calls."""
        clock, wait, times, repeat = self._clock, self._synchronize, [], range(inner)
        for _ in range(calls):
            if wait is None:
                start = clock()
                for _ in repeat:
                    function(*args, **kwargs)
                times.append(clock() - start)
            else:
                start = clock()
                for _ in repeat:
                    wait(function(*args, **kwargs))
                times.append(clock() - start)
        return times

    def _prepared_block(self, prepared: _Prepared, calls: int) -> list[float]:
        times = []
        for _ in range(calls):
            args, kwargs = prepared.arguments()
            start = self._clock()
            prepared.result = prepared.function(*args, **kwargs)
            if self._synchronize is not None:
                self._synchronize(prepared.result)
            times.append(self._clock() - start)
            prepared.end(args, kwargs)
        return times


class _Prepared:
    """A pedantic target whose arguments are made before each call, and cleared away after it."""

    def __init__(self, function: Any, args: Any, kwargs: Any, setup: Any, teardown: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.setup, self.teardown = setup, teardown
        self.result: Any = None

    def arguments(self) -> tuple[Any, Any]:
        made = self.setup() if self.setup else None
        if made and (self.args or self.kwargs):
            raise TypeError("Can't use `args` or `kwargs` if `setup` returns the arguments.")
        return made if made else (self.args, self.kwargs)

    def end(self, args: Any, kwargs: Any) -> None:
        if self.teardown:
            self.teardown(*args, **kwargs)


@contextlib.contextmanager
def _plain(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The function itself; of a coroutine function one that runs it to its end in a loop of its own."""
    if not inspect.iscoroutinefunction(function):
        yield function
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        try:
            yield lambda *args, **kwargs: loop.run_until_complete(function(*args, **kwargs))
        finally:
            loop.close()
    else:
        pytest.skip("a coroutine function is not gated inside a running event loop: make the test a plain function")


@contextlib.contextmanager
def _undisturbed(disable_gc: bool) -> Iterator[None]:
    """No tracer, no profiler and, where the user wants that, no garbage collection."""
    tracer, profiler, collects = sys.gettrace(), sys.getprofile(), gc.isenabled()
    sys.settrace(None)
    sys.setprofile(None)
    if disable_gc:
        gc.disable()
    try:
        yield
    finally:
        if disable_gc and collects:
            gc.enable()
        sys.settrace(tracer)
        sys.setprofile(profiler)


class Fixtures:
    """Registered after pytest-benchmark, so that these win."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    @pytest.fixture
    def benchmark_synchronize(self) -> Any:
        """What waits for the result of a call, a GPU's for instance; a project may define its own in conftest.py."""
        place = os.environ.get(SYNCHRONIZE, "")
        if not place:
            return None
        module, _, name = place.partition(":")
        function = getattr(importlib.import_module(module), name)
        takes = len(inspect.signature(function).parameters) if _has_signature(function) else 0
        return function if takes == 1 else (lambda result: function())

    @pytest.fixture
    def benchmark(self, request: Any, benchmark_synchronize: Any) -> Benchmark:
        disable_gc = bool(getattr(request.config.option, "benchmark_disable_gc", False))
        return Benchmark(request.node, self.channel, benchmark_synchronize, disable_gc)

    @pytest.fixture
    def benchmark_weave(self, benchmark: Benchmark) -> Any:
        return benchmark.weave


def _has_signature(function: Any) -> bool:
    """Whether its parameters can be seen; those of many functions written in C can't."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(item.default is item.empty for item in parameters)


class Session:
    """Runs the tests that the controller names, in its order."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.errors: list[dict[str, str]] = []
        self.reports: list[Any] = []

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.errors.append({"place": report.nodeid, "reason": _last_line(str(report.longrepr))})

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items if "benchmark" in getattr(item, "fixturenames", ())}
        self.channel.send(
            event="collected",
            tests=[{"id": name, "file": str(item.path)} for name, item in items.items()],
            errors=self.errors,
            python=platform.python_version(),
        )
        session.testsfailed = 0
        while True:
            message = self.channel.receive()
            if message["op"] == "stop":
                return True
            if message["op"] == "run":
                self._run(items[message["test"]], items.get(message["next"]))

    def _run(self, item: Any, following: Any) -> None:
        self.reports = []
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        bad = [report for report in self.reports if report.failed] or [
            report for report in self.reports if report.skipped
        ]
        outcome = bad[0].outcome if bad else "passed"
        self.channel.send(event="finished", outcome=outcome, reason=_reason(bad[0]) if bad else "")


def _reason(report: Any) -> str:
    """One line that says why a test failed or was skipped."""
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])[:LONGEST_REASON].replace("Skipped: ", "", 1)
    crash = getattr(report.longrepr, "reprcrash", None)
    return _first_line(crash.message) if crash else _last_line(str(report.longrepr))


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:LONGEST_REASON] if lines else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:LONGEST_REASON] if lines else ""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: Any) -> None:
    """No other process runs the tests: what the project's configuration says of pytest-xdist is for other sessions."""
    for name, value in (("dist", "no"), ("tx", []), ("numprocesses", None)):
        if hasattr(config.option, name):
            setattr(config.option, name, value)
    config.addinivalue_line("markers", "benchmark: of pytest-benchmark")
    config.pluginmanager.register(_Late(), "triptych-gate-late")


class _Late:
    """What has to come after every other plugin has configured itself."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: Any) -> None:
        channel = Channel(int(os.environ.pop(SOCKET)))
        manager = session.config.pluginmanager
        theirs = manager.get_plugin("benchmark")  # of pytest-benchmark: it refuses any other fixture of that name
        if theirs is not None:
            manager.unregister(theirs)
        session.config.pluginmanager.register(Fixtures(channel), "triptych-gate-fixtures")
        session.config.pluginmanager.register(Session(channel), "triptych-gate-session")
