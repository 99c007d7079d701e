"""Keras 3 on its NumPy backend: what it does, and what is missing for training."""

import keras
import numpy as np

x = np.linspace(-1, 1, 20, dtype="float32")[:, None]
y = 3 * x + 1
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.5), "mse")
w, b = model.get_weights()
print("predict:", "as by hand" if np.allclose(model.predict(x, verbose=0), x @ w + b) else "wrong")
print(f"evaluate: a loss of {model.evaluate(x, y, verbose=0):.3f}")
try:
    model.fit(x, y, verbose=0)
except NotImplementedError as error:
    print("fit:", error)
print("in keras.ops with 'grad' in their names:", [name for name in dir(keras.ops) if "grad" in name])
for _ in range(50):
    error = model.predict(x, verbose=0) - y
    model.optimizer.apply([2 * x.T @ error / len(x), 2 * error.mean(0)], model.trainable_variables)
loss = model.evaluate(x, y, verbose=0)
print(f"50 steps of Keras's SGD with gradients written by hand: a loss of {loss:.0e}")
assert loss < 1e-6
