"""What each of the shim's tricks is worth: a call without it and with it, in the same interleaved rounds.

A trick is switched off as a fault is planted, by a diff of the backend's file that has to apply exactly once.
`python -m suites.speed.ablations` prints the table of docs/pages/tricks.md.
"""

from __future__ import annotations

import argparse
from statistics import quantiles
from typing import NamedTuple

from suites.records.run import Cell
from suites.runner import plan
from suites.runner.stages import opened
from suites.runner.workers import Role, Source, Worker
from suites.speed.bench import epoch
from suites.speed.rounds import Arm, Settings, What, measure

SETTINGS = Settings(20, 0.03)


class Trick(NamedTuple):
    """A trick, the call that it is for, and the text `old` whose place `new` takes without it.

    `file` is relative to `impls/shim`; by default the backend's own.
    """

    title: str
    backend: str
    mode: str
    model: str
    size: str
    what: What
    old: str
    new: str
    file: str = ""
    threads: int = 1

    @property
    def patch(self) -> dict[str, str]:
        """The diff that switches it off."""
        file = self.file or f"backends/{self.backend}.py"
        return {"file": f"impls/shim/{file}", "old": self.old, "new": self.new}


LSTM = 'RECURRENT: dict[str, WholeLayer] = {"lstm": _lstm'
FUSED = 'FUSED: dict[str, Fused] = {"adam": fused_adam'
CALL = "return concrete.inference_fn.call_preflattened([*tensors, *concrete.captured_inputs])"
EPOCH = 'if mode == "eager":\n        return backends.python_epoch(step, '
CALLS = "min(batch, len(columns[0]) - start))"
STEPS = "if mode:\n        return backends.python_epoch(compile(step, carry, mode), "
CONVOLVED = "torch.conv2d(x, w, b, "
WITHOUT = 'RECURRENT: dict[str, WholeLayer] = {"none": _lstm'
RULE = 'FUSED: dict[str, Fused] = {"none": fused_adam'

