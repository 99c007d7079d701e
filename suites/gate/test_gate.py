"""Two revisions, measured: bad input ends at once, what is planted is found, identical code passes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.gate.__main__ import main as judge
from suites.gate import calibrate, measure, revisions
from suites.runner.machine import ROOT

SLOW = "    def call(self, x: Native) -> Native:\n"
FILTERS = ["--model", "seed", "--implementation", "shim", "--backend", "numpy"]


def git(folder: Path, *arguments: str) -> None:
    words = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.org", *arguments]
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This tree as a repository with one commit, in a folder of its own; the gate takes revisions from there."""
    folder = tmp_path / "repository"
    revisions._copy(ROOT, folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    monkeypatch.setattr(revisions.take, "__defaults__", (folder,))
    return folder


def planted(repository: Path, change: Callable[[str], str], name: str = "impls/adapters/shim.py") -> None:
    path = repository / name
    text = path.read_text()
    assert change(text) != text, f"{name} has changed: nothing was planted"
    path.write_text(change(text))


def gated(folder: Path, *words: str) -> int:
    status = measure.main(["--base", "HEAD", *FILTERS, "--results", str(folder), *words])
    return status or judge(["--results", str(folder)])


@pytest.mark.parametrize(
    "words",
    [
        ["--base", "no-such-revision"],
        ["--base", "HEAD", "--head", "no-such-revision"],
        ["--base", "HEAD", "--backend", "tensrflow"],
        ["--base", "HEAD", "--only", "sped"],
        ["--base", "HEAD", "--base-env", "/no/such/python"],
    ],
)
def test_a_slip_ends_with_one_line_and_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words[-1] in error


def test_the_folders_of_both_trees_are_gone_afterwards(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert gated(tmp_path / "results", "--only", "counts") == 0
    assert not list(tmp_path.glob("triptych-gate-*"))


def test_counts_and_mathematics_are_compared(tmp_path: Path, repository: Path) -> None:
    """A module more is a warning, another result is an error: neither needs a clock."""
    program = "impls/seed/shim.py"
    planted(repository, lambda text: text.replace("from impls", "import json\n\nfrom impls", 1), program)
    assert gated(tmp_path / "lines", "--only", "counts") == 0
    planted(repository, lambda text: text.replace('activation="relu"', 'activation="tanh"', 1), program)
    assert gated(tmp_path / "results", "--only", "counts,equivalence") == 1
    findings = json.loads((tmp_path / "results" / "gate.json").read_text())["findings"]
    said = {(item["severity"], item["kind"]) for item in findings}
    assert said == {("error", "disagreement"), ("warning", "count")}


@pytest.mark.full
@pytest.mark.catalogue
def test_a_program_that_vanished_is_an_error(tmp_path: Path, repository: Path) -> None:
    (repository / "impls" / "seed" / "raw_torch.py").unlink()
    words = ["--base", "HEAD", "--model", "seed", "--implementation", "shim,raw_torch", "--backend", "numpy,torch"]
    assert measure.main([*words, "--only", "counts", "--results", str(tmp_path / "r")]) == 0
    assert judge(["--results", str(tmp_path / "r")]) == 1
    findings = json.loads((tmp_path / "r" / "gate.json").read_text())["findings"]
    assert [item["kind"] for item in findings if item["severity"] == "error"] == ["vanished"]


@pytest.mark.full
def test_identical_code_passes_and_a_planted_slowdown_does_not(tmp_path: Path, repository: Path) -> None:
    """The whole way: two trees, workers, rounds, verdict."""
    assert gated(tmp_path / "same", "--only", "speed") == 0
    planted(repository, lambda text: text.replace(SLOW, f"{SLOW}        sum(range(400))\n", 1))
    assert gated(tmp_path / "slow", "--only", "speed") == 1
    content = json.loads((tmp_path / "slow" / "gate.json").read_text())
    slower = {(item["what"], item["role"]) for item in content["comparisons"] if item["verdict"] == "slower"}
    assert slower == {("predict", "gate"), (slower_canary(content), "canary")}


def slower_canary(content: dict[str, object]) -> str:
    comparisons = content["comparisons"]
    assert isinstance(comparisons, list)
    return str(next(item["what"] for item in comparisons if item["role"] == "canary"))


def test_the_code_that_was_counted_is_the_code_that_gates() -> None:
    """Error rates of another rule would be a promise about nothing: count anew with `nox -s calibrate -- --keep`."""
    path = ROOT / "reports" / "data" / "calibration.json"
    assert json.loads(path.read_text())["rule"] == calibrate.fingerprint()


def test_a_gate_loads_no_framework_itself() -> None:
    words = (
        "import sys; from suites.gate import measure; print([n for n in ('torch', 'jax', 'keras') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
