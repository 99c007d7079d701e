import jax
import jax.numpy as jnp
import optax

from flax import nnx


class Head(nnx.Module):
    def __init__(self, m, rngs):
        self.fc1 = nnx.Linear(8, 5, rngs=rngs)
        self.fc2 = nnx.Linear(5, m, rngs=rngs)
        self.log_var = nnx.Param(jnp.zeros(1))

    def __call__(self, h):
        return self.fc2(nnx.celu(self.fc1(h))) / jnp.exp(self.log_var[...])


class Net(nnx.Module):
    def __init__(self, rngs):
        self.fc1 = nnx.Linear(6, 8, rngs=rngs)
        self.fc2 = nnx.Linear(8, 8, rngs=rngs)
        self.depth = Head(1, rngs)
        self.normal = Head(3, rngs)

    def __call__(self, x):
        h = jnp.clip(self.fc1(x), -1, 1)
        h = jnp.clip(2 * self.fc2(h), -1, 1) + 0.5
        return {"depth": self.depth(h), "normal": self.normal(h)}


def build():
    return Net(nnx.Rngs(0))
