"""Numbers of 16 bits, digits that a large mean leaves, and types that there are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim import data
from impls.shim.layer import Run
from impls.shim.test_features import in_process

MIXED = """
layers = [shim.Conv2D(4, 3, padding="same", name="conv"), shim.BatchNorm(name="norm"), shim.ReLU(), shim.Flatten(),
          shim.Dropout(0.1), shim.Dense(3, name="logits")]
low, full = (shim.Sequential(layers, inputs=(6, 6, 2), backend=backend, dtype=d) for d in (dtype, "float32"))
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 6, 6, 2)), rng.integers(0, 3, 64)
p, q = low.predict(x), full.predict(x)
print(p.dtype, 0 < np.linalg.norm(p - q) / np.linalg.norm(q) < 8 * 2.0 ** -bits)
low.compile(optimizer=shim.Adam(0.01), loss="softmax_cross_entropy")
losses = low.fit(x, y, epochs=8, batch_size=16)["loss"]
print({str(v.dtype) for v in low.get_weights().values()}, losses[-1] < 0.8 * losses[0])
"""


@pytest.mark.parametrize(
    ("backend", "dtype", "bits"),
    [
        ("numpy", "float16", 11),
        ("torch", "bfloat16", 8),
        pytest.param("torch", "float16", 11, marks=pytest.mark.full),
        pytest.param("jax", "bfloat16", 8, marks=pytest.mark.full),
        pytest.param("jax", "float16", 11, marks=pytest.mark.full),
        pytest.param("tensorflow", "bfloat16", 8, marks=pytest.mark.full),
        pytest.param("tensorflow", "float16", 11, marks=pytest.mark.full),
    ],
)
@pytest.mark.one_in(8)
def test_mixed_precision_rounds_to_16_bits_and_keeps_float32_weights(backend: str, dtype: str, bits: int) -> None:
    lines = in_process(backend, f"dtype, bits = 'mixed_{dtype}', {bits}\n" + MIXED)
    assert lines == ["float32 True", "{'float32'} True"]


def test_every_layer_of_a_mixed_training_computes_in_16_bits() -> None:
    """Noise, constants and masks are 16 bits wide too: one that is not would make all layers behind it float32."""
    start = shim.Input((4, 6))
    hidden = shim.Dropout(0.3)(shim.Dense(6, "gelu")(start))
    hidden = shim.MultiHeadAttention(2, 4, dropout=0.3, rope=100.0, causal=True)(hidden)
    hidden = shim.TimeDistributed(shim.Dropout(0.2))(shim.SpatialDropout(0.3)(shim.LayerNorm()(hidden)))
    image = shim.Reshape((2, 2, 6))(hidden)
    image = shim.UpSampling2D(2, "bilinear")(shim.PReLU()(shim.BatchNorm()(shim.Conv2D(3, 2, padding="same")(image))))
    last = shim.GRU(3)(shim.PositionEmbedding(4)(hidden))
    outputs = shim.Concatenate()([shim.GlobalAveragePool2D()(image), last])
    model = shim.Model(start, outputs, backend="numpy", dtype="mixed_float16")
    x = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
    model.ready(x)
    seen: dict[str, str] = {}

    def noted(layer: Any, y: Any) -> Any:
        seen[layer.name] = str(y.dtype)
        return y

    model.apply({**model.carry["weights"], **model.carry["state"]}, x, Run(True, data.noise(model, {"x": x})), noted)
    assert seen == dict.fromkeys([layer.name for layer in model.layers], "float16")


def test_a_norm_at_every_place_is_computed_in_float32() -> None:
    """Its statistics are those of the last place, which nothing has rounded to 16 bits."""
    chain = [shim.TimeDistributed(shim.BatchNorm(momentum=0.0), name="norm"), shim.Dense(1)]
    model = shim.Sequential(chain, inputs=(3, 2), backend="numpy", dtype="mixed_float16")
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 3, 2)).astype("float16")
    model.train_on_batch(x, np.zeros((8, 3, 1)))
    mean = model.get_weights()["norm/layer/moving_mean"]
    np.testing.assert_allclose(mean, x[:, -1].astype(float).mean(0), rtol=1e-6)


LARGE_MEAN = """
layers = [shim.BatchNorm(momentum=0, name="norm"), shim.Flatten(), shim.Dense(1)]
model = shim.Sequential(layers, inputs=(6, 6, 2), backend=backend, mode=mode)
model.compile(optimizer=shim.SGD(0.0), loss="mean_squared_error")
x = np.random.default_rng(0).normal(100, 0.1, (16, 6, 6, 2)).astype("float32")
model.train_on_batch(x, np.zeros((16, 1)))
found = next(v for name, v in model.get_weights().items() if "variance" in name)
print(np.abs(found / x.astype(float).var((0, 1, 2)) - 1).max() < 1e-3)
"""


@pytest.mark.parametrize(
    ("backend", "mode"),
    [
        pytest.param("tensorflow", "xla", marks=pytest.mark.full),
        pytest.param("tensorflow", "graph", marks=pytest.mark.full),
        ("torch", "eager"),
        pytest.param("jax", "jit", marks=pytest.mark.full),
    ],
)
def test_the_variance_of_a_large_mean_keeps_its_digits(backend: str, mode: str) -> None:
    """E[x^2] - E[x]^2 in float32, as XLA expands TensorFlow's fused kernel, is off by several percent here."""
    assert in_process(backend, f"mode = '{mode}'\n" + LARGE_MEAN) == ["True"]


def test_unknown_types_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown dtype 'mixed_float8': known are float32, float64, mixed_float16"):
        shim.Sequential([shim.Dense(1)], inputs=(2,), dtype="mixed_float8")
    model = shim.Sequential([shim.Dense(1)], inputs=(2,), backend="numpy", dtype="mixed_bfloat16")
    with pytest.raises(ValueError, match="backend 'numpy' has no bfloat16: known are float16"):
        model.predict(np.ones((1, 2)))
