"""One task of a campaign: a batch of operations, or a network, in all realisations. What it returns are plain records.

A task holds no state but the engines' processes of its slot, so that any worker may do it, twice as well as once.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from impls.floating_types import UNIT
from suites.campaign import generator, judge, substitutes, values
from suites.campaign.cases import VERSION, Case, draw_case, realisations, verdict
from suites.campaign.engines import REALISATIONS, SELDOM, Engines, Realisation, releases
from suites.campaign.generator import Network
from suites.campaign.judge import Row, Truth
from suites.campaign.known import explain
from suites.campaign.operations import FULL
from suites.campaign.store import Record
from suites.campaign.writers import NotWritten, jax, keras, torch
from suites.runner.workers import Arrays, WorkerDied, WorkerFailed, WorkerOutOfMemory, WorkerTimedOut

BATCH = 40  # operations of one request
WRITERS = {"keras": keras.write, "torch": torch.write, "jax": jax.write}


def result(row: Row) -> dict[str, Any]:
    """What is kept of a row: numbers that are no numbers are left out."""
    return {
        "status": row.status, "ratio": _number(row.ratio), "found": _number(row.disagreement),
        "bound": _number(row.bound), "condition": row.condition, "tensor": row.tensor, "phase": row.phase,
    }  # fmt: skip


def _number(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def failure(error: WorkerFailed) -> dict[str, Any]:
    """The status of a realisation that did not answer."""
    status = "error"
    if isinstance(error, WorkerTimedOut):
        status = "hang"
    elif isinstance(error, (WorkerDied, WorkerOutOfMemory)):
        status = "crash"
    return {"status": status, "says": error.reason[:300]}


def about(only: Iterable[str]) -> str:
    """What a record is about besides its seed: the engines, where not all were asked."""
    return ",".join(sorted(only))


def names(only: Iterable[str]) -> set[str]:
    """The engines, where a release may be named as well: `jax==0.9.2`."""
    return {each.partition("==")[0] for each in only}


# Operations


def judge_operations(seeds: Iterable[int], engines: Engines, only: frozenset[str] = frozenset()) -> list[Record]:
    """A record for each seed: the case, and what became of each realisation (those of the engines in `only`)."""
    cases = [draw_case(seed) for seed in seeds]
    records: list[Record] = []
    for case, found in zip(cases, answers(cases, engines, only), strict=True):
        shapes = {name: list(value.shape) for name, value in case.arrays.items()}
        records.append({
            "kind": "operation", "seed": case.seed, "about": about(only), "version": VERSION,
            "operation": case.operation, "dtype": case.dtype, "shapes": shapes, "results": found,
        })  # fmt: skip
    return records


def answers(cases: list[Case], engines: Engines, only: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """By case, what each realisation came to."""
    truths = [case.truth() for case in cases]
    bounds = [case.bound(truth) for case, truth in zip(cases, truths, strict=True)]
    asked: dict[str, list[tuple[int, Realisation]]] = defaultdict(list)
    for at, case in enumerate(cases):
        for realisation in realisations(case):
            if not only or realisation.engine in names(only):
                asked[realisation.engine].append((at, realisation))
    found: list[dict[str, Any]] = [{} for _ in cases]
    for engine, wanted in asked.items():
        for at, realisation, outcome in _evaluate(cases, wanted, engine, engines):
            if isinstance(outcome, dict):
                found[at][realisation.id] = outcome
            else:
                found[at][realisation.id] = result(verdict(cases[at], realisation, outcome, truths[at], bounds[at]))
    return found


def _evaluate(
    cases: list[Case], wanted: list[tuple[int, Realisation]], engine: str, engines: Engines
) -> Iterable[tuple[int, Realisation, Any]]:
    """Array or failure of each; a batch that takes its process along is asked again one by one."""
    arrays = {f"{j}/{name}": value for j, (at, _) in enumerate(wanted) for name, value in cases[at].arrays.items()}
    requests = [cases[at].request(each.api, each.mode) for at, each in wanted]
    try:
        _, answer = engines.ask(engine, "expression", arrays, expressions=requests)
    except WorkerFailed as error:
        if len(wanted) == 1:
            yield (*wanted[0], failure(error))
            return
        for one in wanted:
            yield from _evaluate(cases, [one], engine, engines)
        return
    for j, (at, realisation) in enumerate(wanted):
        if f"{j}/error" in answer:
            text = bytes(answer[f"{j}/error"]).decode("utf-8", "replace")
            yield at, realisation, {"status": "error", "says": text.strip().split("\n")[0][:300]}
        else:
            yield at, realisation, answer[f"{j}/0"]


# Networks


def chosen(seed: int, only: frozenset[str] = frozenset()) -> list[Realisation]:
    """The realisations of a network: the slow ones of one in so many."""
    return [
        each
        for each in REALISATIONS
        if seed % SELDOM.get(each.id, 1) == 0 and (not only or each.engine in names(only))
    ]  # fmt: skip


def prepared(network: Network, engines: Engines, draws: int = 0) -> tuple[Arrays, dict[str, Truth]]:
    """The arrays of a network, and the oracle's truth by the precision of its bounds."""
    described, _ = engines.ask("numpy", "describe", network=network.as_dict())
    arrays = values.arrays(network, described["weights"], described["output"])
    return arrays, truths_of(network, arrays, engines, draws)


