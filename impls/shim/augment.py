"""Changed images: flipped, shifted and turned by numbers of the model's own stream, the same on every backend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Augment:
    """A random change of each image (N, H, W, C), another one in each epoch.

    `flip`: mirrored left to right, half of them. `shift`: up to so many pixels up or down and left or right.
    `rotation`: up to so many degrees either way, about the middle. Between pixels bilinear; outside, the nearest edge.
    """

    flip: bool = False
    shift: float = 0.0
    rotation: float = 0.0

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Changed copies of the images `x`, in their dtype."""
        if x.ndim != 4:
            raise ValueError(f"images (N, H, W, C) are augmented, got shape {x.shape}")
        count, height, width, _ = x.shape
        down, right = rng.uniform(-self.shift, self.shift, (2, count, 1, 1))
        angle = np.radians(rng.uniform(-self.rotation, self.rotation, (count, 1, 1)))
        mirror = np.where(rng.random((count, 1, 1)) < 0.5 * self.flip, -1.0, 1.0)
        row, column = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
        row, column = row - down, column - right  # (N, H, 1), (N, 1, W): where each pixel comes from
        sine, cosine = np.sin(angle), np.cos(angle)
        rows, columns = cosine * row - sine * column, sine * row + cosine * column  # (N, H, W)
        return sampled(x, rows + (height - 1) / 2, mirror * columns + (width - 1) / 2)


def sampled(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The images at places (N, H, W) between their pixels."""
    result, each = 0.0, np.arange(len(x))[:, None, None]
    rows, columns = np.clip(rows, 0, x.shape[1] - 1), np.clip(columns, 0, x.shape[2] - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (1 - abs(rows - top - i)) * (1 - abs(columns - left - j))
        at = np.minimum(top + i, x.shape[1] - 1), np.minimum(left + j, x.shape[2] - 1)
        result = result + share[..., None] * x[each, at[0], at[1]]
    return np.asarray(result, x.dtype)
