"""JAX: log1p of float64 around -0.414 is more than a hundred ulps off on a CPU."""

import math

import jax

jax.config.update("jax_enable_x64", True)
print(float(jax.numpy.log1p(-0.414)), math.log1p(-0.414))
