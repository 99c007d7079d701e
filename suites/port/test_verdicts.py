"""The verdict alone: no port with a bug is called the same, no right one a different model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from suites.port.api import Result, compare
from suites.port.testing.nets import program
from suites.port.testing.pools import pool_of
from suites.port.verdict import Verdict
from suites.runner.availability import availability
from suites.runner.workers import Pool

RNG = np.random.default_rng(0)
MASK = np.ones((4, 5), bool)
MASK[0] = False  # one example is masked whole
MASK[1, 2:] = False
SEQUENCES = {"x": RNG.normal(size=(4, 5, 4)), "mask": MASK, "y": RNG.integers(0, 3, (4, 5))}
ROWS = {"x": RNG.normal(size=(3, 4))}
OTHER_ORDERS = (1, 2, 0, 3, 4, 5), (2, 1, 0, 5, 4, 3)  # orders of six layers, tried in a full run


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    yield from pool_of(("raw_torch", "torch"))


def run(pool: Pool, folder: Path, a: str, b: str, data: Mapping[str, np.ndarray], table: str = "") -> Result:
    for name, text in (("a.py", a), ("b.py", b), ("map.toml", table)):
        (folder / name).write_text(text)
    return compare(folder / "a.py", folder / "b.py", data, map=folder / "map.toml" if table else None, pool=pool)


def net(layers: str, forward: str) -> str:
    made = "; ".join(f"self.{name} = nn.Linear(4, 4)" for name in layers.split())
    return program(made, f"return {forward}")


GATED = net("gate_proj up_proj", "F.silu(self.gate_proj(x)) * self.up_proj(x)")
CROSSED = net("gate_proj up_proj", "self.gate_proj(x) * F.silu(self.up_proj(x))")
EXCHANGED = {
    "gate and up": (GATED, CROSSED),
    "first and second": (
        net("first second", "self.second(self.first(x))"),
        net("first second", "self.first(self.second(x))"),
    ),
    "three in a circle": (
        net("q k v", "(self.q(x) @ self.k(x).T).softmax(-1) @ self.v(x)"),
        net("q k v", "(self.k(x) @ self.v(x).T).softmax(-1) @ self.q(x)"),
    ),
}


LISTED = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.FILTERS = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.GATES = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x):
        for first, second in zip(self.FILTERS, self.GATES):
            x = x + torch.FIRST(first(x)) * torch.SECOND(second(x))
        return x

def build():
    return Net()
"""


def listed(names: str, functions: str = "tanh sigmoid") -> str:
    text = LISTED
    for word, name in zip(["FILTERS", "GATES", "FIRST", "SECOND"], f"{names} {functions}".split(), strict=True):
        text = text.replace(word, name)
    return text


EXCHANGED["filter and gate in lists of other names"] = (
    listed("filters gates"), listed("filters_list gates_list", "sigmoid tanh")
)  # fmt: skip


@pytest.mark.parametrize("case", EXCHANGED)
def test_layers_that_are_exchanged_under_their_names_are_a_bug(pool: Pool, tmp_path: Path, case: str) -> None:
    """Weights are carried from A to B by their names: two layers that have changed places give other outputs then."""
    found = run(pool, tmp_path, *EXCHANGED[case], ROWS)
    assert found.verdict is Verdict.DIFFERENT, found.text()


def test_weights_that_are_exchanged_are_called_so(pool: Pool, tmp_path: Path) -> None:
    """And whoever means it says so in a mapping file."""
    found = run(pool, tmp_path, GATED, CROSSED, ROWS)
    assert found.findings[0].signature == "exchanged"
    assert "gate_proj of A does what up_proj of B does" in found.findings[0].words()
    names = {"gate_proj": "up_proj", "up_proj": "gate_proj"}
    table = "".join(f'"{a}.{w}" = "{b}.{w}"\n' for a, b in names.items() for w in ("weight", "bias"))
    assert run(pool, tmp_path, GATED, CROSSED, ROWS, table).verdict is Verdict.SAME


