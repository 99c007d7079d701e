"""Adagrad (Duchi et al. 2011), epsilon inside the root, in PyTorch."""

import torch

LEARNING_RATE, INITIAL_ACCUMULATOR, EPSILON = 0.01, 0.1, 1e-7


class Adagrad:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.accumulator = [torch.full_like(p, INITIAL_ACCUMULATOR) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p, a in zip(self.parameters, self.accumulator, strict=True):
            a.addcmul_(p.grad, p.grad)
            p.addcdiv_(p.grad, (a + EPSILON).sqrt(), value=-LEARNING_RATE)


def make_optimizer(model):
    return Adagrad(p for p in model.parameters() if p.requires_grad)
