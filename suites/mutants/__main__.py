"""`python -m suites.mutants`: changes the shim's sources one by one, and runs the tests that cover each changed line.

A mutant that no test notices is a survivor: a blind spot, or a change that means nothing (`equivalent.txt` says why).
Results are kept line by line as they come, so that a run goes on where another one was interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

from suites.mutants.coverage_map import covering
from suites.mutants.injection import Mutant, mutants
from suites.mutants.known import Known, known_faults
from suites.records import terminal
from suites.runner.machine import ROOT

FILES = (
    "augment", "callbacks", "data", "initializers", "layer", "layers", "losses", "metrics", "model", "network",
    "optimizers", "activation_functions", "attention", "further_layers", "image_layers", "generation", "fitting",
    "loss_scale", "recurrent", "saving", "schedules", "training", "backends/__init__",
    "backends/numpy", "backends/numpy_kernels", "backends/numpy_autodiff",
    "interop/keras", "interop/keras_layers", "interop/keras_training", "interop/onnx", "interop/onnx_graph",
    "interop/onnx_layers", "interop/sklearn", "heads", "judging", "keras_callbacks", "sequential", "batches",
    "predicting", "optimizer_state", "key_value_cache", "utils",
)  # fmt: skip
NOT_CHANGED = (
    "__init__",
    "autotune",
    "config",
    "keras_names",
    "models",
    "trained",
    "writing",
)  # names, types, files, timing
SECONDS = 600.0  # of the tests of one mutant: one that never ends is noticed
EQUIVALENT = Path(__file__).parent / "equivalent.txt"
ALWAYS = ("impls/shim/test_shim.py", "impls/shim/backends/test_numpy_autodiff.py")  # in their own process
MOST = 60  # tests of one mutant: more of one line repeat one another


def reasons() -> dict[str, str]:
    """Why some mutants change nothing, by file, old and new text: `file | old -> new | line's text | reason`."""
    found = {}
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        key, separator, reason = line.rpartition(" | ")
        if separator and not line.startswith("#"):
            found[key] = reason
    return found


def key_of(mutant: Mutant) -> str:
    """By what a reason is found, wherever the line moves to."""
    line = (ROOT / mutant.file).read_text(encoding="utf-8").splitlines()[mutant.line - 1].strip()
    return f"{mutant.file} | {mutant.old} -> {mutant.new} | {line}"


def copied(folder: Path) -> Path:
    """The tree as it stands, what git ignores left out."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def killed(tree: Path, mutant: Mutant, tests: list[str]) -> str:
    """The first test that notices, "no end" where they run too long, "" where none does."""
    path = tree / mutant.file
    source = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(source), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return "no end"
    finally:
        path.write_text(source, encoding="utf-8")
    named = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "" if done.returncode == 0 else (named or [f"exit status {done.returncode}"])[0]


def run(chosen: Sequence[Mutant], tests: dict[tuple[str, int], list[str]], results: Path, workers: int) -> None:
    """Judge each mutant that the file of results does not hold yet."""
    known = {row["mutant"] for row in read(results)}
    waiting = [mutant for mutant in chosen if mutant.name not in known]
    trees: Queue[Path] = Queue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as executor:
        for at in range(workers):
            trees.put(copied(Path(folder, str(at))))

        def judge(mutant: Mutant) -> None:
            covered = tests.get((mutant.file, mutant.line), [])
            tree = trees.get()
            try:
                by = killed(tree, mutant, [*covered[:MOST], *ALWAYS])
            finally:
                trees.put(tree)
            row = {"mutant": mutant.name, "key": key_of(mutant), "tests": len(covered), "killed": by}
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{by or 'SURVIVED':60.60} {mutant.name}", flush=True)

        list(executor.map(judge, waiting))


def judge_known(results: Path, workers: int) -> int:
    """Inject the faults of the catalogue one by one and run their tests; the exit status, 1: one is missed."""
    rows = known_faults()
    done = {row["fault"] for row in read(results)}
    trees: Queue[Path] = Queue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as executor:
        for at in range(workers):
            trees.put(copied(Path(folder, str(at))))

        def judge(fault: Known) -> None:
            tree = trees.get()
            try:
                by = noticed(tree, fault)
            finally:
                trees.put(tree)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"fault": fault.id, "killed": by}) + "\n")
            print(f"{by or 'MISSED':60.60} {fault.id}: {fault.title}", flush=True)

        list(executor.map(judge, [fault for fault in rows if fault.id not in done]))
    found = {row["fault"]: row["killed"] for row in read(results)}
    missed = [fault.id for fault in rows if not fault.equivalent and not found[fault.id]]
    wrong = [fault.id for fault in rows if fault.equivalent and found[fault.id]]
    planted = sum(not fault.equivalent for fault in rows)
    print(f"{planted - len(missed)} of {planted} found; missed: {', '.join(missed) or 'none'}")
    if wrong:
        print(f"said to change nothing, and found: {', '.join(wrong)}")
    return 1 if missed or wrong else 0


def noticed(tree: Path, fault: Known) -> str:
    """The first test that a fault fails, "" where none does."""
    path = tree / fault.file
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(fault.old, fault.new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *fault.tests]
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "no end"
    finally:
        path.write_text(source, encoding="utf-8")
    named = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "" if done.returncode == 0 else (named or [f"exit status {done.returncode}"])[0]


def read(results: Path) -> list[dict[str, Any]]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def summary(chosen: Sequence[Mutant], results: Path) -> str:
    """The rate, and every survivor with the reason why it is none, or without."""
    names, equivalent = {mutant.name for mutant in chosen}, reasons()
    rows = [row for row in read(results) if row["mutant"] in names]
    alive = [row for row in rows if not row["killed"]]
    excused = [row for row in alive if row["key"] in equivalent]
    open_ = [row for row in alive if row["key"] not in equivalent]
    judged = len(rows) - len(excused)
    share = f"{100 * (judged - len(open_)) / judged:.1f} %" if judged else "-"
    lines = [f"equivalent: {row['mutant']}: {equivalent[row['key']]}" for row in excused]
    lines += [f"survived ({row['tests']} tests): {row['mutant']}" for row in open_]
    counts = f"{judged - len(open_)} of {judged} killed ({share}), {len(excused)} equivalent"
    return "\n".join([*lines, f"{counts}, {len(names) - len(rows)} not judged yet"])


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", default=",".join(FILES), help="files of impls/shim, comma-separated, without .py")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="so many, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="at once (default: the cores)")
    parser.add_argument("--known", action="store_true", help="the catalogue of faults instead of every small change")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    return parser.parse_args(arguments)


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    files = [f"impls/shim/{name}.py" for name in options.files.split(",")]
    if missing := [name for name in files if not (ROOT / name).is_file()]:
        return terminal.refuse(f"there is no file {missing[0]}: --files takes names such as {', '.join(FILES[:3])}")
    if not (ROOT / ".git").exists():
        return terminal.refuse("mutants need a checkout: the installed package has no copy of its tests to change")
    every = [mutant for name in files for mutant in mutants(name, (ROOT / name).read_text(encoding="utf-8"))]
    chosen = random.Random(options.seed).sample(every, min(options.sample or len(every), len(every)))
    options.results.mkdir(parents=True, exist_ok=True)
    if options.known:
        return judge_known(options.results / "known-faults.jsonl", options.workers)
    results = options.results / "mutants.jsonl"
    run(chosen, covering(), results, options.workers)
    text = summary(chosen, results)
    print(text)
    return 1 if "\nsurvived" in "\n" + text else 0


if __name__ == "__main__":
    sys.exit(main())
