"""Every public piece of the shim has a reference that is not the shim: one without is a blind spot."""

from __future__ import annotations

import ast

import pytest

from suites.references import activations, callbacks, defaults, layers, losses, optimizers
from suites.runner.machine import ROOT

SHIM = ROOT / "impls" / "shim"
ELSEWHERE = {  # where what no table below holds is compared, and with what
    "Augment": "test_draws.py: images turned by quarters, shifted by whole pixels",
    "CSVLog": "test_training.py: the history",
    "Callback": "test_training.py: the calls of one that notes them",
    "models": "Keras's names of Model and Sequential",
    "utils": "test_programs.py: programs of Keras with another import",
    "CosineDecay": "optimizers.py: SCHEDULES",
    "ExponentialDecay": "optimizers.py: SCHEDULES",
    "PiecewiseConstant": "optimizers.py: SCHEDULES",
    "Input": "cases.py: graphs of several inputs",
    "KeyValueCache": "impls/shim/test_generation.py: the sequence read at once",
    "Layer": "the base of the layers: impls/gadgets/custom_layer",
    "Model": "training_loop.py: Oracle",
    "ProgressBar": "test_training.py: what it shows is text",
    "Sequential": "training_loop.py: Oracle",
    "CSVLogger": "impls/shim/test_keras_callbacks.py: Keras itself",
    "LambdaCallback": "impls/shim/test_keras_callbacks.py: Keras itself",
    "LearningRateScheduler": "impls/shim/test_keras_callbacks.py: Keras itself",
    "ModelCheckpoint": "impls/shim/test_keras_callbacks.py: Keras itself",
    "ReduceLROnPlateau": "impls/shim/test_keras_callbacks.py: Keras itself",
    "TerminateOnNaN": "impls/shim/test_keras_callbacks.py: Keras itself",
    "backend_module": "impls/shim/test_shim.py: which backend, and what an error says",
    "backend_name": "impls/shim/test_shim.py: which backend, and what an error says",
    "installed": "impls/shim/test_shim.py: which backend, and what an error says",
}
CALLBACKS = ("Checkpoint", "EarlyStopping", "LearningRate")


def assigned(module: str, name: str) -> ast.expr:
    """The value that a module of the shim gives to a name, unread: importing suites imports no shim."""
    for statement in ast.parse((SHIM / module).read_text(encoding="utf-8")).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return statement.value  # type: ignore[attr-defined,no-any-return]
    raise AssertionError(f"{module} has no {name}")


def names(module: str, name: str) -> set[str]:
    """What a list holds, or a table has for its keys."""
    value = assigned(module, name)
    nodes = value.keys if isinstance(value, ast.Dict) else value.elts  # type: ignore[attr-defined]
    return {str(ast.literal_eval(node)) for node in nodes if node is not None}


def test_every_public_name_has_a_reference() -> None:
    known = {*layers.REFERENCES, *optimizers.RULES, *ELSEWHERE, *CALLBACKS}
    assert all(hasattr(callbacks, name) for name in CALLBACKS)
    assert names("__init__.py", "__all__") == known


@pytest.mark.parametrize(
    ("module", "table", "known"),
    [
        ("activation_functions.py", "ACTIVATIONS", activations.ACTIVATIONS),
        ("losses.py", "LOSSES", losses.LOSSES),
        ("metrics.py", "METRICS", losses.METRICS),
        ("initializers.py", "INITIALIZERS", defaults.INITIALIZERS),
    ],
)
def test_every_name_that_a_user_may_give_has_a_reference(module: str, table: str, known: dict[str, object]) -> None:
    assert names(module, table) == set(known)
