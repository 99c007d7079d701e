"""Measure how closely all implementations agree in float64: one pass, and many steps under seven optimizers.

Forward and backward pass of each model, and 1,000 training steps under each of seven optimizers, against the NumPy
oracle. A program has one optimizer; the other ones are sections of `impls/optimizers/<optimizer>/<implementation>.py`,
which take the place of the program's own "# Optimizer" while a worker imports it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from impls import MODELS, model_differences
from impls.model_differences import Departure
from suites.equivalence.compare import AGREEMENT, NOT_COMPARED, disagreement
from suites.equivalence.draws import Draw, distinct, random_draw
from suites.records import run as records
from suites.records import terminal
from suites.records.run import Agreement
from suites.runner import plan
from suites.runner.laboratory import new_run, reason_against
from suites.runner.machine import ROOT
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Pool, Role, Worker, WorkerFailed

STEPS, BATCH, BATCHES = 1000, 8, 64  # more examples than weights, so that gradients never vanish
CALL_SECONDS = 600.0
ONE_PASS = 1e-13  # the project's target for forward and gradients, and for trajectories `compare.AGREEMENT`

# What a program of torch.nn clips by is a line of its training step, but part of its optimizer all the same.
CLIPPED = re.compile(r"^ +nn\.utils\.clip_grad_norm_\(.*\n", re.MULTILINE)

IN_SINGLE = model_differences.SINGLE_LAYERS
RULES = {"momentum": "sgd", "nesterov": "sgd"}  # what the catalogue of known differences has under its rule

# What each optimizer is called where a person reads it.
OPTIMIZERS = {
    "sgd": "SGD",
    "momentum": "momentum",
    "nesterov": "Nesterov",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
}


def section(source: str) -> str:
    """The text between the headings "# Optimizer" and "# Training" of a program."""
    start = source.index("# Optimizer\n")
    return source[start : source.index("# Training\n", start)]


def patches(implementation: str, optimizer: str) -> list[dict[str, str]]:
    """The diffs that give all programs of an implementation another optimizer."""
    text = Path(ROOT, "impls", "optimizers", optimizer, f"{implementation}.py").read_text(encoding="utf-8")
    files = [f"impls/{model}/{implementation}.py" for model in MODELS]
    sources = {file: Path(ROOT, file).read_text(encoding="utf-8") for file in files if Path(ROOT, file).is_file()}
    found = [
        {"file": file, "old": section(source), "new": f"# Optimizer\n{text}\n\n"} for file, source in sources.items()
    ]
    clipping = {file: CLIPPED.findall(source) for file, source in sources.items()}
    return found + [{"file": file, "old": line, "new": ""} for file, lines in clipping.items() for line in lines]


@cache
def start(model: str) -> Draw:
    """Canonical weights and random data of the model at a size whose steps take no time."""
    return random_draw(model, "agreement", distinct(model), BATCH, BATCH * BATCHES, seed=9)


def opened(worker: Worker, draw: Draw) -> RemoteModel:
    """The draw's model, built from its weights."""
    model = RemoteModel(worker, CALL_SECONDS)
    model.open(draw.model, draw.size, draw.weights)
    return model


def one_pass(worker: Worker, model: str) -> Arrays:
    """Activations, loss, cotangents, gradients, and activations in inference mode, of the first batch."""
    draw = start(model)
    remote = opened(worker, draw)
    return {**remote.gradients(**draw.batches[0]), **remote.inference(draw.batches[0]["x"])}


def trajectory(worker: Worker, model: str, steps: int) -> Arrays:
    """Losses of all steps, and weights, running statistics and slots after the last."""
    draw = start(model)
    index = np.resize(np.arange(len(draw.x)), steps * draw.batch)
    return opened(worker, draw).train(draw.x[index], draw.y[index], draw.batch)


