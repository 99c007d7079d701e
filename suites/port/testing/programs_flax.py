"""Writes a drawn network in Flax: its modules of today, and those of Linen."""

from __future__ import annotations

from suites.port.testing.networks import Step
from suites.port.testing.programs_jax import Jax


class Flax(Jax):
    """Both of flax: the arguments of their layers have the same names."""

    def fields(self, step: Step) -> str:
        pads = self.padding(step)
        return (
            f"({', '.join([str(step['size'])] * len(pads))},), strides={step['stride']}, padding={pads}, "
            f"kernel_dilation={step['dilation']}, feature_group_count={step['groups']}, use_bias={step['bias']}"
        )


class Nnx(Flax):
    """Without its GRU: the candidate of nnx.GRUCell has no recurrent bias, which all others have."""

    lacks = ("gru", "bidirectional")

    def put(self, step: Step, name: str, made: str) -> str:
        self.made.append(f"self.{name} = nnx.{made}, rngs=rngs)")
        return f"self.{name}"

    def linear(self, step: Step, name: str, width: int, into: int, bias: bool) -> str:
        return self.put(step, name, f"Linear({into}, {width}, use_bias={bias}")

    def embedding(self, step: Step) -> None:
        self.through(step, f"Embed({step['words']}, {step['width']}")

    def conv(self, step: Step) -> None:
        made = f"Conv({step.shape[-1]}, {step['width']}, {self.fields(step)}"
        self.through(step, made)

    def _norm(self, step: Step, made: str) -> None:
        self.through(step, f"{made}, epsilon={step['epsilon']}")

    def layer_norm(self, step: Step) -> None:
        self._norm(step, f"LayerNorm({step.shape[-1]}")

    def rms_norm(self, step: Step) -> None:
        self._norm(step, f"RMSNorm({step.shape[-1]}")

    def group_norm(self, step: Step) -> None:
        self._norm(step, f"GroupNorm({step.shape[-1]}, {step['groups']}")

    def batch_norm(self, step: Step) -> None:
        self._norm(step, f"BatchNorm({step.shape[-1]}, momentum={step['keep']}")

    def dropout(self, step: Step) -> None:
        self.through(step, f"Dropout({step['rate']}")

    def up_conv(self, step: Step) -> None:
        window = f"({step['size']}, {step['size']}), ({step['stride']}, {step['stride']})"
        made = f"ConvTranspose({step.shape[-1]}, {step['width']}, {window}, padding='VALID', transpose_kernel=True"
        self.through(step, made)

    def lstm(self, step: Step) -> None:
        self.through(step, f"RNN(nnx.OptimizedLSTMCell({step.shape[-1]}, {step['units']}, rngs=rngs)")

    def text(self) -> str:
        text = "import jax\nimport jax.numpy as jnp\nimport optax\nfrom flax import nnx\n\n\nclass Net(nnx.Module):\n"
        text += "    def __init__(self, rngs):\n" + self.indented(self.made, 8)
        text += "\n    def __call__(self, x):\n" + self.indented([*self.lines, "return x"], 8)
        return text + "\n\ndef build():\n    return Net(nnx.Rngs(0))\n" + self.tail()


class Linen(Flax):
    lacks = ()

    def up_conv(self, step: Step) -> None:
        window = f"({step['size']}, {step['size']}), ({step['stride']}, {step['stride']})"
        self.through(step, f"ConvTranspose({step['width']}, {window}, padding='VALID', transpose_kernel=True")

    def lstm(self, step: Step) -> None:
        self.through(step, f"RNN(nn.OptimizedLSTMCell({step['units']})")

    def gru(self, step: Step) -> None:
        self.through(step, f"RNN(nn.GRUCell({step['units']})")

    def bidirectional(self, step: Step) -> None:
        ways = ", ".join([f"nn.RNN(nn.OptimizedLSTMCell({step['units']}))"] * 2)
        self.through(step, f"Bidirectional({ways}")

    def put(self, step: Step, name: str, made: str) -> str:
        return f"nn.{made}, name='{name}')"

    def linear(self, step: Step, name: str, width: int, into: int, bias: bool) -> str:
        return self.put(step, name, f"Dense({width}, use_bias={bias}")

    def embedding(self, step: Step) -> None:
        self.through(step, f"Embed({step['words']}, {step['width']}")

    def conv(self, step: Step) -> None:
        self.through(step, f"Conv({step['width']}, {self.fields(step)}")

    def _norm(self, step: Step, made: str) -> None:
        self.through(step, f"{made}epsilon={step['epsilon']}")

    def layer_norm(self, step: Step) -> None:
        self._norm(step, "LayerNorm(")

    def rms_norm(self, step: Step) -> None:
        self._norm(step, "RMSNorm(")

    def group_norm(self, step: Step) -> None:
        self._norm(step, f"GroupNorm({step['groups']}, ")

    def batch_norm(self, step: Step) -> None:
        self._norm(step, f"BatchNorm(use_running_average=not train, momentum={step['keep']}, ")

    def dropout(self, step: Step) -> None:
        made = self.put(step, step.name, f"Dropout({step['rate']}, deterministic=not train")
        self.line(f"x = {made}(x)")

    def text(self) -> str:
        text = "import jax\nimport jax.numpy as jnp\nimport optax\nfrom flax import linen as nn\n\n\n"
        text += "class Net(nn.Module):\n"
        text += "    @nn.compact\n    def __call__(self, x, train=False):\n" + self.indented(
            [*self.lines, "return x"], 8
        )
        return text + "\n\ndef build():\n    return Net()\n" + self.tail()
