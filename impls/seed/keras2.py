"""Two dense layers on Iris, in Keras 2 as it was written in 2019.

The same lines run on KERAS_BACKEND=tensorflow (1.15), theano, cntk and mxnet, and with tf-keras under its own name.
"""

import numpy as np
from keras import backend as K
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import Adam

# Model


def build(features=4, hidden=8):
    model = Sequential()
    model.add(Dense(hidden, activation="relu", input_shape=(features,), name="hidden"))  # (B, hidden)
    model.add(Dense(1, name="logits"))  # (B, 1)
    return model


# Loss


def loss_fn(y_true, y_pred):
    return K.mean(K.binary_crossentropy(y_true, y_pred, from_logits=True), axis=-1)


# Optimizer


def make_optimizer():
    return Adam(0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-7)


# Training


def train(model, x, y, epochs=100, batch_size=32):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from sklearn.datasets import load_iris

    x, species = load_iris(return_X_y=True)
    x, y = (x[50:] - x[50:].mean(0)) / x[50:].std(0), (species[50:, None] == 2).astype("float32")
    model = build()
    print("loss", train(model, x, y)[-1])
    print("accuracy", np.mean((predict(model, x) > 0) == y))
