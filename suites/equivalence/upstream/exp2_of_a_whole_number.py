"""JAX: 2 to the power of 13 is not 8192."""

import jax

print(float(jax.numpy.exp2(13.0)), 8192.0)
