"""Nesterov's momentum: the rate outside the velocity, in torch.optim."""

import torch


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True)
