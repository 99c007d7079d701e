"""The tables of operations, filled when the package is imported."""

from suites.campaign.tables import (
    composed,
    elementwise,
    further,
    gradients,
    images,
    indexing,
    linear_algebra,
    reductions,
    windows,
)

__all__ = [
    "composed",
    "elementwise",
    "further",
    "gradients",
    "images",
    "indexing",
    "linear_algebra",
    "reductions",
    "windows",
]
