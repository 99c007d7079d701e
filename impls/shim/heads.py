"""How a model is judged: by one loss, or by one for each of several outputs, and by metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from impls.shim.backends.contract import Shape
from impls.shim.losses import Loss, loss_function
from impls.shim.metrics import Metric, metric_function

Named: TypeAlias = "str | Metric"
Measured: TypeAlias = tuple[tuple[str, Metric], ...]  # metrics with the names that a history has them under


@dataclass(frozen=True)
class Head:
    """One output of a model that has several, and how it is judged."""

    key: str
    last: str  # the layer that it comes from
    output_shape: Shape
    dtype: str
    loss: Loss | None
    weight: float | None
    metrics: Measured
    weighted: Measured
    rank: int  # of its loss among those that are told

    @property
    def measures(self) -> list[Metric]:
        return [metric for _, metric in self.metrics]

    @property
    def weighted_measures(self) -> list[Metric]:
        return [metric for _, metric in self.weighted]


def listed(given: Named | Sequence[Named] | None) -> tuple[Named, ...]:
    """`metrics="mae"` and `metrics=["mae"]` mean the same."""
    if isinstance(given, str) or callable(given):
        return (given,)
    return tuple(given or ())


def measured(given: Named | Sequence[Named] | None, loss: Loss | None, taken: Sequence[str] = ()) -> Measured:
    """The functions of metrics by their names; a name that is taken is that of the weighted one, as in Keras."""
    names = listed(given)
    called = [str(getattr(name, "__name__", name)) for name in names]
    called = [f"weighted_{name}" if name in taken else name for name in called]
    return tuple(zip(called, [metric_function(name, loss) for name in names], strict=True))


def spread(what: str, given: Any, keys: Sequence[str], every: bool) -> list[Any]:
    """A value for each output: a list of them, a dictionary by their names (None for what it has not), or,
    where `every`, one for all. Raises ValueError with the outputs' names.
    """
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in keys]
        if unknown:
            raise ValueError(f"{what} has the keys {list(given)}, but the model's outputs are called {list(keys)}")
        return [given.get(key) for key in keys]
    if isinstance(given, (list, tuple)) and len(given) == len(keys):
        return list(given)
    if isinstance(given, (list, tuple)) or not every:
        raise ValueError(
            f"the model has {len(keys)} outputs: {what} is a list of {len(keys)}, or a dictionary by their names, "
            f"{', '.join(keys)}"
        )
    return [given] * len(keys)


def made(
    outputs: Sequence[tuple[str, str, Shape]], keyed: bool, dtype: str, loss: Any, weights: Any, metrics: Any,
    weighted: Any,
) -> tuple[Head, ...]:  # fmt: skip
    """A head for each output, given by its key, its layer and its shape, from what `compile` was given.

    `keyed`: the outputs are a dictionary.
    """
    keys = [key for key, _, _ in outputs]
    judges = [None if each is None else loss_function(each) for each in spread("loss", loss, keys, True)]
    if not any(judges):
        raise ValueError("no output has a loss: loss= is one for all, a list or a dictionary by the outputs' names")
    factors = [None] * len(keys) if weights is None else spread("loss_weights", weights, keys, False)
    # Keras tells the losses in the order of the outputs, those of a dictionary as loss= lists them.
    order = list(dict.fromkeys([*loss, *keys])) if keyed and isinstance(loss, Mapping) else keys
    found = []
    kinds = [
        spread(what, given or {}, keys, False) for what, given in (("metrics", metrics), ("weighted_metrics", weighted))
    ]
    for at, (key, layer, shape) in enumerate(outputs):
        plain = measured(kinds[0][at], judges[at])
        weighed = measured(kinds[1][at], judges[at], [name for name, _ in plain])
        found.append(Head(key, layer, shape, dtype, judges[at], factors[at], plain, weighed, order.index(key)))
    return tuple(found)


def losses(heads: Sequence[Head]) -> list[str]:
    """The names of the sum of the losses, and of each where there are several."""
    found = [f"{head.key}_loss" for head in heads if head.loss is not None]
    return ["loss", *(found if len(found) > 1 else [])]


def ordered(heads: Sequence[Head]) -> list[str]:
    """The names of the values of a batch as Keras lists them."""
    first = losses(sorted(heads, key=lambda head: head.rank))
    return [*first, *sorted(name for name, _ in labels(heads)[len(first) :])]


def labels(heads: Sequence[Head]) -> list[tuple[str, bool]]:
    """The names of the values of a batch, and whether a value is followed by what its weights sum up to."""
    found = [(name, False) for name in losses(heads)]
    for head in heads:
        found += [(f"{head.key}_{name}", False) for name, _ in head.metrics]
        found += [(f"{head.key}_{name}", True) for name, _ in head.weighted]
    return found
