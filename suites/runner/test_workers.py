"""What a crash, a hang, a noisy framework, another interpreter or a killed parent may cost: one cell, no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from impls import MODELS, weights
from suites.equivalence.compare import AGREEMENT, normwise
from suites.runner.machine import ROOT
from suites.runner.testing.fake_root import PROGRAM, fake_root
from suites.runner.workers import (
    HERE,
    Limits,
    Pool,
    Role,
    Source,
    Worker,
    WorkerDied,
    WorkerFailed,
    WorkerOutOfMemory,
    WorkerRaised,
    WorkerTimedOut,
)


def role(root: Path, implementation: str = "fake", **source: object) -> Role:
    return Role(implementation, "numpy", "eager", source=Source(root=root, **source))  # type: ignore[arg-type]


def opened(worker: Worker) -> Worker:
    worker.call("open", {}, model="seed", size="small")
    return worker


def do(worker: Worker, deed: str, x: object = 3.0, timeout: float = 60.0) -> np.ndarray:
    _, arrays = worker.call("forward", {"x": np.asarray(x)}, timeout=timeout, training=deed)
    return arrays["activation/out"]


def gone(pids: list[int]) -> bool:
    """Whether all these processes end soon; a zombie nobody has waited for counts as ended."""
    for _ in range(200):
        if not any(_state(pid) not in ("Z", "") for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Every process that `pid` started, and those that they started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    found = []
    for child in map(int, listed.split()):
        found += [child, *children(child)]
    return found


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_root(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool() as workers:
        yield workers


@pytest.fixture
def worker(pool: Pool, root: Path) -> Worker:
    return opened(pool.serving(role(root)))


def test_arrays_travel_whole(worker: Worker) -> None:
    """Many megabytes both ways, a scalar, an empty batch, every kind of number: the same bits come back."""
    for x in (np.random.default_rng(0).normal(size=(2048, 2048)), 1.5, np.zeros((0, 4)), np.arange(6).reshape(2, 3).T):
        expected = np.asarray(x)
        back = do(worker, "same", x)
        assert back.shape == expected.shape and back.dtype == expected.dtype
        assert back.tobytes() == expected.tobytes()


def test_what_a_framework_prints_or_reads_stays_out_of_the_protocol(worker: Worker) -> None:
    assert do(worker, "chatter") == 3.0
    assert "from a child" in worker.log_tail()[-1]


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("raises", "ArithmeticError: not today"),
        ("unsendable", "ValueError: refused array 'activation/out' of dtype '|O': only booleans and numbers travel"),
    ],
)
def test_an_exception_costs_its_call_only(worker: Worker, deed: str, reason: str) -> None:
    with pytest.raises(WorkerRaised) as caught:
        do(worker, deed)
    assert caught.value.reason == reason
    assert "Traceback" in caught.value.details
    assert do(worker, "same") == 3.0


def test_what_cannot_travel_is_refused_before_it_is_sent(worker: Worker) -> None:
    with pytest.raises(ValueError, match="refused array 'x' of dtype"):
        do(worker, "same", np.array([None]))
    assert do(worker, "same") == 3.0


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("fourward", "unknown operation 'fourward': known are allocated, control, first, fit, "),
        ("slots", "call 'open' first"),
    ],
)
def test_a_request_out_of_place_is_explained(root: Path, operation: str, reason: str) -> None:
    with Pool() as pool, pytest.raises(WorkerRaised, match=reason):
        pool.serving(role(root)).call(operation)


@pytest.mark.parametrize(
    ("deed", "kind", "reason"),
    [
        ("kill", WorkerDied, "was killed by signal 9 (SIGKILL; out of memory?) in 'forward'"),
        ("abort", WorkerDied, "was killed by signal 6 (SIGABRT) in 'forward'"),
        ("leave", WorkerDied, "exited with status 3 in 'forward': no such kernel"),
        ("hang", WorkerTimedOut, "took longer than 0.5 s in 'forward' and was stopped"),
        ("eat", WorkerOutOfMemory, "exceeded its memory limit of 200 MiB in 'forward' and was stopped"),
    ],
)
def test_the_end_of_a_worker_is_told_and_the_next_request_gets_another(
    root: Path, deed: str, kind: type[WorkerFailed], reason: str
) -> None:
    with Pool(limits=Limits(memory=200 << 20)) as pool:
        first = opened(pool.serving(role(root)))
        with pytest.raises(kind) as caught:
            do(first, deed, timeout=0.5 if deed == "hang" else 60.0)
        assert caught.value.reason == reason
        with pytest.raises(kind):  # the dead one says the same as before
            first.call("hello")
        second = opened(pool.serving(role(root)))
        assert second is not first and pool.serving(role(root)) is second
        assert do(second, "answer") == 6.0


def test_a_worker_hangs_by_what_it_computes_not_by_how_busy_the_machine_is(root: Path) -> None:
    """On a machine that stands still a call may take minutes: a campaign would report an engine that hangs."""
    with Pool(limits=Limits(processor=0.3)) as pool:
        worker = opened(pool.serving(role(root)))
        assert do(worker, "wait") == 6.0  # longer than the limit, without computing
        with pytest.raises(WorkerTimedOut, match=r"took longer than 0\.3 s of processor time in 'forward'"):
            do(worker, "burn", timeout=60.0)


def test_what_a_framework_leaves_in_the_temporary_folder_ends_with_its_worker(root: Path) -> None:
    with Pool() as pool:
        worker = opened(pool.serving(role(root)))
        left = Path(do(worker, "litter").tobytes().decode())
        assert left.exists()
        with pytest.raises(WorkerDied):
            do(worker, "kill")
        assert not left.exists()


def test_large_arrays_to_a_worker_that_hangs_time_out(root: Path) -> None:
    """It does not read: the pipe fills up, and the write has to end as well."""
    with Pool() as pool:
        worker = opened(pool.serving(role(root)))
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerTimedOut, match=r"took longer than 0\.3 s"):
            do(worker, "same", np.zeros(1 << 20), timeout=0.3)


def test_a_stop_from_another_thread_ends_a_call(root: Path) -> None:
    with Pool() as pool:
        worker = opened(pool.serving(role(root)))
        timer = threading.Timer(0.3, pool.close)
        timer.start()
        with pytest.raises(WorkerFailed, match="was stopped"):
            do(worker, "hang")
        timer.join()
        with pytest.raises(WorkerFailed, match="the pool is closed"):
            pool.serving(role(root))


def test_a_worker_that_cannot_load_says_why_and_is_not_started_again(root: Path) -> None:
    with Pool() as pool:
        seen: list[Worker] = []
        pool.start([role(root, "broken"), role(root)], seen.append)
        assert {worker.implementation for worker in seen} == {"broken", "fake"}
        broken = pool.serving(role(root, "broken"))
        for _ in range(2):
            with pytest.raises(WorkerRaised, match="No module named 'a_framework_that_is_not_there'"):
                broken.call("hello")
        assert pool.serving(role(root, "broken")) is broken


def test_an_interpreter_or_root_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as under `nox`, which must not lend this tree to another root
    with pytest.raises(WorkerFailed, match=r"can't be started: .*no-such-python"):
        Worker(role(tmp_path, python="/no-such-python"))
    with pytest.raises(WorkerDied, match=r"exited with status 1 while it started: .*No module named .?impls"):
        Worker(role(tmp_path)).ready()


def test_only_the_newest_are_kept(root: Path) -> None:
    roles = [role(root)._replace(threads=threads) for threads in (1, 2, 3)]
    with Pool(parallel=3, keep=2) as pool:
        pool.start(roles)
        assert [worker.threads for worker in pool.workers.values()] == [2, 3]


@linux
def test_an_idle_worker_sleeps(worker: Worker) -> None:
    """A worker that wakes up by itself would disturb the one that is being measured."""
    do(worker, "same")
    assert any(sleeps(worker.pid) for _ in range(20))  # it may still be on its way to bed


def sleeps(pid: int) -> bool:
    before = switches(pid)
    time.sleep(0.4)
    return switches(pid) == before


def switches(pid: int) -> list[str]:
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sorted(line for text in statuses for line in text.splitlines() if line.startswith("voluntary_ctxt"))


@linux
def test_peak_memory_is_the_worker_s_own(root: Path) -> None:
    """Linux hands getrusage's peak down from the parent: a large test process would be taken for the worker."""
    held = np.ones(50 << 20)  # 400 MiB
    with Pool() as pool:
        memory, _ = pool.serving(role(root)).call("memory")
    assert 0 < memory["peak_bytes"] < held.nbytes
    assert memory["device_bytes"] is None


