"""Recurrent layers in plain NumPy, forward only, with every convention that ports get wrong as a setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from suites.port.hypotheses.formulas import named_activation

Array = np.ndarray
Config = Mapping[str, Any]
Weights = Mapping[str, Array]
State = tuple[Array, ...]


def reordered(weights: Weights, order: Any, gates: int) -> dict[str, Array]:
    """The weights as a cell takes them that believes the gates to be in `order`."""
    found = {}
    for role, array in weights.items():
        blocks = np.split(array, gates, -1)
        found[role] = np.concatenate([blocks[i] for i in order], -1)
    return found


def over_time(config: Config, x: Array, step: Callable[[Array, State], State], units: int, states: int) -> Array:
    """Run `step` over the second axis; (N, T, units), or (N, units) of the last step.

    Where `others` has a mask (N, T), a masked step keeps the state; `take` says which step is the result: "final" (the
    last one computed), "last" or "first" of the sequence, "cell" the final state that an LSTM keeps inside. `started`:
    from the states (states, N, units) that `others` has as "start".
    """
    if config.get("time_axis") == 0:
        x = x.transpose(1, 0, 2)
    mask = None if config.get("mask_ignored") else config.get("others", {}).get("mask")
    state = tuple(config["others"]["start"]) if config.get("started") else (np.zeros((len(x), units)),) * states
    outputs = np.zeros((len(x), x.shape[1], units))
    order = range(x.shape[1])[:: -1 if config.get("go_backwards") else 1]
    for t in order:
        new = step(x[:, t], state)
        if mask is not None:
            new = tuple(np.where(mask[:, t, None], n, old) for n, old in zip(new, state, strict=True))
        state = new
        outputs[:, t] = state[0]
    return _result(config, outputs, state[-1] if config.get("take") == "cell" else state[0])


def _result(config: Config, outputs: Array, final: Array) -> Array:
    """`outputs` are in the order of time, whichever way the steps ran."""
    if config.get("return_sequences", False):
        in_order_of_steps = config.get("go_backwards") and not config.get("realigned")
        outputs = outputs[:, ::-1] if in_order_of_steps else outputs
        return outputs.transpose(1, 0, 2) if config.get("time_axis") == 0 else outputs
    if config.get("time_axis") == 0:
        return outputs.transpose(1, 0, 2)[:, -1]
    take = config.get("take", "final")
    if take == "mean":
        return np.asarray(outputs.mean(1))
    if take == "max":
        return np.asarray(outputs.max(1))
    return final if take in ("final", "cell") else outputs[:, {"last": -1, "first": 0}[take]]


def recurrent_activations(config: Config) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    return (
        named_activation(config.get("activation", "tanh")),
        named_activation(config.get("recurrent_activation", "sigmoid")),
    )


def lstm(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """`order` is where i, f, c and o are looked for; `forget_bias` is added to f."""
    w = reordered(weights, config.get("order", (0, 1, 2, 3)), 4)
    squash, gate = recurrent_activations(config)

    def step(x: Array, state: State) -> State:
        h, c = state
        i, f, g, o = np.split(x @ w["kernel"] + h @ w["recurrent_kernel"] + w.get("bias", 0.0), 4, -1)
        c = gate(f + config.get("forget_bias", 0.0)) * c + gate(i) * squash(g)
        return gate(o) * squash(c), c

    return over_time(config, x, step, weights["recurrent_kernel"].shape[0], 2)


def gru(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """`order` is where z, r and h are looked for; z keeps the old state, the new one where `z_inverted`."""
    w = reordered(weights, config.get("order", (0, 1, 2)), 3)
    squash, gate = recurrent_activations(config)
    first, second = two_biases(config, w)
    recurrent = np.split(w["recurrent_kernel"], 3, -1)

    def step(x: Array, state: State) -> State:
        (h,) = state
        xz, xr, xh = np.split(x @ w["kernel"] + first, 3, -1)
        bz, br, bh = np.split(second, 3, -1)
        z, r = gate(xz + h @ recurrent[0] + bz), gate(xr + h @ recurrent[1] + br)
        late = r * (h @ recurrent[2] + bh) if config["reset_after"] else (r * h) @ recurrent[2] + bh
        candidate = squash(xh + late)
        return ((1 - z) * h + z * candidate,) if config.get("z_inverted") else (z * h + (1 - z) * candidate,)

    return over_time(config, x, step, weights["recurrent_kernel"].shape[0], 1)


def two_biases(config: Config, w: Weights) -> tuple[Array, Array]:
    """The input's and the recurrent bias; `folded` puts all of it into the first."""
    bias = w.get("bias", np.zeros(w["kernel"].shape[-1]))
    first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return (first + second, np.zeros_like(second)) if config.get("folded") else (first, second)


def simple_rnn(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Elman (1990): h' = tanh(x K + h R + b)."""
    squash = named_activation(config.get("activation", "tanh"))

    def step(x: Array, state: State) -> State:
        (h,) = state
        return (squash(x @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights.get("bias", 0.0)),)

    return over_time(config, x, step, weights["recurrent_kernel"].shape[0], 1)


CELLS = {"lstm": lstm, "gru": gru, "simple_rnn": simple_rnn}


def bidirectional(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Two cells, one over the reversed time; `merge` concat, sum, mul or ave; `backward_take` as `take`.

    `unreversed` leaves the backward sequence in the order of its steps; `swapped` puts the backward half first.
    """
    cell = CELLS[config["cell"]]
    ahead, back = (_under(prefix, weights) for prefix in ("forward/", "backward/"))
    if config.get("exchanged"):
        ahead, back = back, ahead
    forward = cell(config, ahead, x, training)
    settings = {**config, "go_backwards": True, "realigned": not config.get("unreversed")}
    settings["take"] = config.get("backward_take", config.get("take", "final"))
    backward = cell(settings, back, x, training)
    if config.get("swapped"):
        forward, backward = backward, forward
    return _merged(config.get("merge", "concat"), forward, backward)


def _under(prefix: str, weights: Weights) -> dict[str, Array]:
    return {role.removeprefix(prefix): array for role, array in weights.items() if role.startswith(prefix)}


def _merged(merge: str, forward: Array, backward: Array) -> Array:
    if merge == "concat":
        return np.concatenate([forward, backward], -1)
    merged = {"sum": forward + backward, "mul": forward * backward, "ave": (forward + backward) / 2}
    return np.asarray(merged[merge])


FORMULAS = {**CELLS, "bidirectional": bidirectional}
