"""What a model takes and gives: nested tuples, lists, dicts and dataclasses as a flat list of named leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from impls.port.annotations import Native


def flatten(value: Native, is_tensor: Callable[[Native], bool], path: str = "out") -> list[tuple[str, Native]]:
    """`[(path, tensor)]` of everything in `value` that `is_tensor` says is one; None and plain numbers are left out.

    Paths are `out`, `out[0]`, `out.logits`, `out["mask"]`: what a user would write.
    """
    if is_tensor(value):
        return [(path, value)]
    return [leaf for part, inner in children(value, path) for leaf in flatten(inner, is_tensor, part)]


def children(value: Native, path: str) -> list[tuple[str, Native]]:
    """`[(path, part)]` of one container; [] for anything else."""
    if hasattr(type(value), "__dataclass_fields__"):
        import dataclasses  # which Python 3.6 has not, nor any value of one

        names = list(value.keys()) if isinstance(value, dict) else [f.name for f in dataclasses.fields(value)]
        return [(f"{path}.{name}", getattr(value, name, None)) for name in names]
    if isinstance(value, dict):
        return [(f'{path}["{name}"]', part) for name, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(f"{path}.{name}", getattr(value, name)) for name in value._fields]
    if isinstance(value, (tuple, list)):
        return [(f"{path}[{at}]", part) for at, part in enumerate(value)]
    return []
