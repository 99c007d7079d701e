"""Adam (Kingma and Ba 2015, end of section 2): epsilon-hat beside the uncorrected root, in PyTorch."""

import math

import torch

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-7


class Adam:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.v = [torch.zeros_like(p) for p in self.parameters]
        self.t = 0

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.t += 1
        alpha = LEARNING_RATE * math.sqrt(1 - BETA_2**self.t) / (1 - BETA_1**self.t)
        for p, m, v in zip(self.parameters, self.m, self.v, strict=True):
            m.lerp_(p.grad, 1 - BETA_1)
            v.mul_(BETA_2).addcmul_(p.grad, p.grad, value=1 - BETA_2)
            p.addcdiv_(m, v.sqrt().add_(EPSILON), value=-alpha)


def make_optimizer(model):
    return Adam(p for p in model.parameters() if p.requires_grad)
