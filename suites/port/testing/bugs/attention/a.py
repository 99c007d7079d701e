"""A decoder block: grouped queries, rotary positions, RMSNorm, a gated network; sinusoids at the input."""

import keras
import numpy as np
from keras import layers, ops

WIDTH, HEADS, GROUPS, SIZE = 24, 4, 2, 6


def sinusoids(length, width):
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(width // 2) / (width // 2))
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, width)


def rotate(x):
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[2])[:, None] * 10000.0 ** (-np.arange(half) / half)
    one, two = x[..., :half], x[..., half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return ops.concatenate([one * cos - two * sin, two * cos + one * sin], -1)


class RMSNorm(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * ops.rsqrt(ops.mean(ops.square(x), -1, keepdims=True) + 1e-6) * self.scale


class Attention(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.query = layers.Dense(HEADS * SIZE, name="query")
        self.key = layers.Dense(GROUPS * SIZE, name="key")
        self.value = layers.Dense(GROUPS * SIZE, name="value")
        self.out = layers.Dense(WIDTH, name="out")

    def heads(self, x, count):
        return ops.transpose(ops.reshape(x, (-1, x.shape[1], count, SIZE)), (0, 2, 1, 3))

    def call(self, x, present):
        q = rotate(self.heads(self.query(x), HEADS))
        k = rotate(self.heads(self.key(x), GROUPS))
        v = self.heads(self.value(x), GROUPS)
        k, v = (ops.repeat(each, HEADS // GROUPS, axis=1) for each in (k, v))
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / SIZE**0.5
        past = np.tril(np.ones((x.shape[1], x.shape[1]), bool))
        allowed = ops.logical_and(past, present[:, None, None, :])
        weights = ops.softmax(ops.where(allowed, scores, -1e9))
        mixed = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))
        return self.out(ops.reshape(mixed, (-1, x.shape[1], WIDTH)))


class Decoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.embed = layers.Embedding(20, WIDTH, name="embed")
        self.before = RMSNorm(name="before")
        self.attention = Attention(name="attention")
        self.between = RMSNorm(name="between")
        self.gate = layers.Dense(24, name="gate")
        self.up = layers.Dense(24, name="up")
        self.down = layers.Dense(WIDTH, name="down")
        self.final = RMSNorm(name="final")
        self.logits = layers.Dense(5, name="logits")

    def call(self, ids):
        present = ops.not_equal(ids, 0)
        x = self.embed(ids) * WIDTH**0.5 + sinusoids(ids.shape[1], WIDTH)
        x = x + self.attention(self.before(x), present)
        h = self.between(x)
        x = x + self.down(ops.silu(self.gate(h)) * self.up(h))
        return self.logits(self.final(x))


def build():
    return Decoder()


loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
