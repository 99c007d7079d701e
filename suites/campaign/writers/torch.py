"""A network as a torch.nn.Module; its values are (N, H, W, C), turned around each layer that wants channels first."""

from __future__ import annotations

from suites.campaign.generator import Network
from suites.campaign.growing import Layer
from suites.campaign.shapes import Shape, padding_of, pair, shapes, window
from suites.campaign.writers import NotWritten, torch_further
from suites.campaign.writers.torch_further import FIRST, LAST

ACTIVATIONS = {
    "relu": "F.relu({})",
    "sigmoid": "torch.sigmoid({})",
    "tanh": "torch.tanh({})",
    "softmax": "F.softmax({}, -1)",
    "softplus": "F.softplus({}, threshold=50)",
    "gelu": "F.gelu({})",
    "gelu_tanh": 'F.gelu({}, approximate="tanh")',
    "swish": "F.silu({})",
    "leaky_relu": "F.leaky_relu({}, 0.2)",
}
LOSSES = {
    "softmax_cross_entropy": "F.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))",
    "sigmoid_cross_entropy": "F.binary_cross_entropy_with_logits(outputs, y)",
    "mean_squared_error": "F.mse_loss(outputs, y)",
    "mean_absolute_error": "F.l1_loss(outputs, y)",
    "huber": "F.huber_loss(outputs, y)",
}


def write(network: Network) -> str:
    """A program that defines `Network`, `loss_fn` and `make_optimizer` (None where torch means another rule)."""
    known = shapes(network)
    modules, lines = [], []
    for at, layer in enumerate(network.layers, len(network.inputs)):
        sources = [f"v{source}" for source in layer["from"]]
        module, line = _layer(layer, known[layer["from"][0]], sources)
        if module:
            modules.append(f"        self.{layer['name']} = {module}")
        lines += [f"        v{at} = {part}" for part in line]
    names = ", ".join(f"v{at}" for at in range(len(network.inputs)))
    last = len(known) - 1
    return "\n".join(
        [
            "import torch", "from torch import nn", "from torch.nn import functional as F", "", "",
            "class Network(nn.Module):", "    def __init__(self):", "        super().__init__()", *modules, "",
            f"    def forward(self, {names}):", *lines, f"        return v{last}", "", "",
            "def loss_fn(outputs, y):", f"    return {LOSSES[network.loss]}", "", "",
            "def make_optimizer(parameters):", f"    return {optimizer(network)}", "",
        ]
    )  # fmt: skip


def optimizer(network: Network) -> str:
    """torch.optim's own where it means the same."""
    kind, options = network.optimizer
    plain = set(options) <= {"learning_rate", "momentum", "nesterov"} and not isinstance(options["learning_rate"], list)
    if kind != "SGD" or not plain:
        return "None"
    words = [f"lr={options['learning_rate']}", *(f"{key}={options[key]}" for key in list(options)[1:])]
    return f"torch.optim.SGD(parameters, {', '.join(words)})"


def _layer(layer: Layer, shape: Shape, sources: list[str]) -> tuple[str, list[str]]:
    """The module that a layer is, and the expressions that compute it."""
    kind, x, name = layer["kind"], sources[0], f"self.{layer['name']}"
    if kind == "Dense":
        module = f"nn.Linear({shape[-1]}, {layer['units']}, bias={layer['use_bias']})"
        return module, [_activated(layer, f"{name}({x})")]
    if kind in ("Conv2D", "DepthwiseConv2D"):
        return _convolution(layer, shape, x)
    if kind in ("MaxPool2D", "AveragePool2D"):
        return "", [_pooling(layer, shape, x)]
    if kind == "BatchNorm":
        dimensions = 2 if len(shape) == 3 else 1
        module = f"nn.BatchNorm{dimensions}d({shape[-1]}, eps={layer['epsilon']}, momentum={1 - layer['momentum']:.6g})"
        return module, [f"{name}({x}{FIRST[len(shape)]}){LAST[len(shape)]}"]
    if kind == "LayerNorm":
        return f"nn.LayerNorm({shape[-1]}, eps={layer['epsilon']})", [f"{name}({x})"]
    if kind == "Embedding":
        if layer["mask_zero"]:
            raise NotWritten("a mask: torch.nn has none")
        return f"nn.Embedding({layer['inputs']}, {layer['units']})", [f"{name}({x})"]
    if kind in ("SimpleRNN", "LSTM", "GRU", "Bidirectional"):
        return _recurrent(layer, shape, x)
    if kind in torch_further.LAYERS:
        return torch_further.LAYERS[kind](layer, shape, x)
    if kind == "Dropout":
        raise NotWritten("Dropout: its masks can't be given to torch")
    simple = {
        "GlobalAveragePool2D": f"{x}.mean((1, 2))",
        "Flatten": f"{x}.flatten(1)",
        "Reshape": f"{x}.reshape(-1, {', '.join(map(str, layer.get('target_shape', [])))})",
        "Add": " + ".join(sources),
        "Concatenate": f"torch.cat([{', '.join(sources)}], -1)",
    }
    return "", [simple[kind] if kind in simple else ACTIVATIONS[layer["activation"]].format(x)]


