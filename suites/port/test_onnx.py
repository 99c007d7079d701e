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


def test_an_activation_that_a_file_writes_out_is_the_same(pool: Pool, tmp_path: Path) -> None:
    """GELU by the error function, which ONNX's own reference computes in float32."""
    program = NET.replace("import numpy as np", "import numpy as np\nfrom scipy.special import erf")
    program = program.replace("np.maximum(", "(").replace(", 0)", ")")
    program = program.replace("return x @", "x = x * 0.5 * (1 + erf(x / 2**0.5))\n        return x @")
    (tmp_path / "a.py").write_text(program)
    node = onnx.helper.make_node
    numbers = {"root": np.float32(2**0.5), "half": np.float32(0.5), "one": np.float32(1)}
    constants = [node("Constant", [], [name], value_float=float(value)) for name, value in numbers.items()]
    written = [
        *constants, node("Div", ["a", "root"], ["c"]), node("Erf", ["c"], ["d"]), node("Add", ["d", "one"], ["e"]),
        node("Mul", ["a", "e"], ["f"]), node("Mul", ["f", "half"], ["b"]),
    ]  # fmt: skip
    nodes = rows()
    write(tmp_path / "b.onnx", [nodes[0], *written, nodes[2]], SHAPES)
    found = compare(tmp_path / "a.py", tmp_path / "b.onnx", ROWS, pool=pool)
    assert found.verdict is Verdict.SAME, found.text()


def test_another_activation_in_a_file_is_named(pool: Pool, tmp_path: Path) -> None:
    found = against_net(pool, tmp_path, rows(activation="Tanh"))
    assert found.verdict is Verdict.DIFFERENT
    assert "tanh" in found.findings[0].words(), found.text()


def test_numbers_of_a_file_that_differ_are_named_by_layer(pool: Pool, tmp_path: Path) -> None:
    """Of two files, and of a model with a file's numbers; a model that was initialised afresh is no difference."""
    write(tmp_path / "a.onnx", rows(), SHAPES)
    model = onnx.load(tmp_path / "a.onnx")
    numbers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    np.savez(tmp_path / "n.npz", **numbers)
    loaded = NET.replace("class", f"n = np.load({str(tmp_path / 'n.npz')!r})\nclass").replace(
        "np.ones(4)", "n['up.bias']"
    )
    loaded = loaded.replace("np.ones((4, 4))", "n['up.weight'].T").replace("np.ones((4, 3))", "n['down.kernel']")
    (tmp_path / "a.py").write_text(loaded)
    kernel = numbers["down.kernel"]
    one_off = np.where(np.arange(12).reshape(4, 3) == 7, kernel + 1e-5, kernel)
    cases = {
        "the same": (kernel, Verdict.SAME, ""),
        "one": (one_off, Verdict.DIFFERENT, "numbers of kernel: 1 of 12 differ, first at [2, 1]"),
        "scaled": (kernel * np.float32(0.5), Verdict.DIFFERENT, "numbers of kernel: A as they are, B times 0.5"),
        "rows": (kernel[::-1], Verdict.DIFFERENT, "axis 0: A as it is, B in the order 3, 2, 1, 0"),
        "trained on": (kernel * 1.5 + kernel**2, Verdict.DIFFERENT, "numbers of kernel: other ones"),
        "half": (kernel.astype(np.float16).astype(np.float32), Verdict.SAME_UP_TO, "rounded to float16"),
    }
    for array, verdict, words in cases.values():
        model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), "down.kernel"))
        onnx.save(model, tmp_path / "b.onnx")
        for other, own in (("a.py", False), ("a.py", True), ("a.onnx", False)):
            found = compare(tmp_path / other, tmp_path / "b.onnx", ROWS, own_weights=own, pool=pool)
            assert found.verdict is verdict and words in found.text(), found.text()
            assert [finding.phase for finding in found.findings] == ["weights"] * bool(words)


ONE = """
import numpy as np

class Net:
    params = {"kernel": np.array(NUMBERS)}

    def forward(self, params, x):
        return x @ params["kernel"]

def build():
    return Net()
"""


@pytest.mark.parametrize("own", [False, True])
def test_a_file_whose_only_numbers_were_replaced(pool: Pool, tmp_path: Path, own: bool) -> None:
    """Half of the weights never agree, as in a model that was initialised afresh: that of two files is none."""
    nodes = [onnx.helper.make_node("MatMul", ["x", "kernel"], ["y"])]
    write(tmp_path / "a.onnx", nodes, {"kernel": (4, 3)})
    write(tmp_path / "b.onnx", nodes, {"kernel": (4, 3)})
    model = onnx.load(tmp_path / "b.onnx")
    other = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(other, "kernel"))
    onnx.save(model, tmp_path / "b.onnx")
    (tmp_path / "a.py").write_text(ONE.replace("NUMBERS", str(other[::-1].tolist())))
    files = compare(tmp_path / "a.onnx", tmp_path / "b.onnx", ROWS, own_weights=own, pool=pool)
    assert files.verdict is Verdict.DIFFERENT and "numbers of kernel: other ones" in files.text(), files.text()
    afresh = compare(tmp_path / "a.py", tmp_path / "b.onnx", ROWS, own_weights=own, pool=pool)
    assert afresh.verdict is (Verdict.DIFFERENT if own else Verdict.SAME), afresh.text()
    assert own or "Of 1 weights 1 hold other numbers; for a file, --own-weights" in afresh.text()
    fresh = against_net(pool, tmp_path, rows())
    assert fresh.verdict is Verdict.SAME and "say nothing" in fresh.text(), fresh.text()


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
        with pytest.raises(PortError, match=rf"{name}\.onnx: .*{expected}") as raised:
            compare(tmp_path / f"{name}.onnx", tmp_path / "whole.onnx", ROWS, pool=pool)
        assert "\n" not in str(raised.value)


