import torch
from torch import nn
import torch.nn.functional as F


def double(module, inputs, output):
    return 2.0 * output


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 8), nn.Hardtanh(), nn.Linear(8, 8), nn.Hardtanh())
        self.trunk[2].register_forward_hook(double)
        self.heads = nn.ModuleDict({
            "depth": nn.Sequential(nn.Linear(8, 5), nn.CELU(), nn.Linear(5, 1)),
            "normal": nn.Sequential(nn.Linear(8, 5), nn.CELU(), nn.Linear(5, 3)),
        })
        self.log_vars = nn.ParameterList([nn.Parameter(torch.zeros(1)) for _ in self.heads])
        self.register_buffer("offset", torch.tensor([0.5]))

    def forward(self, x):
        h = self.trunk(x) + self.offset
        return {k: head(h) * torch.exp(-s) for (k, head), s in zip(self.heads.items(), self.log_vars)}


def build():
    return Net()
