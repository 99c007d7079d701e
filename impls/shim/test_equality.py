"""Every layer, loss, optimizer and mode gives the same float64 numbers on every backend as on NumPy."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impls import BACKENDS, IMPLEMENTATIONS, interpreters, piped
from impls.shim.testing import peer

BOUND = 1e-12
EXAMPLES = int(os.environ.get("TRIPTYCH_EXAMPLES", "1"))  # that hypothesis draws: times backends, layers, 2 strides, 2
MODES = IMPLEMENTATIONS["shim"].backends
QUICKEST = {**{name: modes[0] for name, modes in MODES.items()}, "tensorflow": "eager"}  # to start
SHAPES = {1: (5, 6), 2: (3, 6), 3: (4, 7)}  # smallest and largest extent by the rank of an example
ROOMIER = {"conv_dilated": (5, 7)}  # its window reaches over five


def python_of(backend: str) -> str:
    """The interpreter that has its engine; skips where there is none."""
    if name := IMPLEMENTATIONS["shim"].environments.get(backend):
        if not interpreters.interpreter(name).exists():
            pytest.skip(f"there is no environment with {backend}: `triptych heritage` makes it")
        return str(interpreters.interpreter(name))
    if importlib.util.find_spec(BACKENDS[backend].module) is None:
        pytest.skip(f"{BACKENDS[backend].module} is not installed")
    return sys.executable


class Peer(piped.Piped):
    """One backend in a process of its own."""

    def __init__(self, backend: str) -> None:
        quiet = dict(piped.QUIET)
        if backend == "jax":
            quiet.update(piped.UNOPTIMISED)
        if backend in ("pytensor", "theano"):  # graphs node by node; whole models are compiled by `nox -s heritage`
            quiet.update(PYTENSOR_FLAGS="linker=py", THEANO_FLAGS="linker=py,blas.ldflags=")
        super().__init__([python_of(backend), "-m", "impls.shim.testing.peer", backend], quiet)


class Peers(dict[str, Peer]):
    """A peer for each backend, started when it is asked for; skips where its framework is not installed."""

    def __missing__(self, backend: str) -> Peer:
        self[backend] = Peer(backend)
        return self[backend]


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    running = Peers()
    yield running
    for running_peer in running.values():
        running_peer.close()


QUICK = ("torch",)  # the others trace and compile each shape, which takes minutes


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.full, pytest.mark.one_in(16)])
        for name in MODES
        if name != "numpy"
    ]
)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def agree(case: dict[str, Any], peer_of: Peer) -> None:
    """The peer's answer is NumPy's, array by array, in the 2-norm."""
    peer_of.send(case)
    try:
        expected = peer.compute({**case, "mode": None}, "numpy")
    finally:  # the next case must not get this one's answer
        found = peer_of.answer()[1]
    assert found.keys() == expected.keys()
    for name, truth in expected.items():
        error = float(np.linalg.norm(np.ravel(found[name] - truth)))
        assert error <= BOUND * max(float(np.linalg.norm(np.ravel(truth))), 1e-3), f"{name}: {error} in {case}"


@st.composite
def cases(draw: Any, layers: str, stride: int, behind: bool) -> dict[str, Any]:
    rank = peer.CASES[layers][0]
    extents = st.integers(*ROOMIER.get(layers, SHAPES[rank]))
    return {
        "layers": layers,
        "shape": [draw(extents) for _ in range(rank)],
        "count": draw(st.integers(1, 5)),
        "stride": stride,
        "window": draw(st.integers(2, 3)),
        "seed": draw(st.integers(0, 1000)),
        "loss": draw(st.sampled_from(["mean_squared_error", "huber", "mean_absolute_error", "sigmoid_cross_entropy"])),
        "optimizer": draw(st.sampled_from(sorted(peer.OPTIMIZERS))),
        "weighted": draw(st.booleans()),
        "behind": behind,
        "whole": False,
    }


@pytest.mark.parametrize("layers", sorted(peer.CASES))
def test_layers(layers: str, backend: str, peers: Peers) -> None:
    """Alone, and behind a layer whose weights need the gradient of the input; ids have none."""
    for stride, behind in itertools.product((1, 2), (False,) if layers.startswith("masked") else (False, True)):

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
        @given(cases(layers, stride, behind))
        def run(case: dict[str, Any]) -> None:
            agree({**case, "mode": QUICKEST[backend]}, peers[backend])

        run()


COMPILED = {
    "tensorflow": ("graph", "xla"), "torch": ("compile",), "jax": ("jit",),
    "pytensor": ("graph",), "theano": ("graph",),
}  # fmt: skip


@pytest.mark.parametrize(
    "mode",
    ["graph", "jit", "xla", pytest.param("compile", marks=pytest.mark.full)],  # torch.compile runs a C++ compiler
)
@pytest.mark.parametrize("optimizer", ["nesterov", "adagrad"])  # adagrad's case clips by value
@pytest.mark.one_in(4)
def test_compiled_modes(optimizer: str, mode: str, backend: str, peers: Peers) -> None:
    """Both halves of an epoch, the ragged batch and the schedule go through the compiled loop."""
    if mode not in COMPILED.get(backend, ()):
        pytest.skip(f"{mode} is no mode of {backend}")
    case = {
        "layers": "batch_norm", "shape": [4, 5, 2], "count": 5, "stride": 1, "window": 2, "seed": 1,
        "loss": "softmax_cross_entropy", "optimizer": optimizer, "weighted": True, "whole": True, "mode": mode,
    }  # fmt: skip
    agree(case, peers[backend])


@pytest.mark.parametrize("layers", ["conv_same", "max_pool", "batch_norm", "lstm"])
def test_kernels_of_numba(layers: str, peers: Peers) -> None:
    """Compiled once and kept on disk, so that they can be tested with every commit."""
    rank = peer.CASES[layers][0]
    case = {
        "layers": layers, "shape": [5, 6, 3][:rank], "count": 3, "stride": 2, "window": 3, "seed": 4,
        "loss": "huber", "optimizer": "adam", "weighted": True, "whole": False, "mode": "eager",
    }  # fmt: skip
    agree(case, peers["numba"])


@pytest.mark.parametrize("optimizer", sorted(peer.OPTIMIZERS))
def test_optimizers(optimizer: str, backend: str, peers: Peers) -> None:
    case = {
        "layers": "relu", "shape": [4], "count": 4, "stride": 1, "window": 2, "seed": 2,
        "loss": "softmax_cross_entropy", "optimizer": optimizer, "weighted": False, "whole": False,
        "mode": QUICKEST[backend],
    }  # fmt: skip
    agree(case, peers[backend])
