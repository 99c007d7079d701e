"""`python -m impls.shim.testing.peer BACKEND`: computes the cases of the tests on one backend, in a process of its own.

Frameworks fight in one process, so a test asks one peer a backend and compares what they answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from impls import protocol, shim
from impls.shim.activation_functions import ACTIVATIONS
from impls.shim.optimizers import Optimizer

Layers: TypeAlias = Callable[..., "list[shim.Layer]"]


def tied(attention: shim.Layer) -> list[shim.Layer]:
    """Attention between an embedding with positions and a head that is tied to it."""
    table = shim.Embedding(5, 4, mask_zero=True)
    return [table, shim.PositionEmbedding(8), attention, shim.TiedHead(table)]


CASES: dict[str, tuple[int, Layers]] = {  # name: rank of an example and the layers, given a stride and a window
    **{name: (1, lambda s, k, name=name: [shim.Dense(3), shim.Activation(name)]) for name in ACTIVATIONS},
    "dense_of_sequences": (2, lambda s, k: [shim.Dense(3, "relu"), shim.Dense(k)]),
    "conv_same": (3, lambda s, k: [shim.Conv2D(3, (k, 3), strides=s, padding="same", activation="relu")]),
    "conv_valid": (3, lambda s, k: [shim.Conv2D(3, (k, 2), strides=(s, 1), padding="valid", use_bias=False)]),
    "conv_dilated": (3, lambda s, k: [shim.Conv2D(2, (2, k), padding=("same", "valid")[s - 1], dilation_rate=2)]),
    "depthwise": (3, lambda s, k: [shim.DepthwiseConv2D(k, 2, strides=s, padding="same")]),
    "max_pool": (3, lambda s, k: [shim.Conv2D(2, 1), shim.MaxPool2D(k, s, ("same", "valid")[s - 1])]),
    "max_pool_tiles": (3, lambda s, k: [shim.Conv2D(2, 1), shim.MaxPool2D(2)]),
    "average_pool": (3, lambda s, k: [shim.Conv2D(2, 1), shim.AveragePool2D(k, s, ("same", "valid")[s - 1])]),
    "global_average": (3, lambda s, k: [shim.Conv2D(2, k, padding="same"), shim.GlobalAveragePool2D()]),
    "batch_norm": (3, lambda s, k: [shim.BatchNorm(0.9), shim.ReLU(), shim.Flatten(), shim.Dense(2)]),
    "batch_norm_of_vectors": (1, lambda s, k: [shim.Dense(3, use_bias=False), shim.BatchNorm()]),
    "batch_norm_of_sequences": (2, lambda s, k: [shim.BatchNorm(), shim.Dense(2)]),
    "layer_norm": (2, lambda s, k: [shim.LayerNorm()]),
    "image_to_sequence": (3, lambda s, k: [shim.Conv2D(3, k, padding="same"), shim.LayerNorm(), shim.Flatten()]),
    "dropout": (3, lambda s, k: [shim.Conv2D(2, 1), shim.Dropout(0.4), shim.Conv2D(2, 1)]),
    "simple_rnn": (2, lambda s, k: [shim.SimpleRNN(3, return_sequences=True), shim.SimpleRNN(k)]),
    "lstm": (2, lambda s, k: [shim.LSTM(3, return_sequences=True), shim.LSTM(k, go_backwards=True)]),
    "gru": (2, lambda s, k: [shim.GRU(3, return_sequences=True), shim.GRU(k)]),
    "gru_reset_before": (2, lambda s, k: [shim.GRU(3, reset_after=False)]),
    "bidirectional": (2, lambda s, k: [shim.Bidirectional(lambda: shim.LSTM(2, return_sequences=True)), shim.GRU(2)]),
    "conv1d": (2, lambda s, k: [shim.Conv1D(3, k, s, ("causal", "same")[k % 2], activation="relu")]),
    "conv_transpose": (3, lambda s, k: [shim.Conv2DTranspose(2, (k, 3), (s, 2), ("same", "valid")[s - 1])]),
    "separable": (3, lambda s, k: [shim.SeparableConv2D(3, k, s, "same", depth_multiplier=2)]),
    "up_sampling": (3, lambda s, k: [shim.Conv2D(2, 1), shim.UpSampling2D((s, k), ("nearest", "bilinear")[k % 2])]),
    "padding_and_maximum": (3, lambda s, k: [shim.ZeroPadding2D((s, k)), shim.Conv2D(2, 1), shim.GlobalMaxPool2D()]),
    "sequence_pools": (
        2,
        lambda s, k: [
            shim.GroupNorm(1),
            shim.PReLU((1,)),
            (shim.GlobalMaxPool1D() if s == 1 else shim.GlobalAveragePool1D()),
        ],
    ),
    "spatial_dropout": (2, lambda s, k: [shim.SpatialDropout(0.4), shim.TimeDistributed(shim.Dense(k))]),
    "rms_norm": (2, lambda s, k: [shim.RMSNorm(), shim.Dense(k)]),
    "attention": (2, lambda s, k: [shim.MultiHeadAttention(s, k, rope=(None, 10.0)[k % 2 == 0])]),
    "attention_causal": (2, lambda s, k: [shim.MultiHeadAttention(2, k, causal=True, dropout=0.3, use_bias=False)]),
    "attention_grouped": (
        2,
        lambda s, k: [shim.MultiHeadAttention(2 * k, 2, 3, num_key_value_heads=s, output_shape=k, causal=s == 2)],
    ),
    "masked_attention": (1, lambda s, k: tied(shim.MultiHeadAttention(s, k, causal=s == 2, dropout=(k - 2) / 3))),
    "masked": (
        1,
        lambda s, k: [shim.Embedding(5, 3, mask_zero=True), shim.LSTM(2, return_sequences=True), shim.GRU(2)],
    ),
    "masked_sequence": (
        1,
        lambda s, k: [shim.Embedding(5, 3, mask_zero=True), shim.SimpleRNN(2, return_sequences=True), shim.Dense(k)],
    ),
}

Case: TypeAlias = dict[str, Any]  # as JSON: layers, shapes, loss, optimizer and how they are run

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: shim.SGD(0.1),
    "momentum": lambda: shim.SGD(shim.ExponentialDecay(0.1, 2, 0.5), momentum=0.9),
    "nesterov": lambda: shim.SGD(shim.ExponentialDecay(0.1, 2, 0.5), momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda: shim.Adam(0.1, epsilon=1e-3, clipnorm=0.5),
    "adamw": lambda: shim.AdamW(0.1, epsilon=1e-3, global_clipnorm=0.1),
    "rmsprop": lambda: shim.RMSprop(0.1, global_clipnorm=0.1),
    "adamw_of_kernels": lambda: shim.AdamW(
        shim.CosineDecay(0.0, 5, 0.1, 0.1, 1),
        weight_decay=0.1,
        epsilon=1e-3,
        exclude_from_weight_decay=("bias", "gamma"),
    ),
    "sgd_in_pieces": lambda: shim.SGD(shim.PiecewiseConstant((0, 2), (0.1, 0.05, 0.01)), momentum=0.9),
    "adagrad": lambda: shim.Adagrad(0.1, clipvalue=0.05),
}


METRICS = {
    "mean_squared_error": "mean_absolute_error",
    "huber": "mean_squared_error",
    "mean_absolute_error": "mean_squared_error",
    "sigmoid_cross_entropy": "accuracy",
    "softmax_cross_entropy": "accuracy",
}


def drawn(rng: np.random.RandomState, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights without zeros, and a variance above zero."""
    return rng.uniform(0.5, 1.5, shape) if "variance" in name else rng.normal(0, 0.6, shape) + 0.05