OWN_WEIGHTS = """
import torch
from torch import nn

class Highway(nn.Module):
    def __init__(self):
        super().__init__()
        self.transform = nn.Parameter(torch.randn(4, 4)); self.shift = nn.Parameter(torch.randn(4))
        self.carry = nn.Parameter(torch.randn(4, 4)); self.lift = nn.Parameter(torch.randn(4))

    def forward(self, x):
        gate = torch.sigmoid(x @ self.carry + self.lift)
        return gate * torch.tanh(x @ self.transform + self.shift) + (1 - gate) * x

def build():
    return nn.Sequential(Highway(), Highway())
"""
AS_LAYERS = """
import torch
from torch import nn

class Highway(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(4, 4)
        self.h = nn.Linear(4, 4)
        self.t = nn.Linear(4, 4)

    def forward(self, x):
        gate = torch.sigmoid(self.t(x))
        spare = self.unused(x)
        return gate * torch.tanh(self.h(x)) + (1 - gate) * x

def build():
    return nn.Sequential(Highway(), Highway())
"""


def test_weights_of_a_layer_of_the_users_are_matched_with_layers(pool: Pool, tmp_path: Path) -> None:
    """Declared in another order than they are used; what a layer computes for no output has no counterpart."""
    found = run(pool, tmp_path, OWN_WEIGHTS, AS_LAYERS, ROWS)
    assert found.verdict is Verdict.SAME, found.text()


ADDING_UP = """

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)

def train_step(model, optimizer, x, y):
    CLEAR
    loss_fn(model(x), y).backward()
    optimizer.step()
"""


def test_gradients_that_are_never_cleared_are_a_bug(pool: Pool, tmp_path: Path) -> None:
    """They were left over from run to run, which made every step look ill-conditioned: any update was the same."""
    one = net("first second", "self.second(torch.tanh(self.first(x)))")
    sides = [one + ADDING_UP.replace("CLEAR", line) for line in ("optimizer.zero_grad()", "pass")]
    data = {**ROWS, "y": RNG.integers(0, 4, 3)}
    found = run(pool, tmp_path, sides[0], sides[1], data)
    assert found.verdict is Verdict.DIFFERENT, found.text()


SCHEDULED = """

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, GAMMA)
"""


@pytest.mark.full
def test_a_scheduler_beside_the_optimizer_takes_its_steps(pool: Pool, tmp_path: Path) -> None:
    """`return optimizer, scheduler` was refused."""
    one = net("first second", "self.second(torch.tanh(self.first(x)))")
    sides = [one + SCHEDULED.replace("GAMMA", gamma) for gamma in ("0.5", "0.9")]
    data = {**ROWS, "y": RNG.integers(0, 4, 3)}
    assert run(pool, tmp_path, sides[0], sides[0], data).verdict is Verdict.SAME
    found = run(pool, tmp_path, sides[0], sides[1], data)
    assert "A 0.1, 0.05, 0.025, B 0.1, 0.09, 0.081" in found.text()


CENTRED = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.utils.spectral_norm(nn.Linear(4, 4)); self.second = nn.Linear(4, 3)
        self.register_buffer("centre", torch.zeros(4))

    def forward(self, x):
        h = torch.tanh(self.first(x))
        if self.training:
            MOVE
        return self.second(h - self.centre)

def build():
    torch.manual_seed(SEED)
    return Net()
"""


@pytest.mark.full
def test_a_buffer_that_the_model_assigns_is_the_weight_from_then_on(pool: Pool, tmp_path: Path) -> None:
    """It was left as it was at the start, and moved from run to run: a correct port was different.

    So was spectral norm, whose vectors each side began by its own chance.
    """
    moves = "self.centre = 0.9 * self.centre + 0.1 * h.detach().mean(0)", "self.centre.lerp_(h.detach().mean(0), SHARE)"
    assigned, in_place = (CENTRED.replace("MOVE", move).replace("SEED", str(n)) for n, move in enumerate(moves))
    same, other = (run(pool, tmp_path, assigned, in_place.replace("SHARE", share), ROWS) for share in ("0.1", "0.9"))
    assert same.verdict is Verdict.SAME, same.text()
    assert other.verdict is Verdict.DIFFERENT, other.text()


FOCAL = """

def loss_fn(logits, y):
    log_p = F.log_softmax(logits, -1).gather(1, y[:, None])[:, 0]
    p = log_p.exp()
    return -(WEIGHT * log_p).mean()
"""
FINAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True); self.fc = nn.Linear(3, 2)

    def forward(self, x):
        _, (h, c) = self.lstm(x)
        return self.fc(STATE[0])

def build():
    return Net()
"""


