"""Momentum (Polyak 1964), the rate inside the velocity, in PyTorch."""

import torch

LEARNING_RATE, MOMENTUM = 0.02, 0.9


class Momentum:
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
            p.add_(m)


def make_optimizer(model):
    return Momentum(p for p in model.parameters() if p.requires_grad)
