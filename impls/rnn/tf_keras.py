"""An LSTM that predicts the next character of Python's documentation, in Keras.

`tf.keras` is the package imported here; the same lines run on KERAS_BACKEND=tensorflow, torch and jax.
"""

import keras
from keras import layers

# Model


def build(vocabulary=97, embed=32, units=64):
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int64"),
            layers.Embedding(vocabulary, embed, name="embedding"),  # (B, T, embed)
            layers.LSTM(units, return_sequences=True, name="lstm"),  # (B, T, units)
            layers.Dense(vocabulary, name="logits"),  # (B, T, vocabulary)
        ]
    )


# Loss

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Optimizer


def make_optimizer():
    return keras.optimizers.RMSprop(learning_rate=0.01, rho=0.9, epsilon=1e-7, global_clipnorm=1.0)


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
