"""Kinds of layers, each declared once: its weights, its counterparts in the APIs, its operations, its draws.

The adapters, the suites' draws, the counts of operations and the known differences read this table, so that a model of
known kinds needs no line outside of its folder and its spec. A new kind is a function that makes the `Layer` and an
entry in `KINDS`; the programs that are written in functions (raw_tf, raw_jax, raw_tf1) have a function of the kind's
name, and a layer with an activation one of the activation's name.
This file is read by workers on old interpreters too and stays valid on Python 3.6.
"""

from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

if TYPE_CHECKING:  # a machine with Python and pip only reads this table as well, to make its environments
    import numpy as np

Shape = Tuple[int, ...]
Cost = Tuple[float, Shape]

# Where an activation is expected, another one in its place is judged by its values and not by its name.
ACTIVATIONS = ("relu", "gelu")


class Layer(NamedTuple):
    """One layer: its trainable `weights`, its non-trainable `state`, and the activation fused into its output.

    `strides` are those of a window; `outputs` is the width of a layer without weights that changes it.
    """

    name: str
    kind: str
    weights: Dict[str, Shape] = {}
    state: Dict[str, Shape] = {}
    activation: Optional[str] = None
    strides: int = 1
    outputs: int = 0


class TorchWeight(NamedTuple):
    """Where PyTorch keeps a weight: the tensors, and the canonical array as a rearrangement of theirs.

    `canonical` moves elements and computes nothing; the result is taken in the canonical shape. What is in `added` is
    one more tensor of the same layout that PyTorch adds to it: it starts at zero, and the weight is the sum.
    """

    tensors: Tuple[str, ...]
    canonical: Callable[..., "np.ndarray"] = lambda array: array
    added: str = ""


class Kind(NamedTuple):
    """What is known of a kind of layer; in Keras and the shim a layer is known by its name.

    `keras`: the canonical names of weights that Keras 3 calls otherwise, by its names.

    `torch`: for each class, of torch.nn or of the program itself, where it keeps the weights. `cost(layer, shape)`: the
    products' floating-point operations on one example of `shape`, and the shape that comes out. `saturated`: factors of
    weights that drive it into saturation.
    """

    torch: Dict[str, Dict[str, TorchWeight]]
    cost: Callable[[Layer, Shape], Cost]
    saturated: Dict[str, float] = {}
    keras: Dict[str, str] = {}


def dense(name: str, inputs: int, units: int, activation: Optional[str] = None) -> Layer:
    return Layer(name, "dense", {"kernel": (inputs, units), "bias": (units,)}, {}, activation)


def conv2d(name: str, inputs: int, filters: int, strides: int = 1) -> Layer:
    return Layer(name, "conv2d", {"kernel": (3, 3, inputs, filters)}, strides=strides)


def batchnorm(name: str, channels: int) -> Layer:
    vector = (channels,)
    return Layer(
        name, "batchnorm", {"gamma": vector, "beta": vector}, {"moving_mean": vector, "moving_variance": vector}
    )


def layernorm(name: str, features: int) -> Layer:
    """Over the last axis, epsilon 1e-3 inside the root."""
    return Layer(name, "layernorm", {"gamma": (features,), "beta": (features,)})


def embedding(name: str, inputs: int, units: int) -> Layer:
    return Layer(name, "embedding", {"embeddings": (inputs, units)})


def lstm(name: str, inputs: int, units: int) -> Layer:
    """Gates i, f, c, o along the last axis."""
    shapes = {"kernel": (inputs, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)}
    return Layer(name, "lstm", shapes)


def gru(name: str, inputs: int, units: int) -> Layer:
    """Gates z, r, h along the last axis; the reset gate after the product, so two biases: input's and recurrent."""
    shapes = {"kernel": (inputs, 3 * units), "recurrent_kernel": (units, 3 * units), "bias": (2, 3 * units)}
    return Layer(name, "gru", shapes)  # type: ignore[arg-type]


def position_embedding(name: str, steps: int, width: int) -> Layer:
    """A learned vector for each place, which is added."""
    return Layer(name, "position_embedding", {"embeddings": (steps, width)})


