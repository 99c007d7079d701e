"""Small models that take every branch of every layer, with weights, inputs and targets on which a slip shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from suites.references.activations import ACTIVATIONS
from suites.references.case import Case, case, first, layer, numbers, of_ids
from suites.references.image_cases import extent, images, windowed


def dense() -> list[Case]:
    cases = [
        case("dense", [layer("Dense", units=3)], (4,), (3,), 3),
        case("dense of a batch of one", [first(3), layer("Dense", units=2, use_bias=False)], (3,), (2,), 1),
        case("dense of sequences", [first(3), layer("Dense", units=2, activation="relu")], (3, 2), (3, 2), 2),
        case("dense of images", [first(3), layer("Dense", units=2)], (2, 3, 2), (2, 3, 2), 2),
        case("relu layer", [first(3), layer("ReLU")], (3,), (3,), 4),
        case("flatten", [first(2), layer("Flatten"), layer("Dense", units=2)], (2, 3, 2), (2,), 2),
        case("reshape", [layer("Reshape", target_shape=[2, 3]), layer("Dense", units=2)], (6,), (2, 2), 2),
    ]
    for name in ACTIVATIONS:
        cases.append(case(f"{name}", [first(3), layer("Activation", activation=name)], (3,), (3,), 5))
        cases.append(case(f"dense with {name}", [first(3), layer("Dense", units=2, activation=name)], (3,), (2,), 3))
    softmax = [layer("Conv2D", filters=3, kernel_size=1), layer("Activation", activation="softmax")]
    return [*cases, case("softmax of an image", softmax, (2, 3, 2), (2, 3, 3), 2)]


def normalised() -> list[Case]:
    norm, frozen = layer("BatchNorm", momentum=0.9, epsilon=0.1), layer("BatchNorm", trainable=False)
    return [
        case("batch norm of vectors", [first(3), layer("BatchNorm")], (3,), (3,), 5),
        case("batch norm of sequences", [first(2), norm], (3, 2), (3, 2), 2),
        case("batch norm of images", [first(2), norm], (2, 3, 2), (2, 3, 2), 3),
        case("batch norm of one image", [first(2), norm], (2, 3, 2), (2, 3, 2), 1),
        case("batch norm of one vector", [first(2), norm], (2,), (2,), 1),
        case("frozen batch norm of vectors", [first(3), frozen], (3,), (3,), 4),
        case("frozen batch norm of images", [first(2), frozen], (2, 3, 2), (2, 3, 2), 2),
        case("batch norm of small numbers", [first(2), layer("BatchNorm", epsilon=1e-2)], (2,), (2,), 4),
        case("layer norm of vectors", [first(3), layer("LayerNorm")], (3,), (3,), 2),
        case("layer norm of sequences", [first(3), layer("LayerNorm", epsilon=0.1)], (2, 3), (2, 3), 2),
        case("layer norm of images", [first(3), layer("LayerNorm")], (2, 2, 3), (2, 2, 3), 2),
    ]


def recurrent() -> list[Case]:
    cases = []
    kinds: dict[str, dict[str, Any]] = {
        "SimpleRNN": {},
        "SimpleRNN with relu": {"activation": "relu"},
        "SimpleRNN without activation": {"activation": None},
        "LSTM": {},
        "GRU": {},
        "GRU before": {"reset_after": False},
    }
    for name, options in kinds.items():
        kind = name.partition(" ")[0]
        cell = {"units": 2, **options}
        whole = [first(2), layer(kind, "a", return_sequences=True, **cell), layer(kind, "b", units=3, **options)]
        cases.append(case(f"{name} twice", whole, (4, 2), (3,), 3))
        cases.append(case(f"{name} of one step", [layer(kind, **cell)], (1, 3), (2,), 1))
        back = [first(2), layer(kind, go_backwards=True, **cell)]
        cases.append(case(f"{name} backwards", back, (3, 2), (2,), 2))
        told = [first(2), layer(kind, go_backwards=True, return_sequences=True, **cell)]
        cases.append(case(f"{name} backwards, whole", told, (3, 2), (3, 2), 2))
        inner = {"kind": kind, **cell}
        cases.append(case(f"{name}, both ways", [first(2), layer("Bidirectional", layer=inner)], (3, 2), (4,), 2))
        inner = {**inner, "return_sequences": True}
        both = [first(2), layer("Bidirectional", layer=inner)]
        cases.append(case(f"{name}, both ways, whole", both, (3, 2), (3, 4), 2))
        cases.append(of_ids(f"{name}, masked", masked(layer(kind, **cell)), PADDED, (2,)))
        masked_whole = masked(layer(kind, return_sequences=True, **cell))
        cases.append(of_ids(f"{name}, masked, whole", masked_whole, PADDED, (4, 2)))
        cases.append(of_ids(f"{name}, masked, backwards", masked(layer(kind, go_backwards=True, **cell)), PADDED, (2,)))
        both = masked(layer("Bidirectional", layer=inner))
        cases.append(of_ids(f"{name}, masked, both ways", both, PADDED, (4, 4)))
        inner = {"kind": kind, **cell}
        cases.append(
            of_ids(f"{name}, masked, both ways, last", masked(layer("Bidirectional", layer=inner)), PADDED, (4,))
        )
    turned = {"kind": "LSTM", "units": 2, "return_sequences": True, "go_backwards": True}
    turned_both = [first(2), layer("Bidirectional", layer=turned)]
    cases.append(case("LSTM, both ways from the end", turned_both, (3, 2), (3, 4), 2))
    long = [layer("LSTM", units=1)]
    return [*cases, case("a long sequence", long, (70, 1), (1,), 1)]


# Padding behind, in front and in between, none, and nothing else; the last id of the table, and one twice.
PADDED = [[1, 4, 2, 0], [0, 3, 3, 1], [2, 0, 4, 0], [1, 1, 1, 1], [0, 0, 0, 0]]


def masked(*layers: dict[str, Any]) -> list[dict[str, Any]]:
    return [layer("Embedding", inputs=5, units=2, mask_zero=True), *layers]


def tables() -> list[Case]:
    table = layer("Embedding", inputs=5, units=2)
    dense = layer("Dense", units=3)
    return [
        of_ids("embedding", [table], PADDED, (4, 2)),
        of_ids("embedding of single ids", [table, dense], [0, 4, 4, 2], (3,)),
        of_ids("a mask that the loss meets", masked(dense), PADDED, (4, 3)),
        of_ids("a mask that ends at a flatten", masked(layer("Flatten"), dense), PADDED, (3,)),
        of_ids("a mask that ends at a convolution", masked(layer("Conv1D", filters=3, kernel_size=1)), PADDED, (4, 3)),
        of_ids("a mask that ends at a reshape", masked(layer("Reshape", target_shape=[2, 4])), PADDED, (2, 4)),
    ]


def attention() -> list[Case]:
    def self_attention(name: str, **options: Any) -> Case:
        return case(name, [first(4), layer("MultiHeadAttention", **options)], (3, 2), (3, 4), 2)

    two: dict[str, Any] = {"num_heads": 2, "key_dim": 2}
    table = layer("Embedding", "table", inputs=5, units=3, mask_zero=True)
    tied = layer("TiedHead", "head", embedding="table")
    return [
        self_attention("attention of one head", num_heads=1, key_dim=3),
        self_attention("attention, causal, without biases", causal=True, use_bias=False, value_dim=3, **two),
        self_attention("attention with rotary positions", num_heads=2, key_dim=4, rope=10.0),
        self_attention("attention whose keys are shared", num_heads=4, key_dim=2, num_key_value_heads=2, value_dim=1),
        self_attention("attention of one key for all", num_heads=3, key_dim=1, num_key_value_heads=1, output_shape=4),
        self_attention("attention with dropout", dropout=0.4, causal=True, **two),
        self_attention(
            "attention with dropout, whose keys are shared",
            dropout=0.3,
            num_heads=4,
            key_dim=2,
            value_dim=3,
            num_key_value_heads=2,
        ),
        of_ids(
            "attention with dropout, masked", [table, layer("MultiHeadAttention", dropout=0.3, **two)], PADDED, (4, 3)
        ),
        large_scores(),
        case("attention of one place", [layer("MultiHeadAttention", **two)], (1, 3), (1, 3), 2),
        of_ids("attention, masked", [table, layer("MultiHeadAttention", **two)], PADDED, (4, 3)),
        of_ids("attention, masked, causal", [table, layer("MultiHeadAttention", causal=True, **two)], PADDED, (4, 3)),
        of_ids("a tied head", [table, layer("PositionEmbedding", length=4), tied], PADDED, (4, 5)),
        case("positions of a shorter sequence", [first(3), layer("PositionEmbedding", length=6)], (4, 2), (4, 3), 2),
        case("rms norm", [first(3), layer("RMSNorm"), layer("Dense", units=2)], (2, 3), (2, 2), 2),
        case("rms norm of images", [first(3), layer("RMSNorm", epsilon=0.1)], (2, 2, 3), (2, 2, 3), 2),
        *(crossed(name, **options) for name, options in CROSSED.items()),
    ]


def large_scores() -> Case:
    """A query's own key may be far behind those that it must not see: what stands for them has to be farther."""
    attention = layer("MultiHeadAttention", num_heads=4, key_dim=1, causal=True, dropout=0.3)
    found = case("attention of large scores", [first(4), attention], (4, 2), (4, 4), 3)
    return Case(found.name, found.model, {**found.arrays, "x": found.arrays["x"] * 300})


