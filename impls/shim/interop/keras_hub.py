"""What keras-hub's backbones are made of besides Keras's own layers: blocks of a transformer, positions, one place.

Each becomes several layers of the shim, whose weights are those of the layers within it. Importing this loads no Keras.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from impls import shim
from impls.shim.backends.contract import Array, Arrays, Backend, Shape
from impls.shim.interop.keras_layers import refuse
from impls.shim.layer import Layer, Run, Symbol

if TYPE_CHECKING:
    import keras

Known: TypeAlias = Callable[[Any], Symbol]  # the symbol of a tensor of Keras
Taken: TypeAlias = Callable[..., Layer]  # the shim's layer of one of Keras's, and the name before its own

PADDING = ("padding_mask", "decoder_padding_mask")


class Place(Layer):
    """One place of a sequence: (N, T, D) to (N, D)."""

    rank = 2

    def __init__(self, index: int, **options: Any) -> None:
        super().__init__(**options)
        self.index = index

    def build(self, *shapes: Shape) -> Shape:
        return shapes[0][1:]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        run.mask = None
        return x[:, self.index]


def given(node: keras.Operation) -> dict[str, Any]:
    """The arguments of a call by their names, but those that are None or False."""
    signature = inspect.signature(node.operation.call)
    bound = signature.bind(*node.arguments.args, **node.arguments.kwargs).arguments
    return {name: value for name, value in bound.items() if value is not None and value is not False}


def block(node: keras.Operation, known: Known, taken: Taken) -> Symbol:
    """A TransformerEncoder or a TransformerDecoder without an encoder: attention and two Dense layers, residual."""
    layer = node.operation
    arguments = given(node)
    causal = type(layer).__name__ == "TransformerDecoder" and node.arguments.kwargs.get("use_causal_mask", True)
    source = arguments.pop("decoder_sequence" if "decoder_sequence" in arguments else "inputs")
    masks = [arguments.pop(name) for name in PADDING if name in arguments]
    arguments.pop("use_causal_mask", None)
    if arguments:
        raise refuse(layer, f"it is called with {', '.join(arguments)}")
    if masks and getattr(source, "_keras_mask", None) is not None:
        raise refuse(layer, "its inputs have a mask, and it is called with another")

    def within(name: str) -> Any:
        return taken(getattr(layer, name), layer.name)

    def residual(x: Symbol, norm: str, *steps: Callable[[Symbol], Symbol]) -> Symbol:
        y = within(norm)(x) if layer.normalize_first else x
        for step in steps:
            y = step(y)
        y = shim.Add()([y, x])
        return y if layer.normalize_first else within(norm)(y)

    attention = within("_self_attention_layer")
    attention.causal = causal
    mask = known(masks[0]) if masks else None
    x = residual(
        known(source), "_self_attention_layer_norm", lambda y: attention(y, mask=mask),
        within("_self_attention_dropout"),
    )  # fmt: skip
    inner, outer = within("_feedforward_intermediate_dense"), within("_feedforward_output_dense")
    return residual(x, "_feedforward_layer_norm", inner, outer, within("_feedforward_dropout"))


def from_the_start(node: keras.Operation) -> Any:
    """The input of a layer of positions, which has to begin at the first one."""
    arguments = given(node)
    source = arguments.pop("inputs")
    if set(arguments) - {"start_index"} or arguments.get("start_index", 0) != 0:
        raise refuse(node.operation, f"it is called with {', '.join(arguments)}")
    return source


def positions(node: keras.Operation, known: Known, taken: Taken) -> Symbol:
    """The vectors of the places alone, which keras-hub adds by a layer of its own."""
    nothing = shim.Activation(lambda B, x: x * 0.0)(known(from_the_start(node)))
    return taken(node.operation)(nothing)


def tokens_and_positions(node: keras.Operation, known: Known, taken: Taken) -> Symbol:
    layer = node.operation
    tokens = taken(layer.token_embedding, layer.name)(known(from_the_start(node)))
    return taken(layer.position_embedding, layer.name)(tokens)


def reversible(node: keras.Operation, known: Known, taken: Taken) -> Symbol:
    """An embedding, or called with `reverse=True` a head that has its table."""
    layer, arguments = node.operation, given(node)
    table: Any = taken(layer)
    if "reverse" not in arguments:
        return table(known(arguments["inputs"]))  # type: ignore[no-any-return]
    if layer.logit_soft_cap is not None:
        raise refuse(layer, f"logit_soft_cap={layer.logit_soft_cap!r}")
    return shim.TiedHead(table)(known(arguments["inputs"]))


def place(node: keras.Operation, known: Known, taken: Taken) -> Symbol:
    """`x[:, 0]` or `x[:, 0, :]`."""
    source, index = node.arguments.args
    index = index if isinstance(index, tuple) else (index,)
    everything = slice(None)
    if len(index) < 2 or type(index[1]) is not int or any(each != everything for each in (index[0], *index[2:])):
        raise refuse(node.operation, f"the index {index}: known is one place of a sequence, x[:, 0]")
    return Place(index[1])(known(source))


EXPANDED: dict[str, Callable[[Any, Known, Taken], Symbol]] = {
    "GetItem": place,
    "PositionEmbedding": positions,
    "ReversibleEmbedding": reversible,
    "TokenAndPositionEmbedding": tokens_and_positions,
    "TransformerDecoder": block,
    "TransformerEncoder": block,
}


def expansion(layer: keras.Operation) -> Callable[[Any, Known, Taken], Symbol] | None:
    """How a call of this operation is written with layers of the shim; None where it is one layer."""
    of_keras = type(layer).__module__.split(".")[0] in ("keras", "keras_hub")
    return EXPANDED.get(type(layer).__name__) if of_keras else None
