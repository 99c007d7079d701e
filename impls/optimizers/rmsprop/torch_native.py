"""RMSprop: epsilon outside the root, in torch.optim."""

import torch


def make_optimizer(model):
    return torch.optim.RMSprop(model.parameters(), lr=0.001, alpha=0.9, eps=1e-7)