CROSSED: dict[str, dict[str, Any]] = {
    "attention to another sequence": {},
    "attention to another sequence, causal": {"causal": True},
    "attention to another sequence, its mask": {"masked": "places"},
    "attention to another sequence, a mask of pairs": {"masked": "pairs", "causal": True},
    "attention with other keys": {"other_keys": True},
    "attention to another sequence with dropout": {"dropout": 0.3},
}


def crossed(
    name: str, causal: bool = False, masked: str = "", other_keys: bool = False, dropout: float = 0.0
) -> Case:  # fmt: skip
    """Queries of 3 places, values of 4 that come out of an embedding with a mask, keys from elsewhere."""
    rng = np.random.default_rng(len(name))
    mask: dict[str, tuple[int, ...]] = {"": (), "places": (4,), "pairs": (3, 4)}
    shape = mask[masked]
    inputs: list[Any] = [[3, 2], [4]]
    arrays = {"x0": numbers(rng, (5, 3, 2)), "x1": np.array(PADDED)}
    if other_keys:
        inputs.append([4, 2])
        arrays["x2"] = numbers(rng, (5, 4, 2))
    if shape:
        inputs.append(list(shape))
        seen = np.asarray(rng.random((5, *shape)) < 0.6, float)
        seen *= rng.choice([-1.0, 0.25, 1.0], seen.shape)  # all that is not 0 is seen
        seen[0] = 0
        arrays["x2"] = seen
    start = len(inputs)
    sources = [start, start + 1, *([2] if len(inputs) > 2 else [])]
    options: dict[str, Any] = {
        "num_heads": 2,
        "key_dim": 2,
        "causal": causal,
        "masked": bool(masked),
        "dropout": dropout,
    }
    layers = [
        layer("Dense", "left", units=3, **{"from": [0]}),
        layer("Embedding", "table", inputs=5, units=2, mask_zero=True, **{"from": [1]}),
        {**layer("MultiHeadAttention", **options), "from": sources},
    ]
    arrays["y"] = rng.normal(size=(5, 3, 3))
    return Case(name, {"layers": layers, "inputs": inputs}, arrays)


