"""Writes a drawn network as a user's file in one of the frameworks; each program is the same model."""

from __future__ import annotations

from collections.abc import Mapping

from suites.port.testing.networks import Network, Step
from suites.port.testing.programs_flax import Linen, Nnx
from suites.port.testing.programs_jax import Equinox, Haiku, Plain
from suites.port.testing.writer import Writer

TORCH_FUNCTIONS = {
    "relu": "F.relu(x)", "tanh": "torch.tanh(x)", "gelu": "F.gelu(x)", "gelu_tanh": 'F.gelu(x, approximate="tanh")',
    "silu": "F.silu(x)", "leaky_relu": "F.leaky_relu(x, 0.25)", "elu": "F.elu(x)", "sigmoid": "torch.sigmoid(x)",
    "softplus": "F.softplus(x)",
}  # fmt: skip
KERAS_FUNCTIONS = {
    "relu": "keras.ops.relu(x)", "tanh": "keras.ops.tanh(x)", "gelu": "keras.ops.gelu(x, approximate=False)",
    "gelu_tanh": "keras.ops.gelu(x, approximate=True)", "silu": "keras.ops.silu(x)",
    "leaky_relu": "layers.LeakyReLU(negative_slope=0.25)(x)", "elu": "keras.ops.elu(x)",
    "sigmoid": "keras.ops.sigmoid(x)", "softplus": "keras.ops.softplus(x)",
}  # fmt: skip


