"""How a model takes its inputs and a loss its arguments: by position, by name, in a dict or a list."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from impls.port.annotations import Convention, Native

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
LABELS = ("y", "y_true", "labels", "label", "target", "targets")
# What libraries call the same input.
SYNONYMS = (
    ("input_ids", "token_ids", "tokens"),
    ("attention_mask", "padding_mask", "mask"),
    ("token_type_ids", "segment_ids"),
    ("pixel_values", "images", "image"),
    ("input_features", "encoder_features"),
    ("decoder_input_ids", "decoder_token_ids"),
    ("decoder_attention_mask", "decoder_padding_mask"),
    ("input_ids", "encoder_token_ids"),
    ("attention_mask", "encoder_padding_mask"),
)


def made_for(maker: Callable[..., Native], model: Native) -> Native:
    """What a user's maker of an optimizer makes: of the model where it can't be called without, else by itself."""
    empty = inspect.Parameter.empty
    parameters = inspect.signature(maker).parameters.values()
    needs = any(each.default is empty and each.kind in POSITIONAL for each in parameters)
    named = any(each.name in ("model", "net") for each in parameters)
    return maker(model) if needs or named else maker()


def spoken(name: str, own: Sequence[str]) -> str:
    """What a model whose call takes `own` calls an input: by that name, or by one that libraries use for the same."""
    if name in own:
        return name
    others = [other for names in SYNONYMS if name in names for other in names]
    return next((other for other in others if other in own), name)


def conventions(names: Sequence[str], parameters: Sequence[str]) -> list[Convention]:
    """Ways to hand inputs over, the likeliest first: `("call", names that go by keyword)`, or one dict, or one list."""
    known = [name for name in names if name in parameters]
    if len(names) == 1:
        return [("call", ()), ("call", tuple(known)), ("dict", ())] if known else [("call", ()), ("dict", ())]
    every = [("call", tuple(known)), ("call", ()), ("dict", ()), ("list", ())]
    return [way for at, way in enumerate(every) if way not in every[:at]]


def labels_first(function: Callable[..., object]) -> bool:
    """Whether a loss takes (y, logits), as Keras's do, and not (logits, y)."""
    target = function if inspect.isroutine(function) or not callable(function) else type(function).__call__
    names = [name for name in inspect.signature(target).parameters if name != "self"]
    return bool(names) and names[0] in LABELS
