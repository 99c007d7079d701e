"""TensorFlow 1.15: a tf.keras model becomes an Estimator, which trains to the same weights as the model's own fit."""

import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import Dense

tf.logging.set_verbosity(tf.logging.ERROR)
x = np.random.RandomState(0).randn(320, 4).astype("float32")
y = np.tanh(x[:, :1])


def build():
    model = tf.keras.Sequential([Dense(8, "relu", input_shape=(4,), name="hidden"), Dense(1, name="logits")])
    model.set_weights([np.cos(np.arange(np.prod(w.shape))).reshape(w.shape) for w in model.get_weights()])
    model.compile(tf.keras.optimizers.SGD(0.1), "mse")
    return model


def batches():
    return tf.data.Dataset.from_tensor_slices(({"hidden_input": x}, y)).batch(32)


model = build()
config = tf.estimator.RunConfig(tf_random_seed=0, save_summary_steps=None)
with tempfile.TemporaryDirectory() as folder:
    estimator = tf.keras.estimator.model_to_estimator(keras_model=model, model_dir=folder, config=config)
    estimator.train(batches)
    print(f"an epoch takes {estimator.get_variable_value('global_step')} steps; evaluate says", end=" ")
    loss = estimator.evaluate(batches)["loss"]
    found = [estimator.get_variable_value(weight.name.split(":")[0]) for weight in model.weights]
model = build()
model.fit(x, y, batch_size=32, epochs=1, shuffle=False, verbose=0)
print(f"a loss of {loss:.6f}, the model itself {model.evaluate(x, y, batch_size=32, verbose=0):.6f}")
off = max(np.abs(ours - own).max() for ours, own in map(lambda *pair: pair, found, model.get_weights()))
print(f"the weights of Estimator.train and Model.fit differ by at most {off:.0e}")
assert off < 1e-6
