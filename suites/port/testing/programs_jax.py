"""Writes a drawn network in the libraries of JAX, and in JAX itself."""

from __future__ import annotations

import math

from suites.port.testing.networks import Step
from suites.port.testing.writer import Writer

JAX_FUNCTIONS = {
    "relu": "jax.nn.relu(x)", "tanh": "jnp.tanh(x)", "gelu": "jax.nn.gelu(x, approximate=False)",
    "gelu_tanh": "jax.nn.gelu(x)", "silu": "jax.nn.silu(x)", "leaky_relu": "jax.nn.leaky_relu(x, 0.25)",
    "elu": "jax.nn.elu(x)", "sigmoid": "jax.nn.sigmoid(x)", "softplus": "jax.nn.softplus(x)",
}  # fmt: skip


class Jax(Writer):
    """What JAX's libraries have in common: channels last, functions of jax.nn and jax.numpy between the layers."""

    functions = JAX_FUNCTIONS

    def put(self, step: Step, name: str, made: str) -> str:
        """Makes a layer; the text that calls it up to the bracket."""
        raise NotImplementedError

    def through(self, step: Step, made: str) -> None:
        self.line(f"x = {self.put(step, step.name, made)}(x)")

    def linear(self, step: Step, name: str, width: int, into: int, bias: bool) -> str:
        raise NotImplementedError

    def dense(self, step: Step) -> None:
        self.line(f"x = {self.linear(step, step.name, step['width'], step.shape[-1], step['bias'])}(x)")

    def pooled(self, step: Step, function: str, initial: str) -> str:
        size, stride = step["size"], step["stride"]
        pads = ((0, 0), *self.padding(step), (0, 0))
        windows = f"(1, {size}, {size}, 1), (1, {stride}, {stride}, 1), {pads}"
        return f"jax.lax.reduce_window(x, {initial}, {function}, {windows})"

    def max_pool(self, step: Step) -> None:
        self.line(f"x = {self.pooled(step, 'jax.lax.max', '-jnp.inf')}")

    def average_pool(self, step: Step) -> None:
        self.line(f"x = {self.pooled(step, 'jax.lax.add', '0.0')} / {step['size'] ** 2}")

    def upsample(self, step: Step) -> None:
        self.line("x = x.repeat(2, 1).repeat(2, 2)")

    def largest(self, step: Step) -> None:
        self.line("x = x.max((1, 2))")

    def flatten(self, step: Step) -> None:
        self.line("x = x.reshape(x.shape[0], -1)")

    def gated(self, step: Step) -> None:
        n, width, into = step.name, step["width"], step.shape[-1]
        self.line(f"gate = {self.linear(step, n + '_gate', width, into, False)}(x)")
        self.line(f"up = {self.linear(step, n + '_up', width, into, False)}(x)")
        self.line(f"gate = {self.functions[step['function']].replace('(x', '(gate', 1)}")
        self.line(f"x = {self.linear(step, n + '_down', into, width, False)}(gate * up)")

    def attention(self, step: Step) -> None:
        width, heads, n = step.shape[-1], step["heads"], step.name
        for part in ("q", "k", "v"):
            made = self.linear(step, f"{n}_{part}", width, width, True)
            self.line(f"{part} = {made}(x).reshape(*x.shape[:-1], {heads}, {width // heads})")
        self.line(f"scores = jnp.einsum('nqhd,nkhd->nhqk', q, k) / {math.sqrt(width // heads)!r}")
        if step["causal"]:
            self.line("scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)")
        self.line("x = jnp.einsum('nhqk,nkhd->nqhd', jax.nn.softmax(scores), v).reshape(x.shape)")
        self.line(f"x = {self.linear(step, n + '_o', width, width, True)}(x)")

    def tail(self) -> str:
        loss = {
            "cross_entropy": "optax.softmax_cross_entropy_with_integer_labels(z, y).mean()",
            "squares": "((z - y) ** 2).mean()",
        }[self.network.loss.kind]
        text = f"\n\ndef loss_fn(z, y):\n    return {loss}\n"
        step = self.network.optimizer
        if step is None:
            return text
        rate = str(step["rate"])
        if step["decay"] != 1:
            rate = f"optax.exponential_decay({rate}, 1, {step['decay']})"
        made = f"adam({rate}, b1={step['beta_1']}, eps={step['epsilon']})" if step.kind == "adam" else f"sgd({rate})"
        if step.settings.get("momentum"):
            made = f"sgd({rate}, momentum={step['momentum']}, nesterov={step['nesterov']})"
        return text + f"\n\ndef make_optimizer():\n    return optax.{made}\n"


