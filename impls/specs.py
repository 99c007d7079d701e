"""The reference models: what every implementation of them has to compute.

A `ModelSpec` is plain data. It names layers, weights, loss, optimizer and data; it holds no code of any
framework. The mathematics is Keras's convention throughout (see CONTRIBUTING.md).
This file is read by workers on old interpreters too and stays valid on Python 3.6.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

Shape = Tuple[int, ...]

VOCABULARY = 97  # printable ASCII (95), newline, and one id for every other character


class Layer(NamedTuple):
    """One layer: its trainable `weights`, its non-trainable `state`, and the activation fused into its output."""

    name: str
    kind: str
    weights: Dict[str, Shape] = {}
    state: Dict[str, Shape] = {}
    activation: Optional[str] = None


class ModelSpec(NamedTuple):
    """One reference model. `layers(**sizes[size])` gives its layers, `program(**sizes[size])` builds it."""

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

    def at(self, size: str) -> Tuple[Layer, ...]:
        """The layers at `size`."""
        return self.layers(**self.sizes[size])


def dense(name: str, inputs: int, units: int, activation: Optional[str] = None) -> Layer:
    return Layer(name, "dense", {"kernel": (inputs, units), "bias": (units,)}, {}, activation)


def conv2d(name: str, inputs: int, filters: int) -> Layer:
    return Layer(name, "conv2d", {"kernel": (3, 3, inputs, filters)})


def batchnorm(name: str, channels: int) -> Layer:
    vector = (channels,)
    return Layer(
        name, "batchnorm", {"gamma": vector, "beta": vector}, {"moving_mean": vector, "moving_variance": vector}
    )


def embedding(name: str, inputs: int, units: int) -> Layer:
    return Layer(name, "embedding", {"embeddings": (inputs, units)})


def lstm(name: str, inputs: int, units: int) -> Layer:
    return Layer(
        name,
        "lstm",
        {"kernel": (inputs, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)},
    )


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
        conv2d("conv2", first, second),
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
    ),
}
