"""Random networks and operations on every engine, judged by derived bounds, on one core or a cluster.

Results are appended to a store as they are made; the same command goes on where it was stopped. Exit status 0: nothing
new was found, 1: findings, 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from suites.campaign import against, findings, runner, summary, work
from suites.campaign.engines import ENGINES, Engines
from suites.campaign.store import Store, StoreError, merge, read
from suites.records import terminal

NONE, FOUND, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
REDRAWN = 1.0  # seconds between two lines of the live view


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Run, or merge stores; the exit status."""
    options = parser().parse_args(arguments)
    path = Path(options.store or Path(options.results, "campaign.jsonl"))
    try:
        if options.merge:
            print(f"{merge(path, map(Path, options.merge))} records are new in {path}")
            return NONE
        _check(options)
        return campaign(options, path)
    except (StoreError, FileNotFoundError, ValueError, runner.Unreachable) as error:
        return terminal.refuse(error)
    except KeyboardInterrupt:
        terminal.LOG.info(f"\nstopped: {path} holds what was judged, and the same command goes on from there")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="triptych campaign", description=(__doc__ or "").strip())
    found.add_argument("--networks", type=int, default=20, metavar="N", help="how many networks (default: 20)")
    found.add_argument("--operations", type=int, default=400, metavar="N", help="how many operations (default: 400)")
    found.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default: 0)")
    found.add_argument("--minutes", type=float, default=0.0, help="begin nothing new after so long (default: no limit)")
    found.add_argument("--backend", default="", help="only these engines, by commas: " + ", ".join(ENGINES[1:]))
    found.add_argument("--against", default="", metavar="RELEASE", help="compare an engine with a release: jax==0.9.2")
    found.add_argument("--workers", type=int, default=1, metavar="N", help="processes here; 1: a thread of this one")
    found.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask scheduler: tcp://host:8786")
    found.add_argument("--results", default="results", help="the folder of the store and of campaign.json")
    found.add_argument("--store", default="", metavar="FILE", help="the store (default: campaign.jsonl in --results)")
    found.add_argument("--resume", action="store_true", help="the store has to be there already")
    found.add_argument("--merge", nargs="+", metavar="FILE", help="add what other stores hold, and stop")
    found.add_argument("--no-shrink", action="store_true", help="leave alarms as they are: nothing is made small")
    return found


def _check(options: argparse.Namespace) -> None:
    """Complain about what can't be meant."""
    for name in filter(None, options.backend.split(",")):
        if name not in ENGINES[1:]:
            raise ValueError(f"unknown backend {name!r}: known are {', '.join(ENGINES[1:])}")
    if options.against and options.backend not in ("", against.check(options.against)):
        raise ValueError(f"--against {options.against} and --backend {options.backend} name two engines")
    for name in ("networks", "operations", "first", "minutes"):
        if getattr(options, name) < 0:
            raise ValueError(f"--{name} is at least 0, got {getattr(options, name)}")
    if options.workers < 1:
        raise ValueError(f"--workers is at least 1, got {options.workers}")


def campaign(options: argparse.Namespace, path: Path) -> int:
    """Judge, look into alarms, summarise; the exit status."""
    if options.resume and not path.exists():
        raise ValueError(f"--resume: there is no store {path}")
    plans = [_plan(options, tuple(filter(None, options.backend.split(","))))]
    if options.against:
        against.fill(options.against)
        plans = [_plan(options, (against.check(options.against),)), _plan(options, (options.against,))]
    started = time.process_time(), time.time()
    with Store(path) as store:
        client = runner.connect(options.scheduler, options.workers)
        try:
            for plan in plans:
                runner.run(plan, store, client, Live())
        finally:
            client.close()
            work.close_slots()
        if not options.no_shrink:
            look_into(store)
    record = summary.summarise(read(path), time.time() - started[1])
    Path(options.results).mkdir(parents=True, exist_ok=True)
    Path(options.results, "campaign.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(summary.text(record))
    if options.against:
        lines = against.differences(read(path), against.check(options.against), options.against)
        print("\n".join(lines) or f"{options.against} and what is installed are right, and wrong, at the same places")
    return FOUND if record["findings"] or record["alarms"] else NONE


def _plan(options: argparse.Namespace, only: tuple[str, ...]) -> runner.Plan:
    return runner.Plan(options.first, options.networks, options.operations, 60 * options.minutes, only)


class Live:
    """One line on standard error, written again."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, progress: runner.Progress) -> None:
        now = time.monotonic()
        if now - self.last >= REDRAWN:
            self.last = now
            end = "\r" if sys.stderr.isatty() else "\n"
            print(progress.line(), progress.address, file=sys.stderr, end=end, flush=True)


def look_into(store: Store) -> None:
    """Confirm and shrink one alarm of each kind that has not been looked into."""
    engines = Engines()
    done = {record["about"] for record in store.records.values() if record["kind"] == "finding"}
    try:
        for name, alarms in findings.groups(list(store.records.values())).items():
            if name not in done:
                terminal.LOG.info(f"looking into {name} ({len(alarms)})")
                store.add(findings.examine(name, alarms, engines))
    finally:
        engines.close()


if __name__ == "__main__":
    sys.exit(main())
