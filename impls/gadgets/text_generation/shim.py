"""Text generated greedily with a key-value cache, with Triptych's shim."""

import numpy as np

from impls import shim


# Model
def build(vocabulary=97, steps=32, width=64, heads=4, blocks=2):
    ids = shim.Input((None,))
    token = shim.Embedding(vocabulary, width, name="token")
    x = shim.PositionEmbedding(steps, name="position")(token(ids))
    for b in range(1, blocks + 1):
        y = shim.LayerNorm(name=f"attention_norm{b}")(x)
        y = shim.MultiHeadAttention(heads, width // heads, use_bias=False, causal=True, name=f"attention{b}")(y)
        x = shim.Add()([x, y])
        y = shim.LayerNorm(name=f"mlp_norm{b}")(x)
        y = shim.Dense(4 * width, activation="gelu", name=f"expand{b}")(y)
        x = shim.Add()([x, shim.Dense(width, name=f"contract{b}")(y)])
    x = shim.LayerNorm(name="norm")(x)
    return shim.Model(ids, shim.TiedHead(token, name="logits")(x))


# Loss
LOSS = "softmax_cross_entropy"

# Optimizer
OPTIMIZER = shim.AdamW(
    shim.CosineDecay(3e-4, 470, alpha=0.1, warmup_target=3e-3, warmup_steps=10),
    weight_decay=0.1,
    beta_2=0.99,
    global_clipnorm=1.0,
    exclude_from_weight_decay=("bias", "gamma", "beta"),
)


# Training
def train(model, x, y, epochs=3, batch_size=32):
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    return model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False)["loss"]


# Prediction
def predict(model, x):
    return model.predict(x)


def generate(model, prompts, count):
    cache, tokens, new, logits = shim.KeyValueCache(), prompts, prompts, []
    for _ in range(count):
        logits.append(model.extend(new, cache)[:, -1])  # (B, vocabulary)
        new = logits[-1].argmax(-1)[:, None]
        tokens = np.concatenate([tokens, new], 1)
    return {"tokens": tokens, "logits": np.stack(logits, 1)}


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    model = build()
    train(model, data.x, data.y)
    text = generate(model, data.x_test[:3, :8], 24)["tokens"]
    alphabet = np.array([*map(chr, range(32, 127)), "\n", "?"])
    print("\n---\n".join("".join(alphabet[ids]) for ids in text))