@pytest.mark.full
def test_an_unknown_loss_is_told_by_its_operations_and_one_of_several_results_is_healed(
    pool: Pool, tmp_path: Path
) -> None:
    """Numbers alone said "class weights", or nothing; what followed a wrong state of an LSTM was told as well."""
    sides = [
        net("first", "self.first(x)") + FOCAL.replace("WEIGHT", weight) for weight in ("(2 - p) ** 2", "(2 + p) ** 2")
    ]
    found = run(pool, tmp_path, sides[0], sides[1], {**ROWS, "y": RNG.integers(0, 4, 3)})
    (loss,) = found.findings
    assert (loss.phase, loss.line_a, loss.line_b) == ("loss", "a.py:21", "b.py:21"), found.text()
    assert "rsubtract" in loss.words() and loss.cause is not None and loss.cause.a == "2"
    found = run(pool, tmp_path, FINAL.replace("STATE", "h"), FINAL.replace("STATE", "c"), {"x": SEQUENCES["x"]})
    (state,) = found.findings
    assert state.words().endswith("A takes the hidden state, B the cell state"), found.text()


CELL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        LAYERS

    def forward(self, x):
        h = c = torch.zeros(len(x), 3)
        for t in range(x.shape[1]):
            GATES = (SUM).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h

def build():
    return Net()
"""


def cell(layers: str, gates: str, sum_: str) -> str:
    return CELL.replace("LAYERS", layers).replace("GATES", gates).replace("SUM", sum_)


@pytest.mark.full
def test_a_cell_over_what_is_joined_is_two_kernels_in_the_same_order_of_gates(pool: Pool, tmp_path: Path) -> None:
    """[h, x] through one matrix, as ConvLSTM and the cells of 2016 have it. Other gates were called SAME."""
    two = "self.x2h = nn.Linear(4, 12); self.h2h = nn.Linear(3, 12, bias=False)"
    ours = cell(two, "i, f, g, o", "self.x2h(x[:, t]) + self.h2h(h)")
    joined = "self.gates = nn.Linear(7, 12)", "self.gates(torch.cat([h, x[:, t]], -1))"
    theirs, other = (cell(joined[0], gates, joined[1]) for gates in ("i, f, g, o", "f, i, o, g"))
    data = {"x": SEQUENCES["x"]}
    for pair in ((ours, theirs), (theirs, ours)):
        found = run(pool, tmp_path, pair[0], pair[1], data)
        assert found.verdict is Verdict.SAME, found.text()
    found = run(pool, tmp_path, ours, other, data)
    assert found.verdict is Verdict.DIFFERENT, found.text()
    assert "gate order: A takes the blocks as 1, 2, 3, 4, B as 2, 1, 4, 3" in found.text()


@pytest.mark.full
def test_a_cell_by_hand_of_two_layers_is_an_lstm_in_its_own_order_of_gates(pool: Pool, tmp_path: Path) -> None:
    """Its two biases, of which only the sum counts, were a false alarm; other gates had no name."""
    ours = FINAL.replace("self.fc(STATE[0])", "h[0]").replace("; self.fc = nn.Linear(3, 2)", "")
    two = "self.x2h = nn.Linear(4, 12); self.h2h = nn.Linear(3, 12)"
    sides = [cell(two, gates, "self.x2h(x[:, t]) + self.h2h(h)") for gates in ("i, f, g, o", "i, f, o, g")]
    found = run(pool, tmp_path, ours, sides[0], {"x": SEQUENCES["x"]})
    assert found.verdict is Verdict.SAME, found.text()
    found = run(pool, tmp_path, sides[1], ours, {"x": SEQUENCES["x"]})
    assert found.findings[0].words() == "gate order: A takes the blocks as i, f, o, c, B as i, f, c, o", found.text()


SHARED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(COUNT)])
        self.gamma_1 = nn.Parameter(torch.ones(4))
        self.gamma_2 = nn.Parameter(torch.ones(4)) if GAMMAS == 2 else 1.0

    def forward(self, x):
        for at in range(3):
            x = x + self.gamma_1 * torch.tanh(self.layers[at % COUNT](x))
        return self.gamma_2 * x

def build():
    return Net()
"""


def shared(count: int, gammas: int = 2) -> str:
    return SHARED.replace("COUNT", str(count)).replace("GAMMAS", str(gammas))


