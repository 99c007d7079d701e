"""A training step of one's own, on inputs moved to where the loss is larger, in Keras."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

# Model


class Adversarial(keras.Sequential):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        g = tape.gradient(loss, x)
        x += g / tf.norm(g)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        for metric in self.metrics:
            metric.update_state(loss, sample_weight=tf.shape(x)[0])
        return self.get_metrics_result()


def build(features=64, hidden=(128, 64), classes=10):
    first, second = hidden
    return Adversarial(
        [
            keras.Input((features,)),
            layers.Dense(first, activation="relu", name="hidden1"),  # (B, first)
            layers.Dense(second, activation="relu", name="hidden2"),  # (B, second)
            layers.Dense(classes, name="logits"),  # (B, classes)
        ]
    )


# Loss

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Optimizer


def make_optimizer():
    return keras.optimizers.SGD(learning_rate=0.125, momentum=0.5)


# Training


def train(model, x, y, epochs=20, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
