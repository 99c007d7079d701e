"""Divergences of released frameworks that the suite ran into, each as the smallest program that shows it.

`upstream/<name>.py` prints a number and what it has to be; it runs by itself, `KERAS_BACKEND` says on which engine. A
backend where they differ is a strict expected failure: a release that mends it turns the test red, and the entry goes.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.version import Version

from suites.runner.availability import availability

HERE = Path(__file__).with_name("upstream")
SECONDS = 180
SINGLE, DOUBLE = 2.0**-24, 2.0**-53
KERAS, ENGINES = "tf_keras", {"tensorflow": "raw_tf", "torch": "raw_torch", "jax": "raw_jax"}


class Divergence(NamedTuple):
    """Where a program's number differs, where not, and by how much rounding may change it (relative)."""

    package: str
    released: str
    differs: tuple[str, ...]
    agrees: tuple[str, ...]
    rounding: float
    issue: str = ""  # where upstream speaks of it, if it does
    device: str = "cpu"
    by_hand: bool = False  # CI leaves it out: TensorFlow takes seconds to load, once for each program


# Rounding: some operations at the unit roundoff; those on a large mean count as often as the mean is larger.
DIVERGENCES = {
    "clipnorm_of_slices": Divergence(
        "keras", "3.15.1", ("tensorflow",), (), 16 * SINGLE, "https://github.com/keras-team/keras/issues/18985"
    ),
    "float64_dense_in_float32": Divergence(
        "keras",
        "3.15.1",
        ("torch",),
        ("tensorflow", "jax"),
        8 * DOUBLE,
        "https://github.com/keras-team/keras/issues/23704",
    ),
    "float64_tanh_in_float32": Divergence(
        "keras",
        "3.15.1",
        ("jax",),
        ("tensorflow", "torch"),
        8 * DOUBLE,
        "https://github.com/keras-team/keras/issues/23223",
    ),
    "float64_batchnorm_in_float32": Divergence(
        "keras",
        "3.15.1",
        ("torch", "jax"),
        ("tensorflow",),
        16 * DOUBLE,
        "https://github.com/keras-team/keras/issues/23704",
    ),
    "adam_betas_in_float32": Divergence("keras", "3.15.1", ("tensorflow",), (), 1000 * 8 * DOUBLE),  # 1 / (1 - beta_2)
    "schedule_in_float32": Divergence("keras", "3.15.1", ("tensorflow",), ("torch", "jax"), 8 * DOUBLE),
    "batchnorm_of_large_mean": Divergence(
        "keras",
        "3.15.1",
        ("torch",),
        ("tensorflow", "jax"),
        8 * 5000 / 0.29 * SINGLE,
        "https://github.com/keras-team/keras/pull/18795",
    ),
    "sklearn_clone_loses_fit_kwargs": Divergence(
        "keras", "3.15.1", ("tensorflow",), (), 0.0, "https://github.com/keras-team/keras/pull/20599"
    ),
    "lstm_in_float64_on_a_gpu": Divergence("keras", "3.15.1", ("jax",), (), 0.0, device="gpu"),
    "gelu_of_ops": Divergence("keras", "3.15.1", ("tensorflow",), (), 16 * SINGLE),
    "softplus_linear_above_20": Divergence(
        "torch", "2.13.0", ("torch",), (), 8 * DOUBLE, "https://github.com/apache/tvm/pull/20212"
    ),
    "gradient_of_norm_at_zero": Divergence(
        "tensorflow",
        "2.21.0",
        ("tensorflow", "jax"),
        (),
        0.0,
        "https://github.com/tensorflow/tensorflow/issues/12071",
    ),
    # Found by `triptych campaign`
    "sparsemax_of_ops": Divergence(
        "keras",
        "3.15.1",
        ("torch", "jax", "tensorflow"),
        (),
        8 * SINGLE,
        "https://github.com/keras-team/keras/issues/23425",
    ),
    "count_nonzero_turned": Divergence("keras", "3.15.1", ("torch",), (), 0.0),
    "symmetric_padding": Divergence(
        "keras", "3.15.1", ("torch",), (), 0.0, "https://github.com/keras-team/keras/pull/23230"
    ),
    "average_pool_same": Divergence(
        "keras", "3.15.1", ("torch",), (), 8 * SINGLE, "https://github.com/keras-team/keras/pull/23233"
    ),
    "geomspace_of_one": Divergence("keras", "3.15.1", ("torch",), (), 8 * SINGLE),
    "sinh_vectorised": Divergence(
        "torch", "2.13.0", ("torch",), (), 64 * SINGLE, "https://github.com/pytorch/pytorch/issues/48641"
    ),
    "gcd_of_the_smallest": Divergence(
        "torch", "2.13.0", ("torch",), (), 0.0, "https://github.com/pytorch/pytorch/issues/187338"
    ),
    "rot90_of_a_rectangle": Divergence(
        "keras", "3.15.1", ("tensorflow",), (), 0.0, "https://github.com/keras-team/keras/pull/23435", by_hand=True
    ),
    "correlate_with_a_longer_one": Divergence(
        "keras", "3.15.1", ("tensorflow",), (), 0.0, "https://github.com/keras-team/keras/issues/21617", by_hand=True
    ),
    "elu_near_zero": Divergence(
        "tensorflow",
        "2.21.0",
        ("tensorflow",),
        (),
        8 * SINGLE,
        "https://github.com/tensorflow/tensorflow/issues/116943",
        by_hand=True,
    ),
    "erfinv_near_zero": Divergence("tensorflow", "2.21.0", ("tensorflow",), (), 16 * SINGLE, by_hand=True),
    "gelu_of_float64": Divergence("tensorflow", "2.21.0", ("tensorflow",), (), 16 * DOUBLE, by_hand=True),
    "leaky_relu_of_float64": Divergence("tensorflow", "2.21.0", ("tensorflow",), (), DOUBLE, by_hand=True),
    "gradient_of_cumprod_at_zero": Divergence(
        "tensorflow",
        "2.21.0",
        ("tensorflow",),
        (),
        0.0,
        "https://github.com/tensorflow/tensorflow/issues/119430",
        by_hand=True,
    ),
    "log1p_of_float64": Divergence(
        "jax", "0.10.2", ("jax",), (), 16 * DOUBLE, "https://github.com/jax-ml/jax/issues/39707"
    ),
    "exp2_of_a_whole_number": Divergence(
        "jax", "0.10.2", ("jax",), (), 0.0, "https://github.com/jax-ml/jax/issues/40419"
    ),
    "conv3d_with_a_large_stride": Divergence(
        "tensorflow",
        "2.21.0",
        ("tensorflow",),
        (),
        0.0,
        "https://github.com/tensorflow/tensorflow/issues/14601",
        by_hand=True,
    ),
    "sort_with_nan": Divergence(
        "tensorflow",
        "2.21.0",
        ("tensorflow",),
        (),
        0.0,
        "https://github.com/tensorflow/tensorflow/issues/58496",
        by_hand=True,
    ),
    "logaddexp2_of_float64": Divergence("keras", "3.15.1", ("tensorflow",), (), 8 * DOUBLE, by_hand=True),
    "attention_of_float64": Divergence("jax", "0.10.2", ("jax",), (), 16 * DOUBLE),
    "cosh_of_float64": Divergence("jax", "0.10.2", ("jax",), (), 16 * DOUBLE),
    "group_norm_of_channels_last": Divergence(
        "torch", "2.13.0", ("torch",), (), 1000 * 8 * SINGLE, "https://github.com/pytorch/pytorch/issues/40302"
    ),
    "group_norm_backward_crashes": Divergence("torch", "2.13.0", ("torch",), (), 0.0, by_hand=True),
    "bessel_of_float64": Divergence("torch", "2.13.0", ("torch",), (), 64 * DOUBLE, by_hand=True),
    "incomplete_gamma_of_float64": Divergence("torch", "2.13.0", ("torch",), (), 1000 * DOUBLE, by_hand=True),
    "beta_of_float64": Divergence("jax", "0.10.2", ("jax",), (), 1000 * DOUBLE, by_hand=True),
    "linspace_between": Divergence("jax", "0.10.2", ("jax",), (), 0.0),
    "gradient_of_maximum_at_a_tie": Divergence(
        "tensorflow", "2.21.0", ("tensorflow",), (), 0.0, "https://github.com/pytorch/pytorch/issues/56734"
    ),
}