def test_a_layer_that_is_shared_and_a_weight_that_is_missing_are_named(pool: Pool, tmp_path: Path) -> None:
    """Both were refused: weights were left over."""
    found = run(pool, tmp_path, shared(1), shared(3), ROWS)
    assert [finding.signature for finding in found.findings] == ["shared"], found.text()
    assert "layers.0: A uses one layer 3 times, B has 3 layers with weights of their own" in found.findings[0].words()
    found = run(pool, tmp_path, shared(1), shared(1, gammas=1), ROWS)
    assert found.findings[0].words().startswith("gamma_2 of gamma_2: A has gamma_2, B has none"), found.text()


MODULE = """
import tensorflow as tf

class Dense(tf.Module):
    def __init__(self, n, m):
        super().__init__()
        self.w = tf.Variable(tf.random.normal([n, m])); self.b = tf.Variable(tf.zeros([m]))

    def __call__(self, x):
        return x @ self.w + self.b

class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.first = Dense(4, 5)
        self.blocks = [Dense(5, 5)]

    def __call__(self, x, training=False):
        x = tf.tanh(self.first(x))
        if training:
            x = tf.nn.dropout(x, RATE)
        return sum((tf.tanh(block(x)) for block in self.blocks), x)

def build():
    return Net()

def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
"""
OF_KERAS = """
import keras
from keras import layers

def build():
    x = inputs = keras.Input((4,))
    x = layers.Dense(5, "tanh", name="first"PENALTY)(x)
    x = layers.Dropout(0.25)(x)
    return keras.Model(inputs, layers.Add()([x, layers.Dense(5, "tanh", name="block")(x)]))

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
"""


@pytest.mark.full
def test_a_module_of_tensorflow_is_a_side_and_a_penalty_of_activations_a_bug(tmp_path: Path) -> None:
    """Without training steps a penalty showed nowhere. What a weight decay could do is no difference by itself.

    TensorFlow's own dropout was seen nowhere: what is left of a model beside it could not be compared.
    """
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    data = {**ROWS, "y": RNG.integers(0, 5, 3)}
    penalty = ", {}_regularizer=keras.regularizers.L2(0.1)"
    with Pool() as own:
        for kind, verdict in (("kernel", Verdict.SAME), ("activity", Verdict.DIFFERENT)):
            text = penalty.format(kind)
            found = run(own, tmp_path, OF_KERAS.replace("PENALTY", text), MODULE.replace("RATE", "0.25"), data)
            assert found.verdict is verdict, found.text()
        assert found.findings[0].signature == "penalty"
        found = run(own, tmp_path, OF_KERAS.replace("PENALTY", ""), MODULE.replace("RATE", "0.75"), data)
        assert [(one.signature, one.cause.b) for one in found.findings if one.cause] == [("dropout_rate", "0.75")]


@pytest.mark.parametrize("names", ["up_proj other", pytest.param("linear1 linear0", marks=pytest.mark.full)])
def test_layers_with_other_names_are_matched_by_what_they_give(pool: Pool, tmp_path: Path, names: str) -> None:
    """A port names its layers as it likes: only where both sides use the same names do these count."""
    one, other = names.split()
    port = net(names, f"F.silu(self.{one}(x)) * self.{other}(x)")
    found = run(pool, tmp_path, GATED, port, ROWS)
    assert found.verdict is Verdict.SAME, found.text()


@pytest.mark.parametrize(
    "order", [(1, 2, 0, 4, 5, 3), *(pytest.param(order, marks=pytest.mark.full) for order in OTHER_ORDERS)]
)
def test_several_layers_in_another_order_are_found_one_by_one(
    pool: Pool, tmp_path: Path, order: tuple[int, ...]
) -> None:
    """A query, a key and a value that the port calls otherwise and computes in another order, in two blocks."""
    names = [f"p{at}" for at in range(6)]
    lines = "; ".join(f"{name} = self.{name}(h)" for name in (names[at] for at in order[:3]))
    second = "; ".join(f"{name} = self.{name}(h)" for name in (names[at] for at in order[3:]))
    port = LINES.replace("FIRST", lines).replace("SECOND", second)
    right = LINES.replace("FIRST", "p0 = self.q0(h); p1 = self.k0(h); p2 = self.v0(h)")
    right = right.replace("SECOND", "p3 = self.q1(h); p4 = self.k1(h); p5 = self.v1(h)")
    right = right.replace("NAMES", "q0 k0 v0 q1 k1 v1")
    found = run(pool, tmp_path, right, port.replace("NAMES", " ".join(names)), ROWS)
    assert found.verdict is Verdict.SAME, found.text()


