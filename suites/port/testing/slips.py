"""The wrong lines that are planted in the ports of `samples`, and what has to be said of each."""

from __future__ import annotations

from typing import NamedTuple


class Slip(NamedTuple):
    """One wrong line of the port, and what has to be said of it."""

    pair: str
    old: str
    new: str
    layer: str
    phase: str
    words: str


INFERENCE, TRAINING = "forward, inference", "forward, training"
SLIPS = {
    "batchnorm epsilon": Slip(
        "cnn",
        "eps=1e-3, m",
        "m",
        "bn",
        INFERENCE,
        "epsilon of BatchNorm: A 0.001, B 1e-05",
    ),
    "momentum convention": Slip(
        "cnn",
        "momentum=0.1",
        "momentum=0.9",
        "bn",
        "state",
        "A keeps 0.9 of the old ones, B keeps 0.1 of the old ones: the convention is inverted",
    ),
    "running variance": Slip(
        "cnn",
        "correction=0",
        "correction=1",
        "bn",
        "state",
        "running variance takes in: A the biased one, B n/(n-1) times the biased one",
    ),
    "batchnorm never in inference": Slip(
        "cnn",
        "if not self.training",
        "if False",
        "bn",
        INFERENCE,
        "mode: in inference BatchNorm normalises: A with the running statistics, B with the batch",
    ),
    "batchnorm never in training": Slip(
        "cnn",
        "if not self.training",
        "if self.eval()",
        "bn",
        TRAINING,
        "mode: in training BatchNorm normalises: A with the batch statistics, B with the running",
    ),
    "SAME padding": Slip(
        "cnn",
        "F.pad(x, (0, 1, 0, 1))",
        "F.pad(x, (1, 1, 1, 1))",
        "conv2",
        INFERENCE,
        "padding (before, behind): A pads (0, 1) (SAME), B pads (1, 1)",
    ),
    "max-pool padding": Slip(
        "cnn",
        "self.pool(x)",
        "F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1)",
        "pool",
        INFERENCE,
        "max-pool padding: A pads with minus infinity, B pads with 0",
    ),
    "flipped kernel": Slip(
        "cnn",
        "self.conv1(x)",
        "F.conv2d(x, self.conv1.weight.flip(2, 3), self.conv1.bias, padding=1)",
        "conv1",
        INFERENCE,
        "kernel: A uses it as it is, B flipped",
    ),
    "flatten order": Slip(
        "cnn",
        "x.permute(0, 2, 3, 1).reshape(len(x), -1)",
        "x.flatten(1)",
        "flatten",
        INFERENCE,
        "flatten order: A channels last (H, W, C), B channels first",
    ),
    "leaky slope": Slip(
        "cnn",
        ", 0.2)",
        ")",
        "leaky (leaky_relu)",
        INFERENCE,
        "activation: A leaky ReLU with slope 0.2, B leaky ReLU with slope 0.01",
    ),
    "another activation": Slip(
        "cnn",
        "torch.tanh(",
        "F.relu(",
        "conv2, activation (tanh)",
        INFERENCE,
        "activation: A tanh, B relu",
    ),
    "activation left out": Slip(
        "cnn",
        "torch.tanh(self.conv2(F.pad(x, (0, 1, 0, 1))))",
        "self.conv2(F.pad(x, (0, 1, 0, 1)))",
        "conv2, activation (tanh)",
        INFERENCE,
        "A applies conv2, activation (tanh) here, B applies nothing",
    ),
    "loss reduction": Slip(
        "cnn",
        "(logits, y)\n\nclass",
        "(logits, y, reduction='sum')\n\nclass",
        "loss",
        "loss",
        "reduction of the cross-entropy: A mean, B sum",
    ),
    "heavy ball": Slip("cnn", ", nesterov=True", "", "optimizer", "optimizer", "momentum: A Nesterov's, B heavy-ball"),
    "weight decay": Slip(
        "cnn",
        "p.mul_(1 - 0.05 * 0.01)",
        "p.grad.add_(p, alpha=0.01)",
        "optimizer",
        "optimizer",
        "weight decay: A 0.01, decoupled from the gradient, B 0.01, L2",
    ),
    "gate order": Slip(
        "rnn",
        "i, f, g, o",
        "i, f, o, g",
        "lstm",
        INFERENCE,
        "gate order: A takes the blocks as i, f, c, o, B as i, f, o, c",
    ),
    "forget bias": Slip(
        "rnn", "sigmoid(f)", "sigmoid(f + 1)", "lstm", INFERENCE, "forget gate: A as its bias says, B adds 1"
    ),
    "recurrent hard sigmoid": Slip(
        "rnn",
        "sigmoid = torch.sigmoid",
        "sigmoid = F.hardsigmoid",
        "lstm",
        INFERENCE,
        "recurrent activation: A sigmoid, B the hard sigmoid x/6 + 0.5",
    ),
    "reset_after": Slip(
        "rnn", "", "", "gru", INFERENCE, "reset gate is applied: A before it, B after the matrix product"
    ),
    "batch_first": Slip(
        "rnn", ", batch_first=True", "", "gru", INFERENCE, "batch_first: the axis of time: A the second, B the first"
    ),
    "gelu": Slip(
        "mlp",
        "GELU()",
        "GELU('tanh')",
        "hidden, activation (gelu)",
        INFERENCE,
        "activation: A GELU by erf, B GELU by tanh",
    ),
    "layernorm epsilon": Slip("mlp", ", eps=1e-3", "", "norm", INFERENCE, "epsilon of LayerNorm: A 0.001, B 1e-05"),
    "hard sigmoid": Slip(
        "mlp",
        "nn.Hardsigmoid()",
        "Hard()",
        "gate, activation (hard_sigmoid)",
        INFERENCE,
        "activation: A the hard sigmoid x/6 + 0.5, B the hard sigmoid 0.2x + 0.5",
    ),
    "softmax twice": Slip(
        "mlp", "F.nll_loss(probabilities.log(), y)", "F.cross_entropy(probabilities, y)", "loss", "loss", "softmax"
    ),
    "eps-hat": Slip(
        "mlp",
        "(v.sqrt() + 1e-7)",
        "(v.sqrt() + 1e-7 * (1 - 0.999**self.t) ** 0.5)",
        "optimizer",
        "optimizer",
        "epsilon is added: A to the uncorrected root (eps-hat), B to the bias-corrected root",
    ),
    "bias correction": Slip(
        "mlp",
        "rate = 0.01 * (1 - 0.999**self.t) ** 0.5 / (1 - 0.9**self.t)",
        "rate = 0.01",
        "optimizer",
        "optimizer",
        "bias correction",
    ),
}
