"""A residual network of one block, its first stride in the 3x3 convolution; statistics biased as in TensorFlow."""

import keras
from keras import layers


def norm(name):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=name)


def build():
    image = keras.Input((14, 14, 3))
    x = image / 127.5 - 1.0
    x = layers.Conv2D(6, 5, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(name="stem_relu")(norm("stem_norm")(x))
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool")(x)
    h = layers.Conv2D(8, 1, use_bias=False, name="reduce")(x)
    h = layers.ReLU(name="reduce_relu")(norm("reduce_norm")(h))
    h = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="spatial")(h)
    h = norm("spatial_norm")(h)
    shortcut = norm("shortcut_norm")(layers.Conv2D(8, 1, strides=2, use_bias=False, name="shortcut")(x))
    x = layers.ReLU(name="block_relu")(layers.Add(name="add")([shortcut, h]))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x))


loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_optimizer():
    return keras.optimizers.SGD(0.05)
