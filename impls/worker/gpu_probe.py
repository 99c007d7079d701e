"""What a GPU can do and what one call asks of it: peaks, time on the device, launches, memory."""

from __future__ import annotations

import glob
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

SIDE = 8192  # of the square matrices whose product is timed
COPIED = 1 << 30  # bytes of the buffer that is copied
REPEATS = 10
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cuGraphLaunch")


def peaks(backend: str) -> dict[str, float]:
    """Floating-point operations a second of a large product by precision, and bytes a second of a copy (both ways)."""
    if backend != "torch":
        raise ValueError(f"peaks of a GPU are measured with torch, not with {backend}")
    import torch

    products = [("float32", torch.float32, False), ("tf32", torch.float32, True), ("bfloat16", torch.bfloat16, False)]
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        del products[1]  # switched off below everything that could switch it on
    found = {name: _product(torch, dtype, tf32) for name, dtype, tf32 in products}
    source = torch.randn(COPIED // 4, device="cuda")
    target = torch.empty_like(source)
    found["copy"] = 2.0 * COPIED / _seconds(torch, lambda: target.copy_(source))
    return found


def _product(torch: Any, dtype: Any, tf32: bool) -> float:
    """Operations a second of a square product."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    a, b = (torch.randn(SIDE, SIDE, device="cuda").to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    seconds = _seconds(torch, lambda: torch.mm(a, b, out=out))
    torch.backends.cuda.matmul.allow_tf32 = before
    return 2.0 * SIDE**3 / seconds


def _seconds(torch: Any, call: Callable[[], Any]) -> float:
    """The median by events of the device, after calls that warm up."""
    for _ in range(3):
        call()
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return float(sorted(times)[len(times) // 2])


def profile(backend: str, call: Callable[[], Any], arrive: Callable[[Any], Any], calls: int) -> dict[str, Any]:
    """Of `calls` calls, each: seconds of wall, seconds that kernels ran, kernels, launches of the host; peak bytes.

    `event_seconds`, where the engine has events, is from the first call's start to the last one's end on the device.
    """
    for _ in range(3):  # the second may be captured, the third is replayed
        arrive(call())
    found = {"torch": _torch, "jax": _jax}[backend](call, arrive, calls)
    start = time.perf_counter()
    for _ in range(calls):
        result = call()
    arrive(result)
    found["seconds"] = (time.perf_counter() - start) / calls
    return found


def _torch(call: Callable[[], Any], arrive: Callable[[Any], Any], calls: int) -> dict[str, Any]:
    import torch

    torch.cuda.reset_peak_memory_stats()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(calls):
        result = call()
    end.record()
    arrive(result)
    end.synchronize()
    peak = torch.cuda.max_memory_allocated()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(calls):
            result = call()
        arrive(result)
        torch.cuda.synchronize()
    kernels, launches = [], []
    for event in profiler.events():
        if str(event.device_type).endswith("CUDA"):
            kernels.append((event.name, event.time_range.elapsed_us()))
        else:
            launches.append(event.name)
    found = _counted(kernels, launches, calls)
    found.update(event_seconds=start.elapsed_time(end) / 1e3 / calls, peak_bytes=peak)
    return found


def _jax(call: Callable[[], Any], arrive: Callable[[Any], Any], calls: int) -> dict[str, Any]:
    import jax

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(calls):
                result = call()
            arrive(result)
        events = [
            event
            for path in glob.glob(os.path.join(folder, "**", "*.trace.json.gz"), recursive=True)
            for event in _events(path)
        ]
    processes = {e["pid"]: e["args"]["name"] for e in events if e.get("name") == "process_name"}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    device: list[tuple[str, float]] = []
    host: list[str] = []
    for event in events:
        if event.get("ph") != "X":
            continue
        if "GPU" not in processes.get(event["pid"], ""):
            host.append(event["name"])
        elif "Stream" in threads.get((event["pid"], event["tid"]), ""):
            device.append((event["name"], event.get("dur", 0.0)))
    found = _counted(device, host, calls)
    found.update(event_seconds=None, peak_bytes=jax.devices()[0].memory_stats()["peak_bytes_in_use"])
    return found


def _events(path: str) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return list(json.load(file)["traceEvents"])


def _counted(device: list[Any], host: list[str], calls: int) -> dict[str, Any]:
    """`device`: names and microseconds of what ran there."""
    copies = [row for row in device if "memcpy" in row[0].lower() or "memset" in row[0].lower()]
    return {
        "kernel_seconds": sum(row[1] for row in device) / 1e6 / calls,
        "kernels": (len(device) - len(copies)) / float(calls),
        "copies": len(copies) / float(calls),
        "launches": sum(name.startswith(LAUNCHES) for name in host) / float(calls),
        "from_host": sum("htod" in row[0].lower() or "h2d" in row[0].lower() for row in copies) / float(calls),
    }