def truths_of(
    network: Network, arrays: Arrays, engines: Engines, draws: int = 0, apart: bool = False
) -> dict[str, Truth]:
    """The oracle's truth by the precision of its bounds; `apart`: where equal numbers are rounded each by itself."""
    truths = {}
    for dtype in FULL:
        if dtype in ("float32", network.dtype):
            request = {"network": network.as_dict(), "unit": UNIT[dtype], "draws": draws, "apart": apart}
            _, answer = engines.ask("numpy", "bounds", arrays, **request)
            truths[dtype] = judge.truth_of(answer)
    return truths


def observe(network: Network, arrays: Arrays, realisation: Realisation, engines: Engines) -> Arrays:
    """What a realisation shows; raises NotWritten or WorkerFailed."""
    source = "" if realisation.api == "shim" else WRITERS[realisation.api](network)
    request = {"network": network.as_dict(), "api": realisation.api, "mode": realisation.mode, "source": source}
    return engines.ask(realisation.engine, "network", arrays, **request)[1]


FLOAT32_CONSTANTS = ("gelu", "gelu_tanh", "leaky_relu")  # tf.nn holds theirs in float32, whatever x is


def lowers_on_tensorflow(network: Network) -> bool:
    """Whether TensorFlow rounds to float32 in float64: constants of an activation, or a bilinear resize."""
    return any(
        layer.get("activation") in FLOAT32_CONSTANTS or layer.get("interpolation") == "bilinear"
        for layer in network.layers
    )


def rows(network: Network, found: Arrays, truths: dict[str, Truth], realisation: Realisation) -> list[Row]:
    """The verdict, tensor by tensor; Keras's float32 in float64 has the bound of float32."""
    strict = judge.judge(found, truths[network.dtype], network.dtype)
    if realisation.api != "keras" or network.dtype == "float32":
        return strict
    loose = judge.judge(found, truths["float32"], "float32", judge.FLOAT32_TYPES)
    everywhere = realisation.engine != "tensorflow" or lowers_on_tensorflow(network)
    judged = []
    for first, second in zip(strict, loose, strict=True):
        excused = everywhere or first.phase == "steps"
        judged.append(second if excused and first.status == "exceeds" else first)
    return judged


