"""A port in bfloat16 or float16: what only rounds is the same, and what a lower type breaks is found at its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from impls.floating_types import FLOATING
from suites.port import html
from suites.port.api import Result, compare
from suites.port.errors import PortError
from suites.port.files import Data
from suites.port.low.alignment import align
from suites.port.low.types import rounded, rounded_data
from suites.port.low.units import units
from suites.port.recording import Op, Operand, Pass, Value
from suites.port.testing import low_programs as programs
from suites.port.testing.low_programs import TORCH, changed
from suites.port.testing.nets import compared
from suites.port.verdict import Verdict
from suites.runner.availability import availability
from suites.runner.workers import Pool

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(3, 6, 16))
NEGATIVE = {"x": np.concatenate([-np.abs(ROWS[:1]), ROWS[1:]])}  # of the first example everything is masked
EMPTY = {"x": np.concatenate([np.zeros((1, 6, 16)), ROWS[1:]])}
NARROW_NORM = changed(TORCH, (programs.WIDE_NORM, programs.NARROW_NORM))
NO_BIAS = "nn.Linear(16, 32)", "nn.Linear(16, 32, bias=False)"
TINY = changed(TORCH, NO_BIAS, ("1e-5", "1e-12"))
MASKED = changed(TORCH, (programs.SCORES, programs.MASKED))
HELD = changed(TORCH, (programs.SCORES, programs.HELD))
ROTARY = changed(TORCH, (programs.PLAIN, programs.WIDE_ROTARY))
NARROW_ROTARY = changed(TORCH, (programs.PLAIN, programs.NARROW_ROTARY))


def run(pool: Pool, folder: Path, a: str, b: str, dtype: str, data: Mapping[str, np.ndarray] | None = None) -> Result:
    return compared(pool, folder, a, b, data or {"x": ROWS}, dtype=dtype)


def kinds(found: Result) -> list[tuple[str, str, str]]:
    assert found.low is not None, found.text()
    return [(finding.kind, finding.side, finding.signature) for finding in found.low.findings]


@pytest.mark.full
def test_what_only_rounds_is_the_same(pool: Pool, tmp_path: Path) -> None:
    """And a norm in the type itself, which the other side takes in float32, is reported and no bug."""
    same = run(pool, tmp_path, TORCH, TORCH, "float16")
    assert same.low is not None and same.low.verdict is Verdict.SAME, same.text()
    shares = [output.error / output.bound for side in same.low.sides for output in side.outputs.values()]
    assert all(0.05 < share < 0.8 for share in shares)  # a bound that is far from what rounding does finds nothing
    found = run(pool, tmp_path, TORCH, NARROW_NORM, "float16")
    assert kinds(found) == [("coarser", "B", "types")]
    assert (found.verdict, found.status) == (Verdict.SAME, 0)
    assert "in float16, A has torch" in found.text() and "in float32: only rounding" in found.text()


@pytest.mark.full
@pytest.mark.parametrize(
    "a, b, data, signature, words",
    [
        (HELD, MASKED, NEGATIVE, "mask", "-1e+09 is no number of float16"),
        (TINY, changed(TINY, (programs.WIDE_NORM, programs.NARROW_NORM)), EMPTY, "epsilon", "1e-12 is 0 in float16"),
    ],
    ids=["mask", "epsilon"],
)
def test_what_float16_has_no_number_for_is_named(
    pool: Pool, tmp_path: Path, a: str, b: str, data: dict[str, np.ndarray], signature: str, words: str
) -> None:
    """Both are the same in float64, and one gives NaN in the type that is shipped."""
    found = run(pool, tmp_path, a, b, "float16", data)
    assert not found.findings, found.text()
    assert kinds(found) == [("not_finite", "B", signature)]
    assert found.low is not None and words in found.low.findings[0].words
    assert found.low.findings[0].line.startswith("b.py:")
    assert found.status == 1
    page = html.page(json.loads(json.dumps(found.to_json())))
    assert "In float16: DIFFERENT" in page and words in page


MEAN = ".pow(2).mean(-1, keepdim=True)", ".pow(2).sum(-1, keepdim=True) / 32"


@pytest.mark.full
@pytest.mark.parametrize(
    "size, mean, words",
    [
        (500, MEAN[0], "torch.Tensor.pow gives up to"),
        pytest.param(60, MEAN[1], "torch.Tensor.sum gives up to", marks=pytest.mark.catalogue),
    ],
)
def test_a_mean_that_overflows_is_named(pool: Pool, tmp_path: Path, size: int, mean: str, words: str) -> None:
    """What is divided by infinity is 0 and no NaN: the reciprocal root was told to round wrongly."""
    found = run(pool, tmp_path, TORCH, changed(NARROW_NORM, (MEAN[0], mean)), "float16", {"x": ROWS * size})
    assert kinds(found) == [("leaves", "B", "overflow")], found.text()
    assert found.low is not None and words in found.low.findings[0].words


@pytest.mark.full
@pytest.mark.catalogue
def test_a_sum_in_the_type_and_places_in_it_are_reported(pool: Pool, tmp_path: Path) -> None:
    """Additions one by one, of which a product rounds its sum once; an arange in bfloat16, which skips from 256 on."""
    added = changed(programs.SUMMED, ("        return self.head(x)\n", programs.ADDED_UP))
    wide = {"x": np.abs(RNG.normal(size=(3, 400)))}
    assert kinds(run(pool, tmp_path, programs.SUMMED, added, "bfloat16", wide)) == [("coarser", "B", "sum")]
    sides = [changed(TORCH, (programs.PLAIN, places)) for places in (programs.WIDE_PLACES, programs.NARROW_PLACES)]
    long = {"x": RNG.normal(size=(1, 270, 16))}
    found = run(pool, tmp_path, sides[0], sides[1], "bfloat16", long)
    ((_, side, signature),) = kinds(found)
    assert (side, signature) == ("B", "constants"), found.text()


@pytest.mark.full
def test_a_side_whose_operations_take_no_errors_is_undecided(pool: Pool, tmp_path: Path) -> None:
    """NumPy's: the bound was that of one rounding, which correct models in float32 left."""
    numpy = changed(programs.JAX, ("import jax\nimport jax.numpy as jnp\n", ""), ("jax.lax.rsqrt(", "1 / np.sqrt("),
                    ("jax.nn.softmax(scores)", "scores"))  # fmt: skip
    found = run(pool, tmp_path, numpy, numpy, "float32")
    assert (found.verdict, found.low.verdict if found.low else None) == (Verdict.SAME, Verdict.UNDECIDED), found.text()
    assert "what rounding may do in numpy is not known" in found.text()


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_angles_of_positions_in_a_low_type_are_named(pool: Pool, tmp_path: Path, dtype: str) -> None:
    """Rotary positions from the thousandth on: their angles are off by whole turns."""
    assert run(pool, tmp_path, ROTARY, ROTARY, dtype).status == 0
    found = run(pool, tmp_path, ROTARY, NARROW_ROTARY, dtype)
    ((kind, side, signature),) = kinds(found)
    assert (side, signature) == ("B", "constants"), found.text()
    assert kind in ("leaves", "coarser")
    assert found.low is not None and "cos" in found.low.findings[0].words


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "program, backend",
    [(programs.JAX, ""), (programs.KERAS, "tensorflow"), (programs.KERAS, "jax"), (programs.KERAS, "torch")],
)
def test_ports_across_frameworks_only_round(pool: Pool, tmp_path: Path, program: str, backend: str, dtype: str) -> None:
    """In Keras and JAX the norm is taken in the type: more rounding than in float32, and no bug."""
    for implementation, engine in (("tf_keras", "tensorflow"), ("tf_keras", "jax")):
        if reason := availability(implementation, engine):
            pytest.skip(reason)
    (tmp_path / "a.py").write_text(TORCH)
    (tmp_path / "b.py").write_text(program)
    found = compare(tmp_path / "a.py", tmp_path / "b.py", {"x": ROWS}, dtype=dtype, backend_b=backend, pool=pool)
    assert found.low is not None
    assert found.low.verdict is (Verdict.SAME if dtype == "float32" else Verdict.SAME_UP_TO), found.text()
    assert found.status == 0


