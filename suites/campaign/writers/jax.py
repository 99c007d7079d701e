"""A network as a pure function in plain JAX; parameters are a dict by the shim's names."""

from __future__ import annotations

from suites.campaign.generator import Network
from suites.campaign.growing import Layer
from suites.campaign.shapes import Shape, pair, shapes, window
from suites.campaign.writers import NotWritten, jax_further

ACTIVATIONS = {
    "relu": "jax.nn.relu({})",
    "sigmoid": "jax.nn.sigmoid({})",
    "tanh": "jnp.tanh({})",
    "softmax": "jax.nn.softmax({})",
    "softplus": "jax.nn.softplus({})",
    "gelu": "jax.nn.gelu({}, approximate=False)",
    "gelu_tanh": "jax.nn.gelu({})",
    "swish": "jax.nn.silu({})",
    "leaky_relu": "jax.nn.leaky_relu({}, 0.2)",
}
LOSSES = {
    "softmax_cross_entropy": "-jnp.take_along_axis(jax.nn.log_softmax(outputs), y[..., None], -1).mean()",
    "sigmoid_cross_entropy": "(jax.nn.softplus(outputs) - y * outputs).mean()",
    "mean_squared_error": "((outputs - y) ** 2).mean()",
    "mean_absolute_error": "jnp.abs(outputs - y).mean()",
    "huber": "(lambda d: jnp.where(d <= 1, 0.5 * d * d, d - 0.5).mean())(jnp.abs(outputs - y))",
}
HELPERS = {
    "conv": """def conv(x, w, strides, padding, dilation=1, groups=1):
    axes = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, strides, padding, rhs_dilation=(dilation, dilation), dimension_numbers=axes,
                                    feature_group_count=groups)""",
    "pool": """def pool(x, start, step, window, strides, padding):
    return lax.reduce_window(x, x.dtype.type(start), step, (1, *window, 1), (1, *strides, 1), padding)""",
    "batch_norm": """def batch_norm(x, p, name, eps, training):
    axes = tuple(range(x.ndim - 1))
    mean, var = (x.mean(axes), x.var(axes)) if training else (p[name + "/moving_mean"], p[name + "/moving_variance"])
    return (x - mean) * lax.rsqrt(var + eps) * p[name + "/gamma"] + p[name + "/beta"]""",
    "layer_norm": """def layer_norm(x, p, name, eps):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(var + eps) * p[name + "/gamma"] + p[name + "/beta"]""",
    "scan": """def scan(cell, x, units, states, whole, reverse=False):
    start = tuple(jnp.zeros((x.shape[0], units), x.dtype) for _ in range(states))
    x = x[:, ::-1] if reverse else x
    last, ys = lax.scan(lambda s, row: (lambda n: (n, n[0]))(cell(row, *s)), start, x.swapaxes(0, 1))
    return ys.swapaxes(0, 1) if whole else last[0]""",
    "SimpleRNN": """def SimpleRNN(p, name, f):
    w, u, b = p[name + "/kernel"], p[name + "/recurrent_kernel"], p[name + "/bias"]
    return lambda row, h: (f(row @ w + b + h @ u),)""",
    "LSTM": """def LSTM(p, name):
    w, u, b = p[name + "/kernel"], p[name + "/recurrent_kernel"], p[name + "/bias"]

    def cell(row, h, c):
        i, f, g, o = jnp.split(row @ w + b + h @ u, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    return cell""",
    "GRU": """def GRU(p, name):
    w, u, (b, d) = p[name + "/kernel"], p[name + "/recurrent_kernel"], p[name + "/bias"]

    def cell(row, h):
        (z, r, n), (uz, ur, un) = jnp.split(row @ w + b, 3, -1), jnp.split(h @ u + d, 3, -1)
        z, r = jax.nn.sigmoid(z + uz), jax.nn.sigmoid(r + ur)
        return (z * h + (1 - z) * jnp.tanh(n + r * un),)

    return cell""",
    **jax_further.HELPERS,
}
NEEDS = {
    "Conv2D": ("conv",), "DepthwiseConv2D": ("conv",), "MaxPool2D": ("pool",), "AveragePool2D": ("pool",),
    "BatchNorm": ("batch_norm",), "LayerNorm": ("layer_norm",), "SimpleRNN": ("scan", "SimpleRNN"),
    "LSTM": ("scan", "LSTM"), "GRU": ("scan", "GRU"), **jax_further.NEEDS,
}  # fmt: skip


