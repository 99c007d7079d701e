"""Where a region is, by the user's names and lines, and what is known of one that no hypothesis names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suites.port.graph import Region, Slice
from suites.port.healing import Both
from suites.port.recording import Op, Pass

SHOWN = 3  # operations that a place is told by


def places_of(region: Region, seen: Both) -> tuple[str, str]:
    """Where a region is, on both sides."""
    if region.kind == "between" and region.layer:
        return tuple(
            between(cut, one, layer)
            for cut, one, layer in zip((region.a, region.b), (seen.a, seen.b), region.layer, strict=False)
        )  # type: ignore[return-value]
    if region.layer:
        return region.layer
    return "output", "output"


def between(cut: Slice, seen: Pass, layer: str) -> str:
    """`between norm1 and attention`, or the layer that all of it is inside of."""
    before = [seen.producers[at].layer for at in cut.entries if at in seen.producers]
    names = [name for name in dict.fromkeys(before) if name and name != layer]
    start = names[-1] if names else "the inputs"
    return f"between {start} and {layer}"


def line_of(cut: Slice) -> str:
    """The user's line of the last operation of a region."""
    lines = [op.line for op in cut.ops if op.line]
    return lines[-1] if lines else ""


def described(region: Region, seen: Both) -> str:
    """What is known of a region that no hypothesis names: its operations, and the first rows that differ."""
    ours, theirs = spell(region.a.ops), spell(region.b.ops)
    a, b = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    rows = "" if a is None or b is None else f"; {example(a, b)}"
    return f"A computes {ours}; B computes {theirs}{rows}"


def spell(ops: Sequence[Op]) -> str:
    shown = [op.name for op in ops if op.name not in ("identity", "cast")]
    if len(shown) > 2 * SHOWN:
        shown = [*shown[:SHOWN], "...", *shown[-SHOWN:]]
    return " ".join(shown) or "nothing"


def example(a: np.ndarray, b: np.ndarray) -> str:
    """The smallest rows that show the difference."""
    if a.shape != b.shape:
        return f"A has shape {a.shape}, B {b.shape}"
    flat_a, flat_b = a.reshape(-1, a.shape[-1] if a.ndim else 1), b.reshape(-1, b.shape[-1] if b.ndim else 1)
    far = np.abs(flat_a.astype(float) - flat_b).max(1)
    row = int(np.argmax(far > 0.5 * far.max()))
    return f"for example row {row}: A {numbers(flat_a[row])}, B {numbers(flat_b[row])}"


def numbers(row: np.ndarray) -> str:
    shown = ", ".join(f"{value:.4g}" for value in row[:4])
    return f"[{shown}{', ...' if len(row) > 4 else ''}]"