def judge_again(
    network: Network, arrays: Arrays, found: Arrays, strict: Row, realisation: Realisation, engines: Engines
) -> Row:
    """The verdict on what exceeds its bound, given once more: `strict` where nothing explains it.

    The oracle computes as is known of the engine, and rounds equal numbers each by itself.
    """
    known = substitutes.as_known(network, realisation)
    if strict.phase != "forward":  # outputs are in order, though those of what is known may be others
        found = {name: value for name, value in found.items() if not name.endswith("/output")}
    for computed, apart in ((known, False), (network, True), (known, True)):
        if computed is None:
            continue
        truths = truths_of(computed, arrays, engines, apart=apart)
        row = worst(rows(computed, found, truths, realisation))
        if row.status != "exceeds" and computed is known:
            return strict._replace(condition=judge.AS_KNOWN)
        if row.status != "exceeds":
            return row._replace(condition=judge.APART)
    return strict


def worst(found: list[Row]) -> Row:
    """The row that a realisation is known by: the first in the order of the pass that exceeds; else the largest."""
    exceeding = [row for row in found if row.status == "exceeds"]
    if exceeding:
        return min(exceeding, key=lambda row: judge.ORDER.index(row.phase))
    undecided = [row for row in found if row.status == "undecided"]
    decided = [row for row in found if row.status == "ok"]
    if not decided:
        return undecided[0]
    best = max(decided, key=lambda row: row.ratio)
    return best._replace(status="undecided", condition=undecided[0].condition) if undecided else best


def judge_network(seed: int, engines: Engines, only: frozenset[str] = frozenset()) -> Record:
    """The record of a network."""
    network = generator.draw(seed)
    record: Record = {
        "kind": "network", "seed": seed, "about": about(only), "version": generator.VERSION, "dtype": network.dtype,
        "layers": [layer["kind"] for layer in network.layers], "loss": network.loss,
        "activations": sorted({layer["activation"] for layer in network.layers if layer.get("activation")}),
        "optimizer": network.optimizer[0], "results": {},
    }  # fmt: skip
    try:
        arrays, truths = prepared(network, engines)
    except WorkerFailed as error:  # no truth, so nothing is judged: counted apart
        return {**record, "oracle": error.reason}
    for realisation in chosen(seed, only):
        record["results"][realisation.id] = outcome(network, arrays, truths, realisation, engines)
    return record


def outcome(
    network: Network, arrays: Arrays, truths: dict[str, Truth], realisation: Realisation, engines: Engines
) -> dict[str, Any]:
    """What a realisation of a network came to."""
    start = time.perf_counter()
    try:
        found = observe(network, arrays, realisation, engines)
    except NotWritten as reason:
        return {"status": "not written", "says": str(reason)}
    except WorkerFailed as error:
        return failure(error)
    row = worst(rows(network, found, truths, realisation))
    if row.status == "exceeds":
        row = judge_again(network, arrays, found, row, realisation, engines)
    return {**result(row), "seconds": round(time.perf_counter() - start, 2)}


def alarms(record: Record) -> list[tuple[str, dict[str, Any]]]:
    """The realisations of a record that nothing known explains."""
    if record["kind"] == "finding":
        return []
    return [
        (realisation, each)
        for realisation, each in record["results"].items()
        if each["status"] in ("exceeds", "error", "crash", "hang") and explain(record, realisation, each) is None
    ]


# A slot's own processes

SLOTS: dict[int, Engines] = {}


def do(task: tuple[str, list[int]], only: tuple[str, ...] = ()) -> list[Record]:
    """A task: ("operation", seeds) or ("network", seeds), on the engines of this slot."""
    import threading

    engines = SLOTS.setdefault(threading.get_ident(), Engines())
    engines.sources = releases(only)
    kind, seeds = task
    if kind == "operation":
        return judge_operations(seeds, engines, frozenset(only))
    return [judge_network(seed, engines, frozenset(only)) for seed in seeds]


def close_slots() -> None:
    """Stop the engines of all slots of this process."""
    for engines in SLOTS.values():
        with contextlib.suppress(OSError):
            engines.close()
    SLOTS.clear()
