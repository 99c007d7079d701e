"""Engines that only predict: what they compute is compared layer by layer, and a slip in an export is found there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from impls import MODELS
from suites.equivalence.bounds import bounds
from suites.equivalence.compare import comparisons, exceeding
from suites.equivalence.localise import Location, locate
from suites.records.run import Cell
from suites.runner import plan
from suites.runner.laboratory import Laboratory, reason_against
from suites.runner.stages import BOUNDS, inference
from suites.runner.workers import HERE, Pool, Role, Source

STAGE = "float32_inference"
PADDED = '{"auto_pad": "SAME_UPPER" if padding == "same"'
SLIP = {"file": "impls/shim/interop/onnx_graph.py", "old": PADDED, "new": PADDED.replace("UPPER", "LOWER")}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(keep=1) as made:
        yield made


def role(cell: Cell, source: Source) -> Role:
    return Role(cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype, 1, source)


def departs(laboratory: Laboratory, pool: Pool, cell: Cell, source: Source = HERE) -> Location | None:
    """Where a cell's predictions part from the oracle's; None: nowhere."""
    if reason := reason_against(cell):
        pytest.skip(reason)
    reference = plan.oracle(cell)
    truth, spread = laboratory.evidence(reference, STAGE), laboratory.evidence(reference, BOUNDS[STAGE])
    found = inference(pool.serving(role(cell, source)), cell)
    rows = comparisons(cell, reference, found, truth, bounds(cell, truth, spread))
    return locate(MODELS[cell.model].at(cell.size), exceeding(rows), found, truth, STAGE)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_exported_predicts_the_same(laboratory: Laboratory, pool: Pool, model: str) -> None:
    assert departs(laboratory, pool, Cell(model, "shim_onnx", "onnxruntime", "graph", "cpu", "float32")) is None


def test_a_slip_in_the_export_is_found_in_its_layer(laboratory: Laboratory, pool: Pool) -> None:
    """Zeros put before the image instead of behind it: only where the stride is 2 there is an odd one."""
    cell = Cell("cnn", "shim_onnx", "onnxruntime", "graph", "cpu", "float32")
    found = departs(laboratory, pool, cell, Source(patch=SLIP))
    assert found is not None and (found.layer, found.phase) == ("conv2", "forward")


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
def test_keras_predicts_the_same_on_its_numpy_backend(laboratory: Laboratory, pool: Pool, model: str) -> None:
    assert departs(laboratory, pool, Cell(model, "keras_inference", "numpy", "eager", "cpu", "float32")) is None
