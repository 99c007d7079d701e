"""`--reproduce FILE`: the smallest program that shows the first cause: one layer, or the loss, of both sides.

The layer is shrunk to a few channels and is given random numbers; both sides get the same weights. The program is run
before it is kept: one that shows no difference is none.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from suites.port.comparison import Comparison
from suites.port.errors import PortError
from suites.port.findings import Finding
from suites.port.recording import Call, Recording

SHOWS = 1  # exit status of a program that shows a difference
CHANNELS = 4
EXTENT = 6
Config = Mapping[str, Any]


class Shape(NamedTuple):
    """What a layer of this kind is tried on: the input's shape, channels last, its scale, and its weights in order."""

    input: str
    weights: str
    images: bool
    scale: float = 1.0


NORM = "{'gamma': rng.uniform(0.5, 1.5, 4), 'beta': rng.normal(size=4)}"
STATISTICS = (
    "{'gamma': rng.uniform(0.5, 1.5, 4), 'beta': rng.normal(size=4), "
    "'moving_mean': rng.normal(size=4), 'moving_variance': rng.uniform(0.5, 1.5, 4) / 1000}"
)
KERNEL = "{'kernel': rng.normal(size=(*WINDOW, 4, 2)), 'bias': rng.normal(size=2)}"
SHAPES = {
    "layernorm": Shape("(2, 3, 4)", NORM, False, 0.01),
    "rmsnorm": Shape("(2, 3, 4)", "{'gamma': rng.uniform(0.5, 1.5, 4)}", False, 0.01),
    "batchnorm": Shape("(2, 6, 6, 4)", STATISTICS, True, 0.01),
    "groupnorm": Shape("(2, 6, 6, 4)", NORM, True, 0.01),
    "conv2d": Shape("(2, 7, 6, 4)", KERNEL, True),
    "conv1d": Shape("(2, 7, 4)", KERNEL, True),
    "maxpool2d": Shape("(2, 7, 6, 4)", "{}", True),
    "avgpool2d": Shape("(2, 7, 6, 4)", "{}", True),
    "activation": Shape("(2, 4)", "{}", False, 2.0),
}


def numbers(value: Any) -> str:
    return repr(tuple(value)) if isinstance(value, (list, tuple)) else repr(value)


def window(config: Config) -> str:
    """Arguments that both frameworks have, in torch's names."""
    return f"{numbers(config['window'])}, stride={numbers(config['strides'])}, padding={numbers(config['padding'])}"


TORCH_ACTIVATIONS: dict[str, str] = {
    "gelu": "nn.GELU()",
    "gelu_tanh": "nn.GELU(approximate='tanh')",
    "leaky_relu": "nn.LeakyReLU({slope})",
    **{name: f"nn.{cls}()" for name, cls in {"relu": "ReLU", "silu": "SiLU", "tanh": "Tanh", "elu": "ELU"}.items()},
}

# How each API writes a layer of a kind, from its configuration.
TORCH: dict[str, Callable[[Config], str]] = {
    "layernorm": lambda c: f"nn.LayerNorm(4, eps={c['epsilon']!r})",
    "rmsnorm": lambda c: f"nn.RMSNorm(4, eps={c['epsilon']!r})",
    "batchnorm": lambda c: f"nn.BatchNorm2d(4, eps={c['epsilon']!r})",
    "groupnorm": lambda c: f"nn.GroupNorm({min(c['groups'], 4)}, 4, eps={c['epsilon']!r})",
    "conv2d": lambda c: f"nn.Conv2d(4, 2, {window(c)}, dilation={numbers(c['dilation'])})",
    "conv1d": lambda c: f"nn.Conv1d(4, 2, {window(c)}, dilation={numbers(c['dilation'])})",
    "maxpool2d": lambda c: f"nn.MaxPool2d({window(c)})",
    "avgpool2d": lambda c: f"nn.AvgPool2d({window(c)})",
    "activation": lambda c: TORCH_ACTIVATIONS[c["name"]].format(**{"slope": 0.01, **c}),
}

KERAS: dict[str, Callable[[Config], str]] = {
    "layernorm": lambda c: f"keras.layers.LayerNormalization(epsilon={c['epsilon']!r})",
    "rmsnorm": lambda c: f"keras.layers.RMSNormalization(epsilon={c['epsilon']!r})",
    "batchnorm": lambda c: f"keras.layers.BatchNormalization(epsilon={c['epsilon']!r})",
    "groupnorm": lambda c: f"keras.layers.GroupNormalization({min(c['groups'], 4)}, epsilon={c['epsilon']!r})",
    "conv2d": lambda c: f"keras.layers.Conv2D(2, {keras_window(c)}, dilation_rate={numbers(c['dilation'])})",
    "conv1d": lambda c: f"keras.layers.Conv1D(2, {keras_window(c)}, dilation_rate={numbers(c['dilation'])})",
    "maxpool2d": lambda c: f"keras.layers.MaxPooling2D({keras_window(c)})",
    "avgpool2d": lambda c: f"keras.layers.AveragePooling2D({keras_window(c)})",
    "activation": lambda c: f"keras.layers.Activation({c['name']!r})",
}


def keras_window(config: Config) -> str:
    return f"{numbers(config['window'])}, strides={numbers(config['strides'])}, padding={config['padding']!r}"


