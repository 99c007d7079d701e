"""Nesterov's momentum as Sutskever et al. (2013) write it, the rate inside the velocity, in PyTorch."""

import torch

LEARNING_RATE, MOMENTUM = 0.02, 0.9


class Nesterov:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.m = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p, m in zip(self.parameters, self.m, strict=True):
            m.mul_(MOMENTUM).sub_(LEARNING_RATE * p.grad)
            p.add_(MOMENTUM * m - LEARNING_RATE * p.grad)


def make_optimizer(model):
    return Nesterov(p for p in model.parameters() if p.requires_grad)
