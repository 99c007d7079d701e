"""Text generated greedily with a key-value cache, in Keras, whose attention has none: its parts are called by hand."""

import keras
import numpy as np
from keras import layers, ops

# Model


class PositionEmbedding(layers.Layer):
    def __init__(self, steps, **options):
        super().__init__(**options)
        self.steps = steps

    def build(self, shape):
        self.embeddings = self.add_weight(name="embeddings", shape=(self.steps, shape[-1]))

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return x + self.embeddings[: ops.shape(x)[1]]


def build(vocabulary=97, steps=32, width=64, heads=4, blocks=2):
    ids = keras.Input((None,), dtype="int64")
    token = layers.ReversibleEmbedding(vocabulary, width, name="token")
    x = PositionEmbedding(steps, name="position")(token(ids))  # (B, T, width)
    for b in range(1, blocks + 1):
        y = layers.LayerNormalization(name=f"attention_norm{b}")(x)
        attention = layers.MultiHeadAttention(heads, width // heads, use_bias=False, name=f"attention{b}")
        x += attention(y, y, use_causal_mask=True)
        y = layers.LayerNormalization(name=f"mlp_norm{b}")(x)
        y = layers.Dense(4 * width, activation="gelu", name=f"expand{b}")(y)  # (B, T, 4 * width)
        x += layers.Dense(width, name=f"contract{b}")(y)
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(ids, token(x, reverse=True))  # (B, T, vocabulary): the head is the table of the tokens


# Loss

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Optimizer


def make_optimizer():
    rate = keras.optimizers.schedules.CosineDecay(3e-4, 470, alpha=0.1, warmup_target=3e-3, warmup_steps=10)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.1, beta_2=0.99, epsilon=1e-7, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


# Training


def train(model, x, y, epochs=3, batch_size=32):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


def attend(attention, x, caches):
    q, k, v = attention.query_dense(x), attention.key_dense(x), attention.value_dense(x)  # (B, T, heads, units)
    if attention.name in caches:
        before = caches[attention.name]
        k, v = ops.concatenate([before[0], k], 1), ops.concatenate([before[1], v], 1)
    caches[attention.name] = k, v
    queries, keys = q.shape[1], k.shape[1]
    past = ops.tri(queries, keys, keys - queries, dtype="bool")  # query t sees the keys before and its own
    mixed, _ = attention._compute_attention(q, k, v, past[None, None])
    return attention.output_dense(mixed)


def call_with_cache(model, ids, caches, start):
    token, position = model.get_layer("token"), model.get_layer("position")
    x = token(ids) + position.embeddings[start : start + ids.shape[1]]  # (B, T, width)
    blocks = sum(isinstance(layer, layers.MultiHeadAttention) for layer in model.layers)
    for b in range(1, blocks + 1):
        x += attend(model.get_layer(f"attention{b}"), model.get_layer(f"attention_norm{b}")(x), caches)
        y = model.get_layer(f"expand{b}")(model.get_layer(f"mlp_norm{b}")(x))
        x += model.get_layer(f"contract{b}")(y)
    return token(model.get_layer("norm")(x), reverse=True)


def generate(model, prompts, count):
    tokens = new = prompts
    caches, start, logits = {}, 0, []
    for _ in range(count):
        last = call_with_cache(model, ops.convert_to_tensor(new), caches, start)[:, -1]  # (B, vocabulary)
        logits.append(ops.convert_to_numpy(last))
        start = tokens.shape[1]
        new = logits[-1].argmax(-1)[:, None]
        tokens = np.concatenate([tokens, new], 1)
    return {"tokens": tokens, "logits": np.stack(logits, 1)}


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    text = generate(model, data.x_test[:3, :8], 24)["tokens"]
    alphabet = np.array([*map(chr, range(32, 127)), "\n", "?"])
    print("\n---\n".join("".join(alphabet[ids]) for ids in text))
