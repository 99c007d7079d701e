"""All implementations compute the same numbers in float64 under every optimizer, to the project's own targets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from impls import MODELS, model_differences
from suites.equivalence.agreement import (
    OPTIMIZERS,
    STEPS,
    before,
    compared,
    departs,
    judged,
    merged,
    patches,
    roles,
    save,
    section,
    shown,
    table,
)
from suites.equivalence.compare import AGREEMENT, disagreement, normwise
from suites.equivalence.draws import distinct, random_draw
from suites.records.run import Agreement, Cell
from suites.runner import plan, stages
from suites.runner.machine import ROOT
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Pool, Role

FEW = 30  # steps of the quick test
QUICK = (Role("raw_torch", "torch", "eager"), Role("shim", "torch", "eager"))
WRITTEN_OUT = (
    Role("raw_tf", "tensorflow", "graph"),
    Role("raw_jax", "jax", "jit"),
    Role("raw_torch", "torch", "eager"),
)
NATIVE = Role("torch_native", "torch", "eager")
LATE = 2000  # updates before the one that is compared
Shown = dict[tuple[str, str], Arrays]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(keep=2) as pool:
        yield pool


@pytest.fixture(scope="module")
def few(pool: Pool) -> Shown:
    """What the oracle computes in FEW steps of the smallest model."""
    return shown(pool.serving(Role(*plan.ORACLE)), ["seed"], OPTIMIZERS, FEW)


@pytest.fixture(scope="module")
def truth(pool: Pool) -> Shown:
    """What the oracle computes in STEPS steps of every model."""
    return shown(pool.serving(Role(*plan.ORACLE)), MODELS, OPTIMIZERS, STEPS)


def agrees(pool: Pool, role: Role, truth: Shown, models: list[str], steps: int) -> None:
    """Every tensor of a role within its target; a departure that is known has to be seen, or its entry goes."""
    models = [model for model in models if Path(ROOT, "impls", model, f"{role.implementation}.py").is_file()]
    rows = list(compared(role, shown(pool.serving(role), models, OPTIMIZERS, steps), truth, steps))
    assert [row for row in rows if not (row.met or row.departs)] == [], f"\n{table(rows)}"
    assert [row for row in rows if row.met and row.departs] == [], f"these depart no more:\n{table(rows)}"


@pytest.mark.parametrize("role", QUICK, ids=lambda role: role.id)
def test_a_few_steps_of_the_smallest_model(pool: Pool, few: Shown, role: Role) -> None:
    if role not in roles(plan.Selection()):
        pytest.skip(f"{role.id} can't run here")
    agrees(pool, role, few, ["seed"], FEW)


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("role", roles(plan.Selection()), ids=lambda role: role.id)
def test_a_thousand_steps_of_every_model(pool: Pool, truth: Shown, role: Role) -> None:
    agrees(pool, role, truth, list(MODELS), STEPS)
    pool.stop(pool.serving(role))


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("role", WRITTEN_OUT, ids=lambda role: role.id)
def test_an_update_late_in_a_training(pool: Pool, role: Role, model: str) -> None:
    """Corrections have died out, schedules have ended: a program's own optimizer, and not one put in its place."""
    if role not in roles(plan.Selection()) or not Path(ROOT, "impls", model, f"{role.implementation}.py").is_file():
        pytest.skip(f"{role.id} can't run {model} here")
    oracle = Role(*plan.ORACLE)
    cells = [Cell(model, *each[:5], "small") for each in (oracle, role)]
    start = stages.state(pool.serving(oracle), cells[0])
    truth, found = [
        stages.moved(pool.serving(each), cell, start, LATE) for each, cell in zip((oracle, role), cells, strict=True)
    ]
    errors = {name: normwise(found[name], value) for name, value in truth.items()}
    assert max(errors.values()) <= AGREEMENT, max(errors, key=lambda name: errors[name])


def of_sequences(role: Role) -> Any:
    """A role as a case: those that compile longest are left out of CI."""
    slow = role.implementation in ("raw_tf", "raw_jax")
    return pytest.param(role, id=role.id, marks=[pytest.mark.catalogue] if slow else [])


