"""Losses of PyTorch and of its users, of the same outputs and labels.

Each comes with its gradient in the outputs, and that of a bias that is added to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from impls.port.references import Arrays

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of outputs and labels

torch.set_default_dtype(torch.float64)

CLASSES = 5
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])  # of the classes
bits_loss = F.binary_cross_entropy_with_logits


def summed(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z, y, reduction="sum")


def by_classes(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z, y) / CLASSES


def softmax_twice(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z.softmax(-1), y)


def smoothed(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z, y, label_smoothing=0.1)


def smoothed_over_the_others(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    label = F.one_hot(y, CLASSES)
    return -((label * 0.9 + (1 - label) * 0.1 / (CLASSES - 1)) * z.log_softmax(-1)).sum(-1).mean()


def weighted(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z, y, weight=WEIGHTS)


def weighted_by_examples(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z, y, weight=WEIGHTS, reduction="none").mean()


def cubed(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (F.cross_entropy(z, y, reduction="none") ** 3).mean()


def over_time(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z.reshape(-1, CLASSES), y.reshape(-1))


def over_time_ignored(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z.reshape(-1, CLASSES), y.reshape(-1), ignore_index=0)


def over_time_ignored_by_all(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z.reshape(-1, CLASSES), y.reshape(-1), ignore_index=0, reduction="sum") / y.numel()


def divergence(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.kl_div(z.log_softmax(-1), y, reduction="sum") / len(y)


def divergence_by_classes(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.kl_div(z.log_softmax(-1), y, reduction="sum") / y.numel()


def half_squares(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(z, y) / 2


def summed_squares(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return ((z - y) ** 2).sum(-1).mean()


def cosine(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cosine_similarity(z, y).mean()


def minus_cosine(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -F.cosine_similarity(z, y).mean()


def bits_twice(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return bits_loss(z.sigmoid(), y)


def bits_of_positives(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return bits_loss(z, y, pos_weight=WEIGHTS)


def bits_of_outputs(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return bits_loss(z, y, weight=WEIGHTS, pos_weight=torch.tensor(2.0))


def focal(gamma: float, alpha: float) -> Loss:
    """Lin et al. (2017), equation 5."""

    def loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        p = z.sigmoid()
        right = p * y + (1 - p) * (1 - y)
        share = alpha * y + (1 - alpha) * (1 - y)
        return (share * (1 - right) ** gamma * bits_loss(z, y, reduction="none")).mean()

    return loss


# name: the loss, and which outputs and labels it is of
CASES: dict[str, tuple[Loss, str, str]] = {
    "mean": (F.cross_entropy, "z", "classes"),
    "sum": (summed, "z", "classes"),
    "by classes": (by_classes, "z", "classes"),
    "softmax twice": (softmax_twice, "z", "classes"),
    "smoothed": (smoothed, "z", "classes"),
    "smoothed over the others": (smoothed_over_the_others, "z", "classes"),
    "weighted": (weighted, "z", "classes"),
    "weighted by examples": (weighted_by_examples, "z", "classes"),
    "cubed": (cubed, "z", "classes"),
    "time": (over_time, "sequence", "ids"),
    "time ignored": (over_time_ignored, "sequence", "ids"),
    "time ignored by all": (over_time_ignored_by_all, "sequence", "ids"),
    "divergence": (divergence, "z", "shares"),
    "divergence by classes": (divergence_by_classes, "z", "shares"),
    "soft labels": (F.cross_entropy, "z", "shares"),
    "squares": (F.mse_loss, "z", "shares"),
    "half squares": (half_squares, "z", "shares"),
    "summed squares": (summed_squares, "z", "shares"),
    "huber": (F.huber_loss, "z", "shares"),
    "minus cosine": (minus_cosine, "z", "shares"),
    "cosine": (cosine, "z", "shares"),
    "bits": (bits_loss, "z", "bits"),
    "bits twice": (bits_twice, "z", "bits"),
    "bits of positives": (bits_of_positives, "z", "bits"),
    "bits of outputs": (bits_of_outputs, "z", "bits"),
    "focal 2": (focal(2.0, 0.25), "z", "bits"),
    "focal 1.5": (focal(1.5, 0.25), "z", "bits"),
    "focal 2, 0.75": (focal(2.0, 0.75), "z", "bits"),
}


def draw(rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Outputs and labels by name."""
    return {
        "z": torch.tensor(rng.normal(size=(8, CLASSES))),
        "classes": torch.tensor(rng.integers(0, CLASSES, 8)),
        "sequence": torch.tensor(rng.normal(size=(4, 6, CLASSES))),
        "ids": torch.tensor(rng.integers(0, CLASSES, (4, 6))),
        "shares": torch.tensor(rng.dirichlet(np.ones(CLASSES), 8)),
        "bits": torch.tensor(rng.integers(0, 2, (8, CLASSES)).astype(float)),
    }


def compute(rng: np.random.Generator) -> Arrays:
    drawn = draw(rng)
    found: Arrays = {}
    for name, (loss, given, labels) in CASES.items():
        z, y = drawn[given], drawn[labels]
        bias = torch.zeros(CLASSES, requires_grad=True)
        outputs = z.detach().requires_grad_()
        value = loss(outputs + bias, y)
        value.backward()
        arrays = {"z": z, "y": y, "loss": value.detach(), "gradient": bias.grad, "slopes": outputs.grad}
        found.update((f"losses/{name}/{key}", array.numpy()) for key, array in arrays.items())
    return found
