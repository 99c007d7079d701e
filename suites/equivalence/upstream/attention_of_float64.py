"""JAX: dot_product_attention of float64 takes its softmax in float32."""

import math

import jax

jax.config.update("jax_enable_x64", True)
query = jax.numpy.ones((1, 1, 1, 1))
key = jax.numpy.array([1.0, 2.0]).reshape(1, 2, 1, 1)
value = jax.numpy.array([0.0, 1.0]).reshape(1, 2, 1, 1)
print(float(jax.nn.dot_product_attention(query, key, value)[0, 0, 0, 0]), 1 / (1 + math.exp(-1)))
