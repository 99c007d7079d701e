"""A small GPT that predicts the next character of Python's documentation, with Triptych's shim."""

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


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    model = build()
    train(model, data.x, data.y)
    logits = predict(model, data.x_test)
    right = np.take_along_axis(logits, data.y_test[..., None], -1)[..., 0]
    print("held-out nats a character:", (np.log(np.exp(logits).sum(-1)) - right).mean())
