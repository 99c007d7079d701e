"""The section about a GPU: what is outside of its bound, failed or missed a target is never shown as good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.evidence.companion_files import Proofs, proofs
from reports.evidence.load import gather
from reports.page import render
from reports.sections import gpu
from reports.testing import small_runs
from suites.records import gpu as records
from suites.records.gpu import GpuCheck, Measured, Precision, Verdict
from suites.records.run import Cell, RecordError

HOSTILE = "<script>alert(1)</script>"


def cell(implementation: str = "shim", mode: str = "graph", backend: str = "torch", size: str = "small") -> Cell:
    return Cell("mlp", implementation, backend, mode, "gpu", "float32", size)


def measured(where: Cell, seconds: float, math: str = "float32", what: str = "train_step") -> Measured:
    asked = {
        "kernels": 10.0,
        "launches": 2.0,
        "copies_from_host": 0.0,
        "peak_bytes": 1e8,
        "kernel_seconds": seconds / 2,
    }
    return Measured(where, what, math, [seconds, 2 * seconds, seconds], flops=1e9, **asked)  # type: ignore[arg-type]


def check(*rows: Measured, **more: object) -> GpuCheck:
    facts: dict[str, object] = {
        "started": "2026-11-26T20:00:00+00:00", "gpu": "NVIDIA H100", "driver": "1", "cpu": "c", "cores": 16,
        "python": "3.12", "versions": {"torch": "2.11"}, "commit": "0", "math": "TF32 off", "seconds": 240.0,
        "phases": {}, "peaks": {"float32": 5e13, "copy": 3e12}, "power": {}, "measured": list(rows),
    }  # fmt: skip
    return GpuCheck(**{**facts, **more})  # type: ignore[arg-type]


def test_a_target_is_missed_where_one_model_misses_it() -> None:
    """The median over models would hide the one that somebody cares for."""
    fast = [measured(cell(), 1e-4), measured(cell("raw_torch", "eager"), 1e-3)]
    slow = [replace(row, cell=replace(row.cell, model="rnn")) for row in fast]
    slow[0] = measured(slow[0].cell, 3e-4)
    met, missed = (gpu.shown(check(*rows)) for rows in (fast, [*fast, *slow]))
    assert met and missed
    (target,) = met.targets
    assert target.verdict == gpu.MET and target.ratios == pytest.approx({"mlp": 0.1})
    assert [it.verdict for it in missed.targets] == [gpu.UNMET]


def test_the_rival_of_a_target_is_its_best_one() -> None:
    rows = [
        measured(cell(), 1e-4),
        measured(cell("raw_torch", "eager"), 1e-2),
        measured(cell("torch_native", "eager"), 2e-4),
    ]
    found = gpu.shown(check(*rows))
    assert found and found.targets[0].ratios == {"mlp": pytest.approx(0.5)}


def test_coarser_products_are_not_mixed_with_the_others() -> None:
    """A time with TF32 on in the table of those without would beat them all."""
    rows = [measured(cell(size="large"), 4e-4), measured(cell(size="large"), 1e-4, "tf32")]
    found = gpu.shown(check(*rows, precisions=[Precision(cell(), "tf32", 1e-4, 1e-2, "gradient/a/kernel", 0, 9)]))
    assert found and [list(line.seconds.values()) for line in found.lines] == [[4e-4]]
    assert found.precisions[0][1] == pytest.approx(0.25)


def page(found: GpuCheck | None) -> str:
    evidence = gather([small_runs.good()])
    return render.page(replace(evidence, proofs=Proofs(gpu=found)))


def test_the_page_tells_what_is_outside_and_what_failed() -> None:
    verdicts = [
        Verdict(cell(), "trajectory", 30),
        Verdict(cell("raw_jax", "jit", "jax"), "gradients", 30, 2, 7.5, "gradient/logits/kernel"),
        Verdict(cell("tf_keras", "jit", "jax"), "gradients", reason=f"XlaRuntimeError: {HOSTILE}"),
    ]
    text = page(check(measured(cell(size="large"), 1e-4), verdicts=verdicts, missing={HOSTILE: "failed"}))
    section = (
        text.partition("id=gpu ")[2].partition("</section>")[0]
        or text.partition('id="gpu"')[2].partition("</section>")[0]
    )
    assert "1 of 3 comparisons" in section and "2 of 30 tensors outside" in section and "7.5" in section
    assert HOSTILE not in text and "XlaRuntimeError" in section
    assert "50 %" in section and "a copy moves 3.00 TB/s" in section and "20 %" in section  # 1e9 in 1e-4 s, of 5e13
    assert "href=#gpu" in text.replace('"', "")


def test_without_a_check_there_is_no_section() -> None:
    assert "#gpu" not in page(None)


def test_a_saved_check_is_read_again_and_a_broken_one_named(tmp_path: Path) -> None:
    saved = check(measured(cell(), 1e-4), verdicts=[Verdict(cell(), "gradients", 3, 1, float("inf"), "loss")])
    records.save(saved, tmp_path / "gpu.json")
    assert proofs(tmp_path, tmp_path).gpu == saved
    (tmp_path / "gpu.json").write_text("{}")
    with pytest.raises(RecordError, match=r"gpu\.json: "):
        proofs(tmp_path, tmp_path)
