"""Layers that came later, in torch.nn: the module that a layer is, and the expressions that compute it."""

from __future__ import annotations

from collections.abc import Callable

from suites.campaign.growing import Layer
from suites.campaign.shapes import Shape, pair
from suites.campaign.writers import NotWritten

FIRST = {3: ".permute(0, 3, 1, 2)", 2: ".transpose(1, 2)", 1: ""}
LAST = {3: ".permute(0, 2, 3, 1)", 2: ".transpose(1, 2)", 1: ""}
Written = tuple[str, list[str]]


def _convolution_of_sequences(layer: Layer, shape: Shape, x: str) -> Written:
    window, stride, dilation = layer["kernel_size"], layer["strides"], layer["dilation_rate"]
    reach = (window - 1) * dilation
    total = max((-(-shape[0] // stride) - 1) * stride + reach + 1 - shape[0], 0)
    before, after = {"valid": (0, 0), "causal": (reach, 0), "same": (total // 2, total - total // 2)}[layer["padding"]]
    options = f"{stride}, dilation={dilation}, bias={layer['use_bias']}"
    module = f"nn.Conv1d({shape[-1]}, {layer['filters']}, {window}, {options})"
    return module, [f"self.{layer['name']}(F.pad({x}{FIRST[2]}, ({before}, {after}))){LAST[2]}"]


def _transposed(layer: Layer, shape: Shape, x: str) -> Written:
    window, strides = pair(layer["kernel_size"]), pair(layer["strides"])
    behind = tuple(max(s - k, 0) for k, s in zip(window, strides, strict=True))
    options = f"output_padding={behind}, bias={layer['use_bias']}"
    module = f"nn.ConvTranspose2d({shape[-1]}, {layer['filters']}, {window}, {strides}, {options})"
    y = f"self.{layer['name']}({x}{FIRST[3]})"
    if layer["padding"] == "same":
        cuts = []
        for size, k, s in zip(shape, window, strides, strict=False):
            first = max(k - s, 0) // 2
            cuts.append(f"{first}:{first + size * s}")
        y += f"[:, :, {', '.join(cuts)}]"
    return module, [y + LAST[3]]


def _separable(layer: Layer, shape: Shape, x: str) -> Written:
    channels, many = shape[-1], shape[-1] * layer["depth_multiplier"]
    window = pair(layer["kernel_size"])[0]
    first = f"nn.Conv2d({channels}, {many}, {window}, groups={channels}, bias=False)"
    second = f"nn.Conv2d({many}, {layer['filters']}, 1, bias={layer['use_bias']})"
    before, after = (window - 1) // 2, window - 1 - (window - 1) // 2
    padded = f"F.pad({x}{FIRST[3]}, ({before}, {after}, {before}, {after}))"
    return f"nn.Sequential({first}, {second})", [f"self.{layer['name']}({padded}){LAST[3]}"]


def _enlarged(layer: Layer, shape: Shape, x: str) -> Written:
    mode = '"bilinear", align_corners=False' if layer["interpolation"] == "bilinear" else '"nearest"'
    return "", [f"F.interpolate({x}{FIRST[3]}, scale_factor={pair(layer['size'])}, mode={mode}){LAST[3]}"]


def _with_zeros(layer: Layer, shape: Shape, x: str) -> Written:
    (top, bottom), (left, right) = layer["padding"]
    return "", [f"F.pad({x}, (0, 0, {left}, {right}, {top}, {bottom}))"]


def _grouped(layer: Layer, shape: Shape, x: str) -> Written:
    module = f"nn.GroupNorm({layer['groups']}, {shape[-1]}, eps={layer['epsilon']})"
    return module, [f"self.{layer['name']}({x}{FIRST[len(shape)]}){LAST[len(shape)]}"]


def _rms(layer: Layer, shape: Shape, x: str) -> Written:
    return f"nn.RMSNorm({shape[-1]}, eps={layer['epsilon']})", [f"self.{layer['name']}({x})"]


def _attention(layer: Layer, shape: Shape, x: str) -> Written:
    """Four linear layers, and torch's own attention between them."""
    if "rope" in layer:
        raise NotWritten("rotary positions: torch has none")
    heads, units, name = layer["num_heads"], layer["key_dim"], f"self.{layer['name']}"
    groups = layer.get("num_key_value_heads", heads)
    widths = [heads * units, groups * units, groups * units]
    linear = [f"nn.Linear({shape[-1]}, {width}, bias={layer['use_bias']})" for width in widths]
    linear.append(f"nn.Linear({heads * units}, {shape[-1]}, bias={layer['use_bias']})")
    q, k, v = (f"{name}[{at}]({x}).unflatten(-1, (-1, {units})).transpose(1, 2)" for at in range(3))
    options = f"is_causal={layer.get('causal', False)}, enable_gqa={groups != heads}"
    mixed = f"F.scaled_dot_product_attention({q}, {k}, {v}, {options})"
    return f"nn.ModuleList([{', '.join(linear)}])", [f"{name}[3]({mixed}.transpose(1, 2).flatten(2))"]


def _prelu(layer: Layer, shape: Shape, x: str) -> Written:
    sizes = [1 if at + 1 in layer["shared_axes"] else n for at, n in enumerate(shape)]
    module = f"nn.ParameterList([torch.zeros({tuple(sizes)})])"
    return module, [f"torch.relu({x}) - self.{layer['name']}[0] * torch.relu(-{x})"]


def _maximum(layer: Layer, shape: Shape, x: str) -> Written:
    if len(shape) == 3:
        return "", [f"F.max_pool2d({x}{FIRST[3]}, {shape[:2]}).flatten(1)"]
    return "", [f"F.max_pool1d({x}{FIRST[2]}, {shape[0]}).flatten(1)"]


def _positions(layer: Layer, shape: Shape, x: str) -> Written:
    return f"nn.Embedding({layer['length']}, {shape[-1]})", [f"{x} + self.{layer['name']}.weight[:{shape[0]}]"]


LAYERS: dict[str, Callable[[Layer, Shape, str], Written]] = {
    "Conv1D": _convolution_of_sequences,
    "Conv2DTranspose": _transposed,
    "SeparableConv2D": _separable,
    "UpSampling2D": _enlarged,
    "ZeroPadding2D": _with_zeros,
    "GroupNorm": _grouped,
    "RMSNorm": _rms,
    "MultiHeadAttention": _attention,
    "PReLU": _prelu,
    "GlobalMaxPool2D": _maximum,
    "GlobalMaxPool1D": _maximum,
    "GlobalAveragePool1D": lambda layer, shape, x: ("", [f"{x}.mean(1)"]),
    "PositionEmbedding": _positions,
}