LINES = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for name in "NAMES".split():
            setattr(self, name, nn.Linear(4, 4))

    def forward(self, h):
        FIRST
        h = h + (p0 @ p1.T).softmax(-1) @ p2
        SECOND
        return h + (p3 @ p4.T).softmax(-1) @ p5

def build():
    return Net()
"""


def test_layers_that_do_the_same_stay_with_their_names(pool: Pool, tmp_path: Path) -> None:
    """Where it is all one which of two is which, nothing is said of it."""
    a, b = net("left right", "self.left(x) + self.right(x)"), net("left right", "self.right(x) + self.left(x)")
    found = run(pool, tmp_path, a, b, ROWS)
    assert found.verdict is Verdict.SAME and not any("matched" in note for note in found.comparison.notes)


ATTENTION = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, mask):
        s = SCORES
        s = s.masked_fill(~mask[:, None, :], MASK)
        return s.softmax(-1) @ self.v(x)

def build():
    return Net()
"""
ONE, OTHER = "self.q(x) @ self.k(x).mT / 2", "torch.einsum('bqd,bkd->bqk', self.q(x) * 0.5, self.k(x))"
MASKS = ("-torch.inf", "-1e9", "torch.finfo(torch.float64).min")


def attention(scores: str, mask: str) -> str:
    return ATTENTION.replace("SCORES", scores).replace("MASK", mask)


@pytest.mark.parametrize("mask", MASKS)
def test_an_example_that_is_masked_whole_is_no_difference(pool: Pool, tmp_path: Path, mask: str) -> None:
    """NaN on both sides in the same places, or the mean of the values: a right port stays the same."""
    found = run(pool, tmp_path, attention(ONE, mask), attention(OTHER, mask), SEQUENCES)
    assert found.verdict is Verdict.SAME, found.text()


def test_nan_on_one_side_only_is_a_difference(pool: Pool, tmp_path: Path) -> None:
    """The classic: -inf gives NaN in a row that is masked whole, -1e9 the mean."""
    found = run(pool, tmp_path, attention(ONE, "-torch.inf"), attention(ONE, "-1e9"), SEQUENCES)
    assert found.verdict is Verdict.DIFFERENT
    difference = found.comparison.differences[0]
    assert np.isnan(difference.a) and np.isfinite(difference.b), difference.words()


def test_nothing_but_nan_is_undecided(pool: Pool, tmp_path: Path) -> None:
    """Two models that give no number are not shown to be the same."""
    nan = net("one", "self.one(x) * torch.nan")
    found = run(pool, tmp_path, nan, nan, ROWS)
    assert found.verdict is Verdict.UNDECIDED and "holds no number" in found.text()


SCALED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor(SCALE))

    def forward(self, x):
        return self.one(self.scale * x)

def build():
    return Net()

def loss_fn(z, y):
    return (z * z).mean()

def make_optimizer(net):
    FREEZE
    return torch.optim.SGD(net.parameters(), 0.1)
"""
LABELLED = {**ROWS, "y": np.zeros(3, int)}


@pytest.mark.parametrize(
    "scale, freeze, words",
    [("0.5", "pass", ""), ("0.25", "pass", "0.5"), ("0.5", "net.one.bias.requires_grad_(False)", "one: A trains it")],
)
def test_one_number_as_a_buffer_and_weights_frozen_late(
    pool: Pool, tmp_path: Path, scale: str, freeze: str, words: str
) -> None:
    """A buffer without axes, and a weight that make_optimizer freezes, were refused."""
    a = SCALED.replace("SCALE", "0.5").replace("FREEZE", "pass")
    found = run(pool, tmp_path, a, SCALED.replace("SCALE", scale).replace("FREEZE", freeze), LABELLED)
    assert (found.verdict is Verdict.SAME) == (not words)
    assert not words or words in found.findings[0].words()


POINTER = program(
    "self.q, self.norm = nn.Linear(4, 4), nn.LayerNorm(4, eps=1e-6)",
    "return self.norm(self.q(x)).masked_fill(~mask[:, :, None], torch.finfo(torch.float32).min)",
)
POINTER = POINTER.replace("self, x", "self, x, mask")


def test_masks_in_an_output_do_not_hide_the_rest(pool: Pool, tmp_path: Path) -> None:
    """Beside a number of 3e38 everything else would be rounding: the rest is compared without it."""
    found = run(pool, tmp_path, POINTER, POINTER.replace("1e-6", "1.001e-6"), SEQUENCES)
    assert found.verdict is Verdict.DIFFERENT, found.text()
    assert run(pool, tmp_path, POINTER, POINTER, SEQUENCES).verdict is Verdict.SAME


KERAS = """
import keras
from keras import layers