@pytest.mark.full
@pytest.mark.catalogue
def test_a_type_that_a_side_has_not_is_one_line(pool: Pool, tmp_path: Path) -> None:
    """NumPy has no bfloat16: the float64 verdict stands, the low one is open, and nobody sees a traceback."""
    numpy = changed(programs.JAX, ("import jax\nimport jax.numpy as jnp\n", "jnp = None\n"),
                    ("jax.lax.rsqrt(", "1 / np.sqrt("), ("jax.nn.softmax(scores)", "softmax(scores)"))  # fmt: skip
    numpy += (
        "\ndef softmax(x):\n    e = np.exp(x - x.max(-1, keepdims=True))\n    return e / e.sum(-1, keepdims=True)\n"
    )
    found = run(pool, tmp_path, TORCH, numpy, "bfloat16")
    assert found.verdict is Verdict.SAME, found.text()
    assert found.low is not None and found.low.verdict is Verdict.UNDECIDED
    assert "what rounding may do in numpy is not known" in found.low.sides[1].refused
    assert found.status == 1


RESIZED = """
import keras

def build():
    image = keras.Input((5, 6, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    return keras.Model(image, keras.layers.Conv2D(2, 3)(x))
"""


@pytest.mark.full
@pytest.mark.catalogue
def test_the_verdict_in_float64_is_that_of_the_numbers_themselves(pool: Pool, tmp_path: Path) -> None:
    """Numbers of bfloat16 lie halfway between float32's: float32 in an engine made of them what nobody could decide."""
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    (tmp_path / "a.py").write_text(RESIZED)
    data = {"image": RNG.normal(size=(2, 5, 6, 3))}
    found = compare(tmp_path / "a.py", tmp_path / "a.py", data, dtype="bfloat16", backend_a="tensorflow",
                    backend_b="torch", pool=pool)  # fmt: skip
    assert (found.verdict, found.status) == (Verdict.SAME_UP_TO, 0), found.text()
    assert found.low is not None and found.low.verdict is Verdict.SAME


