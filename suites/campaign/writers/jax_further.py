"""Layers that came later, in plain JAX: the expression that a layer is, and the functions that it calls."""

from __future__ import annotations

from collections.abc import Callable

from suites.campaign.growing import Layer
from suites.campaign.shapes import Shape, pair
from suites.campaign.writers import NotWritten

HELPERS = {
    "conv1d": """def conv1d(x, w, stride, dilation, padding):
    axes = ("NWC", "WIO", "NWC")
    return lax.conv_general_dilated(x, w, (stride,), padding, rhs_dilation=(dilation,), dimension_numbers=axes)""",
    "group_norm": """def group_norm(x, p, name, groups, eps):
    g = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean, var = g.mean((1, 3), keepdims=True), g.var((1, 3), keepdims=True)
    return ((g - mean) * lax.rsqrt(var + eps)).reshape(x.shape) * p[name + "/gamma"] + p[name + "/beta"]""",
    "attention": """def attention(x, p, name, causal):
    q, k, v = (jnp.einsum("ntd,dhu->nthu", x, p[f"{name}/{part}/kernel"]) + p.get(f"{name}/{part}/bias", 0)
               for part in ("query", "key", "value"))
    y = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
    y = jnp.einsum("nthu,hud->ntd", y, p[name + "/attention_output/kernel"])
    return y + p.get(name + "/attention_output/bias", 0)""",
}
NEEDS = {
    "Conv1D": ("conv1d",),
    "SeparableConv2D": ("conv",),
    "GroupNorm": ("group_norm",),
    "MultiHeadAttention": ("attention",),
    "GlobalMaxPool2D": ("pool",),
    "GlobalMaxPool1D": ("pool",),
}


def _bias(layer: Layer) -> str:
    return f' + p["{layer["name"]}/bias"]' if layer["use_bias"] else ""


def _convolution_of_sequences(layer: Layer, shape: Shape, x: str) -> str:
    padding = f'"{layer["padding"].upper()}"'
    if layer["padding"] == "causal":
        padding = f"[({(layer['kernel_size'] - 1) * layer['dilation_rate']}, 0)]"
    kernel = f'p["{layer["name"]}/kernel"]'
    return f"conv1d({x}, {kernel}, {layer['strides']}, {layer['dilation_rate']}, {padding}){_bias(layer)}"


def _transposed(layer: Layer, shape: Shape, x: str) -> str:
    kernel, padding = f'p["{layer["name"]}/kernel"]', layer["padding"].upper()
    options = 'dimension_numbers=("NHWC", "HWIO", "NHWC"), transpose_kernel=True'
    return f'lax.conv_transpose({x}, {kernel}, {pair(layer["strides"])}, "{padding}", {options}){_bias(layer)}'


def _separable(layer: Layer, shape: Shape, x: str) -> str:
    name, window = layer["name"], pair(layer["kernel_size"])
    deep = f'conv({x}, p["{name}/depthwise_kernel"].reshape(*{window}, 1, -1), (1, 1), "SAME", 1, {shape[-1]})'
    return f'conv({deep}, p["{name}/pointwise_kernel"], (1, 1), "SAME"){_bias(layer)}'


def _enlarged(layer: Layer, shape: Shape, x: str) -> str:
    rows, columns = pair(layer["size"])
    if layer["interpolation"] == "nearest":
        return f"{x}.repeat({rows}, 1).repeat({columns}, 2)"
    places = f"({x}.shape[0], {shape[0] * rows}, {shape[1] * columns}, {shape[2]})"
    return f'jax.image.resize({x}, {places}, "bilinear")'


def _with_zeros(layer: Layer, shape: Shape, x: str) -> str:
    return f"jnp.pad({x}, ((0, 0), {', '.join(str(tuple(edge)) for edge in layer['padding'])}, (0, 0)))"


def _rms(layer: Layer, shape: Shape, x: str) -> str:
    square = f"({x} * {x}).mean(-1, keepdims=True)"
    return f'{x} * lax.rsqrt({square} + {layer["epsilon"]}) * p["{layer["name"]}/gamma"]'


def _attention(layer: Layer, shape: Shape, x: str) -> str:
    if "rope" in layer:
        raise NotWritten("rotary positions: JAX has none")
    return f'attention({x}, p, "{layer["name"]}", {layer.get("causal", False)})'


def _maximum(layer: Layer, shape: Shape, x: str) -> str:
    images = x if len(shape) == 3 else f"{x}[:, :, None]"
    window = shape[:2] if len(shape) == 3 else (shape[0], 1)
    return f'pool({images}, -jnp.inf, lax.max, {window}, (1, 1), "VALID").reshape({x}.shape[0], -1)'


LAYERS: dict[str, Callable[[Layer, Shape, str], str]] = {
    "Conv1D": _convolution_of_sequences,
    "Conv2DTranspose": _transposed,
    "SeparableConv2D": _separable,
    "UpSampling2D": _enlarged,
    "ZeroPadding2D": _with_zeros,
    "GroupNorm": lambda layer, shape, x: (
        f'group_norm({x}, p, "{layer["name"]}", {layer["groups"]}, {layer["epsilon"]})'
    ),
    "RMSNorm": _rms,
    "MultiHeadAttention": _attention,
    "PReLU": lambda layer, shape, x: f'jax.nn.relu({x}) - p["{layer["name"]}/alpha"] * jax.nn.relu(-{x})',
    "GlobalMaxPool2D": _maximum,
    "GlobalMaxPool1D": _maximum,
    "GlobalAveragePool1D": lambda layer, shape, x: f"{x}.mean(1)",
    "PositionEmbedding": lambda layer, shape, x: f'{x} + p["{layer["name"]}/embeddings"][:{shape[0]}]',
}