def _of_axis(value: Any, at: int) -> int:
    return value if isinstance(value, int) else int(value[at])


def further() -> list[Case]:
    each = {"kind": "Dense", "units": 3}
    inner = {"kind": "Conv2D", "filters": 2, "kernel_size": 2, "padding": "same"}
    norm = {"kind": "BatchNorm", "momentum": 0.9}
    bare: dict[str, Any] = {"activation": "tanh", "use_bias": False}
    shares: dict[str, Any] = {"activation": "softmax", "use_bias": False}
    cases = [
        case("zeros around", [first(2), layer("ZeroPadding2D")], (2, 3, 2), (4, 5, 2), 2),
        case("zeros by side", [first(2), layer("ZeroPadding2D", padding=[[0, 2], [1, 0]])], (2, 3, 2), (4, 4, 2), 2),
        case("separable", [first(2), layer("SeparableConv2D", filters=3, kernel_size=2)], (3, 4, 2), (2, 3, 3), 2),
        case(
            "separable, strided",
            [layer("SeparableConv2D", filters=2, kernel_size=3, strides=2, padding="same", depth_multiplier=2)],
            (4, 3, 2), (2, 2, 2), 2,
        ),
        case(
            "separable, dilated, with softmax",
            [layer("SeparableConv2D", filters=2, dilation_rate=[2, 1], kernel_size=2, **shares)],
            (4, 3, 2), (2, 2, 2), 2,
        ),
        case(
            "convolution of a sequence with tanh and no bias",
            [first(2), layer("Conv1D", filters=2, kernel_size=2, **bare)], (4, 2), (3, 2), 2,
        ),
        case(
            "transposed with softmax and no bias",
            [first(2), layer("Conv2DTranspose", filters=2, kernel_size=2, **shares)],
            (2, 2, 2), (3, 3, 2), 2,
        ),
        case("made larger as it comes", [first(2), layer("UpSampling2D")], (2, 3, 2), (4, 6, 2), 2),
        case("batch norm at every place", [first(2), layer("TimeDistributed", layer=norm)], (3, 2), (3, 2), 2),
        case("largest of an image", [first(2), layer("GlobalMaxPool2D")], (3, 2, 2), (2,), 3),
        case("largest of a sequence", [first(2), layer("GlobalMaxPool1D")], (4, 2), (2,), 3),
        case("mean of a sequence", [first(2), layer("GlobalAveragePool1D")], (4, 2), (2,), 3),
        of_ids("mean of a masked sequence", masked(layer("GlobalAveragePool1D")), PADDED[:4], (2,)),
        case("groups of an image", [first(6), layer("GroupNorm", groups=3)], (2, 3, 2), (2, 3, 6), 2),
        case("one group of a sequence", [first(3), layer("GroupNorm", groups=1, epsilon=0.1)], (3, 2), (3, 3), 2),
        case("prelu", [first(3), layer("PReLU")], (3,), (3,), 4),
        case("prelu of an image", [first(2), layer("PReLU", shared_axes=[1, 2])], (2, 2, 2), (2, 2, 2), 2),
        case("whole channels dropped", [first(3), layer("SpatialDropout", rate=0.5)], (2, 2, 2), (2, 2, 3), 3),
        case("dense at every place", [layer("TimeDistributed", layer=each)], (3, 2), (3, 3), 2),
        case("convolution at every place", [layer("TimeDistributed", layer=inner)], (2, 3, 2, 1), (2, 3, 2, 2), 2),
        *nested(),
    ]  # fmt: skip
    return [*cases, *by_strides()]


