"""A network in torch.nn: a program that the campaign wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from impls.campaign.messages import Arrays, Function, Layer, Network, Program

Turn: TypeAlias = Callable[[np.ndarray], np.ndarray]
Layout: TypeAlias = tuple[Turn, Turn]  # an array to torch's layout, and back
Link: TypeAlias = "tuple[str, torch.Tensor | Rows, Turn, Turn]"  # name in the shim, tensor, layout
Tensors: TypeAlias = dict[str, torch.Tensor | np.ndarray]

GATES = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "SimpleRNN": (0,)}  # of torch, in the shim's order


def observe(network: Network, arrays: Arrays, engine: str, mode: str, source: str) -> Arrays:
    """Prediction, outputs in training, loss, gradients, and steps where torch.optim means the same rule."""
    program: Program = {}
    exec(compile(source, "<network>", "exec"), program)
    dtype = getattr(torch, network["dtype"])
    model = program["Network"]().to(dtype)
    links = [link for layer in network["layers"] for link in links_of(layer, model)]
    put(links, arrays)
    call, loss_fn = model, program["loss_fn"]
    if mode == "compile":
        torch._dynamo.reset()
        call = torch.compile(model)
    xs = [native(arrays[f"x{at}"], dtype) for at in range(len(network["inputs"]))]
    y = native(arrays["y"], dtype)
    model.eval()
    with torch.no_grad():
        found = {"inference/output": call(*xs)}
    model.train()
    leaves = [x.requires_grad_() if x.is_floating_point() else x for x in xs]
    outputs = call(*leaves)
    loss = loss_fn(outputs, y)
    loss.backward()
    found.update({"loss": loss, "activation/output": outputs})
    for name, tensor, _, back in links:
        if tensor.requires_grad:
            found[f"gradient/{name}"] = back(numpy(torch.zeros_like(tensor) if tensor.grad is None else tensor.grad))
    for at, x in enumerate(leaves):
        if x.requires_grad:
            name = "x" if len(xs) == 1 else f"x/{at}"
            found[f"gradient/input/{name}"] = x.grad if x.grad is not None else torch.zeros_like(x)
    found.update(steps(program, model, call, links, arrays, [x.detach() for x in xs], y, network["steps"]))
    return {name: numpy(value) for name, value in found.items()}


def native(x: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """Numbers in the network's type, indices as PyTorch has them."""
    return torch.as_tensor(np.array(x)).to(dtype if x.dtype.kind == "f" else torch.int64)


