"""The shim on NumPy alone: it trains, since its NumPy backend contains the gradients."""

import sys

import numpy as np

from impls import shim

x = np.linspace(-1, 1, 20)[:, None]
y = 3 * x + 1
model = shim.Sequential([shim.Dense(1)], inputs=(1,), dtype="float64")
model.compile(optimizer=shim.SGD(0.5), loss="mean_squared_error")
losses = model.fit(x, y, epochs=50, batch_size=20)["loss"]
print(f"fit: 50 epochs take the loss from {losses[0]:.3f} to {losses[-1]:.0e}")
engines = [name for name in ("tensorflow", "torch", "jax", "keras") if name in sys.modules]
print("frameworks loaded:", engines or "none")
assert losses[-1] < 1e-6 and not engines