def build():
    return keras.Sequential([
        keras.Input((4,)), layers.Dense(4, activation="gelu", name="one"), layers.Dense(3, name="two")
    ])

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

def make_optimizer():
    return keras.optimizers.SGD(0.001, momentum=0.9)
"""
TORCH = program("self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 3)", "return self.two(F.gelu(self.one(x)))")
TORCH += """
def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(net):
    return torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
"""


@pytest.mark.full
@pytest.mark.parametrize("rate, verdict", [("0.001", Verdict.SAME_UP_TO), ("0.00100001", Verdict.DIFFERENT)])
def test_float32_inside_an_engine_excuses_its_own_rounding_only(
    pool: Pool, tmp_path: Path, rate: str, verdict: Verdict
) -> None:
    """TensorFlow's GELU and Keras's rates are float32: what follows from that differs by 1e-8, a wrong rate by more."""
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    labels = {**ROWS, "y": np.array([0, 2, 1])}
    found = run(pool, tmp_path, KERAS, TORCH.replace("lr=0.001", f"lr={rate}"), labels)
    assert found.verdict is verdict, found.text()


EXPORTED = """
import torch
from a import Net

def program(model):
    free = torch.export.Dim("n", min=2, max=8)
    return torch.export.export(model.eval(), (torch.ones(4, 3, 8, 8),), dynamic_shapes=({0: free},))

def build():
    return program(Net())

def other():
    model = Net()
    model.norm.eps = 1e-3
    return program(model)
"""
IMAGES = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, groups=3)
        self.norm = nn.BatchNorm2d(6)
        self.square = nn.Linear(6, 6)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.drop(torch.tanh(self.square(x.mean((2, 3)))))

def build():
    return Net()
"""


@pytest.mark.full
def test_a_program_of_torch_export_is_compared_by_the_weights_of_its_modules(pool: Pool, tmp_path: Path) -> None:
    """A square kernel lies as that of its Linear, a depthwise one as that of its Conv2d, though both are gone."""
    images = {"x": RNG.normal(size=(4, 8, 8, 3))}
    found = run(pool, tmp_path, IMAGES, EXPORTED, images)
    assert found.verdict is Verdict.SAME, found.text()
    other = compare(tmp_path / "a.py", f"{tmp_path / 'b.py'}:other", images, pool=pool)
    assert "epsilon of BatchNorm: A 1e-05, B 0.001" in other.findings[0].words()


LRN_A = """
import numpy as np
import tensorflow as tf

class Net:
    params = {"fc": {"kernel": np.ones((3, 8))}}

    def forward(self, params, x):
        x = x @ params["fc"]["kernel"]
        x = tf.nn.local_response_normalization(x[:, None, None, :], depth_radius=2, bias=1.0, alpha=0.5, beta=0.75)
        return x[:, 0, 0]

def build():
    return Net()
"""
LRN_B = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 8, bias=False)
        self.norm = nn.LocalResponseNorm(5, alpha=ALPHA, beta=0.75, k=1.0)

    def forward(self, x):
        return self.norm(self.fc(x)[:, :, None])[:, :, 0]

def build():
    return Net()
"""


@pytest.mark.full
def test_local_response_normalisation_is_computed_where_tensorflow_has_no_kernel(tmp_path: Path) -> None:
    """In float64; torch divides alpha by the size, which is named by its number."""
    for implementation, backend in (("raw_torch", "torch"), ("raw_tf", "tensorflow")):
        if reason := availability(implementation, backend):
            pytest.skip(reason)
    (tmp_path / "a.py").write_text(LRN_A)
    for alpha, verdict in ((2.5, Verdict.SAME), (0.5, Verdict.DIFFERENT)):
        (tmp_path / "b.py").write_text(LRN_B.replace("ALPHA", str(alpha)))
        found = compare(tmp_path / "a.py", tmp_path / "b.py", {"x": np.random.default_rng(0).normal(size=(7, 3))})
        assert found.verdict is verdict, found.text()
    assert "A 1/2, B 1/10" in found.findings[0].words(), found.text()
