"""An API over an engine runs that engine's operations and no others, and the shim no more of them than needed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import files
from types import SimpleNamespace

import pytest

from impls.worker.operation_counts import STEADY, in_graph, total
from suites.code.underneath import only, operations
from suites.records.run import Cell, Operations
from suites.runner import plan
from suites.runner.availability import availability
from suites.runner.expectations import evidence_or_fail
from suites.runner.laboratory import Laboratory
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import STAGES
from suites.runner.workers import Pool, Worker

WAYS = ("raw_tf", "tf_keras", "shim")


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "operations")
def test_operations(cell: Cell, laboratory: Laboratory) -> None:
    """Every operation belongs to the engine, and steps of the same shapes are traced once; NumPy has none."""
    found = operations(cell, evidence_or_fail(laboratory, cell, "operations"))
    laboratory.record(operations=found)
    laboratory.passed(cell, "operations")
    foreign = {name for item in found for name in item.foreign}
    assert not foreign, f"{plan.label(cell)} runs operations that {cell.backend} does not have"
    again = {item.what: item.retraces for item in found if item.retraces}
    assert not again, f"{plan.label(cell)} is traced again though no shape has changed"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    with Pool() as pool:
        yield pool


@pytest.fixture(scope="module")
def graphs(pool: Pool) -> dict[str, list[Operations]]:
    """Training step and prediction of the dense model as each way asks TensorFlow for them."""
    return {way: of(pool.worker(way, "tensorflow", "graph"), "mlp") for way in WAYS}


def of(worker: Worker, model: str) -> list[Operations]:
    role = worker.role
    cell = Cell(model, role.implementation, role.backend, role.mode, role.device, role.dtype)
    return operations(cell, STAGES["operations"](worker, cell))


@pytest.mark.full
@pytest.mark.catalogue
def test_keras_runs_operations_of_tensorflow_and_no_others(pool: Pool, graphs: dict[str, list[Operations]]) -> None:
    """Each is in TensorFlow's registry, none calls back into Python, and Keras has no compiled code to add one."""
    step = graphs["tf_keras"][0]
    names = [*step.counts, "KerasEngine"]
    unregistered = RemoteModel(pool.worker("raw_tf", "tensorflow", "graph")).unregistered(names)
    assert unregistered == ["KerasEngine"]
    assert not [name for name in step.counts if "PyFunc" in name]
    assert not [str(file) for file in files("keras") or () if file.suffix in (".so", ".pyd", ".dylib")]
    assert only(step, graphs["raw_tf"][0]), "Keras's own formulas are to be seen in its graph"


@pytest.mark.full
def test_the_shim_asks_for_fewer_operations_than_hand_written_code(graphs: dict[str, list[Operations]]) -> None:
    steps = {way: found[0] for way, found in graphs.items()}
    assert steps["shim"].total < steps["raw_tf"].total < steps["tf_keras"].total
    assert len({step.counts["MatMul"] for step in steps.values()}) == 1


@pytest.mark.full
def test_one_operation_more_is_seen_and_no_noise(pool: Pool, graphs: dict[str, list[Operations]]) -> None:
    old = '    return dense(params, "logits", x)'
    patch = {"file": "impls/mlp/raw_tf.py", "old": old, "new": old.replace("dense(", "tf.math.erf(dense(") + ")"}
    step, predict = planted(pool.worker("raw_tf", "tensorflow", "graph"), "mlp", patch)
    known_step, known_predict = graphs["raw_tf"]
    assert predict.counts == {**known_predict.counts, "Erf": 1} and predict.total == known_predict.total + 1
    assert step.counts["Erf"] == 1 and step.total > known_step.total + 1, "its gradient needs operations too"


def planted(worker: Worker, model: str, patch: dict[str, str]) -> list[Operations]:
    RemoteModel(worker).plant([patch])
    try:
        return of(worker, model)
    finally:
        RemoteModel(worker).plant([])


AGAIN = {
    ("raw_tf", "tensorflow", "graph"): {
        "file": "impls/adapters/tensorflow_ops.py",
        "old": "return self.train_step(x, y)",
        "new": "return self.compiled(self.train_step.python_function)(x, y)",
    },
    ("raw_jax", "jax", "jit"): {
        "file": "impls/adapters/jax_functions.py",
        "old": "self.params, self.optimizer, loss = self.program.train_step(self.params",
        "new": "self.params, self.optimizer, loss = jax.jit(lambda *a: self.program.train_step(*a))(self.params",
    },
}


@pytest.mark.full
@pytest.mark.parametrize(("role", "patch"), AGAIN.items(), ids=["tensorflow", "jax"])
@pytest.mark.catalogue
def test_a_retrace_that_nobody_caused_is_seen(pool: Pool, role: tuple[str, str, str], patch: dict[str, str]) -> None:
    """A function that is compiled anew in each call costs seconds a step and changes no result."""
    if reason := availability(*role[:2]):
        pytest.skip(reason)
    step, predict = planted(pool.worker(*role), "seed", patch)
    assert step.retraces == STEADY and predict.retraces == 0


def node(op: str, *functions: str) -> SimpleNamespace:
    """A node of a graph with functions among its attributes, in the words of TensorFlow's GraphDef."""
    nothing = SimpleNamespace(func=[])
    attributes = [
        SimpleNamespace(func=SimpleNamespace(name=name), list=nothing, HasField=lambda field: field == "func")
        for name in functions
    ]
    plain = SimpleNamespace(func=None, list=nothing, HasField=lambda field: False)
    return SimpleNamespace(op=op, attr=dict(enumerate([plain, *attributes])))


def test_a_function_counts_where_it_is_called() -> None:
    """Two calls of one function, and a loop in it: a step can't hide operations behind a call."""
    bodies = {
        "f": [node("Mul"), node("While", "condition", "body")],
        "body": [node("Tanh")],
        "condition": [node("Less")],
    }
    called = [node("StatefulPartitionedCall", "f"), node("PartitionedCall", "f"), node("Const")]
    counts = in_graph(called, bodies)
    assert counts == {
        "StatefulPartitionedCall": 1, "PartitionedCall": 1, "Const": 1, "Mul": 2, "While": 2, "Tanh": 2, "Less": 2
    }  # fmt: skip
    assert total(counts, "tensorflow") == 8