def attention(name: str, width: int, heads: int) -> Layer:
    """Causal self-attention of several heads: scores divided by the root of a head's width; no biases.

    The softmax does not see a key's bias: its gradient is rounding alone, which Adam would turn into whole steps.
    """
    units = width // heads
    shapes = {part + "/kernel": (width, heads, units) for part in ("query", "key", "value")}  # type: Dict[str, Shape]
    shapes["attention_output/kernel"] = (heads, units, width)
    return Layer(name, "attention", shapes)


def tied_head(name: str, classes: int) -> Layer:
    """Logits by the table of the first layer, an embedding: it has no weights of its own."""
    return Layer(name, "tied_head", outputs=classes)


def product(numbers: Sequence[int]) -> int:
    """Of all numbers; 1 of none."""
    result = 1
    for number in numbers:
        result *= number
    return result


def nothing(layer: Layer, shape: Shape) -> Cost:
    """No product, and the shape stays."""
    return 0.0, shape


def dense_cost(layer: Layer, shape: Shape) -> Cost:
    inputs, units = layer.weights["kernel"]
    return 2.0 * product(shape[:-1]) * inputs * units, shape[:-1] + (units,)


def conv2d_cost(layer: Layer, shape: Shape) -> Cost:
    height, width, _ = shape
    found = -(-height // layer.strides), -(-width // layer.strides), layer.weights["kernel"][-1]
    return 2.0 * found[0] * found[1] * product(layer.weights["kernel"]), found


def maxpool2d_cost(layer: Layer, shape: Shape) -> Cost:
    height, width, channels = shape
    return 0.0, (height // 2, width // 2, channels)


def embedding_cost(layer: Layer, shape: Shape) -> Cost:
    return 0.0, shape + (layer.weights["embeddings"][-1],)


def recurrent_cost(layer: Layer, shape: Shape) -> Cost:
    kernel, recurrent = layer.weights["kernel"], layer.weights["recurrent_kernel"]
    return 2.0 * shape[0] * (product(kernel) + product(recurrent)), (shape[0], recurrent[0])


def attention_cost(layer: Layer, shape: Shape) -> Cost:
    """Four projections, and the scores and what they mix, of all places with all places."""
    steps, width = shape
    inner = product(layer.weights["query/kernel"][1:])
    return 2.0 * steps * 4 * width * inner + 2 * 2.0 * steps * steps * inner, shape


def tied_head_cost(layer: Layer, shape: Shape) -> Cost:
    return 2.0 * product(shape) * layer.outputs, shape[:-1] + (layer.outputs,)


def flatten_cost(layer: Layer, shape: Shape) -> Cost:
    return 0.0, (product(shape),)


def transposed(array: "np.ndarray") -> "np.ndarray":
    return array.T


def third(array: "np.ndarray", number: int) -> "np.ndarray":
    """One of three equal parts along the first axis, counted from 0."""
    size = len(array) // 3
    return array[number * size : (number + 1) * size]


def gates_z_r_h(array: "np.ndarray") -> "np.ndarray":
    """PyTorch's gates r, z, n along the first axis as Keras's z, r, h."""
    import numpy as np

    return np.concatenate([third(array, 1), third(array, 0), third(array, 2)])


def gru_biases(inputs: "np.ndarray", states: "np.ndarray") -> "np.ndarray":
    """Keras keeps both biases of a GRU in one array."""
    import numpy as np

    return np.stack([gates_z_r_h(inputs), gates_z_r_h(states)])


GRU_IN_TORCH = {
    "kernel": TorchWeight(("weight_ih_l0",), lambda array: gates_z_r_h(array).T),
    "recurrent_kernel": TorchWeight(("weight_hh_l0",), lambda array: gates_z_r_h(array).T),
    "bias": TorchWeight(("bias_ih_l0", "bias_hh_l0"), gru_biases),
}
LSTM_IN_TORCH = {  # torch's gates i, f, g, o are Keras's i, f, c, o
    "kernel": TorchWeight(("weight_ih_l0",), transposed),
    "recurrent_kernel": TorchWeight(("weight_hh_l0",), transposed),
    "bias": TorchWeight(("bias_ih_l0",), added="bias_hh_l0"),
}
NORM_IN_TORCH = {"gamma": TorchWeight(("weight",)), "beta": TorchWeight(("bias",))}
STATISTICS_IN_TORCH = {"moving_mean": TorchWeight(("running_mean",)), "moving_variance": TorchWeight(("running_var",))}
LINEAR = {"kernel": TorchWeight(("weight",), transposed), "bias": TorchWeight(("bias",))}

# The projections to queries, keys and values are one matrix with these parts one above the other.
ATTENTION_IN_TORCH = {
    "query/kernel": TorchWeight(("qkv.weight",), lambda w: third(w, 0).T),
    "key/kernel": TorchWeight(("qkv.weight",), lambda w: third(w, 1).T),
    "value/kernel": TorchWeight(("qkv.weight",), lambda w: third(w, 2).T),
    "attention_output/kernel": TorchWeight(("proj.weight",), transposed),
}

KINDS = {
    "dense": Kind({"Linear": LINEAR}, dense_cost),
    "conv2d": Kind({"Conv2d": {"kernel": TorchWeight(("weight",), lambda w: w.transpose(2, 3, 1, 0))}}, conv2d_cost),
    "batchnorm": Kind({"BatchNorm2d": dict(NORM_IN_TORCH, **STATISTICS_IN_TORCH)}, nothing, {"gamma": 20.0}),
    "layernorm": Kind({"LayerNorm": NORM_IN_TORCH}, nothing),
    "relu": Kind({"ReLU": {}}, nothing),
    "gelu": Kind({"GELU": {}}, nothing),
    "maxpool2d": Kind({"MaxPool2d": {}}, maxpool2d_cost),
    "flatten": Kind({"Flatten": {}}, flatten_cost),
    "embedding": Kind({"Embedding": {"embeddings": TorchWeight(("weight",))}}, embedding_cost),
    "lstm": Kind({"LSTM": LSTM_IN_TORCH}, recurrent_cost, {"kernel": 20.0}),
    "position_embedding": Kind({"PositionEmbedding": {"embeddings": TorchWeight(("embeddings",))}}, nothing),
    "attention": Kind(
        {"CausalSelfAttention": ATTENTION_IN_TORCH}, attention_cost, {"query/kernel": 20.0, "key/kernel": 20.0}
    ),
    "tied_head": Kind({}, tied_head_cost),
    "gru": Kind({"GRU": GRU_IN_TORCH}, recurrent_cost, {"kernel": 20.0}),
}  # type: Dict[str, Kind]

# Modules of PyTorch that stand where an activation is expected.
TORCH_ACTIVATIONS = ("ReLU", "Hardtanh", "Threshold", "LeakyReLU", "ELU", "GELU", "SiLU", "Softplus")


def kind_of(layer: Layer) -> Kind:
    """What is known of the layer's kind. Raises ValueError for one that the table has not."""
    if layer.kind not in KINDS:
        raise ValueError(
            "layer {!r} is of kind {!r}, which is not declared: add it to KINDS in impls/layer_kinds.py "
            "(known are {})".format(layer.name, layer.kind, ", ".join(KINDS))
        )
    return KINDS[layer.kind]


def functions(layers: Sequence[Layer]) -> Tuple[str, ...]:
    """Names of the functions that a program made of functions has for these layers: kinds and fused activations."""
    names = [name for layer in layers for name in (layer.kind, layer.activation) if name is not None]
    return tuple(sorted(set(names)))


def is_of_kind(instance: Any, names: Sequence[str]) -> bool:
    """Whether an object's class, or one that it is derived from, has one of these names."""
    return any(base.__name__ in names for base in type(instance).__mro__)


def output_shape(layers: Sequence[Layer], shape: Shape) -> Shape:
    """The shape of what the layers make of one example of `shape`."""
    for layer in layers:
        shape = kind_of(layer).cost(layer, shape)[1]
    return shape