def write(network: Network) -> str:
    """A program that defines `forward(p, inputs, training)` and `loss_fn`."""
    known = shapes(network)
    lines, kinds = [], []
    for at, layer in enumerate(network.layers, len(network.inputs)):
        sources = [f"v{source}" for source in layer["from"]]
        kinds.append(layer["layer"]["kind"] if layer["kind"] == "Bidirectional" else layer["kind"])
        lines.append(f"    v{at} = {_layer(layer, known[layer['from'][0]], sources)}")
    helpers = dict.fromkeys(name for kind in kinds for name in NEEDS.get(kind, ()))
    names = ", ".join(f"v{at}" for at in range(len(network.inputs)))
    blocks = [f"\n\n{HELPERS[name]}" for name in helpers]
    return "\n".join(
        [
            "import jax", "import jax.numpy as jnp", "from jax import lax", *blocks, "", "",
            "def forward(p, inputs, training):", f"    [{names}] = inputs", *lines, f"    return v{len(known) - 1}",
            "", "", "def loss_fn(outputs, y):", f"    return {LOSSES[network.loss]}", "",
        ]
    )  # fmt: skip


def _layer(layer: Layer, shape: Shape, sources: list[str]) -> str:
    kind, x, name = layer["kind"], sources[0], layer["name"]
    if kind == "Dropout" or layer.get("mask_zero"):
        raise NotWritten("Dropout and masks are the shim's own")
    if kind in ("Conv2D", "DepthwiseConv2D"):
        return _convolution(layer, shape, x)
    if kind in ("MaxPool2D", "AveragePool2D"):
        return _pooling(layer, x)
    if kind in ("SimpleRNN", "LSTM", "GRU", "Bidirectional"):
        return _recurrent(layer, x)
    if kind in jax_further.LAYERS:
        return jax_further.LAYERS[kind](layer, shape, x)
    if kind == "Dense":
        y = f'{x} @ p["{name}/kernel"]' + (f' + p["{name}/bias"]' if layer["use_bias"] else "")
        return _activated(layer, y)
    simple = {
        "BatchNorm": f'batch_norm({x}, p, "{name}", {layer.get("epsilon")}, training)',
        "LayerNorm": f'layer_norm({x}, p, "{name}", {layer.get("epsilon")})',
        "Embedding": f'p["{name}/embeddings"][{x}]',
        "GlobalAveragePool2D": f"{x}.mean((1, 2))",
        "Flatten": f"{x}.reshape({x}.shape[0], -1)",
        "Reshape": f"{x}.reshape(-1, {', '.join(map(str, layer.get('target_shape', [])))})",
        "Add": " + ".join(sources),
        "Concatenate": f"jnp.concatenate([{', '.join(sources)}], -1)",
    }
    return simple[kind] if kind in simple else ACTIVATIONS[layer["activation"]].format(x)


def _activated(layer: Layer, expression: str) -> str:
    return ACTIVATIONS[layer["activation"]].format(expression) if layer.get("activation") else expression


def _convolution(layer: Layer, shape: Shape, x: str) -> str:
    kernel, groups = f'p["{layer["name"]}/kernel"]', 1
    if layer["kind"] == "DepthwiseConv2D":
        groups = shape[-1]
        kernel += f".reshape(*{window(layer)}, 1, -1)"
    padding, dilation = layer["padding"].upper(), layer.get("dilation_rate", 1)
    y = f'conv({x}, {kernel}, {pair(layer["strides"])}, "{padding}", {dilation}, {groups})'
    return _activated(layer, y + (f' + p["{layer["name"]}/bias"]' if layer["use_bias"] else ""))


def _pooling(layer: Layer, x: str) -> str:
    rest = f'{window(layer)}, {pair(layer["strides"])}, "{layer["padding"].upper()}")'
    if layer["kind"] == "MaxPool2D":
        return f"pool({x}, -jnp.inf, lax.max, {rest}"
    return f"pool({x}, 0, lax.add, {rest} / pool(jnp.ones_like({x}), 0, lax.add, {rest}"


def _recurrent(layer: Layer, x: str) -> str:
    if layer["kind"] != "Bidirectional":
        return _direction(layer, layer["name"], x, bool(layer.get("go_backwards")))
    inner = layer["layer"]
    ahead, back = (_direction(inner, f"{layer['name']}/{way}", x, way == "backward") for way in ("forward", "backward"))
    return f"jnp.concatenate([{ahead}, {back}{'[:, ::-1]' if inner['return_sequences'] else ''}], -1)"


def _direction(layer: Layer, name: str, x: str, reverse: bool) -> str:
    kind = layer["kind"]
    if kind == "GRU" and not layer["reset_after"]:
        raise NotWritten("GRU with the reset before the product")
    f = f", lambda x: {ACTIVATIONS[layer['activation']].format('x')}" if kind == "SimpleRNN" else ""
    states = 2 if kind == "LSTM" else 1
    return f'scan({kind}(p, "{name}"{f}), {x}, {layer["units"]}, {states}, {layer["return_sequences"]}, {reverse})'
