"""The reference models: what every implementation of them has to compute.

A `ModelSpec` is plain data. It names layers, weights, loss, optimizer and data; it holds no code of any
framework. The mathematics is Keras's convention throughout (see CONTRIBUTING.md).
This file is read by workers on old interpreters too and stays valid on Python 3.6.
"""

from typing import Any, Callable, Dict, NamedTuple, Tuple

from impls.layer_kinds import (
    Layer,
    Shape,
    attention,
    batchnorm,
    conv2d,
    dense,
    embedding,
    layernorm,
    lstm,
    position_embedding,
    tied_head,
)

__all__ = ["MODELS", "VOCABULARY", "Layer", "ModelSpec", "Shape"]

VOCABULARY = 97  # printable ASCII (95), newline, and one id for every other character


class ModelSpec(NamedTuple):
    """One reference model. `layers(**sizes[size])` gives its layers, `program(**sizes[size])` builds it.

    `example(steps=..., **sizes)` is the shape of one example; `steps` matters where time may have any length. `drawn`
    has the sizes at which random inputs are compared: `distinct`, whose extents all differ, so that a swapped axis is
    a wrong shape; and `square`, where all are the same, so that it is wrong values.
    """

    name: str
    title: str
    layers: Callable[..., Tuple[Layer, ...]]
    loss: str
    optimizer: Dict[str, Any]
    sizes: Dict[str, Dict[str, Any]]
    datasets: Dict[str, str]
    batch_size: Dict[str, int]
    epochs: int
    metric: str
    target: float
    example: Callable[..., Shape]
    drawn: Dict[str, Dict[str, Any]]
    absent: Dict[str, str] = {}  # implementations in which it is not written, and why
    compared_batch: int = 0  # examples of a batch in comparisons, where those of training take the reference long
    slow: Tuple[str, ...] = ()  # stages that are left to full runs: of the comparison, and of NumPy's speed

    def at(self, size: str) -> Tuple[Layer, ...]:
        """The layers at `size`."""
        return self.layers(**self.sizes[size])


def seed_layers(features: int, hidden: int) -> Tuple[Layer, ...]:
    return (dense("hidden", features, hidden, "relu"), dense("logits", hidden, 1))


def mlp_layers(features: int, hidden: Tuple[int, int], classes: int) -> Tuple[Layer, ...]:
    first, second = hidden
    return (
        dense("hidden1", features, first, "relu"),
        dense("hidden2", first, second, "relu"),
        dense("logits", second, classes),
    )


