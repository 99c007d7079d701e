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

# torch/optim/sgd.py: the rate multiplies the velocity; torch/nn/modules/batchnorm.py: the unbiased running variance.
SGD_AND_BATCHNORM = (
    {
        "file": "impls/shim/optimizers.py",
        "old": """        m = slots[0] * self.momentum - step
        return (step - m * self.momentum if self.nesterov else m * -1.0), m
""",
        "new": """        m = slots[0] * self.momentum + g
        return (g + m * self.momentum if self.nesterov else m) * rates[0], m
""",
    },
    {
        "file": "impls/shim/layers.py",
        "old": "        run.updates[self.variance] = B.blend(variance, batch_variance, 1 - self.momentum)\n",
        "new": """        count = math.prod(x.shape) // x.shape[-1]
        unbiased = batch_variance * (count / (count - 1))
        run.updates[self.variance] = B.blend(variance, unbiased, 1 - self.momentum)
""",
    },
)

# torch/optim/rmsprop.py: epsilon outside the root; torch/nn/utils/clip_grad.py: the norm + 1e-6;
# torch/nn/modules/rnn.py: two biases with one gradient, both in the norm, both moved.
RMSPROP_AND_LSTM = (
    {
        "file": "impls/rnn/shim.py",
        "old": "OPTIMIZER = shim.RMSprop(learning_rate=0.01, rho=0.9, global_clipnorm=1.0)\n",
        "new": """class TorchRMSprop(shim.RMSprop):
    def clip(self, B, grads):
        norm = B.global_norm([*grads.values(), grads["lstm/bias"]])
        factor = self.global_clipnorm / B.at_least(norm + 1e-6, self.global_clipnorm)
        return {name: g * factor for name, g in grads.items()}

    def rule(self, B, rates, g, *slots):
        v = slots[0] * self.rho + g * g * (1 - self.rho)
        return g * rates[0] / (B.sqrt(v) + self.epsilon), v

    def apply(self, B, weights, grads, slots, rates):
        new, slots = super().apply(B, weights, grads, slots, rates)
        new["lstm/bias"] = new["lstm/bias"] * 2 - weights["lstm/bias"]
        return new, slots


OPTIMIZER = TorchRMSprop(learning_rate=0.01, rho=0.9, global_clipnorm=1.0)
""",
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
        "file": "impls/rnn/shim.py",
        "old": "OPTIMIZER = shim.RMSprop(learning_rate=0.01, rho=0.9, global_clipnorm=1.0)\n",
        "new": """class KerasRMSprop(shim.RMSprop):
    def clip(self, B, grads):
        dense = {name: g for name, g in grads.items() if name != "embedding/embeddings"}
        norm = (B.global_norm(list(dense.values())) ** 2 + B.sum(B.embedding.squares)) ** 0.5
        factor = self.global_clipnorm / B.at_least(norm, self.global_clipnorm)
        return {name: g * factor for name, g in grads.items()}


OPTIMIZER = KerasRMSprop(learning_rate=0.01, rho=0.9, global_clipnorm=1.0)
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
