"""Keras 2.3.1 on TensorFlow 1.15: BatchNormalization of images in float64."""

from keras import backend as K
from keras.layers import BatchNormalization
from keras.models import Sequential

K.set_floatx("float64")
try:
    Sequential([BatchNormalization(input_shape=(4, 4, 1))])
except TypeError as error:
    print(error)
else:
    raise AssertionError("it works")
