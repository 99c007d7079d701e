"""`python -m impls.campaign.worker`: one process with one engine in it, which serves every API on that engine.

The operations are the methods of `CampaignWorker` whose names start with `do_`; the wire is that of `impls.worker`.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from impls.campaign.messages import Observer
from impls.worker import process, server
from impls.worker.server import Answer, Arrays, Request

Operation: TypeAlias = Callable[[Request, Arrays], Answer]

OPERATIONS = ("hello", "describe", "network", "bounds", "expression", "sabotage", "plant")


class CampaignWorker(server.Worker):
    """Answers one network or one expression after another; nothing is kept between them."""

    def start(self) -> None:
        self.engine = self.options.backend
        if self.engine != "numpy":
            importlib.import_module(self.engine)
        if self.engine == "torch":
            import torch

            torch.set_num_threads(self.options.threads)

    def do_hello(self, request: Request, arrays: Arrays) -> Answer:
        """Versions of what runs here."""
        import importlib.metadata

        names = ["numpy", "keras", self.engine]
        return {"versions": {name: importlib.metadata.version(name) for name in names}, "pid": os.getpid()}, {}

    def do_describe(self, request: Request, arrays: Arrays) -> Answer:
        """Shapes of the weights of a network by name, in the shim's words, and of one output."""
        from impls.campaign import shim_networks

        return shim_networks.describe(request["network"]), {}

    def do_network(self, request: Request, arrays: Arrays) -> Answer:
        """Everything that a realisation shows of a network."""
        observer = observer_of(request["api"])
        return {}, observer.observe(request["network"], arrays, self.engine, request["mode"], request["source"])

    def do_bounds(self, request: Request, arrays: Arrays) -> Answer:
        """The oracle's tensors, and what rounding does to each."""
        from impls.campaign import rounding_reach

        draws, apart = request.get("draws", 0), request.get("apart", False)
        return rounding_reach.bounds(request["network"], arrays, request["unit"], draws, apart)

    def do_expression(self, request: Request, arrays: Arrays) -> Answer:
        """An expression of the engine's own API on arrays."""
        from impls.campaign import expressions

        return {}, expressions.evaluate(request["expressions"], arrays, self.engine)

    def do_sabotage(self, request: Request, arrays: Arrays) -> Answer:
        """Run a line that replaces a function of the engine: a fault of the engine itself, planted at run time."""
        exec(compile(request["source"], "<sabotage>", "exec"), {})
        return {}, {}

    def do_plant(self, request: Request, arrays: Arrays) -> Answer:
        """Load the shim with these diffs in it; none: as it is on the disk."""
        from impls.worker import patching

        patching.uproot()
        for name in [name for name in sys.modules if name.startswith("impls.campaign.shim")]:
            del sys.modules[name]
        for patch in request["patches"]:
            patching.plant(patch, os.getcwd())
        return {}, {}

    def operation(self, name: str) -> Operation:
        if name not in OPERATIONS:
            raise ValueError("unknown operation {!r}: known are {}".format(name, ", ".join(OPERATIONS)))
        return getattr(self, "do_" + name)


MODULES = {"shim": "shim_networks", "keras": "keras_networks", "torch": "torch_networks", "jax": "jax_networks"}


def observer_of(api: str) -> Observer:
    """The module that runs the networks of an API."""
    return importlib.import_module("impls.campaign." + MODULES[api])


def main(arguments: Sequence[str] | None = None) -> int:
    options = server.parse(arguments)
    os.environ.update(process.settings(options.backend, options.device, options.dtype, options.threads))
    os.environ["JAX_ENABLE_X64"] = "1"  # both precisions are asked of one process
    if options.backend == "numpy":
        os.environ["KERAS_BACKEND"] = "jax"
    process.be_the_first_to_go()
    requests, replies = process.take_pipes()
    threading.Thread(target=process.end_with, args=(requests.fileno(),), daemon=True).start()
    return server.serve(CampaignWorker(options), requests, replies)


if __name__ == "__main__":
    sys.exit(main())