class Torch(Writer):
    """torch.nn: images are (N, C, H, W); sequences stay (N, T, C) but in convolutions."""

    functions = TORCH_FUNCTIONS

    def layer(self, step: Step, made: str, call: str = "x") -> None:
        self.made.append(f"self.{step.name} = {made}")
        self.line(f"x = self.{step.name}({call})")

    def dense(self, step: Step) -> None:
        self.layer(step, f"nn.Linear({step.shape[-1]}, {step['width']}, bias={step['bias']})")

    def embedding(self, step: Step) -> None:
        self.layer(step, f"nn.Embedding({step['words']}, {step['width']})")

    def pad(self, step: Step, value: str = "0.0") -> str:
        """Pads by hand where one side gets more; what the layer has to pad itself."""
        pads = self.padding(step)
        if all(before == behind for before, behind in pads) and len(set(pads)) == 1:
            return str(pads[0][0])
        flat = [n for pair in reversed(pads) for n in pair]
        self.line(f"x = F.pad(x, {tuple(flat)}, value={value})")
        return "0"

    def conv(self, step: Step) -> None:
        axes = len(step.shape) - 1
        if axes == 1:
            self.line("x = x.transpose(1, 2)")
        padding = self.pad(step)
        self.layer(
            step,
            f"nn.Conv{axes}d({step.shape[-1]}, {step['width']}, {step['size']}, stride={step['stride']}, "
            f"padding={padding}, dilation={step['dilation']}, groups={step['groups']}, bias={step['bias']})",
        )
        if axes == 1:
            self.line("x = x.transpose(1, 2)")

    def _last(self, step: Step, made: str) -> None:
        """A layer that wants channels last."""
        if len(step.shape) == 3:
            self.layer(step, made, "x.permute(0, 2, 3, 1)")
            self.line("x = x.permute(0, 3, 1, 2)")
        else:
            self.layer(step, made)

    def layer_norm(self, step: Step) -> None:
        self._last(step, f"nn.LayerNorm({step.shape[-1]}, eps={step['epsilon']})")

    def rms_norm(self, step: Step) -> None:
        self._last(step, f"nn.RMSNorm({step.shape[-1]}, eps={step['epsilon']})")

    def group_norm(self, step: Step) -> None:
        self.layer(step, f"nn.GroupNorm({step['groups']}, {step.shape[-1]}, eps={step['epsilon']})")

    def batch_norm(self, step: Step) -> None:
        axes = max(len(step.shape) - 1, 1)
        made = f"nn.BatchNorm{axes}d({step.shape[-1]}, eps={step['epsilon']}, momentum={1 - step['keep']:.4g})"
        if len(step.shape) == 2:
            self.layer(step, made, "x.transpose(1, 2)")
            self.line("x = x.transpose(1, 2)")
        else:
            self.layer(step, made)

    def dropout(self, step: Step) -> None:
        self.layer(step, f"nn.Dropout({step['rate']})")

    def max_pool(self, step: Step) -> None:
        padding = self.pad(step, "-torch.inf")
        self.line(f"x = F.max_pool2d(x, {step['size']}, {step['stride']}, {padding})")

    def average_pool(self, step: Step) -> None:
        self.line(f"x = F.avg_pool2d(x, {step['size']}, {step['stride']})")

    def upsample(self, step: Step) -> None:
        self.line("x = F.interpolate(x, scale_factor=2)")

    def mean(self, step: Step) -> None:
        self.line("x = x.mean((2, 3))" if len(step.shape) == 3 else "x = x.mean(1)")

    def largest(self, step: Step) -> None:
        self.line("x = x.amax((2, 3))")

    def flatten(self, step: Step) -> None:
        self.line("x = x.permute(0, 2, 3, 1).flatten(1)" if len(step.shape) == 3 else "x = x.flatten(1)")

    def lstm(self, step: Step) -> None:
        self.layer(step, f"nn.LSTM({step.shape[-1]}, {step['units']}, batch_first=True)")
        self.line("x = x[0]")

    def gru(self, step: Step) -> None:
        self.layer(step, f"nn.GRU({step.shape[-1]}, {step['units']}, batch_first=True)")
        self.line("x = x[0]")

    def bidirectional(self, step: Step) -> None:
        self.layer(step, f"nn.LSTM({step.shape[-1]}, {step['units']}, batch_first=True, bidirectional=True)")
        self.line("x = x[0]")

    def up_conv(self, step: Step) -> None:
        self.layer(step, f"nn.ConvTranspose2d({step.shape[-1]}, {step['width']}, {step['size']}, {step['stride']})")

    def gated(self, step: Step) -> None:
        n, width = step.name, step["width"]
        for part, (i, o) in {
            "gate": (step.shape[-1], width),
            "up": (step.shape[-1], width),
            "down": (width, step.shape[-1]),
        }.items():
            self.made.append(f"self.{n}_{part} = nn.Linear({i}, {o}, bias=False)")
        gate = self.functions[step["function"]].replace("(x", f"(self.{n}_gate(x)", 1)
        self.line(f"x = self.{n}_down({gate} * self.{n}_up(x))")

    def attention(self, step: Step) -> None:
        width, heads, n = step.shape[-1], step["heads"], step.name
        for part in ("q", "k", "v", "o"):
            self.made.append(f"self.{n}_{part} = nn.Linear({width}, {width})")
        for part in ("q", "k", "v"):
            self.line(f"{part} = self.{n}_{part}(x).unflatten(-1, ({heads}, {width // heads})).transpose(1, 2)")
        self.line(f"x = F.scaled_dot_product_attention(q, k, v, is_causal={step['causal']})")
        self.line(f"x = self.{n}_o(x.transpose(1, 2).flatten(2))")

    def text(self) -> str:
        head = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
        body = "    def __init__(self):\n        super().__init__()\n" + self.indented(self.made, 8)
        body += "\n    def forward(self, x):\n" + self.indented([*self.lines, "return x"], 8)
        loss = {"cross_entropy": "F.cross_entropy(z, y)", "squares": "((z - y) ** 2).mean()"}[self.network.loss.kind]
        tail = f"\n\ndef build():\n    return Net()\n\n\ndef loss_fn(z, y):\n    return {loss}\n"
        step = self.network.optimizer
        if step is None:
            return head + body + tail
        return head + body + tail + self.training(step)

    def training(self, step: Step) -> str:
        """The optimizer; with a schedule, the user's step that moves it."""
        made = f"SGD(net.parameters(), lr={step['rate']}"
        if step.kind == "adam":
            made = f"Adam(net.parameters(), lr={step['rate']}, betas=({step['beta_1']}, 0.999), eps={step['epsilon']})"
        else:
            made += f", momentum={step['momentum']}, nesterov={step['nesterov']})"
        if step["decay"] == 1:
            return f"\n\ndef make_optimizer(net):\n    return torch.optim.{made}\n"
        lines = [
            f"optimizer = torch.optim.{made}",
            f"optimizer.schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, {step['decay']})",
            "return optimizer",
        ]
        text = "\n\ndef make_optimizer(net):\n" + self.indented(lines, 4)
        steps = [
            "optimizer.zero_grad()",
            "loss_fn(net(x), y).backward()",
            "optimizer.step()",
            "optimizer.schedule.step()",
        ]
        return text + "\n\ndef train_step(net, optimizer, x, y):\n" + self.indented(steps, 4)


