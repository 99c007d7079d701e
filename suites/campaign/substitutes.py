"""Where an engine is known to compute a layer otherwise: the oracle computes it that way too, and judges once more.

What exceeds its bound there as well is an alarm. The rows of the catalogue of known differences say which layers.
"""

from __future__ import annotations

import re
from dataclasses import replace

from suites.campaign.engines import Realisation
from suites.campaign.generator import Network
from suites.campaign.growing import Layer
from suites.campaign.known import KNOWN


def as_known(network: Network, realisation: Realisation) -> Network | None:
    """The network as that realisation is known to compute it; None: nothing is known of its layers."""
    layers = [_substituted(layer, realisation, "") for layer in network.layers[:-1]]
    layers.append(_substituted(network.layers[-1], realisation, network.loss))
    return replace(network, layers=layers) if layers != network.layers else None


def _substituted(layer: Layer, realisation: Realisation, loss: str) -> Layer:
    """The layer as it is computed there; `loss` is that of the network, of its last layer alone."""
    for entry in KNOWN:
        if not entry.layer or layer.get(entry.layer) != entry.operation or entry.loss not in ("", loss):
            continue
        if re.fullmatch(entry.realisation, realisation.id):
            layer = {**layer, entry.layer: entry.instead}
    return layer
