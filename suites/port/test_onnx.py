"""A file of ONNX as a side: told right from wrong, its weights found in their layouts, and refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from suites.port.api import Result, compare
from suites.port.errors import PortError
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

onnx = pytest.importorskip("onnx")
ROWS = {"x": np.random.default_rng(0).normal(size=(5, 4))}
NET = """
import numpy as np

class Net:
    params = {"up": {"kernel": np.ones((4, 4)), "bias": np.ones(4)}, "down": {"kernel": np.ones((4, 3))}}

    def forward(self, params, x):
        x = np.maximum(x @ params["up"]["kernel"] + params["up"]["bias"], 0)
        return x @ params["down"]["kernel"]

def build():
    return Net()
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool() as pool:
        yield pool


def write(path: Path, nodes: list[object], shapes: dict[str, tuple[int, ...]], width: int = 4) -> None:
    """A model x -> y of float32 whose weights have these names and shapes."""
    rng = np.random.default_rng(1)
    tensors = [
        onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    x = onnx.helper.make_tensor_value_info("x", 1, ["n", width])
    y = onnx.helper.make_tensor_value_info("y", 1, ["n", "m"])
    graph = onnx.helper.make_graph(nodes, "net", [x], [y], tensors)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), path)


SHAPES = {"up.weight": (4, 4), "up.bias": (4,), "down.kernel": (4, 3)}


def rows(turned: int = 1, activation: str = "Relu") -> list[object]:
    """What `NET` computes, the first kernel (out, in) as PyTorch exports it."""
    node = onnx.helper.make_node
    return [
        node("Gemm", ["x", "up.weight", "up.bias"], ["a"], transB=turned),
        node(activation, ["a"], ["b"], name="act"),
        node("MatMul", ["b", "down.kernel"], ["y"]),
    ]


def against_net(pool: Pool, folder: Path, nodes: list[object]) -> Result:
    (folder / "a.py").write_text(NET)
    write(folder / "b.onnx", nodes, SHAPES)
    return compare(folder / "a.py", folder / "b.onnx", ROWS, pool=pool)


def test_a_file_is_the_same_model_whatever_way_its_kernels_lie(pool: Pool, tmp_path: Path) -> None:
    """And what a file can't do is said to be not compared."""
    for turned in (0, 1):
        found = against_net(pool, tmp_path, rows(turned))
        assert found.verdict is Verdict.SAME, found.text()
        assert "gradients, training mode and training steps are not compared" in found.text()


def test_another_activation_in_a_file_is_named(pool: Pool, tmp_path: Path) -> None:
    found = against_net(pool, tmp_path, rows(activation="Tanh"))
    assert found.verdict is Verdict.DIFFERENT
    assert "tanh" in found.findings[0].words(), found.text()


def test_files_that_are_no_model_are_one_line(pool: Pool, tmp_path: Path) -> None:
    """Cut off, foreign, without its external data, of one runtime alone: each is refused in words, with its name."""
    write(tmp_path / "whole.onnx", rows(), SHAPES)
    whole = (tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.onnx").write_text("hello")
    (tmp_path / "empty.onnx").write_bytes(b"")
    model = onnx.load_from_string(whole)
    onnx.save(model, tmp_path / "outside.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert compare(tmp_path / "outside.onnx", tmp_path / "whole.onnx", ROWS, pool=pool).verdict is Verdict.SAME
    (tmp_path / "w.bin").unlink()
    node = onnx.helper.make_node("FusedGelu", ["x"], ["y"], domain="com.microsoft", name="fused")
    write(tmp_path / "runtime.onnx", [node], {})
    words = {"cut": "no ", "text": "no ", "empty": "no nodes", "outside": "external data", "runtime": "FusedGelu"}
    for name, expected in {**words, "missing": "No such file"}.items():
        with pytest.raises(PortError, match=f"{name}.onnx: .*{expected}") as raised:
            compare(tmp_path / f"{name}.onnx", tmp_path / "whole.onnx", ROWS, pool=pool)
        assert "\n" not in str(raised.value)
