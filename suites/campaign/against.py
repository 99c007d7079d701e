"""A release of an engine against the one that is installed, on the same cases."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable

from suites.campaign.engines import ENGINES, environment
from suites.campaign.store import Record
from suites.runner.machine import ROOT


def check(release: str) -> str:
    """The engine of `jax==0.9.2`; raises ValueError for what names no release of an engine."""
    engine, _, version = release.partition("==")
    if engine not in ENGINES[1:] or not re.fullmatch(r"[\w.+]+", version):
        known = ", ".join(ENGINES[1:])
        raise ValueError(f"--against {release!r} names no release of an engine: say jax==0.9.2; engines are {known}")
    return engine


def fill(release: str) -> None:
    """Make the environment of a release; raises ValueError where its packages can't be installed."""
    command = [sys.executable, "-m", "triptych.environments", "against", release]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode or not environment(release).exists():
        raise ValueError(f"--against: no environment of {release} could be made, pip has said why")


def differences(records: Iterable[Record], engine: str, release: str) -> list[str]:
    """Lines on the cases that both have judged and of which one release alone is right."""
    by_key: dict[tuple[str, int], dict[str, Record]] = {}
    for record in records:
        if record.get("about") in (engine, release):
            by_key.setdefault((record["kind"], record["seed"]), {})[record["about"]] = record
    lines = []
    for (kind, seed), pair in sorted(by_key.items()):
        if len(pair) == 2:
            lines += compare(f"{kind} {seed}", pair[engine], pair[release], release)
    return lines


def compare(name: str, here: Record, there: Record, release: str) -> list[str]:
    """Lines on one case."""
    lines = []
    for realisation in sorted(set(here["results"]) & set(there["results"])):
        first, second = (each["results"][realisation]["status"] for each in (here, there))
        if first != second:
            subject = here.get("operation", "")
            lines.append(f"{name} {subject} {realisation}: {first} here, {second} in {release}")
    return lines