def model_of(case: Case, backend: str) -> shim.Model:
    """The model of a case, with drawn weights."""
    layers = CASES[case["layers"]][1](case["stride"], case["window"])
    if case.get("behind"):  # weights before it show the gradient of its input
        layers = [shim.Dense(case["shape"][-1], use_bias=False), *layers]
    model = shim.Sequential(
        layers, inputs=case["shape"], backend=backend, dtype=case.get("dtype", "float64"), mode=case.get("mode"),
        device=case.get("device", "cpu"),
    )  # fmt: skip
    rng = np.random.RandomState(case["seed"])
    model.set_weights({name: drawn(rng, name, weight.shape) for name, weight in model.declared.items()})
    return model


def batch_of(case: Case, model: shim.Model) -> tuple[np.ndarray, np.ndarray]:
    """Examples with ties and zeros among them, and targets."""
    rng = np.random.RandomState(case["seed"] + 1)
    shape = (case["count"], *case["shape"])
    x: np.ndarray
    if case["layers"].startswith("masked"):
        x = rng.randint(0, 5, shape)
    else:
        x = np.round(rng.normal(0, 1, shape), 1) * (rng.uniform(size=shape) > 0.2)
    outputs = (case["count"], *model.output_shape)
    if case["loss"] == "softmax_cross_entropy":
        return x, rng.randint(0, outputs[-1], outputs[:-1])
    return x, rng.uniform(size=outputs)


def compute(case: Case, backend: str) -> dict[str, np.ndarray]:
    """Losses, metrics, weights and slots of two training steps; if the case is `whole`, of all other calls as well."""
    model = model_of(case, backend)
    model.compile(optimizer=OPTIMIZERS[case["optimizer"]](), loss=case["loss"], metrics=(METRICS[case["loss"]],))
    x, y = batch_of(case, model)
    w = np.linspace(0.5, 2, len(x)) if case["weighted"] else None
    found: dict[str, Any] = {}
    for step in range(2):
        logs = model.train_on_batch(x, y, sample_weight=w, return_dict=True)
        found.update((f"step{step}/{name}", np.float64(value)) for name, value in logs.items())
    if case["whole"]:
        augment = shim.Augment(flip=True, shift=1.5, rotation=20) if len(case["shape"]) == 3 else None
        history = model.fit(x, y, epochs=2, batch_size=2, sample_weight=w, augment=augment)
        found.update((f"fit/{name}", np.array(values)) for name, values in history.items())
        found["outputs"] = model.predict(x)
        logs = model.evaluate(x, y, batch_size=2, return_dict=True)
        found.update(("evaluated/" + name, np.float64(value)) for name, value in logs.items())
    found.update(("weight/" + name, value) for name, value in model.get_weights().items())
    found.update(("slot/" + name, value) for name, value in model.get_slots().items())
    return found


def main(backend: str) -> None:
    """Answer cases from standard input until it ends."""
    replies, requests = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever a framework prints must not get into the answers
    while True:
        try:
            case, _ = protocol.read(requests)
        except EOFError:
            os._exit(0)  # to take an engine down takes as long as to start it
        try:
            protocol.write(replies, {"ok": True}, compute(case, backend))
        except Exception as error:
            protocol.write(replies, {"ok": False, "error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(sys.argv[1])