def test_numbers_are_rounded_to_the_nearest_even() -> None:
    """Weights and inputs have to be numbers of the type, or the truth is that of other numbers."""
    given = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, -(1 + 2.0**-9), 1e-30, 0.0, np.inf])
    wanted = [1.0, 1 + 2.0**-6, -1.0, 1e-30, 0.0, np.inf]
    np.testing.assert_allclose(rounded(given, "bfloat16"), wanted, rtol=2.0**-8, atol=0)
    assert list(rounded(given, "bfloat16")[:3]) == wanted[:3]
    assert rounded(np.array([3, 4]), "float16").dtype.kind == "i"
    with pytest.raises(PortError, match="x holds 1e\\+06, float16 ends at 65504"):
        rounded_data(Data({"x": np.array([1e6, 1.0])}), "float16")


def program(dtype: str, casts: bool) -> Pass:
    """x w, in a type; the scale that it is multiplied by comes of a range."""
    steps: list[tuple[str, tuple[Operand, ...]]] = [("range", ()), ("cos", (Operand(1),))]
    types = ["float64" if dtype == "float64" else dtype, "int64", "float32" if casts else dtype]
    if casts:
        steps.append(("cast", (Operand(2),)))
        types.append(dtype)
    steps += [
        ("matmul", (Operand(0), Operand(weights=("w",)))),
        ("multiply", (Operand(len(types)), Operand(len(types) - 1))),
    ]
    types += [dtype, dtype]
    ops = tuple(Op(at, name, name, (), inputs, {}, (at + 1,), "") for at, (name, inputs) in enumerate(steps))
    values = tuple(Value(at, (4, 4), name, np.zeros(8)) for at, name in enumerate(types))
    producers = {op.outputs[0]: op for op in ops}
    return Pass("inference", {"x": 0}, {"out": len(types) - 1}, values, ops, (), (), producers=producers)


@pytest.mark.parametrize("casts", [False, True])
def test_constants_are_rounded_where_they_meet_what_is_computed(casts: bool) -> None:
    """Else angles in bfloat16 would excuse themselves: the bound would hold what they do."""
    aligned = align(program("float64", False), program("bfloat16", casts))
    unit, sums = units(aligned, {"w": (4, 4)}, "bfloat16")
    low, single = FLOATING["bfloat16"].unit, FLOATING["float32"].unit
    assert list(unit) == [0.0, 0.0, single, low, 2 * low]
    assert sums[3] == single * 2 and not sums[4]
    assert aligned.types(2) == (["float32", "bfloat16"] if casts else ["bfloat16"])
