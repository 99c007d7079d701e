"""Times calls in this process, and tells what the process did while another one was timed. Valid on Python 3.6."""

import time
from typing import Any, Callable, Dict, List, Tuple

Call = Callable[[], Any]
Arrive = Callable[[Any], Any]  # waits for the result of a call


def _is_there(result: Any) -> Any:
    """For a call whose result is there when it returns."""
    return result


def calls_of(adapter: Any, native: Any) -> Dict[str, Call]:
    """A step and a prediction on one batch that the engine already has."""
    return {"train_step": lambda: adapter.step(*native), "predict": lambda: adapter.call(native[0])}


class Stopwatch(object):
    """Calls by (label, what), each of which ends when its result has arrived as NumPy."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.calls = {}  # type: Dict[Tuple[str, str], Tuple[Call, Arrive]]
        self.left = None  # type: Any

    def add(self, calls: Dict[str, Call], at: str = "", arrive: Arrive = _is_there) -> None:
        """Have these calls ready for `time`, under the label `at`."""
        self.calls.update(((at, what), (call, arrive)) for what, call in calls.items())

    def prepare(self, adapter: Any, arrays: Dict[str, Any], batch: int, at: str) -> None:
        """A step and a prediction on the first `batch` examples, and an epoch of the program's own loop over all."""
        x, y = adapter.floats(arrays["x"]), adapter.floats(arrays["y"])
        native = adapter.batch(x[:batch], y[:batch])
        calls = calls_of(adapter, native)
        calls["fit"] = lambda: adapter.fit(x, y, 1, batch)
        self.add(calls, at, adapter.value)

    def time(
        self,
        what: str,
        iterations: int,
        at: str = "",
        discard: int = 0,
        each: bool = False,
        limit: float = float("inf"),
    ) -> Dict[str, Any]:
        """Seconds that `iterations` calls take, the wait for the last result included, after `discard` uncounted ones.

        With `each` every call waits for its own result and is timed alone, until `limit` seconds have passed since the
        end of the first one.
        `idle_seconds` have passed since the last time this was asked; `idle_cpu_seconds` is what all threads of this
        process used of the processor meanwhile, `cpu_seconds` the same of the counted calls.
        """
        found = self._idle()
        call, arrive = self.call(what, at)
        for _ in range(discard):
            arrive(call())
        cpu, start = time.process_time(), time.perf_counter()
        if each:
            found["calls"] = _each(call, arrive, iterations, limit)
        else:
            for _ in range(iterations):
                result = call()
            arrive(result)
        found.update(seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu)
        self.left = time.perf_counter(), time.process_time()
        return found

    def call(self, what: str, at: str) -> Tuple[Call, Arrive]:
        if (at, what) not in self.calls:
            known = ", ".join(sorted("{} at {!r}".format(*key[::-1]) for key in self.calls))
            raise ValueError("nothing to time as {} at {!r}: prepared are {}".format(what, at, known or "none"))
        return self.calls[at, what]

    def _idle(self) -> Dict[str, Any]:
        if self.left is None:
            return {"idle_seconds": 0.0, "idle_cpu_seconds": 0.0}
        wall, cpu = self.left
        return {"idle_seconds": time.perf_counter() - wall, "idle_cpu_seconds": time.process_time() - cpu}


def _each(call: Call, arrive: Arrive, iterations: int, limit: float) -> List[float]:
    """Seconds of each call; at least one."""
    seconds = []  # type: List[float]
    end = 0.0
    while len(seconds) < iterations:
        start = time.perf_counter()
        if seconds and start > end:
            break
        arrive(call())
        seconds.append(time.perf_counter() - start)
        end = end or time.perf_counter() + limit
    return seconds
