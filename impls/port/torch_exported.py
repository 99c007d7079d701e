"""A program of torch.export as a module: what its flat graph reads says of which kind the layers were."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch.fx.node import map_aggregate

if TYPE_CHECKING:
    from torch import fx, nn

    from impls.port.annotations import Args, Native

AXES = (1, 2, 3)
# operation of the graph -> (kind of layer, place of the weight among its arguments)
LAYERS = {
    "linear": ("dense", 1),
    **{f"conv{n}d": (f"conv{n}d", 1) for n in AXES},
    **{f"conv_transpose{n}d": (f"conv{n}d_transpose", 1) for n in AXES},
    "batch_norm": ("batchnorm", 1),
    "instance_norm": ("instancenorm", 1),
    "layer_norm": ("layernorm", 2),
    "group_norm": ("groupnorm", 2),
    "rms_norm": ("rmsnorm", 2),
    "embedding": ("embedding", 0),
    "prelu": ("prelu", 1),
    "lstm": ("lstm", 2),
    "gru": ("gru", 2),
    "rnn_tanh": ("simple_rnn", 2),
}
RECURRENT = ("lstm", "gru", "simple_rnn")
NAMES = ("weight", "weight_ih_l0")  # of the parameter that says what a module was


def is_exported(model: Native) -> bool:
    return isinstance(model, torch.export.ExportedProgram)


def as_module(program: torch.export.ExportedProgram) -> nn.Module:
    """A module of one's own in float64; it has one mode, that of the export."""
    module = copy.deepcopy(program.module())
    module.train = lambda mode=True: module
    for node in list(module.graph.nodes):
        if operation(node) == "_assert_tensor_metadata":  # that its numbers are float32
            module.graph.erase_node(node)
            continue
        node.args = map_aggregate(node.args, wider)
        node.kwargs = map_aggregate(node.kwargs, wider)
    module.recompile()
    return module


def wider(argument: Native) -> Native:
    return torch.float64 if argument in (torch.float32, torch.float16, torch.bfloat16) else argument


def operation(node: fx.Node) -> str:
    """`conv2d` of `aten.conv2d.default`."""
    return getattr(node.target, "__name__", "").split(".")[0] if node.op == "call_function" else ""


def kinds(module: nn.Module) -> dict[str, str]:
    """`{path: kind}` of the modules a graph was made of, by what reads their weights; each is told its settings."""
    found = {}
    for node in module.graph.nodes:
        if operation(node) not in LAYERS:
            continue
        kind, place = LAYERS[operation(node)]
        if len(node.args) <= place or node.args[place] is None:
            continue
        weight = node.args[place][0] if kind in RECURRENT else node.args[place]
        path, _, name = str(getattr(weight, "target", "")).rpartition(".")
        if weight.op == "get_attr" and name in NAMES:
            found[path] = described(module.get_submodule(path), kind, node.args)
    return found


def described(stub: nn.Module, kind: str, args: Args) -> str:
    """The kind, after the module has the numbers that its layout depends on."""
    if kind in RECURRENT:
        stub.bias = args[3]
        stub.num_layers = args[4]
        stub.bidirectional = args[7]
    groups = args[6] if kind.startswith("conv") and len(args) > 6 else 1
    if not kind.endswith("transpose") and groups > 1 and stub.weight.shape[1] == 1:
        stub.in_channels, stub.kernel_size = groups, tuple(stub.weight.shape[2:])
        return f"depthwise_{kind}"
    return kind
