"""Keras on TensorFlow: Adam of float64 weights corrects its bias with betas that went through float32."""

import keras
import tensorflow as tf

weight = keras.Variable(0.0, dtype="float64")
optimizer = keras.optimizers.Adam(learning_rate=1.0, epsilon=0.0)
optimizer.apply([tf.constant(1.0, tf.float64)], [weight])
print(float(weight), -1.0)  # the first step of Adam is the rate, whatever the betas