def nested() -> list[Case]:
    """Words of sentences: a layer at every sentence leaves the padding of its words out."""
    words = [PADDED[:3], [*PADDED[3:], [4, 1, 0, 0]]]
    table = layer("Embedding", inputs=5, units=2, mask_zero=True)
    inner: dict[str, dict[str, Any]] = {
        "LSTM": {"units": 2}, "GRU": {"units": 3, "return_sequences": True}, "BatchNorm": {"momentum": 0.7},
        "Bidirectional": {"layer": {"kind": "SimpleRNN", "units": 1}}, "Dense": {"units": 3},
    }  # fmt: skip
    cases = []
    for kind, options in inner.items():
        each = layer("TimeDistributed", "each", layer={"kind": kind, **options})
        outputs = {"LSTM": (3, 2), "BatchNorm": (3, 4, 2), "Bidirectional": (3, 2)}.get(kind, (3, 4, 3))
        cases.append(of_ids(f"{kind} at every place, masked", [table, each], words, outputs))
    norm = layer("TimeDistributed", "each", layer={"kind": "BatchNorm", "momentum": 0.7})
    return [*cases, of_ids("norm at every place, masked", [table, norm], PADDED, (4, 2))]


def by_strides() -> list[Case]:
    """Convolutions of sequences and transposed ones by their strides and paddings, and images that are made larger."""
    cases = []
    for padding, stride, dilation in (("same", 2, 1), ("valid", 1, 2), ("causal", 1, 2), ("causal", 2, 1)):
        told = f"convolution of a sequence, {padding}, {stride}, {dilation}"
        options = {"filters": 2, "kernel_size": 3, "padding": padding, "strides": stride, "dilation_rate": dilation}
        places = extent(6, 3, stride, dilation, "same" if padding == "causal" else padding)
        cases.append(case(told, [first(2), {**layer("Conv1D"), **options}], (6, 2), (places, 2), 2))
    for window, strides, padding in ((3, 2, "same"), ((2, 3), (3, 1), "same"), (3, 2, "valid"), (1, 2, "valid")):
        extra = [max(_of_axis(window, at) - _of_axis(strides, at), 0) for at in (0, 1)]
        more = extra if padding == "valid" else [0, 0]
        options = {"filters": 3, "kernel_size": window, "strides": strides, "padding": padding}
        layers = [first(2), {**layer("Conv2DTranspose"), **options}]
        told = f"transposed of {window} by {strides}, {padding}"
        size = (2 * _of_axis(strides, 0) + more[0], 3 * _of_axis(strides, 1) + more[1], 3)
        cases.append(case(told, layers, (2, 3, 2), size, 2))
    for way in ("nearest", "bilinear"):
        cases.append(case(f"made larger, {way}", [first(2), layer("UpSampling2D", size=[2, 3], interpolation=way)],
                          (2, 3, 2), (4, 9, 2), 2))  # fmt: skip
    return cases


