"""What ports get wrong in recurrent layers: gates, biases, masks, directions, and which step is taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from suites.port.hypotheses.case import Case
from suites.port.hypotheses.causes import Proposal, propose

GATES = {"lstm": "ifco", "gru": "zrh", "simple_rnn": "h"}
FUNCTIONS = {"hard_sigmoid_6": "the hard sigmoid x/6 + 0.5", "hard_sigmoid_5": "the hard sigmoid 0.2x + 0.5"}
TAKEN = {
    "final": "takes the final state",
    "last": "takes the last step",
    "first": "takes the first step",
    "mean": "takes the mean over time",
    "max": "takes the maximum over time",
}


def cell_of(case: Case) -> str:
    return str(case.config.get("cell", case.kind))


def gate_order(case: Case) -> Iterator[Proposal]:
    letters = GATES[cell_of(case)]
    for order in itertools.permutations(range(len(letters))):
        if order == tuple(range(len(letters))):
            continue
        found = [""] * len(letters)
        for gate, block in enumerate(order):
            found[block] = letters[gate]
        a, b = ", ".join(letters), ", ".join(found)
        yield propose({"order": order}, "gate_order", "gate order", f"takes the blocks as {a}", f"as {b}")


def forget_bias(case: Case) -> Iterator[Proposal]:
    for value, does in ((1.0, "adds 1 to it"), (-1.0, "adds 1 less than A")):
        yield propose({"forget_bias": value}, "forget_bias", "forget gate", "as its bias says", does)


def reset_after(case: Case) -> Iterator[Proposal]:
    ours = bool(case.config.get("reset_after", True))
    when = {True: "after the matrix product", False: "before it"}
    yield propose({"reset_after": not ours}, "reset_after", "reset gate is applied", when[ours], when[not ours])


def folded_bias(case: Case) -> Iterator[Proposal]:
    a, b = "adds it inside the reset gate", "outside, as a part of the input's bias"
    yield propose({"folded": True}, "folded_bias", "recurrent bias", a, b)


def update_gate(case: Case) -> Iterator[Proposal]:
    a, b = "keeps z of the old state", "keeps (1 - z)"
    yield propose({"z_inverted": not case.config.get("z_inverted", False)}, "update_gate", "update gate", a, b)


def gate_activation(case: Case) -> Iterator[Proposal]:
    ours = str(case.config.get("recurrent_activation", "sigmoid"))
    for name in ("sigmoid", *FUNCTIONS):
        a, b = FUNCTIONS.get(ours, ours), FUNCTIONS.get(name, name)
        yield propose({"recurrent_activation": name}, "gate_activation", "recurrent activation", a, b)
    for name in ("tanh", "relu", "linear", "sigmoid"):
        a = str(case.config.get("activation", "tanh"))
        yield propose({"activation": name}, "cell_activation", "activation of the cell", a, name)


def direction(case: Case) -> Iterator[Proposal]:
    backwards = bool(case.config.get("go_backwards", False))
    names = {False: "from the first step to the last", True: "from the last to the first"}
    changes = {"go_backwards": not backwards}
    yield propose(changes, "direction", "direction in time", names[backwards], names[not backwards])
    if backwards and case.config.get("return_sequences"):
        a, b = "as the steps ran", "in the order of time"
        yield propose({"realigned": True}, "direction", "order of the backward sequence", a, b)


def time_axis(case: Case) -> Iterator[Proposal]:
    yield propose({"time_axis": 0}, "time_axis", "batch_first: the axis of time", "the second", "the first")


def taken_step(case: Case) -> Iterator[Proposal]:
    if case.config.get("return_sequences"):
        return
    ours = str(case.config.get("take", "final"))
    for name in TAKEN:
        if name != ours:
            yield propose({"take": name}, "taken_step", "what is taken of the sequence", TAKEN[ours], TAKEN[name])
    if case.kind == "lstm" and ours in ("final", "last"):
        yield propose({"take": "cell"}, "state", "of the two final states", "takes the hidden state", "the cell state")


def mask_ignored(case: Case) -> Iterator[Proposal]:
    if "mask" in case.others:
        a, b = "keeps the state over them", "computes them as any other"
        yield propose({"mask_ignored": True}, "mask_ignored", "masked steps", a, b)


def first_state(case: Case) -> Iterator[Proposal]:
    if "start" in case.others:
        yield propose({"started": True}, "first_state", "first state", "zeros", "a state that it is given")


def backward_step(case: Case) -> Iterator[Proposal]:
    """Of a bidirectional layer that gives one step."""
    if case.config.get("return_sequences"):
        return
    places = {"last": "takes it at the last step (its first)", "first": "takes it at the first step"}
    for name, b in places.items():
        subject = "backward direction"
        yield propose({"backward_take": name}, "backward_step", subject, "takes its final state", b)


def halves(case: Case) -> Iterator[Proposal]:
    yield propose({"swapped": True}, "halves", "halves of the result", "forward, backward", "backward, forward")
    if case.config.get("return_sequences"):
        a, b = "turned back to the order of time", "left in the order of its steps"
        yield propose({"unreversed": True}, "unreversed", "backward sequence", a, b)
    own = str(case.config.get("merge", "concat"))
    for merge in ("concat", "sum", "ave", "mul"):
        if merge != own:
            yield propose({"merge": merge}, "merge", "merging of both directions", own, merge)


def directions_exchanged(case: Case) -> Iterator[Proposal]:
    """The weights of both directions in each other's place."""
    yield propose({"exchanged": True}, "exchanged", "weights of the two directions", "each its own", "the other's")


LSTM = (
    gate_order, forget_bias, gate_activation, direction, time_axis, taken_step, mask_ignored, first_state
)  # fmt: skip
GRU = (
    reset_after, gate_order, update_gate, folded_bias, gate_activation, direction, time_axis, taken_step, mask_ignored,
    first_state,
)  # fmt: skip
SIGNATURES = {
    "lstm": LSTM,
    "gru": GRU,
    "simple_rnn": (gate_activation, direction, time_axis, taken_step, mask_ignored, first_state),
    "bidirectional": (backward_step, taken_step, halves, directions_exchanged, mask_ignored, time_axis),
}
