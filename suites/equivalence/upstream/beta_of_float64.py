"""JAX: beta of float64 is off by 1e-6 where an argument is a little above 8."""

import jax

jax.config.update("jax_enable_x64", True)
print(float(jax.scipy.special.beta(3.0, 8.1)), 2 / (8.1 * 9.1 * 10.1))  # B(3, y) = 2 / (y (y + 1) (y + 2))