def cnn_layers(image: Tuple[int, int, int], filters: Tuple[int, int], classes: int) -> Tuple[Layer, ...]:
    height, width, channels = image
    first, second = filters
    features = (height // 4) * (width // 4) * second  # one pooling and one stride of 2
    return (
        conv2d("conv1", channels, first),
        batchnorm("bn1", first),
        Layer("relu1", "relu"),
        Layer("pool1", "maxpool2d"),
        conv2d("conv2", first, second, strides=2),
        batchnorm("bn2", second),
        Layer("relu2", "relu"),
        Layer("flatten", "flatten"),
        dense("logits", features, classes),
    )


def rnn_layers(vocabulary: int, embed: int, units: int) -> Tuple[Layer, ...]:
    return (
        embedding("embedding", vocabulary, embed),
        lstm("lstm", embed, units),
        dense("logits", units, vocabulary),
    )


def transformer_layers(vocabulary: int, steps: int, width: int, heads: int, blocks: int) -> Tuple[Layer, ...]:
    layers = [embedding("token", vocabulary, width), position_embedding("position", steps, width)]
    for block in range(1, blocks + 1):
        layers += [
            layernorm("attention_norm{}".format(block), width),
            attention("attention{}".format(block), width, heads),
            layernorm("mlp_norm{}".format(block), width),
            dense("expand{}".format(block), width, 4 * width, "gelu"),
            dense("contract{}".format(block), 4 * width, width),
        ]
    return tuple(layers) + (layernorm("norm", width), tied_head("logits", vocabulary))


MODELS = {
    "seed": ModelSpec(
        name="seed",
        title="Two dense layers on Iris (versicolor or virginica)",
        layers=seed_layers,
        loss="sigmoid_cross_entropy",
        optimizer={"name": "adam", "learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
        sizes={"small": {"features": 4, "hidden": 8}, "large": {"features": 4, "hidden": 4096}},
        datasets={"small": "iris", "large": "iris"},
        batch_size={"small": 32, "large": 32},
        epochs=100,
        metric="accuracy",
        target=0.90,
        example=lambda features, **_: (features,),
        drawn={"distinct": {"features": 3, "hidden": 6}, "square": {"features": 6, "hidden": 6}},
    ),
    "mlp": ModelSpec(
        name="mlp",
        title="Three dense layers on handwritten digits",
        layers=mlp_layers,
        loss="softmax_cross_entropy",
        optimizer={"name": "adam", "learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
        sizes={
            "small": {"features": 64, "hidden": (128, 64), "classes": 10},
            "large": {"features": 784, "hidden": (1024, 512), "classes": 10},
        },
        datasets={"small": "digits", "large": "digits_784"},
        batch_size={"small": 64, "large": 256},
        epochs=20,
        metric="accuracy",
        target=0.96,
        example=lambda features, **_: (features,),
        drawn={
            "distinct": {"features": 9, "hidden": (7, 5), "classes": 4},
            "square": {"features": 6, "hidden": (6, 6), "classes": 6},
        },
    ),
    "cnn": ModelSpec(
        name="cnn",
        title="Two convolutions with BatchNorm on handwritten digits",
        layers=cnn_layers,
        loss="softmax_cross_entropy",
        optimizer={
            "name": "sgd",
            "momentum": 0.9,
            "nesterov": True,
            "schedule": "exponential_decay",
            "learning_rate": 0.05,
            "decay_steps": 100,
            "decay_rate": 0.8,
        },
        sizes={
            "small": {"image": (8, 8, 1), "filters": (16, 32), "classes": 10},
            "large": {"image": (32, 32, 3), "filters": (32, 64), "classes": 10},
        },
        datasets={"small": "digit_images", "large": "photo_patches"},
        batch_size={"small": 64, "large": 64},
        epochs=12,
        metric="accuracy",
        target=0.975,
        example=lambda image, **_: image,
        drawn={
            "distinct": {"image": (8, 12, 3), "filters": (4, 5), "classes": 7},
            "square": {"image": (8, 8, 4), "filters": (4, 4), "classes": 16},
        },
    ),
    "rnn": ModelSpec(
        name="rnn",
        title="An LSTM that predicts the next character of Python's documentation",
        layers=rnn_layers,
        loss="softmax_cross_entropy",
        optimizer={"name": "rmsprop", "learning_rate": 0.01, "rho": 0.9, "epsilon": 1e-7, "global_clipnorm": 1.0},
        sizes={
            "small": {"vocabulary": VOCABULARY, "embed": 32, "units": 64},
            "large": {"vocabulary": VOCABULARY, "embed": 64, "units": 256},
        },
        datasets={"small": "python_docs_32", "large": "python_docs_64"},
        batch_size={"small": 32, "large": 64},
        epochs=3,
        metric="cross_entropy",
        target=2.2,
        example=lambda steps, **_: (steps,),
        drawn={
            "distinct": {"vocabulary": 11, "embed": 5, "units": 7},
            "square": {"vocabulary": 5, "embed": 5, "units": 5},
        },
        slow=("training",),
    ),
    "transformer": ModelSpec(
        name="transformer",
        title="A small GPT that predicts the next character of Python's documentation",
        layers=transformer_layers,
        loss="softmax_cross_entropy",
        optimizer={
            "name": "adamw",
            "beta_1": 0.9,
            "beta_2": 0.99,
            "epsilon": 1e-7,
            "weight_decay": 0.1,  # of kernels and tables, and neither of biases nor of norms
            "global_clipnorm": 1.0,
            "schedule": "warmup_cosine",  # in a line from learning_rate to warmup_target, half a cosine to alpha of it
            "learning_rate": 3e-4,
            "warmup_target": 3e-3,
            "warmup_steps": 10,
            "decay_steps": 470,
            "alpha": 0.1,
        },
        sizes={
            "small": {"vocabulary": VOCABULARY, "steps": 32, "width": 64, "heads": 4, "blocks": 2},
            "large": {"vocabulary": VOCABULARY, "steps": 256, "width": 384, "heads": 6, "blocks": 6},
        },
        datasets={"small": "python_docs_32", "large": "python_docs_256"},
        batch_size={"small": 32, "large": 32},
        epochs=3,
        metric="cross_entropy",
        target=2.2,
        example=lambda steps, **_: (steps,),
        drawn={
            "distinct": {"vocabulary": 11, "steps": 25, "width": 6, "heads": 2, "blocks": 2},
            "square": {"vocabulary": 4, "steps": 4, "width": 4, "heads": 2, "blocks": 2},
        },
        compared_batch=4,
        slow=("trajectory", "fit", "float32_step", "training"),
        absent={
            "keras2": "Keras 2 of 2019 has neither attention nor LayerNormalization nor AdamW",
            "raw_tf1": "TensorFlow 1.15 has neither GELU nor AdamW nor warm-up: all would be this project's own",
            "shim_onnx": "it can be exported, but ONNX Runtime has no float64 Erf, of which GELU is made",
        },
    ),
}