class Keras(Writer):
    """Keras 3, functional."""

    functions = KERAS_FUNCTIONS

    def layer(self, step: Step, made: str) -> None:
        self.line(f"x = layers.{made[:-1]}{', ' if made[-2] != '(' else ''}name='{step.name}')(x)")

    def dense(self, step: Step) -> None:
        self.layer(step, f"Dense({step['width']}, use_bias={step['bias']})")

    def embedding(self, step: Step) -> None:
        self.layer(step, f"Embedding({step['words']}, {step['width']})")

    def conv(self, step: Step) -> None:
        axes = len(step.shape) - 1
        padding = step["padding"]
        if padding == "even":
            self.line(f"x = layers.ZeroPadding{axes}D({step['size'] // 2})(x)")
            padding = "valid"
        self.layer(
            step,
            f"Conv{axes}D({step['width']}, {step['size']}, strides={step['stride']}, padding='{padding}', "
            f"dilation_rate={step['dilation']}, groups={step['groups']}, use_bias={step['bias']})",
        )

    def layer_norm(self, step: Step) -> None:
        self.layer(step, f"LayerNormalization(epsilon={step['epsilon']})")

    def rms_norm(self, step: Step) -> None:
        self.layer(step, f"RMSNormalization(epsilon={step['epsilon']})")

    def group_norm(self, step: Step) -> None:
        self.layer(step, f"GroupNormalization({step['groups']}, epsilon={step['epsilon']})")

    def batch_norm(self, step: Step) -> None:
        self.layer(step, f"BatchNormalization(momentum={step['keep']}, epsilon={step['epsilon']})")

    def dropout(self, step: Step) -> None:
        self.layer(step, f"Dropout({step['rate']})")

    def max_pool(self, step: Step) -> None:
        self.line(f"x = layers.MaxPooling2D({step['size']}, {step['stride']}, '{step['padding']}')(x)")

    def average_pool(self, step: Step) -> None:
        self.line(f"x = layers.AveragePooling2D({step['size']}, {step['stride']})(x)")

    def upsample(self, step: Step) -> None:
        self.line("x = layers.UpSampling2D(2)(x)")

    def mean(self, step: Step) -> None:
        self.line(f"x = layers.GlobalAveragePooling{len(step.shape) - 1}D()(x)")

    def largest(self, step: Step) -> None:
        self.line("x = layers.GlobalMaxPooling2D()(x)")

    def flatten(self, step: Step) -> None:
        self.line("x = layers.Flatten()(x)")

    def lstm(self, step: Step) -> None:
        self.layer(step, f"LSTM({step['units']}, return_sequences=True)")

    def gru(self, step: Step) -> None:
        self.layer(step, f"GRU({step['units']}, return_sequences=True)")

    def bidirectional(self, step: Step) -> None:
        self.layer(step, f"Bidirectional(layers.LSTM({step['units']}, return_sequences=True))")

    def up_conv(self, step: Step) -> None:
        self.layer(step, f"Conv2DTranspose({step['width']}, {step['size']}, strides={step['stride']})")

    def gated(self, step: Step) -> None:
        n = step.name
        self.line(f"gate = layers.Dense({step['width']}, use_bias=False, name='{n}_gate')(x)")
        self.line(f"up = layers.Dense({step['width']}, use_bias=False, name='{n}_up')(x)")
        self.line(f"gate = {self.functions[step['function']].replace('(x', '(gate', 1)}")
        self.line(f"x = layers.Dense({step.shape[-1]}, use_bias=False, name='{n}_down')(gate * up)")

    def attention(self, step: Step) -> None:
        made = f"layers.MultiHeadAttention({step['heads']}, {step.shape[-1] // step['heads']}, name='{step.name}')"
        self.line(f"x = {made}(x, x, use_causal_mask={step['causal']})")

    def text(self) -> str:
        kind = ", dtype='int32'" if self.network.kind == "words" else ""
        start = [f"inputs = x = keras.Input({self.network.shape}{kind})"]
        text = "import keras\nfrom keras import layers\n\n\ndef build():\n"
        text += self.indented([*start, *self.lines, "return keras.Model(inputs, x)"], 4)
        losses = {
            "cross_entropy": "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
            "squares": "keras.losses.MeanSquaredError()",
        }
        text += f"\n\nloss_fn = {losses[self.network.loss.kind]}\n"
        step = self.network.optimizer
        if step is None:
            return text
        rate = str(step["rate"])
        if step["decay"] != 1:
            rate = f"keras.optimizers.schedules.ExponentialDecay({rate}, 1, {step['decay']})"
        made = (
            f"SGD({rate}, momentum={step['momentum']}, nesterov={step['nesterov']})"
            if step.kind == "sgd"
            else (f"Adam({rate}, beta_1={step['beta_1']}, epsilon={step['epsilon']})")
        )
        return text + f"\n\ndef make_optimizer():\n    return keras.optimizers.{made}\n"


WRITERS: Mapping[str, type[Writer]] = {
    "torch": Torch, "keras": Keras, "nnx": Nnx, "linen": Linen, "haiku": Haiku, "equinox": Equinox, "jax": Plain,
}  # fmt: skip


def write(network: Network, api: str) -> str:
    """The program of a network in one API."""
    return WRITERS[api](network).text()
