"""Its port to PyTorch. The bug: LayerNorm keeps PyTorch's own epsilon, 1e-5."""

from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 16)
        self.act = nn.ReLU()
        self.norm = nn.LayerNorm(16)
        self.logits = nn.Linear(16, 3)

    def forward(self, x):
        return self.logits(self.norm(self.act(self.hidden(x))))


def build():
    return Net()