@pytest.mark.full
@pytest.mark.parametrize("role", [of_sequences(role) for role in (*WRITTEN_OUT, NATIVE)])
def test_a_shorter_sequence_is_the_beginning_of_a_longer_one(pool: Pool, role: Role) -> None:
    """What is predicted at a place is told by the places up to it: positions count from the first one."""
    if role not in roles(plan.Selection()):
        pytest.skip(f"{role.id} can't run here")
    model = RemoteModel(pool.serving(role))
    for name, sizes in (("rnn", distinct("rnn")), ("transformer", {**distinct("transformer"), "steps": 6})):
        draw = random_draw(name, "sequences", sizes, batch=3, count=3, steps=6)
        model.open(draw.model, draw.size, draw.weights)
        whole, beginning = model.predict(draw.x), model.predict(draw.x[:, :4])
        assert normwise(beginning, whole[:, :4]) <= AGREEMENT, name


def test_rows_are_added_to_a_file_that_is_there(tmp_path: Path) -> None:
    """A model that comes later is measured alone; what was measured before stays, and what is measured again is new."""
    path, place = tmp_path / "agreement.json", ("raw_torch", "torch", "eager", "sgd", 9)
    old = [Agreement(model, *place, 1e-9, "losses", 1e-12, "") for model in ("seed", "mlp")]
    save({"steps": 9, **judged(old)}, path)
    again = Agreement("mlp", *place, float("inf"), "losses", 1e-12, "")
    rows = merged(before(path, 9), [again, Agreement("cnn", *place, 0.0, "losses", 1e-12, "")])
    assert [(row.model, row.disagreement) for row in rows] == [("seed", 1e-9), ("mlp", float("inf")), ("cnn", 0.0)]
    save({"steps": 9, **judged(rows)}, path)
    assert before(path, 9) == rows and before(tmp_path / "none.json", 9) == []
    with pytest.raises(plan.PlanError, match="is of 9 steps: --add needs as many"):
        before(path, 10)


def test_a_clipping_goes_with_the_optimizer_that_it_belongs_to() -> None:
    """torch.nn clips in the training step: with another optimizer such a program clipped, and the oracle did not."""
    for optimizer in OPTIMIZERS:
        removed = {diff["file"]: diff["old"] for diff in patches("torch_native", optimizer) if not diff["new"]}
        clipping = [
            path for path in Path(ROOT, "impls").glob("*/torch_native.py") if "clip_grad_norm_(" in path.read_text()
        ]
        models = [path for path in clipping if path.parent.name in MODELS]
        assert {Path(ROOT, file) for file in removed} == set(models) and len(models) > 1
        assert all(old.strip().startswith("nn.utils.clip_grad_norm_(") for old in removed.values())


def test_optimizers_differ(few: Shown) -> None:
    """One that took no effect would agree with everybody who takes none either."""
    names = list(OPTIMIZERS)
    for at, one in enumerate(names):
        for other in names[:at]:
            apart = disagreement(few["seed", one], few["seed", other], "weight/hidden/kernel")
            assert apart > 1000 * AGREEMENT, f"{one} and {other}"


def test_every_row_of_the_catalogue_has_a_reader() -> None:
    """A row that nobody reads explains nothing, and a sentence that is no row of it is told twice, in two wordings."""
    roles = [Role("tf_keras", engine, "eager") for engine in ("tensorflow", "torch", "jax")]
    roles.append(Role("torch_native", "torch", "eager"))
    whats = ("one pass", *OPTIMIZERS)
    read = {departs(role, model, what) for role, model, what in itertools.product(roles, MODELS, whats)}
    judged = "; ".join(found.cause for found in model_differences.DEPARTURES.values())
    tables = (model_differences.ROUNDED_CONSTANTS, model_differences.SCHEDULES, model_differences.TORCH_OPTIMIZERS,
              model_differences.TORCH_LAYERS)  # fmt: skip
    rows = [row for table in tables for row in table.values()]
    rows += [model_differences.SLICES, model_differences.TORCH_CLIPPING]
    assert [row.where for row in rows if row.brief not in read - {""} and row.cause not in judged] == []
    assert read == {"", model_differences.IN_FLOAT32, *(row.brief for row in rows)}


def test_every_program_has_a_section_to_replace() -> None:
    for path in sorted(Path(ROOT, "impls", "optimizers").glob("*/*.py")):
        written = [model for model in MODELS if Path(ROOT, "impls", model, path.name).is_file()]
        for model in written:
            program = Path(ROOT, "impls", model, path.name).read_text(encoding="utf-8")
            assert program.count(section(program)) == 1, f"{model}, {path.name}"