TRICKS = (
    Trick("an epoch in one call", "jax", "jit", "seed", "small", "fit", ") > _LOOPED_WEIGHTS", ") > 0"),
    Trick("an epoch in one call", "jax", "jit", "mlp", "small", "fit", ") > _LOOPED_WEIGHTS", ") > 0"),
    Trick(
        "optimizer state filled by compiled calls",
        "jax",
        "jit",
        "seed",
        "small",
        "fit",
        "jax.jit(_all_zeros, keep_unused=True)",
        "_all_zeros",
    ),
    Trick(
        "data by jnp.asarray, not by device_put",
        "jax",
        "jit",
        "seed",
        "small",
        "fit",
        "if value.nbytes < _LARGE",
        "if not device",
    ),
    Trick(
        "no wait for a step",
        "jax",
        "jit",
        "cnn",
        "small",
        "fit",
        CALLS,
        f"{CALLS}\n            total.block_until_ready()",
    ),
    Trick(
        "a strided convolution's own gradient",
        "jax",
        "jit",
        "cnn",
        "small",
        "train_step",
        "_PADDED = 1 << 15",
        "_PADDED = 0",
    ),
    Trick(
        "BatchNorm keeps x, not x - mean",
        "jax",
        "jit",
        "cnn",
        "large",
        "train_step",
        "return x * scale + (beta - mu * scale), mu, var",
        "return centred * scale + beta, mu, var",
    ),
    Trick(
        "pooling by maxima of slices",
        "jax",
        "jit",
        "cnn",
        "small",
        "train_step",
        "if window == stride and",
        "if False and",
    ),
    Trick(
        "the LSTM whole, with its own gradient", "jax", "jit", "rnn", "large", "train_step", f"{LSTM}}}", f"{WITHOUT}}}"
    ),
    Trick(
        "one sigmoid for all gates",
        "jax",
        "jit",
        "rnn",
        "small",
        "predict",
        "i, f, _, o = jnp.split(jax.nn.sigmoid(z), 4, -1)",
        "i, f, _, o = [jax.nn.sigmoid(part) for part in jnp.split(z, 4, -1)]",
        "backends/jax_kernels.py",
    ),
    Trick("products of two axes", "jax", "jit", "rnn", "small", "train_step", "if x.ndim > 2:", "if False:"),
    Trick("an epoch in one call", "tensorflow", "xla", "seed", "small", "fit", EPOCH, STEPS),
    Trick("an epoch in one call", "tensorflow", "xla", "mlp", "small", "fit", EPOCH, STEPS),
    Trick(
        "the traced function called directly",
        "tensorflow",
        "graph",
        "seed",
        "small",
        "train_step",
        CALL,
        "return traced(*tensors)",
    ),
    Trick("fused optimizer", "tensorflow", "graph", "mlp", "large", "train_step", FUSED, RULE),
    Trick(
        "... for large weights only",
        "tensorflow",
        "graph",
        "mlp",
        "small",
        "train_step",
        "_SPREAD = 1 << 15",
        "_SPREAD = 0",
        "backends/tensorflow_optimizers.py",
        threads=2,
    ),
    Trick("the LSTM whole", "tensorflow", "graph", "rnn", "small", "train_step", f"{LSTM}}}", f"{WITHOUT}}}"),
    Trick("the LSTM whole", "tensorflow", "graph", "rnn", "small", "predict", f"{LSTM}}}", f"{WITHOUT}}}"),
    Trick("the LSTM whole", "torch", "eager", "rnn", "small", "train_step", LSTM, WITHOUT),
    Trick("fused optimizer", "torch", "eager", "mlp", "small", "train_step", FUSED, RULE),
    Trick(
        "channels last",
        "torch",
        "eager",
        "cnn",
        "small",
        "train_step",
        CONVOLVED,
        "torch.conv2d(x.contiguous(), w.contiguous(), b, ",
    ),
)


def opened_with(trick: Trick, patch: dict[str, str] | None) -> Worker:
    """A worker with the trick's model in it and the data of an epoch."""
    source = Source(patch=patch)
    worker = Worker(Role("shim", trick.backend, trick.mode, dtype="float32", threads=trick.threads, source=source))
    cell = Cell(trick.model, "shim", trick.backend, trick.mode, "cpu", "float32", trick.size)
    opened(worker, cell).prepare(*epoch(cell), plan.batch_size(cell))
    return worker


def worth(trick: Trick) -> tuple[float, float, float]:
    """Time without the trick / time with it: the quartiles of the rounds."""
    arms = [Arm(opened_with(trick, patch)) for patch in (trick.patch, None)]
    try:
        measure(arms, trick.what, SETTINGS)
    finally:
        for arm in arms:
            arm.worker.stop()
    if failure := arms[0].failure or arms[1].failure:
        raise SystemExit(f"{trick.title}: {failure}")
    without, having = ([seconds / arm.iterations for seconds in arm.processor_seconds] for arm in arms)
    low, middle, high = quantiles([a / b for a, b in zip(without, having, strict=True)], n=4)
    return middle, low, high


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m suites.speed.ablations", description=(__doc__ or "").splitlines()[0]
    )
    backends = tuple(dict.fromkeys(trick.backend for trick in TRICKS))
    parser.add_argument("--backend", choices=backends, help="of these tricks only (default: all)")
    chosen = parser.parse_args(arguments).backend
    print("| trick | backend | model, call | without / with | middle half |\n|---|---|---|---|---|")
    for trick in TRICKS:
        if chosen in (None, trick.backend):
            middle, low, high = worth(trick)
            threads = f", {trick.threads} threads" if trick.threads > 1 else ""
            call = f"{trick.model} {trick.size}, {trick.what.replace('_', ' ')}{threads}"
            row = trick.title, f"{trick.backend}, {trick.mode}", call, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
