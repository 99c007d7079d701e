"""From alarms to findings: confirmed in a fresh process, made small, merged with their like, written as a program."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from suites.campaign import generator, work
from suites.campaign.cases import Case, draw_case, verdict
from suites.campaign.engines import Engines, Realisation
from suites.campaign.generator import Network
from suites.campaign.judge import Row
from suites.campaign.programs import pattern, write
from suites.campaign.shrink import shrink, smaller_cases, smaller_networks
from suites.campaign.store import Record
from suites.runner.workers import WorkerFailed

CONFIRMING_DRAWS = 24  # of the oracle's errors, where an alarm is looked at again
PROGRAM_SECONDS = 180.0
SAME_ERROR = 30  # characters that two errors share which are one


def signature(record: Record, realisation: str, outcome: dict[str, Any]) -> str:
    """What alarms have in common that are one finding: the operation, API and engine, and how it fails."""
    api, engine, _ = realisation.split("-")
    how = "shape" if outcome.get("condition", "").startswith("shape") else outcome["status"]
    if record["kind"] == "operation":
        types = "integers" if record["dtype"][0] in "iu" else record["dtype"]
        return f"{record['operation']} {api} {engine} {types} {how}"
    if outcome["status"] != "exceeds":
        return f"network {api} {engine} {outcome['status']} {outcome.get('says', '')[:60]}"
    return f"network {api} {engine} {outcome['phase']} {how}"


def groups(records: Iterable[Record]) -> dict[str, list[tuple[Record, str, dict[str, Any]]]]:
    """Alarms by their signature."""
    found: dict[str, list[tuple[Record, str, dict[str, Any]]]] = {}
    for record in records:
        for realisation, outcome in work.alarms(record):
            found.setdefault(signature(record, realisation, outcome), []).append((record, realisation, outcome))
    return found


def examine(name: str, alarms: list[tuple[Record, str, dict[str, Any]]], engines: Engines) -> Record:
    """The finding of a group of alarms; `confirmed` says whether a fresh process shows it again."""
    record, realisation, outcome = min(alarms, key=lambda each: _size(each[0]))
    finding: Record = {
        "kind": "finding", "seed": record["seed"], "about": name, "realisation": realisation, "count": len(alarms),
        "status": outcome["status"], "says": outcome.get("says", ""),
        "seeds": sorted({each[0]["seed"] for each in alarms})[:20],
    }  # fmt: skip
    if record["kind"] == "operation":
        case = draw_case(record["seed"], record["operation"])
        return {**finding, **_of_operation(case, Realisation(*realisation.split("-")), engines, finding["says"])}
    return {**finding, **_of_network(record["seed"], Realisation(*realisation.split("-")), engines)}


def _size(record: Record) -> int:
    if record["kind"] == "network":
        return len(record["layers"])
    return int(sum(np.prod(shape) for shape in record["shapes"].values()))


def _of_operation(case: Case, realisation: Realisation, engines: Engines, says: str) -> Record:
    first = failing(case, realisation, engines, says)
    if first is None:
        return {"confirmed": False}
    least = math.sqrt(first[0].ratio)  # of its bound: a small case of an error that is hardly one is no report

    def fails(candidate: Case) -> bool:
        found = failing(candidate, realisation, engines, says)
        if found is None or (math.isinf(found[0].ratio) and math.isfinite(least)):  # infinity is another finding
            return False
        return bool(found[0].ratio >= least)

    case = shrink(simplified(case, fails), smaller_cases, fails)
    row, truth = failing(case, realisation, engines, says) or (None, np.zeros(1))
    versions = ", ".join(f"{name} {version}" for name, version in engines.versions(realisation.engine).items())
    if row is None or row.tensor == "error":
        program = write(case, realisation, 0, None, versions)
        printed = output(program)
        confirmed = row is not None and says.partition(":")[0] in printed
        return {
            "confirmed": confirmed, "printed": printed, "program": program, "dtype": case.dtype,
            "operation": case.operation,
        }  # fmt: skip
    element = int(row.tensor.split()[1]) if row.tensor.startswith("element") else -1
    right = truth.ravel()[element].item() if element >= 0 else None
    right = float(right) if right is not None else None
    program = write(case, realisation, max(element, 0), right, versions)
    printed = output(program)
    confirmed = confirms(printed, right, row.bound)
    return {
        "confirmed": confirmed, "printed": printed, "right": right if right is not None else list(truth.shape),
        "bound": row.bound, "program": program, "dtype": case.dtype, "operation": case.operation,
    }  # fmt: skip


def confirms(printed: str, right: float | None, bound: float) -> bool:
    """Whether the program, in a process of its own, printed a number that rounding does not explain."""
    words = printed.split()
    if right is None:
        return bool(words)
    try:
        found = float(words[0])
    except (IndexError, ValueError):
        return False
    return not (abs(found - right) <= bound or found == right or (np.isnan(found) and np.isnan(right)))


def failing(case: Case, realisation: Realisation, engines: Engines, says: str = "") -> Any:
    """The row and the truth of a case that fails, by an error that begins as `says` does; None: it does not."""
    try:
        truth = case.truth()
        bound = case.bound(truth)
    except (ValueError, IndexError, TypeError, AssertionError):
        return None
    arrays = {f"0/{name}": value for name, value in case.arrays.items()}
    request = case.request(realisation.api, realisation.mode)
    try:
        _, answer = engines.ask(realisation.engine, "expression", arrays, expressions=[request])
    except WorkerFailed:
        return None
    if "0/error" in answer:
        text = bytes(answer["0/error"]).decode("utf-8", "replace")
        same = bool(says) and text.startswith(says[:SAME_ERROR])
        return (Row("error", np.inf, 0.0, text, "exceeds"), truth) if same else None
    row = verdict(case, realisation, answer["0/0"], truth, bound)
    return (row, truth) if row.status == "exceeds" else None


def simplified(case: Case, fails: Any) -> Case:
    """The case on counting numbers in the place of random ones, where it fails on these too."""
    for period in (5, 7, 11):
        arrays = {
            name: pattern(value.shape, period) if value.dtype.kind == "f" else value
            for name, value in case.arrays.items()
        }
        candidate = Case(case.seed, case.operation, case.dtype, arrays, case.options)
        if fails(candidate):
            return candidate
    return case


def output(program: str) -> str:
    """The last line that a program prints in a fresh process; its error where it ends with one."""
    with tempfile.TemporaryDirectory(prefix="triptych-campaign-") as folder:
        path = Path(folder, "program.py")
        path.write_text(program, encoding="utf-8")
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
        try:
            done = subprocess.run(
                [sys.executable, str(path)], capture_output=True, text=True, timeout=PROGRAM_SECONDS, env=quiet,
                check=False, cwd=folder,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "took too long"
    text = done.stdout if done.returncode == 0 else done.stderr
    return (text.strip().splitlines() or [""])[-1][:300]


def _of_network(seed: int, realisation: Realisation, engines: Engines) -> Record:
    """The smallest network that fails still, with what it showed; the program is the one that the campaign wrote."""

    def fails(candidate: Network) -> bool:
        return network_fails(candidate, realisation, engines) is not None

    network = generator.draw(seed)
    if not fails(network):
        return {"confirmed": False}
    network = shrink(network, smaller_networks, fails)
    outcome = network_fails(network, realisation, engines)
    program = "" if realisation.api == "shim" else work.WRITERS[realisation.api](network)
    return {"confirmed": True, "network": network.as_dict(), "outcome": outcome, "program": program}


def network_fails(network: Network, realisation: Realisation, engines: Engines) -> dict[str, Any] | None:
    """What a network comes to that fails, by a bound of more draws; None: it does not."""
    try:
        arrays, truths = work.prepared(network, engines, CONFIRMING_DRAWS)
        found = work.outcome(network, arrays, truths, realisation, engines)
    except (WorkerFailed, ValueError, IndexError):
        return None
    return found if found["status"] in ("exceeds", "error", "crash", "hang") else None
