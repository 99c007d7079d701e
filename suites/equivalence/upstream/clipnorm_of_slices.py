"""Keras on TensorFlow: the global norm of an Embedding's gradient counts a repeated id as if it were several ids."""

import keras
import tensorflow as tf

embedding = keras.layers.Embedding(1, 1, embeddings_initializer="ones")
optimizer = keras.optimizers.SGD(learning_rate=1.0, global_clipnorm=1.0)
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(embedding(tf.constant([0, 0])))  # its gradient is 2
optimizer.apply(tape.gradient(loss, embedding.trainable_variables), embedding.trainable_variables)
print(1.0 - float(embedding.embeddings[0, 0]), 1.0)  # how far it moved, and the norm that it was clipped to
