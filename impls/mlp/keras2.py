"""Three dense layers on handwritten digits, in Keras 2 as it was written in 2019.

The same lines run on KERAS_BACKEND=tensorflow (1.15), theano, cntk and mxnet, and with tf-keras under its own name.
"""

import numpy as np
from keras import backend as K
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import Adam

# Model


def build(features=64, hidden=(128, 64), classes=10):
    model = Sequential()
    model.add(Dense(hidden[0], activation="relu", input_shape=(features,), name="hidden1"))  # (B, first)
    model.add(Dense(hidden[1], activation="relu", name="hidden2"))  # (B, second)
    model.add(Dense(classes, name="logits"))  # (B, classes)
    return model


# Loss


def loss_fn(y_true, y_pred):
    return K.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


# Optimizer


def make_optimizer():
    return Adam(0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7)


# Training


def train(model, x, y, epochs=20, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x / 16
    model = build()
    print("loss", train(model, x[:1400], y[:1400])[-1])
    print("accuracy", np.mean(predict(model, x[1400:]).argmax(-1) == y[1400:]))
