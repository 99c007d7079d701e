"""A small GPT that predicts the next character of Python's documentation, in Keras.

`tf.keras` is the package imported here; the same lines run on KERAS_BACKEND=tensorflow, torch and jax.
"""

import keras
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


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("cross-entropy", float(loss_fn(data.y_test, predict(model, data.x_test))))
