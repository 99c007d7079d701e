import keras
from keras import layers, ops


def build():
    return keras.Sequential([
        keras.Input((10,)),
        layers.Dense(2 * 2 * 6, use_bias=False, name="project"),
        layers.Reshape((2, 2, 6)),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="bn0"),
        layers.ReLU(),
        layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False, name="up1"),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="bn1"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh", name="up2"),
    ])
