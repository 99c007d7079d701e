"""An LSTM that predicts the next character of Python's documentation, with Triptych's shim."""

import numpy as np

from impls import shim


# Model
def build(vocabulary=97, embed=32, units=64):
    layers = [
        shim.Embedding(vocabulary, embed, name="embedding"),
        shim.LSTM(units, return_sequences=True, name="lstm"),
        shim.Dense(vocabulary, name="logits"),
    ]
    return shim.Sequential(layers, inputs=(None,))


# Loss
LOSS = "softmax_cross_entropy"

# Optimizer
OPTIMIZER = shim.RMSprop(learning_rate=0.01, rho=0.9, global_clipnorm=1.0)


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
