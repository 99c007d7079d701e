"""Attention and what transformers are made of besides: positions, RMSNorm, a head tied to the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from impls.shim.backends.contract import Array, Arrays, Backend, Constant, Shape
from impls.shim.initializers import Initializer
from impls.shim.layer import Axis, Layer, Options, Run, Symbol
from impls.shim.layers import Embedding

if TYPE_CHECKING:
    from typing import Unpack


class MultiHeadAttention(Layer):
    """Vaswani et al. (2017): (N, T, D) to (N, T, D), queries of its first input, keys and values of the others.

    Inputs are [query], [query, value] or [query, value, key], as Keras has them; `attention(x)` is self-attention.
    `mask=`, (N, S) or (N, T, S), is not 0 where a query may look; so is a mask of the keys that an
    `Embedding(mask_zero=True)` made. A query that sees nothing gives zeros, to which the output's bias is added.
    `causal`: query t looks at keys 0 to t. `num_key_value_heads`: each of them serves as many heads of queries (Ainslie
    et al. 2023). `rope`: rotary positions of that base (Su et al. 2021), the halves of a head turned against each
    other. `dropout` is of the shares.

    Weights have Keras's layouts: query, key and value kernels (D, heads, units), the output's (heads, units, D).
    """

    reads_masks = True
    per_place = True

    def __init__(
        self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0, use_bias: bool = True,
        output_shape: int | None = None, causal: bool = False, num_key_value_heads: int | None = None,
        rope: float | None = None, kernel_initializer: Initializer = "glorot_uniform", **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.heads, self.groups = num_heads, num_key_value_heads or num_heads
        self.key_dim, self.value_dim, self.output_size = key_dim, value_dim or key_dim, output_shape
        self.rate, self.use_bias, self.causal, self.rope = dropout, use_bias, causal, rope
        self.kernel_initializer = kernel_initializer
        self.masked = False
        self.turns: dict[tuple[int, int], tuple[Constant, Constant]] = {}
        self._check()

    def _check(self) -> None:
        who = f"layer {self.name!r} (MultiHeadAttention)"
        if min(self.heads, self.groups, self.key_dim) < 1:
            raise ValueError(f"{who} has {self.heads} heads of {self.key_dim} units: it needs at least one of each")
        if self.heads % self.groups:
            raise ValueError(f"{who}: {self.heads} heads cannot share {self.groups} heads of keys and values evenly")
        if not 0 <= self.rate < 1:
            raise ValueError(f"{who}: a dropout rate is in [0, 1), got {self.rate}")
        if self.rope is not None and self.key_dim % 2:
            raise ValueError(f"{who}: rotary positions need an even key_dim, got {self.key_dim}")

    def __call__(
        self, query: Symbol | list[Symbol], value: Symbol | None = None, key: Symbol | None = None,
        attention_mask: Symbol | None = None, use_causal_mask: bool = False, *, mask: Symbol | None = None,
    ) -> Symbol:  # fmt: skip
        """The layer applied to symbols, as Keras applies it, or to a list [query, value] or [query, value, key]."""
        sources = list(query) if isinstance(query, list) else [query]
        sources += [symbol for symbol in (value, key) if symbol is not None]
        if all(symbol is sources[0] for symbol in sources):
            sources = sources[:1]
        mask = attention_mask if mask is None else mask
        self.masked, self.causal = mask is not None, self.causal or use_causal_mask
        return super().__call__([*sources, mask] if mask is not None else sources)

    def build(self, *shapes: Shape) -> Shape:
        given = shapes[:-1] if self.masked else shapes
        if not 1 <= len(given) <= 3 or any(len(shape) != 2 for shape in given):
            raise ValueError(
                f"layer {self.name!r} (MultiHeadAttention) takes [query], [query, value] or [query, value, key], each "
                f"of shape (T, D), got {given}"
            )
        query, value, key = given[0], given[min(1, len(given) - 1)], given[-1]
        self.steps = query[0], value[0]
        self.query = self._projection("query", query[-1], (self.heads, self.key_dim))
        self.key = self._projection("key", key[-1], (self.groups, self.key_dim))
        self.value = self._projection("value", value[-1], (self.groups, self.value_dim))
        width = self.output_size or query[-1]
        inner = (self.heads, self.value_dim)
        kernel = self.weight("attention_output/kernel", (*inner, width), self.kernel_initializer)
        self.output = kernel, self.weight("attention_output/bias", (width,), "zeros") if self.use_bias else ""
        return (query[0], width)

    def _projection(self, name: str, inputs: int, outputs: tuple[int, int]) -> tuple[str, str]:
        kernel = self.weight(f"{name}/kernel", (inputs, *outputs), self.kernel_initializer)
        return kernel, self.weight(f"{name}/bias", outputs, "zeros") if self.use_bias else ""

    def drops(self) -> dict[str, tuple[float, Shape]]:
        if not self.rate:
            return {}
        steps = [Axis(1) if extent is None else extent for extent in self.steps]
        if None in self.steps and len(self.input_shape) > 1:
            raise ValueError(
                f"layer {self.name!r} (MultiHeadAttention) has dropout and several inputs: they need fixed lengths, "
                f"not {self.steps}"
            )
        return {self.name: (self.rate, (self.heads, *steps))}

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        inputs = list(x) if isinstance(x, (list, tuple)) else [x]
        mask = self._mask(inputs.pop() if self.masked else None, run.masks, len(inputs))
        query, value, key = inputs[0], inputs[min(1, len(inputs) - 1)], inputs[-1]
        q = self._heads(B, p, query, self.query, self.heads)
        k = self._heads(B, p, key, self.key, self.groups)
        v = self._heads(B, p, value, self.value, self.groups)
        start = run.cache.places if run.cache is not None else 0
        if self.rope is not None:
            q, k = self._rotated(B, q, start), self._rotated(B, k, start)
        if run.cache is not None:
            k, v = run.cache.grow(B, self.name, k, v)
        if run.cache is not None and start:
            mask = run.cache.visible(B, query.shape[1], q)
        noise = run.noise["noise/" + self.name] if run.training and self.rate else None
        mixed = B.attention(q, k, v, mask, self.causal and not start, noise)
        y = B.reshape(mixed, (-1, query.shape[1], self.heads * self.value_dim))
        run.mask = run.masks[0]
        kernel, bias = self.output
        return B.dense(y, B.reshape(p[kernel], (self.heads * self.value_dim, -1)), p[bias] if bias else None)

    def _mask(self, given: Array, masks: list[Array], count: int) -> Array:
        """Where queries look, (N, 1, T or 1, S): that of the keys, and that which is given."""
        keys = masks[min(1, count - 1)]
        mask = None if keys is None else keys[:, None, None, :]
        if given is None:
            return mask
        given = given != 0
        given = given[:, None, None, :] if len(given.shape) == 2 else given[:, None]
        return given if mask is None else mask & given

    @staticmethod
    def _heads(B: Backend, p: Arrays, x: Array, names: tuple[str, str], heads: int) -> Array:
        """(N, T, D) to (N, T, heads, units)."""
        kernel, bias = names
        y = B.dense(x, B.reshape(p[kernel], (x.shape[-1], -1)), B.reshape(p[bias], (-1,)) if bias else None)
        return B.reshape(y, (-1, x.shape[1], heads, y.shape[-1] // heads))

    def check_cached(self) -> None:
        if not self.causal or len(self.input_shape) > 1:
            raise ValueError(f"layer {self.name!r} (MultiHeadAttention): a cache is for causal attention to itself")

    def _rotated(self, B: Backend, x: Array, start: int) -> Array:
        """Pair (i, i + D / 2) of a head at place t turned by t / rope^(2 i / D); the first place is `start`."""
        units, places = self.key_dim, (start, x.shape[1])
        if places not in self.turns:
            t = np.arange(start, start + x.shape[1])[:, None]
            angles = t / float(self.rope or 1) ** (np.arange(0, units, 2) / units)
            self.turns[places] = Constant(np.cos(angles)[:, None]), Constant(np.sin(angles)[:, None])
        cos, sin = (B.constant(turn, x) for turn in self.turns[places])  # (T, 1, D / 2)
        a, b = B.split(x, 2)
        return B.concatenate(a * cos - b * sin, b * cos + a * sin)


class PositionEmbedding(Layer):
    """Adds a learned vector to each place of a sequence, for at most `length` places: (N, T, D) to (N, T, D)."""

    rank = 2
    per_place = True

    def __init__(
        self, length: int, embeddings_initializer: Initializer = "uniform", **options: Unpack[Options]
    ) -> None:
        super().__init__(**options)
        self.length, self.initializer = length, embeddings_initializer

    def build(self, *shapes: Shape) -> Shape:
        if shapes[0][0] is not None and shapes[0][0] > self.length:
            raise ValueError(f"layer {self.name!r} has {self.length} positions, got sequences of {shapes[0][0]}")
        self.table = self.weight("embeddings", (self.length, shapes[0][-1]), self.initializer)
        return shapes[0]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        start = run.cache.places if run.cache is not None else 0
        end = start + x.shape[1]
        if start and end > self.length:
            raise ValueError(f"layer {self.name!r} has {self.length} positions, a sequence went on to {end}")
        return x + (p[self.table] if end - start == self.length else p[self.table][start:end])


class RMSNorm(Layer):
    """Zhang and Sennrich (2019), over the last axis: x / sqrt(mean(x^2) + epsilon) * gamma, (..., D) to (..., D)."""

    precise = True
    per_place = True

    def __init__(self, epsilon: float = 1e-6, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, *shapes: Shape) -> Shape:
        self.gamma = self.weight("gamma", shapes[0][-1:], "ones")
        return shapes[0]

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.rms_norm(x, p[self.gamma], self.epsilon)


class TiedHead(Layer):
    """Logits by the table of an `Embedding` of the same model (Press and Wolf 2017): (..., D) to (..., ids)."""

    per_place = True

    def __init__(self, embedding: Embedding, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.embedding = embedding

    def build(self, *shapes: Shape) -> Shape:
        if not self.embedding.weights:
            raise ValueError(f"layer {self.name!r} is tied to an Embedding that is no layer of this model before it")
        if shapes[0][-1] != self.embedding.units:
            raise ValueError(
                f"layer {self.name!r} is tied to a table of {self.embedding.units} units "
                f"({self.embedding.name!r}), got {shapes[0]}"
            )
        return (*shapes[0][:-1], self.embedding.inputs)

    def call(self, B: Backend, p: Arrays, x: Array, run: Run) -> Array:
        return B.dense(x, B.transpose(p[self.embedding.table], (1, 0)))