# How a side computes: imports, and lines that make `result` (channels last) out of `x` and `weights`.
TORCH_RUN = """layer = {layer}.double().eval()
names = {{"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}}
state = {{}}
for name, array in weights.items():
    if name == "kernel":
        array = np.moveaxis(array, (-1, -2), (0, 1))
    state[{{"kernel": "weight", **names}}.get(name, name)] = torch.tensor(np.ascontiguousarray(array))
layer.load_state_dict(state, strict=False)
given = torch.tensor({given})
{name} = {back}"""
KERAS_RUN = """layer = {layer}
layer.build(x.shape)
layer.set_weights(list(weights.values()))
{name} = keras.ops.convert_to_numpy(layer(x))"""
IMPORTS = {
    "torch": "import torch\nfrom torch import nn",
    "keras": 'os.environ["KERAS_BACKEND"] = "{backend}"\nos.environ["KERAS_FLOATX"] = "float64"\nimport keras',
}
PROGRAM = '''"""{words}

The smallest program that shows it: A is {a}, B is {b}. Exit status 1: they differ.
"""

import os

import numpy as np
{imports}

rng = np.random.default_rng(0)
{setting}

# A
{run_a}

# B
{run_b}

difference = float(np.abs(result_a - result_b).max()) if result_a.shape == result_b.shape else float("inf")
print(f"{{difference:.3g}} is the largest difference; A gives numbers up to {{np.abs(result_a).max():.3g}}")
raise SystemExit(int(difference > 1e-9 * np.abs(result_a).max()))
'''


def write(path: str, c: Comparison, findings: Sequence[Finding]) -> str:
    """Write the program, and what to say about it. Raises PortError where there is none."""
    first = next((finding for finding in findings if not finding.released), None)
    if first is None:
        raise PortError(f"--reproduce {path}: nothing differs, so there is nothing to reproduce")
    source = of_loss(c, first) if first.phase == "loss" else of_layer(c, first)
    if source is None or not shows(source):
        raise PortError(
            f"--reproduce {path}: the first cause, at {first.place}, is not in one layer that can stand alone: "
            "your two files with --json are the smallest program that is known"
        )
    Path(path).write_text(source, encoding="utf-8")
    return f"{path} shows the first cause by itself"


def shows(source: str) -> bool:
    """Whether the program runs and finds a difference."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    return done.returncode == SHOWS and "is the largest difference" in done.stdout


def of_layer(c: Comparison, finding: Finding) -> str | None:
    """The program of one layer of both sides; None where it is none, or is not known here."""
    mode = "training" if finding.phase == "training" else "inference"
    calls = call_at(c.a, mode, finding.place_a), call_at(c.b, mode, finding.place_b)
    if calls[0] is None or calls[1] is None or calls[0].kind != calls[1].kind or mode == "training":
        return None
    shape = SHAPES.get(calls[0].kind)
    if shape is None:
        return None
    try:
        runs = [run_of(side, call, shape, name) for side, call, name in zip((c.a, c.b), calls, "ab", strict=True)]
    except KeyError:
        return None
    size = "(1,)" if not shape.images else numbers(calls[0].config.get("window", ()))
    weights = shape.weights.replace("WINDOW", size)
    setting = f"x = {shape.scale} * rng.normal(size={shape.input})\nweights = {weights}"
    return filled(c, finding, setting, runs)


def call_at(side: Recording, mode: str, path: str) -> Call | None:
    return next((call for call in side.passes[mode].calls if call.name == path), None)


def run_of(side: Recording, call: Call | None, shape: Shape, name: str) -> str:
    """The lines that make `result_NAME`. Raises KeyError where the layer can't be written."""
    assert call is not None
    result = f"result_{name}"
    if side.api == "torch":
        layer = TORCH[call.kind](call.config)
        given = "np.moveaxis(x, -1, 1).copy()" if shape.images else "x"
        back = "layer(given).detach().numpy()"
        back = f"np.moveaxis({back}, 1, -1)" if shape.images else back
        return TORCH_RUN.format(layer=layer, given=given, back=back, name=result)
    return {"keras": KERAS_RUN}[side.api].format(layer=KERAS[call.kind](call.config), name=result)


def of_loss(c: Comparison, finding: Finding) -> str | None:
    """Both loss functions on two rows of random logits."""
    runs = []
    for side, name in ((c.a, "a"), (c.b, "b")):
        source = function_source(side.path, "loss_fn")
        if source is None or side.api not in LOSS_RUN:
            return None
        runs.append(f"{source}\n{LOSS_RUN[side.api].format(name=f'result_{name}')}")
    outputs = next(iter(c.a.group(f"output/{c.modes[-1]}/").values()))
    if outputs.ndim != 2 or c.data.labels is None or c.data.labels.ndim != 1:
        return None
    setting = f"logits = rng.normal(size=(2, {outputs.shape[1]}))\ny = rng.integers(0, {outputs.shape[1]}, 2)"
    return filled(c, finding, setting, runs)


LOSS_RUN = {
    "torch": "{name} = np.asarray(loss_fn(torch.tensor(logits), torch.tensor(y)))",
    "keras": "{name} = np.asarray(keras.ops.convert_to_numpy(loss_fn(y, logits)))",
}


def function_source(path: str, name: str) -> str | None:
    """The imports of a file, and the definition of a function or of a name in it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError):
        return None
    kept: list[ast.stmt] = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    kept += [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            kept.append(node)
    if not any(not isinstance(node, (ast.Import, ast.ImportFrom)) for node in kept):
        return None
    return "\n".join(ast.unparse(node) for node in kept)


def filled(c: Comparison, finding: Finding, setting: str, runs: Sequence[str]) -> str:
    imports = dict.fromkeys(IMPORTS[side.api].format(backend=side.backend) for side in (c.a, c.b))
    return PROGRAM.format(
        words=f"{finding.place}: {finding.words()}",
        a=c.a.title,
        b=c.b.title,
        imports="\n".join(imports),
        setting=setting,
        run_a=runs[0],
        run_b=runs[1],
    )
