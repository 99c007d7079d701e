"""An LSTM that predicts the next character of Python's documentation, in Keras 2 as it was written in 2019.

The same lines run on KERAS_BACKEND=tensorflow (1.15), theano, cntk and mxnet, and with tf-keras under its own name.
"""

import numpy as np
from keras.layers import LSTM, Activation, Dense, Embedding
from keras.models import Sequential
from keras.optimizers import RMSprop

# Model


def build(vocabulary=97, embed=32, units=64, steps=32):
    model = Sequential()
    model.add(Embedding(vocabulary, embed, input_length=steps, name="embedding"))  # (B, T, embed)
    model.add(LSTM(units, return_sequences=True, name="lstm"))  # (B, T, units)
    model.add(Dense(vocabulary, name="logits"))  # (B, T, vocabulary)
    model.add(Activation("softmax"))  # in the model: with logits Theano's cross-entropy takes matrices only
    return model


# Loss

loss_fn = "sparse_categorical_crossentropy"

# Optimizer


def make_optimizer():
    return RMSprop(0.01, rho=0.9, epsilon=1e-7, clipnorm=1.0)


# Training


def train(model, x, y, epochs=3, batch_size=32):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    y = y[..., None]  # (N, T, 1): Keras 2 wants as many axes as the output has
    return model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return np.log(model.predict(x))


if __name__ == "__main__":
    from pydoc_data.topics import topics

    text = np.frombuffer("".join(topics.values()).encode("ascii", "replace"), np.uint8)
    codes = np.where(text < 32, 95, np.minimum(text, 127) - 32)[: 2000 * 32 + 1]
    model = build()
    print("loss", train(model, codes[:-1].reshape(-1, 32), codes[1:].reshape(-1, 32))[-1])
