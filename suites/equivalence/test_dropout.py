"""The transformer with dropout: where all are given the same noise, all compute the same numbers in float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from suites.equivalence.compare import AGREEMENT, disagreement
from suites.equivalence.draws import Draw, distinct, random_draw
from suites.runner import plan
from suites.runner.availability import availability
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Pool, Role, Worker

STEPS = 20
RATE = 0.1  # of the shares of attention, and of both branches of a block

# The shim draws its noise with NumPy, layer by layer; its adapter draws that of a batch from the seed 0. The programs
# that have no dropout are given the same draws.
DROP = f"""

RNG = None


def fresh(x):
    global RNG
    RNG = np.random.default_rng(0)
    return x


def drop(x):
    return x * NATIVE(x, (RNG.random(tuple(x.shape)) >= {RATE}) / (1 - {RATE}))

"""
TORCH = DROP.replace("NATIVE(x, ", "torch.as_tensor(")
ATTENTION = """shares = torch.softmax((q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(
            torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1), -math.inf), -1)
        mixed = drop(shares) @ v"""
FUNCTIONS = [
    ("def build(", "{drop}\n\ndef build("),
    ('x = embedding(params, "token", ids)', 'x = embedding(params, "token", fresh(ids))'),
    ("shares, v)", "drop(shares), v)"),
    (
        'x += attention(params, f"attention{b}", layernorm(params, f"attention_norm{b}", x))',
        'x += drop(attention(params, f"attention{b}", layernorm(params, f"attention_norm{b}", x)))',
    ),
    ('x += dense(params, f"contract{b}", hidden)', 'x += drop(dense(params, f"contract{b}", hidden))'),
]
CONTRACTED = f'shim.Dropout({RATE})(shim.Dense(width, name=f"contract{{b}}")(y))'
CHANGES: dict[str, list[tuple[str, str]]] = {
    "shim": [
        ("use_bias=False, causal=True", f"use_bias=False, causal=True, dropout={RATE}"),
        ("x = shim.Add()([x, y])", f"x = shim.Add()([x, shim.Dropout({RATE})(y)])"),
        ('shim.Dense(width, name=f"contract{b}")(y)', CONTRACTED),
    ],
    "raw_torch": [
        ("class PositionEmbedding", TORCH + "\n\nclass PositionEmbedding"),
        ("self.position(self.token(ids))", "self.position(self.token(fresh(ids)))"),
        ("mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)", ATTENTION),
        ("x + self.attention(self.attention_norm(x))", "x + drop(self.attention(self.attention_norm(x)))"),
        ("x + self.mlp(self.mlp_norm(x))", "x + drop(self.mlp(self.mlp_norm(x)))"),
    ],
    "raw_jax": [(old, new.replace("{drop}", DROP.replace("NATIVE(x, ", "jnp.asarray("))) for old, new in FUNCTIONS],
    "raw_tf": [
        (old, new.replace("{drop}", DROP.replace("NATIVE(x, ", "tf.constant("))) for old, new in FUNCTIONS
    ],
}  # fmt: skip
CHANGES["torch_native"] = CHANGES["raw_torch"]
ROLES = (
    Role("shim", "torch", "eager"),
    Role("shim", "jax", "jit"),
    Role("shim", "tensorflow", "graph"),
    Role("raw_torch", "torch", "eager"),
    Role("raw_jax", "jax", "jit"),
    Role("raw_tf", "tensorflow", "graph"),
    Role("torch_native", "torch", "eager"),
)
ONE_PASS = ("loss", "activation/", "cotangent/", "gradient/")  # torch.optim's AdamW is known to differ, see `departs`


def planted(implementation: str) -> list[dict[str, str]]:
    """The diffs that give a program dropout."""
    file = f"impls/transformer/{implementation}.py"
    return [{"file": file, "old": old, "new": new} for old, new in CHANGES[implementation]]


def drawn() -> Draw:
    sizes = {**distinct("transformer"), "steps": 6}
    return random_draw("transformer", "dropout", sizes, batch=3, count=3 * STEPS, steps=6)


def trained(worker: Worker, implementation: str, drops: bool = True) -> Arrays:
    """The backward pass of the first batch, and losses, weights and slots after STEPS steps."""
    draw, model = drawn(), RemoteModel(worker)
    model.plant(planted(implementation) if drops else [])
    try:
        model.open(draw.model, draw.size, draw.weights)
        found = model.gradients(draw.x[: draw.batch], draw.y[: draw.batch])
        return {**found, **model.train(draw.x, draw.y, draw.batch)}
    finally:
        model.plant([])


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(keep=2) as pool:
        yield pool


@pytest.fixture(scope="module")
def truth(pool: Pool) -> Arrays:
    return trained(pool.serving(Role(*plan.ORACLE)), "shim")


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("role", ROLES, ids=lambda role: f"{role.implementation}-{role.backend}")
def test_the_same_noise_gives_the_same_numbers(role: Role, pool: Pool, truth: Arrays) -> None:
    """Keras is not among them: it draws its noise with its own generators, from shapes that only its graph knows."""
    if reason := availability(role.implementation, role.backend):
        pytest.skip(reason)
    found = trained(pool.serving(role), role.implementation)
    whole = role.implementation != "torch_native"
    names = [name for name in truth if whole or (name.startswith(ONE_PASS) and name != "losses")]
    assert len(names) > 20
    apart = {name: disagreement(found, truth, name) for name in names}
    assert not {name: value for name, value in apart.items() if not value <= AGREEMENT}


@pytest.mark.full
@pytest.mark.catalogue
def test_noise_of_another_batch_is_noticed(pool: Pool, truth: Arrays) -> None:
    """The program as it is, without dropout, is far away: else the comparison above would compare nothing."""
    if reason := availability("raw_torch", "torch"):
        pytest.skip(reason)
    found = trained(pool.serving(ROLES[3]), "raw_torch", drops=False)
    assert disagreement(found, truth, "losses") > 1e-3
