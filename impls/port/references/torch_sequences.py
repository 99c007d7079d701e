"""A bidirectional LSTM of PyTorch: its sequence, its last step, its final states; weights in Keras's layout."""

from __future__ import annotations

import numpy as np
import torch

from impls.port.references import Arrays

torch.set_default_dtype(torch.float64)


def compute(rng: np.random.Generator) -> Arrays:
    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    x = rng.normal(size=(5, 6, 3))
    with torch.no_grad():
        sequence, (h, _) = layer(torch.tensor(x))
    found = {"x": x, "sequence": sequence.numpy(), "last step": sequence[:, -1].numpy()}
    found["final"] = torch.cat([h[0], h[1]], -1).numpy()
    for name, end in (("forward", ""), ("backward", "_reverse")):
        weights = {key: getattr(layer, f"{key}_l0{end}").detach().numpy() for key in ("weight_ih", "weight_hh")}
        biases = [getattr(layer, f"{key}_l0{end}").detach().numpy() for key in ("bias_ih", "bias_hh")]
        found.update({f"{name}/kernel": weights["weight_ih"].T, f"{name}/recurrent_kernel": weights["weight_hh"].T})
        found[f"{name}/bias"] = biases[0] + biases[1]
    return {f"sequences/{name}": value for name, value in found.items()}