class Haiku(Jax):
    """Without its LSTM and GRU: the one adds 1 to the forget gate, the other resets before the product."""

    lacks = ("lstm", "gru", "bidirectional", "up_conv")
    moving = False  # whether there are statistics

    def batch_norm(self, step: Step) -> None:
        self.moving = True
        made = self.put(step, step.name, f"BatchNorm(True, True, {step['keep']}, eps={step['epsilon']}")
        self.line(f"x = {made}(x, is_training)")

    def dropout(self, step: Step) -> None:
        self.line("if is_training:")
        self.line(f"    x = hk.dropout(hk.next_rng_key(), {step['rate']}, x)")

    def put(self, step: Step, name: str, made: str) -> str:
        return f"hk.{made}, name='{name}')"

    def linear(self, step: Step, name: str, width: int, into: int, bias: bool) -> str:
        return self.put(step, name, f"Linear({width}, with_bias={bias}")

    def embedding(self, step: Step) -> None:
        self.through(step, f"Embed({step['words']}, {step['width']}")

    def conv(self, step: Step) -> None:
        axes = len(step.shape) - 1
        settings = f"stride={step['stride']}, rate={step['dilation']}, feature_group_count={step['groups']}"
        settings += f", padding={self.padding(step)}, with_bias={step['bias']}"
        made = f"Conv{axes}D({step['width']}, {step['size']}, {settings}"
        self.through(step, made)

    def layer_norm(self, step: Step) -> None:
        self.through(step, f"LayerNorm(-1, True, True, eps={step['epsilon']}")

    def rms_norm(self, step: Step) -> None:
        self.through(step, f"RMSNorm(-1, eps={step['epsilon']}")

    def group_norm(self, step: Step) -> None:
        self.through(step, f"GroupNorm({step['groups']}, eps={step['epsilon']}")

    def text(self) -> str:
        text = "import haiku as hk\nimport jax\nimport jax.numpy as jnp\nimport optax\n\n\ndef net(x, is_training):\n"
        text += self.indented([*self.lines, "return x"], 4)
        made = "hk.transform_with_state(net)" if self.moving else "hk.transform(net)"
        return text + f"\n\ndef build():\n    return {made}\n" + self.tail()


class Plain(Jax):
    """JAX itself: a dict of arrays, and functions written by hand."""

    lacks = ("lstm", "gru", "bidirectional", "up_conv", "batch_norm", "dropout", "group_norm")

    def array(self, name: str, shape: tuple[int, ...]) -> None:
        self.made.append(f'"{name}": 0.3 * rng.normal(size={shape}),')

    def linear(self, step: Step, name: str, width: int, into: int, bias: bool) -> str:
        self.array(f"{name}_w", (into, width))
        if bias:
            self.array(f"{name}_b", (width,))
        added = f', p["{name}_b"]' if bias else ""
        return f'functools.partial(linear, p["{name}_w"]{added})' if not bias else f'affine(p["{name}_w"]{added})'

    def embedding(self, step: Step) -> None:
        self.array(f"{step.name}_table", (step["words"], step["width"]))
        self.line(f'x = p["{step.name}_table"][x]')

    def conv(self, step: Step) -> None:
        axes = len(step.shape) - 1
        into = step.shape[-1] // step["groups"]
        self.array(f"{step.name}_w", (*[step["size"]] * axes, into, step["width"]))
        names = '("NHWC", "HWIO", "NHWC")' if axes == 2 else '("NTC", "TIO", "NTC")'
        windows = f'x, p["{step.name}_w"], {(step["stride"],) * axes}, {self.padding(step)}'
        settings = f"rhs_dilation={(step['dilation'],) * axes}, feature_group_count={step['groups']}"
        self.line(f"x = jax.lax.conv_general_dilated({windows}, {settings}, dimension_numbers={names})")
        if step["bias"]:
            self.array(f"{step.name}_b", (step["width"],))
            self.line(f'x = x + p["{step.name}_b"]')

    def layer_norm(self, step: Step) -> None:
        for part in ("scale", "bias"):
            self.array(f"{step.name}_{part}", (step.shape[-1],))
        self.line("centred = x - x.mean(-1, keepdims=True)")
        self.line(f"x = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + {step['epsilon']})")
        self.line(f'x = x * p["{step.name}_scale"] + p["{step.name}_bias"]')

    def rms_norm(self, step: Step) -> None:
        self.array(f"{step.name}_scale", (step.shape[-1],))
        self.line(f"x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + {step['epsilon']})")
        self.line(f'x = x * p["{step.name}_scale"]')

    def text(self) -> str:
        text = "import functools\n\nimport jax\nimport jax.numpy as jnp\nimport numpy as np\nimport optax\n\n\n"
        text += "def linear(w, x):\n    return x @ w\n\n\ndef affine(w, b):\n    return lambda x: x @ w + b\n\n\n"
        text += "class Net:\n    def __init__(self):\n        rng = np.random.default_rng(0)\n        self.params = {\n"
        text += self.indented(self.made, 12) + "        }\n\n    def forward(self, p, x):\n"
        text += self.indented([*self.lines, "return x"], 8) + "\n\ndef build():\n    return Net()\n"
        return text + self.tail().split("\n\ndef make_optimizer")[0]