PARENT = """
import signal
import sys
import numpy as np
from pathlib import Path
from suites.runner.workers import Pool, Role, Source

signal.signal(signal.SIGINT, signal.default_int_handler)  # what starts the tests may ignore Ctrl-C, as `&` in a shell
with Pool() as pool:
    workers = [
        pool.serving(Role("fake", "numpy", "eager", threads=threads, source=Source(root=Path(sys.argv[1]))))
        for threads in (1, 2)
    ]
    for worker in workers:
        worker.call("open", {}, model="seed", size="small")
    print("ready", flush=True)
    workers[0].call("forward", {"x": np.ones(1)}, training="hang")
"""


@linux
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_no_process_outlives_its_parent(root: Path, name: str) -> None:
    """One worker idle, one in mid-call with a child of its own; then Ctrl-C, kill, kill -9."""
    command = [sys.executable, "-c", PARENT, str(root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
        while len(started := children(parent.pid)) < 3:
            time.sleep(0.05)
        parent.send_signal(signal.Signals[name])
        try:
            parent.communicate(timeout=30)
        finally:
            parent.kill()
    assert gone(started)


def test_another_interpreter(root: Path, tmp_path: Path) -> None:
    """A virtual environment of its own, which sees this one's NumPy and a module that only it has."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "numpy.pth").write_text(str(Path(np.__file__).parent.parent) + "\n")
    (packages / "marker.py").write_text("VALUE = 7\n")
    with Pool() as pool:
        other = opened(pool.serving(role(root, python=str(tmp_path / "venv" / "bin" / "python"))))
        assert do(other, "marker") == 7
        with pytest.raises(WorkerRaised, match="No module named 'marker'"):
            do(opened(pool.serving(role(root))), "marker")


def test_another_source_root(root: Path, tmp_path: Path) -> None:
    """As for the base commit of a gate: both at once, each with its own program, in its own environment."""
    changed = fake_root(tmp_path / "base")
    (changed / "impls" / "seed" / "fake.py").write_text(PROGRAM.replace("2.0", "5.0"))
    with Pool() as pool:
        base, head = (
            opened(pool.serving(role(changed, environment={"TF_BASE": "1", "PYTHONSAFEPATH": "1"}))),
            opened(pool.serving(role(root))),
        )
        assert do(base, "answer") == 15.0 and do(head, "answer") == 6.0
        assert [worker.call("hello")[0]["flags"].get("TF_BASE") for worker in (base, head)] == ["1", None]


def test_the_oracle_s_worker_computes(pool: Pool) -> None:
    """A program of this checkout, and the same with another learning rate: equal gradients, other weights."""
    initial = weights.canonical(MODELS["seed"].at("small"))
    batch = {"x": np.linspace(-1, 1, 32).reshape(8, 4), "y": np.arange(8) % 2}
    patch = {"file": "impls/seed/shim.py", "old": "0.01", "new": "0.02"}
    gradients, steps = [], []
    for source in (HERE, Source(patch=patch)):
        worker = pool.worker("shim", "numpy", "eager", source=source)
        worker.call("open", initial, model="seed", size="small")
        gradients.append(worker.call("gradients", batch)[1]["gradient/logits/kernel"])
        after = worker.call("train", batch, batch_size=8)[1]["weight/logits/kernel"]
        steps.append(after - initial["logits/kernel"])
    np.testing.assert_array_equal(gradients[0], gradients[1])
    assert normwise(steps[1], 2 * steps[0]) <= AGREEMENT


def test_a_planted_fault_is_what_runs_and_what_is_read(root: Path) -> None:
    """AutoGraph compiles the text that `inspect` finds: it has to be the patched one."""
    patch = {"file": "impls/seed/fake.py", "old": "x * 2.0", "new": "x * 2.5"}
    with Pool() as pool:
        faulty = opened(pool.serving(role(root, patch=patch)))
        assert do(faulty, "answer") == 7.5
        assert b"x * 2.5" in do(faulty, "source").tobytes()
        with pytest.raises(WorkerRaised, match=r"PatchError: the text 'x \* 3' occurs 0 times in impls/seed/fake\.py"):
            pool.serving(role(root, patch={**patch, "old": "x * 3"})).ready()


def test_sources_are_told_apart_by_what_is_in_them() -> None:
    one, two = {"file": "a.py", "old": "1", "new": "2"}, {"new": "2", "old": "1", "file": "a.py"}
    assert len({Source(patch=one), Source(patch=two), Source(), HERE, Source(environment={"A": "1"})}) == 3