def shown(
    worker: Worker, models: Iterable[str], optimizers: Iterable[str], steps: int
) -> dict[tuple[str, str], Arrays]:
    """What a worker computes: by model and "one pass" or optimizer."""
    found = {(model, "one pass"): one_pass(worker, model) for model in models}
    for optimizer in optimizers:
        RemoteModel(worker, CALL_SECONDS).plant(patches(worker.implementation, optimizer))
        found.update({(model, optimizer): trajectory(worker, model, steps) for model in models})
    return found


def departs(role: Role, model: str, what: str) -> str:
    """The departure of a released library that is known for this; "" where everything has to agree."""
    place = role.implementation, role.backend
    if place in (("tf_keras", "torch"), ("tf_keras", "jax")):
        return model_differences.IN_FLOAT32 if (*place, model) in model_differences.DEPARTURES else ""
    kinds = model_differences.kinds_of(MODELS[model])
    if place == ("tf_keras", "tensorflow") and any(("tensorflow", kind) in IN_SINGLE for kind in kinds):
        return model_differences.CONSTANTS  # within a layer, whatever the optimizer
    if what == "one pass":
        return ""
    causes = {("tf_keras", "tensorflow"): of_keras, ("torch_native", "torch"): of_torch}.get(place)
    found = causes(kinds, what) if causes is not None else []
    return found[0].brief if found else ""


def of_keras(kinds: Collection[str], optimizer: str) -> list[Departure]:
    """What Keras does otherwise on TensorFlow, under an optimizer."""
    if optimizer == "sgd":
        return []  # without momentum it has no constant but its rate
    if optimizer == "rmsprop":
        return [model_differences.SLICES] if "embedding" in kinds and "tied_head" not in kinds else []
    return [model_differences.ROUNDED_CONSTANTS[RULES.get(optimizer, optimizer)]]


def of_torch(kinds: Collection[str], optimizer: str) -> list[Departure]:
    """What torch.nn and torch.optim do otherwise, what shows most first."""
    layers, rules = model_differences.TORCH_LAYERS, model_differences.TORCH_OPTIMIZERS
    found = [layers["lstm"]] if "lstm" in kinds else []
    if optimizer in rules and optimizer != "sgd":
        found.append(rules[optimizer])
    if "batchnorm" in kinds:
        found.append(layers["batchnorm"])
    if optimizer in RULES:
        found.append(rules[RULES[optimizer]])
    return found


def compared(
    role: Role, found: Mapping[tuple[str, str], Arrays], truth: Mapping[tuple[str, str], Arrays], steps: int
) -> Iterator[Agreement]:
    """The worst tensor of each model and optimizer."""
    for (model, what), arrays in found.items():
        expected = truth[model, what]
        names = [name for name in dict.fromkeys([*expected, *arrays]) if name not in NOT_COMPARED]
        rows = {name: disagreement(arrays, expected, name) for name in names}
        worst = max(rows, key=lambda name: np.nan_to_num(rows[name], nan=np.inf))
        single = what == "one pass"
        place = model, role.implementation, role.backend, role.mode, what, 1 if single else steps
        yield Agreement(*place, rows[worst], worst, ONE_PASS if single else AGREEMENT, departs(role, model, what))


def roles(selection: plan.Selection) -> list[Role]:
    """The float64 workers of a selection that can run here, without the oracle itself."""
    cells = [cell for cell in selection.cells("float64") if not reason_against(cell)]
    places = ((cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype) for cell in cells)
    found = dict.fromkeys(Role(*place) for place in places)
    return [role for role in found if role[:5] != plan.ORACLE]


def table(rows: Iterable[Agreement]) -> str:
    """Worst disagreement by implementation and model (lines) and optimizer (columns); `*`: a known departure."""
    columns = ["one pass", *OPTIMIZERS]
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        line = cells.setdefault((row.model, row.implementation, row.backend), {})
        mark = ""
        if row.departs:
            mark = "*"
        elif not row.met:
            mark = "!"
        line[row.what] = f"{row.disagreement:.0e}{mark}"
    lines = [f"{'':<30}" + "".join(f"{name:>10}" for name in columns)]
    for place, line in sorted(cells.items()):
        lines.append(f"{' '.join(place):<30}" + "".join(f"{line.get(name, '-'):>10}" for name in columns))
    return "\n".join(lines)


