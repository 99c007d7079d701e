"""Why a cell failed, in one line: what the engine said first and where, and whether a release is known to say so."""

from __future__ import annotations

import pytest

from impls.model_differences import refusal
from suites.records.run import Cell, Outcome
from suites.runner import laboratory, plan
from suites.runner.laboratory import Laboratory, StageFailed, StageRefused, new_run
from suites.runner.workers import WorkerRaised

MODULE = "\n".join(f"  %{at} = stablehlo.add %0, %1 : tensor<3xf64>" for at in range(60))
IN_JAX = '  File "/v/lib/site-packages/jax/_src/mlir.py", line 15, in lower\n'
ENGINE = '  File "/x/impls/worker/server.py", line 3, in answer\n' + IN_JAX
OWN = IN_JAX + '  File "/x/impls/seed/shim.py", line 3, in build\n'
LOWERING = "Cannot lower:\n  cudnn_rnn: bad operand\n" + MODULE


@pytest.mark.parametrize(
    ("message", "traceback", "said"),
    [
        (LOWERING, ENGINE, "Cannot lower: cudnn_rnn: bad operand (at jax/_src/mlir.py:15)"),
        ("unknown layer", OWN, "unknown layer"),
        ("in user code:\n\n    x = 1\n\n    no such argument\n", "", "in user code: no such argument"),
        ("", "", ""),
    ],
)
def test_an_error_is_one_line_with_its_place(message: str, traceback: str, said: str) -> None:
    """Sixty lines of a compiler's own language stood in the summary, twice a cell, and nobody read on."""
    failure = WorkerRaised("worker", "ValueError", message, traceback)
    assert str(failure) == f"worker: ValueError: {said}" and failure.details == traceback


def test_a_very_long_line_is_cut() -> None:
    assert len(str(WorkerRaised("worker", "ValueError", "x" * 5000, ""))) < 500


REFUSED = Cell("rnn", "tf_keras", "jax", "jit", "gpu", "float64")


def test_a_known_refusal_is_no_failure_and_an_unknown_one_is() -> None:
    """What a release cannot do would be red in every run; what else fails there must not hide behind it."""
    run = new_run({})
    with Laboratory(plan.Selection(), run, None, 1, True) as opened:
        known = opened._told(
            REFUSED, "gradients", WorkerRaised("w", "ValueError", "Cannot lower", "... cudnn_rnn_bwd_ffi ...")
        )
        other = opened._told(REFUSED, "gradients", WorkerRaised("w", "MemoryError", "none left", "at cublas"))
    assert isinstance(known, StageRefused) and isinstance(other, StageFailed) and not isinstance(other, StageRefused)
    assert [outcome.status for outcome in run.outcomes] == ["skipped", "failed"]
    assert "lstm_in_float64_on_a_gpu.py" in run.outcomes[0].reason and "cudnn_rnn_bwd_ffi" in run.outcomes[0].details
    assert not refusal("tf_keras", "jax", "rnn", "cpu", "float64", "cudnn_rnn")


def test_details_keep_their_end() -> None:
    """A traceback's end is what was raised."""
    run = new_run({})
    with Laboratory(plan.Selection(), run, None, 1, True) as opened:
        opened.failed(REFUSED, "equivalence", "reason", "x" * 2 * laboratory.MOST_DETAILS + "the end")
    (outcome,) = run.outcomes
    assert isinstance(outcome, Outcome) and len(outcome.details) == laboratory.MOST_DETAILS
    assert outcome.details.endswith("the end")
