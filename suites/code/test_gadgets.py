"""Gadgets behave alike in every implementation, a fault in one is found, and their changes are counted as defined."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from suites.code import gadgets, killing, scenarios
from suites.code.gadgets import GADGETS, SHOWN
from suites.runner.availability import availability
from suites.runner.laboratory import Laboratory
from suites.runner.machine import ROOT
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Pool, Source, Worker, WorkerFailed

# One of each kind: a callback, a loss, an optimizer, a model, a step. `nox -s bench` runs all of them.
QUICK = ("early_stopping", "transfer_learning")
SEVERAL = ("checkpoint_resume", "save_load", "export", "hyperparameter_search", "data_parallel")  # processes, or long
ALONE = tuple(gadget for gadget in GADGETS if gadget not in (*QUICK, "hyperparameter_search", "data_parallel"))
NOT_ALONE = {"checkpoint_resume": "tf_keras"}  # it deletes its checkpoint unless it is killed

BASE = "import numpy as np\n\ndef train(x):\n    y = x + 1\n    return y\n"
CHANGES = {
    "nothing": (BASE, (0, 0, 0)),
    "layout": (BASE.replace("x + 1", "(\n        x + 1\n    )  # why"), (0, 0, 0)),
    "a docstring": ('"""What."""\n' + BASE, (0, 0, 0)),
    "the main part": (BASE + 'if __name__ == "__main__":\n    train(1)\n', (0, 0, 0)),
    "a line more": (BASE.replace("    return", "    y *= 2\n    return"), (1, 0, 0)),
    "a line less": (BASE.replace("    y = x + 1\n", ""), (0, 1, 0)),
    "another line": (BASE.replace("x + 1", "x + 2"), (0, 0, 1)),
    "two for one": (BASE.replace("    y = x + 1\n", "    y = x\n    y = 2 * y\n"), (1, 0, 1)),
}

FAULTS = {
    "early_stopping": ("waited >= patience", "waited > patience"),
    "class_weights": (', reduction="sum") / len(y)', ")"),
    "learning_rate_schedule": ("epoch // 2", "(epoch + 1) // 2"),
    "transfer_learning": ("model[:-1].requires_grad_(False)", "model[:1].requires_grad_(False)"),
    "custom_training_step": ("g / g.norm()", "g.sign()"),
    "gradient_clipping": ("(limit / norm)", "(limit / (norm + 1e-6))"),
    "image_augmentation": ("(epoch, batch)", "(0, batch)"),
    "progress_bar": ("logits.argmax(-1) == y", "logits.argmax(-1) <= y"),
    "validation_split": ("0.8", "0.75"),
    "custom_metric": ("logits.softmax(-1)", "logits.sigmoid()"),
    "sample_weights": (".mean()", ".sum() / w.sum()"),
    "text_generation": ("self.position(self.token(ids), start)", "self.position(self.token(ids))"),
}


IN_PLACE = """
import json, sys, time
for epoch in range(10_000):
    with open(sys.argv[1], "w") as file:  # empty from here on
        time.sleep(0.02)
        file.write(json.dumps({"epoch": epoch}))
    time.sleep(0.005)
"""


class Writer:
    """What `kill_after` needs of a worker, of a process that writes over its checkpoint in place."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", IN_PLACE, str(path)])
        self.pid = self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


def test_a_training_is_not_killed_amid_its_checkpoint(tmp_path: Path) -> None:
    """Else an API that writes in place (Keras) fails or not by chance, with a JSONDecodeError on the page."""
    path = tmp_path / "training_metadata.json"
    writer = Writer(path)
    killing.kill_after(writer, path)  # type: ignore[arg-type]
    assert writer.process.wait(10) == -signal.SIGKILL
    assert json.loads(path.read_text())["epoch"] >= 0


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_change_counts(change: str) -> None:
    """A reader compares these numbers: layout, comments and docstrings must not move them."""
    source, expected = CHANGES[change]
    found = gadgets.difference(BASE, source)
    assert (found.added, found.removed, found.changed) == expected


def test_every_gadget_has_every_program() -> None:
    """A gadget that lacks a program without a reason would look as if that API could not do it."""
    programs = {(gadget, name) for gadget, entry in GADGETS.items() for name in SHOWN if name not in entry.missing}
    assert programs == {
        (path.parent.name, path.stem) for path in ROOT.glob("impls/gadgets/*/*.py") if path.parent.name != gadgets.BASE
    }


@pytest.mark.parametrize("name", SHOWN)
def test_text_generation_trains_as_its_base_does(name: str) -> None:
    """Only its writing is run and compared; how it would be trained is the transformer's, word for word."""
    paths = [ROOT / f"impls/{folder}/{name}.py" for folder in ("transformer", "gadgets/text_generation")]
    sources = [path.read_text(encoding="utf-8") for path in paths]
    trained = [source.partition("\n# Loss")[2].partition("\n# Prediction")[0] for source in sources]
    assert trained[0] and trained[0] == trained[1]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool() as pool:
        yield pool


