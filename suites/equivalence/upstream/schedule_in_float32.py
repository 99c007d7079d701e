"""Keras on every backend: a learning-rate schedule is computed in float32, also where everything is float64."""

import keras

keras.config.set_floatx("float64")
schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5)
print(float(schedule(0)), 0.1)