NORM = """
import numpy as np

class Net:
    params = {
        "norm": {"scale": np.ones(4), "bias": np.ones(4)},
        "batch_stats": {"norm": {"mean": np.ones(4), "var": np.ones(4)}},
        "down": {"kernel": np.ones((4, 3))},
    }

    def forward(self, params, x):
        norm, seen = params["norm"], params["batch_stats"]["norm"]
        x = (x - seen["mean"]) / np.sqrt(seen["var"] + 1e-5) * norm["scale"] + norm["bias"]
        return x @ params["down"]["kernel"]

def build():
    return Net()
"""


def test_a_norm_keeps_its_epsilon_and_one_that_was_folded_is_no_difference(pool: Pool, tmp_path: Path) -> None:
    """An epsilon of float32 in a file is the decimal that was meant; what an exporter folded can't be carried over."""
    (tmp_path / "a.py").write_text(NORM)
    node = onnx.helper.make_node
    last = node("MatMul", ["n", "down.kernel"], ["y"])
    vectors = [f"norm.{role}" for role in ("scale", "bias", "mean", "var")]
    shapes = {**dict.fromkeys(vectors, (4,)), "down.kernel": (4, 3)}
    for epsilon, verdict in ((1e-5, Verdict.SAME), (1.01e-5, Verdict.DIFFERENT)):
        norm = node("BatchNormalization", ["x", *vectors], ["n"], epsilon=epsilon)
        write(tmp_path / "b.onnx", [norm, last], shapes)
        found = compare(tmp_path / "a.py", tmp_path / "b.onnx", ROWS, pool=pool)
        assert found.verdict is verdict, found.text()
    write(tmp_path / "b.onnx", [node("MatMul", ["x", "down.kernel"], ["y"])], {"down.kernel": (4, 3)})
    with pytest.raises(PortError, match=r"b\.onnx: holds the running statistics of 0 of 1 normalisations"):
        compare(tmp_path / "a.py", tmp_path / "b.onnx", ROWS, pool=pool)


SHIM = """
from triptych import shim

def made(epsilon):
    layers = [shim.Dense(4, activation="gelu"), shim.BatchNorm(epsilon=epsilon), shim.Dense(3)]
    model = shim.Sequential(layers, dtype=DTYPE)
    model.build((4,))
    return model

def build():
    return MADE
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_shims_own_export_is_the_same_model(pool: Pool, tmp_path: Path, dtype: str) -> None:
    """Its BatchNorm keeps its statistics and its epsilon, and every weight its name."""
    file = SHIM.replace("DTYPE", repr(dtype))
    (tmp_path / "a.py").write_text(file.replace("MADE", "made(1e-3)"))
    for epsilon, verdict in ((1e-3, Verdict.SAME), (1e-5, Verdict.DIFFERENT)):
        (tmp_path / "b.py").write_text(file.replace("MADE", f"shim.to_onnx(made({epsilon}))"))
        found = compare(tmp_path / "a.py", tmp_path / "b.py", ROWS, pool=pool)
        assert found.verdict is verdict, found.text()
        assert ("batchnorm/moving_mean", "batchnorm/moving_mean") in {
            (one.a.name, one.b.name) for one in found.comparison.links
        }
    assert "epsilon" in found.findings[0].words(), found.text()


def test_a_weight_that_became_a_constant_of_the_exporter_is_refused(pool: Pool, tmp_path: Path) -> None:
    """It was called a bias that the file lacks, and the model different."""
    (tmp_path / "a.py").write_text(NET)
    node = onnx.helper.make_node
    nodes = [node("MatMul", ["x", "up.weight"], ["a"]), node("Add", ["a", "val_7"], ["b"]), *rows()[1:]]
    nodes[2] = node("Relu", ["b"], ["c"])
    nodes[3] = node("MatMul", ["c", "down.kernel"], ["y"])
    write(tmp_path / "b.onnx", nodes, {"up.weight": (4, 4), "val_7": (5, 4), "down.kernel": (4, 3)})
    with pytest.raises(PortError, match=r"b\.onnx: has no up/bias: it may be a constant of the file \(val_7\)"):
        compare(tmp_path / "a.py", tmp_path / "b.onnx", ROWS, pool=pool)
