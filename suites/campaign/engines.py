"""The engines of a campaign as workers, and the realisations of a network: which API, on which engine, in which mode.

One process an engine serves every API on it; a worker slot of a campaign holds one of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from impls import interpreters
from suites.runner.workers import HERE, Arrays, Limits, Pool, Role, Source, Worker

ENGINES = ("numpy", "torch", "jax", "tensorflow")
HANG = 120.0  # seconds of processor time: longer is a hang, a finding of its own, however busy the machine is
STANDSTILL = 1200.0  # seconds of a call that computes nothing: processes that wait for each other
LIMITS = Limits(start=600.0, call=STANDSTILL, memory=6 * 2**30, processor=HANG)


class CampaignRole(Role):
    """A worker that serves a campaign."""

    def command(self) -> list[str]:
        options = [f"--{name}={value}" for name, value in zip(self._fields[:6], self, strict=False)]
        return [self.source.python, "-m", "impls.campaign.worker", *options]


class Realisation(NamedTuple):
    """An API on an engine in a mode: `keras-jax-jit`."""

    api: str
    engine: str
    mode: str

    @property
    def id(self) -> str:
        return "-".join(self)


# The shim's modes, and what a user of Keras, torch or JAX can choose.
REALISATIONS = (
    Realisation("shim", "torch", "eager"),
    Realisation("shim", "torch", "compile"),
    Realisation("shim", "jax", "jit"),
    Realisation("shim", "tensorflow", "eager"),
    Realisation("shim", "tensorflow", "graph"),
    Realisation("shim", "tensorflow", "xla"),
    Realisation("keras", "torch", "eager"),
    Realisation("keras", "jax", "jit"),
    Realisation("keras", "tensorflow", "eager"),
    Realisation("keras", "tensorflow", "graph"),
    Realisation("keras", "tensorflow", "xla"),
    Realisation("torch", "torch", "eager"),
    Realisation("torch", "torch", "compile"),
    Realisation("jax", "jax", "eager"),
    Realisation("jax", "jax", "jit"),
)
SELDOM = {"torch-torch-compile": 12, "shim-torch-compile": 12, "jax-jax-eager": 3}  # one network in so many


@dataclass
class Engines:
    """The processes of one slot, by engine; one that died is started again. `sources` are other interpreters."""

    sources: dict[str, Source] = field(default_factory=dict)
    pool: Pool = field(default_factory=lambda: Pool(parallel=1, limits=LIMITS))

    def worker(self, engine: str) -> Worker:
        """The worker of an engine."""
        return self.pool.serving(CampaignRole("campaign", engine, "any", source=self.sources.get(engine, HERE)))

    def ask(
        self, engine: str, operation: str, arrays: Arrays | None = None, **request: Any
    ) -> tuple[dict[str, Any], Arrays]:
        """One request to an engine; raises WorkerFailed."""
        return self.worker(engine).call(operation, arrays, **request)

    def close(self) -> None:
        self.pool.close()

    def versions(self, engine: str) -> dict[str, str]:
        """The releases that an engine's process has loaded."""
        return dict(self.ask(engine, "hello")[0]["versions"])


def environment(release: str) -> Path:
    """Where the environment of a release (`jax==0.9.2`) is, or will be."""
    return interpreters.environments() / f"campaign-{release}"


def releases(only: Iterable[str]) -> dict[str, Source]:
    """The interpreters of engines of which a release is named."""
    found = {}
    for each in only:
        engine, mark, _ = each.partition("==")
        if mark:
            found[engine] = Source(python=str(environment(each) / "bin" / "python"))
    return found