@pytest.mark.parametrize("gadget", FAULTS)
def test_a_fault_is_found(gadget: str, pool: Pool) -> None:
    """Proofs that pass for a program that does something else would prove nothing."""
    if reason := availability("raw_torch", "torch"):
        pytest.skip(reason)
    old, new = FAULTS[gadget]
    truth = gadgets.observe(gadget, "raw_torch", pool)
    worker = pool.worker("raw_torch", "torch", "eager")
    file = f"impls/gadgets/{gadget}/raw_torch.py"
    RemoteModel(worker).plant([{"file": file, "old": old, "new": new}])
    try:
        _, reason = gadgets.disagreement(gadgets.observe(gadget, "raw_torch", pool), truth)
    except AssertionError as error:
        reason = str(error)
    finally:
        RemoteModel(worker).plant([])
    assert reason


@pytest.mark.full
@pytest.mark.catalogue
def test_processes_that_train_alone_are_found(pool: Pool, tmp_path: Path) -> None:
    """Two processes that never speak learn too, from half of the data each."""
    if reason := availability("raw_torch", "torch"):
        pytest.skip(reason)
    file = "impls/gadgets/data_parallel/raw_torch.py"
    fault = {"file": file, "old": "model = DistributedDataParallel(model)", "new": "model = model"}

    def start(environment: Mapping[str, str] = gadgets.NO_VARIABLES) -> Worker:
        return pool.worker("raw_torch", "torch", "eager", source=Source(environment=environment, patch=fault))

    with pytest.raises(AssertionError, match="of process 0 differs by"):
        scenarios.data_parallel(scenarios.Subject("data_parallel", gadgets.PLAIN, start, tmp_path))


def proofs(
    gadget: str, pool: Pool, chosen: tuple[str, ...] = (), processes: bool = True
) -> dict[str, tuple[float, str] | str]:
    """How each implementation behaves, compared with the first one that runs here; a text: why it could not be run."""
    wanted = [name for name in SHOWN if name not in GADGETS[gadget].missing and (not chosen or name in chosen)]
    backends = {name: GADGETS[gadget].backend(name) for name in wanted}
    here = [name for name, backend in backends.items() if not availability(name, backend)]
    for name in here:
        gadgets.worker(name, pool, backends[name])  # they load at the same time
    found: dict[str, Arrays | str] = {
        name: observed(gadget, name, pool, processes) if name in here else availability(name, backend)
        for name, backend in backends.items()
    }
    seen = {name: value for name, value in found.items() if not isinstance(value, str)}
    truth = next(iter(seen.values()), {})
    judged: dict[str, tuple[float, str] | str] = {}
    for name, value in found.items():
        if isinstance(value, str):
            judged[name] = value
        else:
            judged[name] = gadgets.disagreement(value, truth, gadgets.agreement(gadget, name))
    return judged


def observed(gadget: str, implementation: str, pool: Pool, processes: bool) -> Arrays | str:
    try:
        return gadgets.observe(gadget, implementation, pool, processes=processes)
    except (WorkerFailed, AssertionError) as failure:
        return f"failed: {failure}"


@pytest.mark.parametrize("gadget", QUICK)
def test_gadgets_behave_alike(gadget: str, pool: Pool) -> None:
    """A user who moves a program to another API keeps its comforts, and they do the same."""
    assert not failures(gadget, proofs(gadget, pool))


@pytest.mark.full
@pytest.mark.parametrize("gadget", ALONE)
@pytest.mark.one_in(12)
def test_gadgets_behave_alike_in_one_process(gadget: str, pool: Pool) -> None:
    """The other gadgets, nothing killed and no process started: a wrong one in any implementation is found."""
    chosen = tuple(name for name in SHOWN if name != NOT_ALONE.get(gadget))
    assert not failures(gadget, proofs(gadget, pool, chosen, processes=False))


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("gadget", SEVERAL)
def test_gadgets_behave_alike_in_several_processes(gadget: str, pool: Pool) -> None:
    """As `nox -s bench` runs them: killed with -9, loaded and served elsewhere, trained side by side."""
    assert not failures(gadget, proofs(gadget, pool))


def failures(gadget: str, found: dict[str, tuple[float, str] | str]) -> list[str]:
    """What is wrong, with the implementation's name; one that is not installed is no failure."""
    reasons = {name: value if isinstance(value, str) else value[1] for name, value in found.items()}
    missing = [name for name in reasons if availability(name, GADGETS[gadget].backend(name))]
    return [f"{name}: {reason}" for name, reason in reasons.items() if reason and name not in missing]


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.parametrize("gadget", GADGETS)
def test_record(gadget: str, laboratory: Laboratory, pool: Pool) -> None:
    """Puts each gadget's programs, what they cost and how they behaved into the record of the run."""
    chosen = laboratory.selection
    if "mlp" not in (chosen.models or ("mlp",)):
        pytest.skip("not selected: gadgets change the mlp")
    found = proofs(gadget, pool, chosen.implementations)
    for implementation in SHOWN:
        left = implementation in GADGETS[gadget].missing
        if not left and implementation in (chosen.implementations or (implementation,)):
            laboratory.record(gadgets=[gadgets.record(gadget, implementation, found.get(implementation))])
    assert not failures(gadget, found)