class Equinox(Jax):
    """Equinox: one example at a time, channels first, layers of vectors mapped over sequences."""

    lacks = ("gru", "bidirectional", "up_conv", "batch_norm", "dropout")

    def lstm(self, step: Step) -> None:
        made = self.put(step, step.name, f"LSTMCell({step.shape[-1]}, {step['units']}, key=keys()")
        zeros = f"jnp.zeros({step['units']})"
        self.line(f"def {step.name}_step(carry, v):")
        self.line(f"    carry = {made}(v, carry)")
        self.line("    return carry, carry[0]")
        self.line(f"_, x = jax.lax.scan({step.name}_step, ({zeros}, {zeros}), x)")

    def put(self, step: Step, name: str, made: str) -> str:
        self.made.append(f"self.{name} = eqx.nn.{made})")
        return f"self.{name}"

    def linear(self, step: Step, name: str, width: int, into: int, bias: bool) -> str:
        made = self.put(step, name, f"Linear({into}, {width}, use_bias={bias}, key=keys()")
        return f"jax.vmap({made})" if len(step.shape) == 2 else made

    def embedding(self, step: Step) -> None:
        made = self.put(step, step.name, f"Embedding({step['words']}, {step['width']}, key=keys()")
        self.line(f"x = jax.vmap({made})(x)")

    def conv(self, step: Step) -> None:
        axes = len(step.shape) - 1
        settings = f"{step['size']}, {step['stride']}, {self.padding(step)}, {step['dilation']}, {step['groups']}"
        made = f"Conv{axes}d({step.shape[-1]}, {step['width']}, {settings}, use_bias={step['bias']}, key=keys()"
        call = f"{self.put(step, step.name, made)}(x{'.T' if axes == 1 else ''})"
        self.line(f"x = {call}{'.T' if axes == 1 else ''}")

    def _norm(self, step: Step, made: str) -> None:
        maps = len(step.shape) - 1
        call = self.put(step, step.name, f"{made}({step.shape[-1]}, eps={step['epsilon']}")
        for _ in range(maps):
            call = f"jax.vmap({call})"
        self.line(f"x = {call}(x)" if maps < 2 else f"x = {call}(x.transpose(1, 2, 0)).transpose(2, 0, 1)")

    def layer_norm(self, step: Step) -> None:
        self._norm(step, "LayerNorm")

    def rms_norm(self, step: Step) -> None:
        made = f"RMSNorm({step.shape[-1]}, eps={step['epsilon']}, use_bias=False"
        call = self.put(step, step.name, made)
        for _ in range(len(step.shape) - 1):
            call = f"jax.vmap({call})"
        self.line(f"x = {call}(x)" if len(step.shape) < 3 else f"x = {call}(x.transpose(1, 2, 0)).transpose(2, 0, 1)")

    def group_norm(self, step: Step) -> None:
        made = f"GroupNorm({step['groups']}, {step.shape[-1]}, eps={step['epsilon']}"
        self.through(step, made)

    def max_pool(self, step: Step) -> None:
        self.line(f"x = eqx.nn.MaxPool2d({step['size']}, {step['stride']}, {self.padding(step)})(x)")

    def average_pool(self, step: Step) -> None:
        self.line(f"x = eqx.nn.AvgPool2d({step['size']}, {step['stride']})(x)")

    def upsample(self, step: Step) -> None:
        self.line("x = x.repeat(2, 1).repeat(2, 2)")

    def mean(self, step: Step) -> None:
        self.line("x = x.mean((1, 2))" if len(step.shape) == 3 else "x = x.mean(0)")

    def last(self, step: Step) -> None:
        self.line("x = x[-1]")

    def largest(self, step: Step) -> None:
        self.line("x = x.max((1, 2))")

    def flatten(self, step: Step) -> None:
        self.line("x = x.transpose(1, 2, 0).ravel()" if len(step.shape) == 3 else "x = x.ravel()")

    def attention(self, step: Step) -> None:
        width, heads, n = step.shape[-1], step["heads"], step.name
        for part in ("q", "k", "v"):
            made = self.linear(step, f"{n}_{part}", width, width, True)
            self.line(f"{part} = {made}(x).reshape(len(x), {heads}, {width // heads})")
        self.line(f"scores = jnp.einsum('qhd,khd->hqk', q, k) / {math.sqrt(width // heads)!r}")
        if step["causal"]:
            self.line("scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)")
        self.line("x = jnp.einsum('hqk,khd->qhd', jax.nn.softmax(scores), v).reshape(x.shape)")
        self.line(f"x = {self.linear(step, n + '_o', width, width, True)}(x)")

    def text(self) -> str:
        names = list(dict.fromkeys(line.split(" = ")[0].removeprefix("self.") for line in self.made))
        text = "import equinox as eqx\nimport jax\nimport jax.numpy as jnp\nimport optax\n\n\nclass Net(eqx.Module):\n"
        text += self.indented([f"{name}: eqx.Module" for name in names], 4)
        text += "\n    def __init__(self):\n        state = [jax.random.key(0)]\n\n        def keys():\n"
        text += "            state[0], key = jax.random.split(state[0])\n            return key\n\n"
        text += self.indented(self.made, 8)
        text += "\n    def __call__(self, x):\n" + self.indented([*self.lines, "return x"], 8)
        return text + "\n\ndef build():\n    return Net()\n" + self.tail()
