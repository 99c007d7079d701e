"""Params nested in dicts and lists as a user has them, and flat by their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Natives, Tree


def flat(params: Tree, prefix: str = "") -> Natives:
    """{"a": {"b": array}} as {"a/b": array}; the parts of a list are called by their places."""
    found = {}
    pairs = enumerate(params) if isinstance(params, (list, tuple)) else params.items()
    for name, value in pairs:
        inner = isinstance(value, (list, tuple)) or hasattr(value, "items")
        found.update(flat(value, f"{prefix}{name}/") if inner else {f"{prefix}{name}": value})
    return found


def nested(params: Natives, like: Tree, prefix: str = "") -> Tree:
    """The way back: `params` nested as `like` is."""
    if isinstance(like, (list, tuple)):
        return type(like)(nested(params, part, f"{prefix}{at}/") for at, part in enumerate(like))
    if hasattr(like, "items"):
        return {name: nested(params, part, f"{prefix}{name}/") for name, part in like.items()}
    return params[prefix[:-1]]


def part_of(params: Tree, names: Sequence[str], prefix: str = "") -> Tree:
    """Nested params with nothing but these in them."""
    if isinstance(params, (list, tuple)):
        return type(params)(part_of(part, names, f"{prefix}{at}/") for at, part in enumerate(params))
    if not hasattr(params, "items"):
        return params
    kept = {name: part for name, part in params.items() if any(below(each, f"{prefix}{name}") for each in names)}
    return {name: part_of(part, names, f"{prefix}{name}/") for name, part in kept.items()}


def below(name: str, path: str) -> bool:
    return name == path or name.startswith(path + "/")
