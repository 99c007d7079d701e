"""A network as a functional Keras 3 model."""

from __future__ import annotations

from typing import Any

from suites.campaign.generator import Network
from suites.campaign.growing import Layer
from suites.campaign.writers import NotWritten

NAMES = {
    "MaxPool2D": "MaxPooling2D",
    "AveragePool2D": "AveragePooling2D",
    "GlobalAveragePool2D": "GlobalAveragePooling2D",
    "BatchNorm": "BatchNormalization",
    "LayerNorm": "LayerNormalization",
    "GroupNorm": "GroupNormalization",
    "RMSNorm": "RMSNormalization",
    "GlobalAveragePool1D": "GlobalAveragePooling1D",
}
UNKNOWN = {
    "PositionEmbedding": "Keras has no such layer",
    "GlobalMaxPool2D": "Keras shares the gradient of a tie, the first maximum has it here",
    "GlobalMaxPool1D": "Keras shares the gradient of a tie, the first maximum has it here",
}
ARGUMENTS = {"inputs": "input_dim", "target_shape": "target_shape"}
LOSSES = {
    "softmax_cross_entropy": "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    "sigmoid_cross_entropy": "keras.losses.BinaryCrossentropy(from_logits=True)",
    "mean_squared_error": "keras.losses.MeanSquaredError()",
    "mean_absolute_error": "keras.losses.MeanAbsoluteError()",
    "huber": "keras.losses.Huber()",
}
ACTIVATIONS = {"gelu_tanh": "lambda x: keras.activations.gelu(x, approximate=True)"}


def write(network: Network) -> str:
    """A program that defines `build()`, `LOSS` and `make_optimizer()`."""
    inputs = [f"    v{at} = keras.Input({_input(each)})" for at, each in enumerate(network.inputs)]
    lines = []
    for at, layer in enumerate(network.layers, len(network.inputs)):
        sources = [f"v{source}" for source in layer["from"]]
        given = sources[0] if len(sources) == 1 else f"[{', '.join(sources)}]"
        if layer["kind"] == "MultiHeadAttention":
            given = f"{given}, {given}, use_causal_mask={layer.get('causal', False)}"
        lines.append(f"    v{at} = {construct(layer)}({given})")
    names = ", ".join(f"v{at}" for at in range(len(network.inputs)))
    last = len(network.inputs) + len(network.layers) - 1
    return "\n".join(
        [
            "import keras", "", "", "def build():", *inputs, *lines, f"    return keras.Model([{names}], v{last})", "",
            "", f"LOSS = {LOSSES[network.loss]}", "", "", "def make_optimizer():",
            f"    return {optimizer(network.optimizer)}", "",
        ]
    )  # fmt: skip


def _input(each: dict[str, Any]) -> str:
    shape = tuple(each["shape"])
    return f'{shape}, dtype="int64"' if each["ids"] else f"{shape}"


def construct(layer: Layer, named: bool = True) -> str:
    """The call that makes a layer."""
    kind = layer["kind"]
    if kind == "Dropout":
        raise NotWritten("Dropout: its masks can't be given to Keras")
    if layer.get("mask_zero"):
        raise NotWritten("a mask: Keras applies it in its own training step only")
    if kind in UNKNOWN:
        raise NotWritten(f"{kind}: {UNKNOWN[kind]}")
    for name in ("rope", "num_key_value_heads"):
        if name in layer:
            raise NotWritten(f"MultiHeadAttention with {name}: Keras's has none")
    options = [f"{ARGUMENTS.get(key, key)}={value(key, given)}" for key, given in layer.items() if key in _kept(layer)]
    if kind == "Bidirectional":
        options = [construct(layer["layer"], named=False)]
    if kind == "Embedding":
        options = [str(layer["inputs"]), str(layer["units"])]
    if named:
        options.append(f'name="{layer["name"]}"')
    return f"keras.layers.{NAMES.get(kind, kind)}({', '.join(options)})"


def _kept(layer: Layer) -> list[str]:
    return [key for key in layer if key not in ("kind", "name", "from", "layer", "mask_zero", "causal")]


def value(key: str, given: Any) -> str:
    """An option as it stands in a program."""
    if key == "activation" and given in ACTIVATIONS:
        return ACTIVATIONS[given]
    return repr(tuple(given) if isinstance(given, list) else given)


def schedule(kind: str, options: dict[str, Any]) -> str:
    """The call that makes a schedule."""
    names = {"CosineDecay": {"learning_rate": "initial_learning_rate"}, "PiecewiseConstant": {}}
    names["ExponentialDecay"] = names["CosineDecay"]
    made = {"PiecewiseConstant": "PiecewiseConstantDecay"}.get(kind, kind)
    words = ", ".join(f"{names[kind].get(key, key)}={one!r}" for key, one in options.items())
    return f"keras.optimizers.schedules.{made}({words})"


def optimizer(described: list[Any]) -> str:
    """The call that makes an optimizer."""
    kind, options = described
    words = []
    for key, given in options.items():
        if isinstance(given, list):
            words.append(f"{key}={schedule(*given)}")
        else:
            words.append(f"{key}={given!r}")
    return f"keras.optimizers.{kind}({', '.join(words)})"
