"""A U-Net of two levels: group norm, a transposed convolution on the way up, a resize, skips by concatenation."""

import keras
from keras import layers


def block(x, channels, name):
    x = layers.Conv2D(channels, 3, padding="same", name=f"{name}_conv")(x)
    return layers.Activation("silu")(layers.GroupNormalization(2, epsilon=1e-5, name=f"{name}_norm")(x))


def build():
    image = keras.Input((12, 8, 3))
    first = block(image, 4, "first")
    second = block(layers.MaxPooling2D(2)(first), 6, "second")
    bottom = block(layers.AveragePooling2D(2)(second), 8, "bottom")
    x = layers.UpSampling2D(2, interpolation="bilinear")(bottom)
    x = block(layers.Concatenate()([x, second]), 6, "third")
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="up")(x)
    x = block(layers.Concatenate()([x, first]), 4, "last")
    return keras.Model(image, layers.Conv2D(1, 1, name="head")(x))


loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
