"""Where an engine is known to compute a layer otherwise: the oracle computes it that way too, and judges once more.

What exceeds its bound there as well is an alarm. The names are those of `impls.campaign.known_layers`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from suites.campaign.engines import Realisation
from suites.campaign.generator import Network
from suites.campaign.growing import Layer


class Substitute(NamedTuple):
    """On what matches `realisation`, a layer whose `key` is `name` is `other`."""

    realisation: str
    key: str
    name: str
    other: str


SUBSTITUTES = (
    Substitute("(keras|jax)-jax-.*", "activation", "leaky_relu", "leaky_relu of JAX"),
    Substitute("keras-torch-.*", "kind", "AveragePool2D", "AveragePool2D of Keras on torch"),
    Substitute("keras-torch-.*", "kind", "BatchNorm", "BatchNorm of squares"),
    Substitute("(keras|torch)-torch-.*", "kind", "GroupNorm", "GroupNorm of squares"),
)
TAKES_LOGITS = "keras-tensorflow-"  # a cross-entropy of logits takes what a last activation was given, and warns
LOSS_OF_LOGITS = {"sigmoid": "sigmoid_cross_entropy", "softmax": "softmax_cross_entropy"}


def as_known(network: Network, realisation: Realisation) -> Network | None:
    """The network as that realisation is known to compute it; None: nothing is known of its layers."""
    layers = [_substituted(layer, realisation) for layer in network.layers]
    last = str(layers[-1].get("activation"))
    if LOSS_OF_LOGITS.get(last) == network.loss and realisation.id.startswith(TAKES_LOGITS):
        layers[-1] = {**layers[-1], "activation": None}
    return replace(network, layers=layers) if layers != network.layers else None


def _substituted(layer: Layer, realisation: Realisation) -> Layer:
    for each in SUBSTITUTES:
        if layer.get(each.key) == each.name and re.fullmatch(each.realisation, realisation.id):
            layer = {**layer, each.key: each.other}
    return layer
