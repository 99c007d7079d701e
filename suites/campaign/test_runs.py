"""A run of a campaign: a store that survives, workers that die, a command that says what is wrong with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suites.campaign import against, runner, store, summary
from suites.campaign.__main__ import BAD_INPUT, main
from suites.runner.machine import ROOT


def record(seed: int) -> dict[str, Any]:
    return {"kind": "operation", "seed": seed, "operation": "sum", "dtype": "float32", "results": {}}


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    """Whatever kills the process, what was judged before is there, and the next line is whole again."""
    path = tmp_path / "store.jsonl"
    with store.Store(path) as kept:
        assert kept.add(record(1)) and kept.add(record(2)) and not kept.add(record(2))
    path.write_bytes(path.read_bytes() + b'{"kind": "operation", "se')
    assert [each["seed"] for each in store.read(path)] == [1, 2]
    with store.Store(path) as kept:
        assert kept.add(record(3))
    assert [each["seed"] for each in store.read(path)] == [1, 2, 3]


def test_a_spoilt_line_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "store.jsonl"
    path.write_text('{"kind": "operation", "seed": 1}\nnonsense\n')
    with pytest.raises(store.StoreError, match=r"store\.jsonl:2"):
        list(store.read(path))


def test_two_stores_merge(tmp_path: Path) -> None:
    """What both hold counts once."""
    for name, seeds in (("a", (1, 2)), ("b", (2, 3))):
        with store.Store(tmp_path / name) as kept:
            for seed in seeds:
                kept.add(record(seed))
    assert store.merge(tmp_path / "a", [tmp_path / "b"]) == 1
    assert [each["seed"] for each in store.read(tmp_path / "a")] == [1, 2, 3]


def pretend(task: runner.Task, only: tuple[str, ...]) -> list[dict[str, Any]]:
    """In the place of the engines: as long as a short task."""
    time.sleep(0.02)
    return [{**record(seed), "kind": task[0], "pid": os.getpid(), "layers": []} for seed in task[1]]


@pytest.fixture
def thread() -> Iterator[Any]:
    client = runner.connect("", 1)
    yield client
    client.close()


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path: Path, thread: Any) -> None:
    """Nothing is judged twice, and nothing is left out."""
    path = tmp_path / "store.jsonl"
    with store.Store(path) as kept:
        assert runner.run(runner.Plan(0, 3, 90), kept, thread, do=pretend).records == 93
    with store.Store(path) as kept:
        assert runner.run(runner.Plan(0, 5, 130), kept, thread, do=pretend).records == 42
    found = [store.key(each) for each in store.read(path)]
    assert len(found) == len(set(found)) == 135


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--backend", "tensrflow"], "unknown backend 'tensrflow': known are torch, jax, tensorflow"),
        (["--networks", "-1"], "--networks is at least 0"),
        (["--workers", "0"], "--workers is at least 1"),
        (["--resume"], "there is no store"),
        (["--against", "jaxx==1"], "--against 'jaxx==1' names no release of an engine"),
        (["--against", "jax==0.9.2", "--backend", "torch"], "name two engines"),
        (["--merge", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], says: str, tmp_path: Path, capsys: Any) -> None:
    assert main([*arguments, "--results", str(tmp_path)]) == BAD_INPUT
    assert says in capsys.readouterr().err


@pytest.mark.full
@pytest.mark.catalogue
def test_a_killed_campaign_goes_on_and_judges_nothing_twice(tmp_path: Path) -> None:
    """kill -9 of the command itself: every line it wrote is there, and the rest is done by the same command."""
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "suites.campaign", "--backend=torch", "--networks=0", "--operations=400"]
    command += ["--no-shrink", f"--results={tmp_path}"]
    path = tmp_path / "campaign.jsonl"
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while first.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") > 80):
        time.sleep(0.05)
    first.kill()
    first.wait()
    before = [store.key(each) for each in store.read(path)]
    assert 80 < len(before) < 400
    subprocess.run([*command, "--resume"], cwd=ROOT, check=False, capture_output=True)
    after = [store.key(each) for each in store.read(path)]
    assert after[: len(before)] == before
    assert sorted(seed for _, seed, _ in after) == list(range(400))


def test_releases_are_compared_case_by_case() -> None:
    """What a newer release mends, or breaks, is told by its seed."""
    here = {**record(3), "about": "jax", "results": {"jax-jax-eager": {"status": "ok"}}}
    there = {**record(3), "about": "jax==0.9.2", "results": {"jax-jax-eager": {"status": "exceeds"}}}
    other = {**record(4), "about": "jax", "results": {"jax-jax-eager": {"status": "exceeds"}}}
    lines = against.differences([here, there, other], "jax", "jax==0.9.2")
    assert lines == ["operation 3 sum jax-jax-eager: ok here, exceeds in jax==0.9.2"]


@pytest.mark.full
def test_a_cluster_on_the_loopback_address_survives_its_workers(tmp_path: Path) -> None:
    """Scheduler and workers started by hand; workers are killed at work, and nothing is lost or done twice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1", f"--port={port}"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads=1", "--no-dashboard"]
    running = [subprocess.Popen([*scheduler, "--no-dashboard"], env=environment, stderr=subprocess.DEVNULL)]
    try:
        time.sleep(3)

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen([*worker, "--no-nanny"], env=environment, stderr=subprocess.DEVNULL)

        running += [start(), start()]
        client = runner.connect(address, 2)
        client.wait_for_workers(2, timeout=60)
        killed = 0

        def kill(progress: runner.Progress) -> None:
            nonlocal killed
            if progress.records > 40 * (killed + 1) and killed < 2:
                killed += 1
                running[killed].send_signal(signal.SIGKILL)
                running.append(start())

        with store.Store(tmp_path / "store.jsonl") as kept:
            runner.run(runner.Plan(0, 150, 0), kept, client, kill, do=pretend)
        client.close()
        assert killed == 2
        assert sorted(each["seed"] for each in store.read(tmp_path / "store.jsonl")) == list(range(150))
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_a_summary_counts_what_was_planned() -> None:
    """Undecided is no pass, and a refusal that is known is no alarm."""
    outcomes = {
        "torch-torch-eager": {"status": "ok", "ratio": 0.4},
        "jax-jax-eager": {"status": "undecided", "ratio": None},
        "keras-jax-eager": {"status": "exceeds", "ratio": 1e9, "condition": "rounding", "phase": "steps"},
    }
    found = summary.summarise([{**record(1), "results": outcomes}])
    assert found["realisations"] == 3
    assert {"keras", "torch", "jax"} >= set(found["versions"])
    assert found["judged"] == 2
    assert found["statuses"] == {"ok": 1, "undecided": 1, "exceeds": 1}
    assert found["alarms"] == {"sum keras jax float32 exceeds": 1}
    assert "not looked into: sum keras jax" in summary.text(found)
