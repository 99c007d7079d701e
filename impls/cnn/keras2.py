"""Two convolutions with BatchNorm on handwritten digits, in Keras 2 as it was written in 2019.

The same lines run on KERAS_BACKEND=tensorflow (1.15), theano, cntk and mxnet, and with tf-keras under its own name.
"""

import numpy as np
from keras import backend as K
from keras.callbacks import Callback
from keras.layers import Activation, BatchNormalization, Conv2D, Dense, Flatten, MaxPooling2D
from keras.models import Sequential
from keras.optimizers import SGD

# Model


def build(image=(8, 8, 1), filters=(16, 32), classes=10):
    first, second = filters
    model = Sequential()
    model.add(Conv2D(first, 3, padding="same", use_bias=False, input_shape=image, name="conv1"))  # (B, H, W, first)
    model.add(BatchNormalization(momentum=0.9, name="bn1"))
    model.add(Activation("relu", name="relu1"))
    model.add(MaxPooling2D(2, name="pool1"))  # (B, H/2, W/2, first)
    model.add(Conv2D(second, 3, strides=2, padding="same", use_bias=False, name="conv2"))  # (B, H/4, W/4, second)
    model.add(BatchNormalization(momentum=0.9, name="bn2"))
    model.add(Activation("relu", name="relu2"))
    model.add(Flatten(name="flatten"))  # (B, H/4 * W/4 * second)
    model.add(Dense(classes, name="logits"))  # (B, classes)
    return model


# Loss


def loss_fn(y_true, y_pred):
    return K.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


# Optimizer


def make_optimizer():
    return SGD(0.05, momentum=0.9, nesterov=True)


class ExponentialDecay(Callback):
    """The rate goes down from batch to batch; Keras's own LearningRateScheduler changes it once an epoch."""

    def on_train_begin(self, logs=None):
        self.step = 0

    def on_batch_begin(self, batch, logs=None):
        K.set_value(self.model.optimizer.lr, 0.05 * 0.8 ** (self.step / 100))
        self.step += 1


# Training


def train(model, x, y, epochs=12, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    decay = [ExponentialDecay()]
    history = model.fit(x, y, batch_size=batch_size, epochs=epochs, callbacks=decay, shuffle=False, verbose=0)
    return history.history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.images[..., None] / 16, digits.target
    model = build()
    print("loss", train(model, x[:1400], y[:1400])[-1])
    print("accuracy", np.mean(predict(model, x[1400:]).argmax(-1) == y[1400:]))