def _activated(layer: Layer, expression: str) -> str:
    return ACTIVATIONS[layer["activation"]].format(expression) if layer.get("activation") else expression


def _padded(layer: Layer, shape: Shape, x: str, value: str) -> str:
    """The value, channels first and padded as SAME pads."""
    (top, bottom), (left, right) = padding_of(layer, shape)
    turned = f"{x}{FIRST[3]}"
    return f"F.pad({turned}, ({left}, {right}, {top}, {bottom}){value})" if top + bottom + left + right else turned


def _convolution(layer: Layer, shape: Shape, x: str) -> tuple[str, list[str]]:
    deep = layer["kind"] == "DepthwiseConv2D"
    channels = shape[-1]
    filters = channels * layer["depth_multiplier"] if deep else layer["filters"]
    more = f", groups={channels}" if deep else ""
    if "dilation_rate" in layer:
        more += f", dilation={layer['dilation_rate']}"
    module = (
        f"nn.Conv2d({channels}, {filters}, {window(layer)}, {pair(layer['strides'])}, bias={layer['use_bias']}{more})"
    )
    called = f"self.{layer['name']}({_padded(layer, shape, x, '')}){LAST[3]}"
    return module, [_activated(layer, called)]


def _pooling(layer: Layer, shape: Shape, x: str) -> str:
    size = f"{window(layer)}, {pair(layer['strides'])}"
    if layer["kind"] == "MaxPool2D":
        return f"F.max_pool2d({_padded(layer, shape, x, ', value=-torch.inf')}, {size}){LAST[3]}"
    if padding_of(layer, shape) != [(0, 0), (0, 0)]:
        raise NotWritten("AveragePool2D with SAME padding: torch counts the padding of one side")
    return f"F.avg_pool2d({x}{FIRST[3]}, {size}){LAST[3]}"


def _recurrent(layer: Layer, shape: Shape, x: str) -> tuple[str, list[str]]:
    both = layer["kind"] == "Bidirectional"
    inner = layer["layer"] if both else layer
    kind, units = inner["kind"], inner["units"]
    if kind == "GRU" and not inner["reset_after"]:
        raise NotWritten("GRU with the reset before the product")
    more = ""
    if kind == "SimpleRNN":
        if inner["activation"] not in ("tanh", "relu"):
            raise NotWritten(f"an RNN of {inner['activation']}")
        more = f', nonlinearity="{inner["activation"]}"'
    name = {"SimpleRNN": "RNN"}.get(kind, kind)
    module = f"nn.{name}({shape[-1]}, {units}, batch_first=True, bidirectional={both}{more})"
    given = f"{x}.flip(1)" if layer.get("go_backwards") else x
    y = f"self.{layer['name']}({given})[0]"
    if inner["return_sequences"]:
        return module, [y]
    if not both:
        return module, [f"{y}[:, -1]"]
    return module, [f"(lambda y: torch.cat([y[:, -1, :{units}], y[:, 0, {units}:]], -1))({y})"]