def steps(
    program: Program,
    model: nn.Module,
    call: Function,
    links: list[Link],
    arrays: Arrays,
    xs: list[torch.Tensor],
    y: torch.Tensor,
    count: int,
) -> Tensors:
    """Losses and weights of some steps from the weights of the beginning."""
    if recurrent_bias(links) or program["make_optimizer"](model.parameters()) is None:
        return {}
    put(links, arrays)
    optimizer = program["make_optimizer"](model.parameters())
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = program["loss_fn"](call(*xs), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    found = {"losses": np.asarray(losses)}
    trained = [link for link in links if link[1].requires_grad]
    found.update((f"weight/{name}", back(numpy(tensor))) for name, tensor, _, back in trained)
    return found


def recurrent_bias(links: list[Link]) -> bool:
    """Whether a layer has torch's second bias, which is trained as well: the sum of both moves twice as far."""
    return any("bias_ih" in getattr(tensor, "triptych_name", "") for _, tensor, _, _ in links)


def numpy(value: torch.Tensor | np.ndarray) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def put(links: list[Link], arrays: Arrays) -> None:
    with torch.no_grad():
        for name, tensor, there, _ in links:
            tensor.copy_(torch.as_tensor(np.ascontiguousarray(there(arrays[f"weight/{name}"]))))


def same(array: np.ndarray) -> np.ndarray:
    return array


def turned(*axes: int) -> Layout:
    """An array to these axes, and back."""
    back = tuple(np.argsort(axes))

    def to_torch(array: np.ndarray) -> np.ndarray:
        return array.transpose(axes)

    def from_torch(array: np.ndarray) -> np.ndarray:
        return array.transpose(back)

    return to_torch, from_torch


MATRIX, SEQUENCE, IMAGE = turned(1, 0), turned(2, 1, 0), turned(3, 2, 0, 1)


def depthwise(count: int) -> Layout:
    """Kernels (H, W, C, `count`) to torch's (C `count`, 1, H, W), and back."""

    def to_torch(array: np.ndarray) -> np.ndarray:
        return array.transpose(2, 3, 0, 1).reshape(-1, 1, *array.shape[:2])

    def from_torch(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, count, *array.shape[2:]).transpose(2, 3, 0, 1)

    return to_torch, from_torch


def links_of(layer: Layer, model: nn.Module) -> list[Link]:
    """(name in the shim, tensor, array to torch's layout, and back) of each weight of a layer."""
    name, kind = layer["name"], layer["kind"]
    if not hasattr(model, name):
        return []
    module = getattr(model, name)
    if kind in ("LSTM", "GRU", "SimpleRNN"):
        return recurrent(module, kind, layer["units"], name, "")
    if kind == "Bidirectional":
        inner = layer["layer"]
        ahead = recurrent(module, inner["kind"], inner["units"], f"{name}/forward", "")
        return ahead + recurrent(module, inner["kind"], inner["units"], f"{name}/backward", "_reverse")
    if kind == "BatchNorm":
        pairs = [("gamma", module.weight), ("beta", module.bias)]
        pairs += [("moving_mean", module.running_mean), ("moving_variance", module.running_var)]
        return [(f"{name}/{short}", tensor, same, same) for short, tensor in pairs]
    if kind in KINDS:
        return KINDS[kind](layer, module)
    layout = depthwise(layer["depth_multiplier"]) if kind == "DepthwiseConv2D" else LAYOUTS[kind]
    return [(f"{name}/kernel", module.weight, *layout), *bias(name, module)]


LAYOUTS = {"Dense": MATRIX, "Conv1D": SEQUENCE, "Conv2D": IMAGE, "Conv2DTranspose": IMAGE}


def bias(name: str, module: nn.Module) -> list[Link]:
    """The link of a bias, where there is one."""
    return [] if module.bias is None else [(f"{name}/bias", module.bias, same, same)]


def attention(layer: Layer, module: nn.Module) -> list[Link]:
    """Kernels (D, heads, units) are linear layers of heads side by side."""
    name, units = layer["name"], layer["key_dim"]
    found: list[Link] = []

    def to_heads(array: np.ndarray) -> np.ndarray:
        return array.reshape(array.shape[0], -1).T

    def from_heads(array: np.ndarray) -> np.ndarray:
        return array.T.reshape(array.shape[1], -1, units)

    def to_output(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, array.shape[-1]).T

    def from_output(array: np.ndarray) -> np.ndarray:
        return array.T.reshape(-1, units, array.shape[0])

    def rows_of_heads(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, units)

    for part, linear in zip(("query", "key", "value"), module, strict=False):
        found.append((f"{name}/{part}/kernel", linear.weight, to_heads, from_heads))
        if linear.bias is not None:
            found.append((f"{name}/{part}/bias", linear.bias, np.ravel, rows_of_heads))
    output = f"{name}/attention_output"
    return [*found, (f"{output}/kernel", module[3].weight, to_output, from_output), *bias(output, module[3])]


def separable(layer: Layer, module: nn.Module) -> list[Link]:
    name = layer["name"]
    return [
        (f"{name}/depthwise_kernel", module[0].weight, *depthwise(layer["depth_multiplier"])),
        (f"{name}/pointwise_kernel", module[1].weight, *IMAGE),
        *bias(name, module[1]),
    ]


def norm(layer: Layer, module: nn.Module) -> list[Link]:
    found: list[Link] = [(f"{layer['name']}/gamma", module.weight, same, same)]
    shifts = layer["kind"] in ("LayerNorm", "GroupNorm")
    return [*found, (f"{layer['name']}/beta", module.bias, same, same)] if shifts else found


def embedding(layer: Layer, module: nn.Module) -> list[Link]:
    return [(f"{layer['name']}/embeddings", module.weight, same, same)]


def prelu(layer: Layer, module: nn.Module) -> list[Link]:
    return [(f"{layer['name']}/alpha", module[0], same, same)]


KINDS = {
    "Embedding": embedding,
    "GroupNorm": norm,
    "LayerNorm": norm,
    "MultiHeadAttention": attention,
    "PReLU": prelu,
    "PositionEmbedding": embedding,
    "RMSNorm": norm,
    "SeparableConv2D": separable,
}


def recurrent(module: nn.Module, kind: str, units: int, name: str, suffix: str) -> list[Link]:
    """The weights of one direction: gates reordered, torch's second bias zero."""
    order = GATES[kind]
    index = np.concatenate([np.arange(gate * units, (gate + 1) * units) for gate in order])
    inverse = np.argsort(index)

    def weight(short: str) -> torch.Tensor:
        return getattr(module, f"{short}_l0{suffix}")

    def to_matrix(array: np.ndarray) -> np.ndarray:
        return array[..., index].T

    def from_matrix(array: np.ndarray) -> np.ndarray:
        return array.T[..., inverse]

    def to_bias(array: np.ndarray) -> np.ndarray:
        return array[..., index]

    def from_bias(array: np.ndarray) -> np.ndarray:
        return array[..., inverse]

    found = [
        (f"{name}/kernel", weight("weight_ih"), to_matrix, from_matrix),
        (f"{name}/recurrent_kernel", weight("weight_hh"), to_matrix, from_matrix),
    ]
    first, second = weight("bias_ih"), weight("bias_hh")
    first.triptych_name = "bias_ih"
    if kind != "GRU":
        with torch.no_grad():
            second.zero_()
        return [*found, (f"{name}/bias", first, to_bias, from_bias)]
    return [*found, (f"{name}/bias", Rows(first, second), to_bias, from_bias)]


class Rows:
    """Two biases as the rows of one."""

    triptych_name = "bias_ih"
    requires_grad = True

    def __init__(self, *tensors: torch.Tensor) -> None:
        self.tensors = tensors

    @property
    def grad(self) -> torch.Tensor:
        return torch.stack([tensor.grad for tensor in self.tensors])

    def copy_(self, values: torch.Tensor) -> None:
        for tensor, row in zip(self.tensors, values, strict=True):
            tensor.copy_(row)
