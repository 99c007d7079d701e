"""How much float32 inside an engine excuses: no less than what it does to numbers, and not ten times as much."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from impls.port_messages import PassFacts
from suites.port import precision
from suites.port.bounds import compare
from suites.port.graph import Slice
from suites.port.proof import unmoved
from suites.port.recording import Op, Operand, Pass, Recording, Value
from suites.port.side import RATIO

UNIT = 2.0**-53
SAMPLES, ROWS = 6, 256
WIDTH = 1  # of a product: a longer sum rounds less than is allowed for it


def chain(x: np.ndarray, weights: list[np.ndarray], rng: np.random.Generator | None = None) -> np.ndarray:
    """Products and tanh in the type of x; `rng` puts errors into each product, as a model's passes with noise have."""
    for w in weights:
        x = x @ w
        if rng is not None:
            x = x * (1 + UNIT * math.sqrt(WIDTH) * rng.standard_normal(x.shape))
        x = np.tanh(x)
    return x


def used(seed: int) -> float:
    """The share of the allowance that a chain takes which is computed in float32."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, WIDTH))
    weights = [rng.normal(size=(WIDTH, WIDTH)) / math.sqrt(WIDTH) for _ in range(3)]
    truth = chain(x, weights)
    single = chain(x.astype(np.float32), [w.astype(np.float32) for w in weights]).astype(np.float64)
    errors = np.stack([(chain(x, weights, rng) - truth).ravel() for _ in range(SAMPLES)])
    found = compare("output", truth, single, (errors @ errors.T, None), UNIT).difference
    assert found is not None
    assert precision.explained(found)
    return found.relative / (found.steady * RATIO)


def test_float32_is_excused_as_far_as_it_rounds_and_no_farther() -> None:
    """Ten times narrower, and Keras's own float32 is a false alarm; ten times wider, and a bug hides behind it."""
    shares = [used(seed) for seed in range(20)]
    assert 0.1 < max(shares) <= 1.0


def place(*numbers: float) -> tuple[Slice, Pass]:
    """A region of multiplications by these numbers."""
    ops = tuple(
        Op(at, "multiply", "mul", (), (Operand(value=at), Operand(literal=number)), {}, (at + 1,), "")
        for at, number in enumerate(numbers)
    )
    values = tuple(Value(at, (2,), "float64", None) for at in range(len(numbers) + 1))
    return Slice(ops, (0,), len(numbers)), Pass("inference", {}, {}, values, ops, (), ())


def test_two_sides_may_round_to_float32_each_in_its_own_way() -> None:
    """A scale in float32 on one side and an angle on the other: any other cause was named, whatever it changed."""
    single = float(np.float32(1 / math.sqrt(8)))
    for a, b in (((single,), (2.0,)), ((single,), (float(np.float32(0.1)),))):
        found = precision.rounded_inside(place(*a), place(*b))
        assert found is not None and found.released and found.signature == "float32"
    assert precision.rounded_inside(place(0.1), place(0.5, 0.3)) is None


def test_a_constant_of_a_derivative_in_float32_is_seen_by_its_operation() -> None:
    """The gradients of F.hardsigmoid in float64 are off by 3e-8: a right port with them was called another model."""
    _, seen = place(0.5)
    assert not precision.in_the_derivative(seen)
    kernel = Op(1, "hardsigmoid", "torch.nn.functional.hardsigmoid", (), (Operand(value=1),), {}, (2,), "")
    assert "1/6" in precision.in_the_derivative(Pass("training", {}, {}, seen.values, (*seen.ops, kernel), (), ()))


def test_watching_may_move_an_output_by_what_rounding_does_and_no_farther() -> None:
    """Another order of sums in JAX is no change; where an engine has one order alone, not a bit may move."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=8)
    errors = UNIT * np.sqrt(8) * plain * rng.standard_normal((SAMPLES, 8))
    side = Recording("a", "a.py", "functions", "jax", spread={"output/inference/out": errors @ errors.T})
    body: PassFacts = {
        "mode": "inference",
        "inputs": {},
        "outputs": {},
        "values": [],
        "ops": [],
        "calls": [],
        "dropouts": [],
    }
    for moved, neutral, right in ((4 * UNIT, True, True), (200 * UNIT, True, False), (4 * UNIT, False, False)):
        arrays = {"plain/out": plain, "output/out": plain * (1 + moved)}
        assert unmoved(side, Pass.of({**body, "neutral": neutral}, arrays), UNIT) is right


def test_watching_may_round_to_float32_at_another_place() -> None:
    """Llama on JAX, whose norm is in float32: compiled, it rounds less often, and no comparison of it was trusted."""
    plain = np.arange(1.0, 9.0)
    side = Recording("a", "a.py", "keras", "jax", spread={"output/inference/out": UNIT**2 * np.diag(plain)})
    _, seen = place(float(np.float32(0.1)))
    for pass_, moved, right in ((seen, 2.0**-24, True), (seen, 2.0**-18, False), (place(0.5)[1], 2.0**-24, False)):
        outputs = {"out": (plain, plain * (1 + moved))}
        assert unmoved(side, dataclasses.replace(pass_, moved=outputs), UNIT) is right