def graphs() -> list[Case]:
    """Branches that meet, several inputs, a mask on one of two ways, images that turn between layouts."""
    rng = np.random.default_rng(5)
    residual = {
        "inputs": [[3]],
        "layers": [
            layer("Dense", "a", units=3, **{"from": [0]}),
            layer("Dense", "b", units=3, activation="relu", **{"from": [1]}),
            layer("Add", "sum", **{"from": [2, 1, 0]}),
            layer("Concatenate", "side", **{"from": [3, 0, 1]}),
        ],
    }
    two = {
        "inputs": [[4], [4, 2]],
        "layers": [
            layer("Embedding", "table", inputs=5, units=2, mask_zero=True, **{"from": [0]}),
            layer("LSTM", "left", units=2, **{"from": [2]}),
            layer("GRU", "right", units=2, **{"from": [1]}),
            layer("Concatenate", "both", **{"from": [4, 3]}),
        ],
    }
    picture = {
        "inputs": [[4, 4, 2]],
        "layers": [
            layer("Conv2D", "a", filters=2, kernel_size=3, padding="same", **{"from": [0]}),
            layer("LayerNorm", "norm", **{"from": [1]}),
            layer("Add", "sum", **{"from": [1, 2]}),
            layer("Conv2D", "b", filters=2, kernel_size=1, **{"from": [1]}),
            layer("Add", "again", **{"from": [4, 1]}),
            layer("Concatenate", "side", **{"from": [3, 5]}),
        ],
    }
    late = {
        "inputs": [[4], [4, 2]],
        "layers": [
            layer("Embedding", "table", inputs=5, units=2, mask_zero=True, **{"from": [0]}),
            layer("Dense", "plain", units=2, **{"from": [1]}),
            layer("Add", "sum", **{"from": [3, 2]}),
            layer("LSTM", "lstm", units=2, **{"from": [4]}),
        ],
    }
    masked = {
        "inputs": [[4], [4]],
        "layers": [
            layer("Embedding", "a", inputs=5, units=2, mask_zero=True, **{"from": [0]}),
            layer("Embedding", "b", inputs=5, units=2, mask_zero=True, **{"from": [1]}),
            layer("BatchNorm", "norm", **{"from": [2]}),
            layer("Add", "sum", **{"from": [4, 3, 2]}),
            layer("GRU", "gru", units=2, return_sequences=True, **{"from": [3]}),
            layer("Concatenate", "side", **{"from": [6, 4]}),
            layer("LSTM", "left", units=2, **{"from": [5]}),
            layer("SimpleRNN", "right", units=2, **{"from": [7]}),
            layer("Concatenate", "both", **{"from": [8, 9]}),
        ],
    }
    ids = np.array(PADDED)
    return [
        Case(
            "a mask of the second input",
            late,
            {"x0": ids, "x1": numbers(rng, (5, 4, 2)), "y": rng.normal(size=(5, 2))},
        ),
        Case("residual", residual, {"x": numbers(rng, (3, 3)), "y": rng.normal(size=(3, 9))}),
        Case("two inputs", two, {"x0": ids, "x1": numbers(rng, (5, 4, 2)), "y": rng.normal(size=(5, 4))}),
        Case("masks that meet", masked, {"x0": ids, "x1": ids[::-1].copy(), "y": rng.normal(size=(5, 4))}),
        Case("images in two layouts", picture, {"x": numbers(rng, (2, 4, 4, 2)), "y": rng.normal(size=(2, 4, 4, 4))}),
    ]


CASES: dict[str, Case] = {
    each.name: each
    for group in (dense(), windowed(), images(), normalised(), recurrent(), tables(), attention(), further(), graphs())
    for each in group
}