def measured(selection: plan.Selection, steps: int) -> Iterator[tuple[list[Agreement], list[str]]]:
    """Every comparison so far and the workers that failed with their reasons, anew after each worker."""
    models, rows, failed = selection.models or tuple(MODELS), list[Agreement](), list[str]()
    with Pool() as pool:
        truth = shown(pool.serving(Role(*plan.ORACLE)), models, OPTIMIZERS, steps)
        for role in roles(selection):
            worker = pool.serving(role)
            try:
                rows += compared(role, shown(worker, models, OPTIMIZERS, steps), truth, steps)
            except WorkerFailed as failure:
                failed.append(str(failure))
            pool.stop(worker)
            print(f"{role.id} done {failed[-1:] or ''}", flush=True)
            yield rows, failed


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="triptych agreement", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each trajectory (default: {STEPS})")
    parser.add_argument("--results", default="results", help="where agreement.json is written (default: results)")
    parser.add_argument("--add", action="store_true", help="keep the rows of that file which this run does not measure")
    for name in ("model", "implementation", "backend", "mode"):
        parser.add_argument(f"--{name}", default="", help="comma-separated (default: all)")
    options = parser.parse_args(arguments)
    try:
        chosen = plan.selection({"device": "", "size": "", "require": "", **vars(options)})
        plan.check_folder(Path(options.results))
        path = Path(options.results, "agreement.json")
        kept = before(path, options.steps) if options.add else []
    except plan.PlanError as error:
        parser.error(str(error))
    record = new_run({name: str(value) for name, value in vars(options).items()})
    about: dict[str, Any] = {"started": record.started, "environment": asdict(record.environment)}
    if kept:  # the file says of both runs when and where
        first = json.loads(path.read_text(encoding="utf-8"))
        others = [*first.get("added", []), {**about, "options": record.options}]
        about = {"started": first["started"], "environment": first["environment"], "added": others}
    about["steps"] = options.steps
    rows, failed = list[Agreement](), list[str]()
    for rows, failed in measured(chosen, options.steps):
        save({**about, **judged(merged(kept, rows)), "failed": failed}, path)
    print(table(rows), *failed, sep="\n")
    return 1 if failed or judged(rows)["missed"] else 0


def before(path: Path, steps: int) -> list[Agreement]:
    """The rows of the file that is there, none without one. Raises PlanError for one of another number of steps."""
    if not path.is_file():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["steps"] != steps:
        raise plan.PlanError(f"{path} is of {document['steps']} steps: --add needs as many")
    return [Agreement(**{**row, "disagreement": float(row["disagreement"])}) for row in document["rows"]]


def merged(kept: Iterable[Agreement], rows: Iterable[Agreement]) -> list[Agreement]:
    """All of them; of two at one place the second."""
    found = {(row.model, row.implementation, row.backend, row.mode, row.what): row for row in [*kept, *rows]}
    return list(found.values())


def judged(rows: list[Agreement]) -> dict[str, Any]:
    """The rows with their targets, and how many miss theirs without a known departure."""
    missed = sum(not (row.met or row.departs) for row in rows)
    targets = {"one pass": ONE_PASS, "trajectory": AGREEMENT}
    return {"targets": targets, "missed": missed, "rows": [asdict(row) for row in rows]}


def save(document: dict[str, Any], path: Path) -> None:
    """Write the file, see `records.write`."""
    text = json.dumps({"format": "triptych-agreement", "version": 1, **document}, indent=1)
    records.write(path, text.replace("Infinity", '"Infinity"').replace("NaN", '"NaN"') + "\n")  # JSON has neither


if __name__ == "__main__":
    raise SystemExit(main())
