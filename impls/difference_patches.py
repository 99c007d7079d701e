"""What makes the oracle compute what a library is known to compute otherwise: diffs of its sources, for its worker.

With one of them planted the oracle judges a program of that library by the bounds of all others, so that nothing else
hides behind the known difference. Valid on Python 3.6, and imports no framework.
"""

# torch/optim/adam.py: epsilon is added to the bias-corrected root.
ADAM = (
    {
        "file": "impls/shim/optimizers.py",
        "old": "        return m * rates[0] / (B.sqrt(v) + self.epsilon), m, v\n",
        "new": """        return m * rates[0] / (B.sqrt(v) + self.epsilon * rates[-1]), m, v

    def rates(self, t: Any, override: float | None = None) -> tuple[Any, ...]:
        return (*Optimizer.rates(self, t, override), (1 - self.beta_2**t) ** 0.5)
""",
    },
)

# torch/optim/sgd.py: the rate multiplies the velocity.
SGD = (
    {
        "file": "impls/shim/optimizers.py",
        "old": """        m = slots[0] * self.momentum - step
        return (step - m * self.momentum if self.nesterov else m * -1.0), m
""",
        "new": """        m = slots[0] * self.momentum + g
        return (g + m * self.momentum if self.nesterov else m) * rates[0], m
""",
    },
)

# torch/nn/modules/batchnorm.py: the unbiased running variance.
UNBIASED_VARIANCE = (
    {
        "file": "impls/shim/layers.py",
        "old": "        run.updates[self.variance] = B.blend(variance, batch_variance, 1 - self.momentum)\n",
        "new": """        count = math.prod(x.shape) // x.shape[-1]
        unbiased = batch_variance * (count / (count - 1))
        run.updates[self.variance] = B.blend(variance, unbiased, 1 - self.momentum)
""",
    },
)

# torch/optim/rmsprop.py: epsilon outside the root.
RMSPROP = (
    {
        "file": "impls/shim/optimizers.py",
        "old": "        return g * rates[0] / B.sqrt(v + self.epsilon), v\n",
        "new": "        return g * rates[0] / (B.sqrt(v) + self.epsilon), v\n",
    },
)

# torch/nn/utils/clip_grad.py: the norm + 1e-6.
CLIPPING = (
    {
        "file": "impls/shim/optimizers.py",
        "old": "        return limit / B.at_least(norm, limit)\n",
        "new": "        return limit / B.at_least(norm + 1e-6, limit)\n",
    },
)

# torch/nn/modules/rnn.py: two biases with one gradient, both in the norm, both moved. The bias of an LSTM is the one
# vector that lies beside a recurrent kernel.
TWO_BIASES = (
    {
        "file": "impls/shim/optimizers.py",
        "old": "            factor = self._shrink(B, B.global_norm(arrays), self.global_clipnorm)\n",
        "new": """            second = [grads[name] for name in self.doubled(grads)]
            factor = self._shrink(B, B.global_norm([*arrays, *second]), self.global_clipnorm)
""",
    },
    {
        "file": "impls/shim/optimizers.py",
        "old": "            weights[name] = B.subtract(weight, step)\n",
        "new": "            weights[name] = B.subtract(weight, step * 2.0 if name in self.doubled(grads) else step)\n",
    },
    {
        "file": "impls/shim/optimizers.py",
        "old": """    @staticmethod
    def _shrink(""",
        "new": """    @staticmethod
    def doubled(grads: Any) -> list[str]:
        layers = [name.partition("/")[0] for name in grads if name.endswith("/recurrent_kernel")]
        return [f"{layer}/bias" for layer in layers]

    @staticmethod
    def _shrink(""",
    },
)

# keras/src/backend/tensorflow/sparse.py: the squares of an embedding's gradient are those of its slices, one for each
# occurrence of an id, summed: in the norm that clips.
SLICES = (
    {
        "file": "impls/shim/backends/numpy.py",
        "old": """        out = np.zeros_like(table)
        np.add.at(out, ids, g)
        return None, out
""",
        "new": """        out = np.zeros_like(table)
        np.add.at(out, ids, g)
        embedding.squares = np.zeros_like(table)
        np.add.at(embedding.squares, ids, g * g)
        return None, out
""",
    },
    {
        "file": "impls/shim/optimizers.py",
        "old": "            factor = self._shrink(B, B.global_norm(arrays), self.global_clipnorm)\n",
        "new": """            dense = [g for name, g in grads.items() if not name.endswith("/embeddings")]
            norm = (B.global_norm(dense) ** 2 + B.sum(B.embedding.squares)) ** 0.5
            factor = self._shrink(B, norm, self.global_clipnorm)
""",
    },
)

# keras/src/backend/{torch,jax}/nn.py, moments: the variance as E[x^2] - E[x]^2, which cancels at a large mean.
ONE_PASS_VARIANCE = (
    {
        "file": "impls/shim/backends/numpy_kernels.py",
        "old": "    mu, var = x.mean(axes), x.var(axes)\n",
        "new": "    mu = x.mean(axes)\n    var = np.square(x).mean(axes) - np.square(mu)\n",
    },
)