def cases() -> Iterator[Any]:
    """Every program on every engine; the ones that differ are expected to fail, and nothing else may."""
    for name, found in DIVERGENCES.items():
        reason = f"{found.package} {found.released} {found.issue}".strip()
        marks = [pytest.mark.catalogue] if found.by_hand else []
        known = [pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason), *marks]
        yield from (pytest.param(name, backend, id=f"{name}-{backend}", marks=known) for backend in found.differs)
        yield from (pytest.param(name, backend, id=f"{name}-{backend}", marks=marks) for backend in found.agrees)


def printed(name: str, backend: str, device: str) -> tuple[float, float]:
    """What a program finds, and what it has to find."""
    environment = {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if device == "cpu":
        environment["JAX_PLATFORMS"] = "cpu"
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise RuntimeError(f"{name}.py on {backend} failed:\n{done.stderr[-2000:]}")
    found, expected = done.stdout.splitlines()[-1].split()
    return float(found), float(expected)


@pytest.mark.full
@pytest.mark.parametrize("name, backend", [*cases()])
def test_frameworks_agree(name: str, backend: str) -> None:
    """They don't yet: what this says is that the divergence is still there, in the release that is installed."""
    divergence = DIVERGENCES[name]
    if reason := availability(KERAS if divergence.package == "keras" else ENGINES[backend], backend, divergence.device):
        pytest.skip(reason)
    installed = Version(importlib.metadata.version(divergence.package))
    if installed < Version(divergence.released):
        pytest.skip(f"known of {divergence.package} {divergence.released}, here is an older {installed}")
    found, expected = printed(name, backend, divergence.device)
    assert abs(found - expected) <= divergence.rounding * abs(expected), f"{found} instead of {expected}"


def test_every_program_is_listed() -> None:
    """A program that no entry names would be run by nobody."""
    assert {path.stem for path in HERE.glob("*.py")} == set(DIVERGENCES)
