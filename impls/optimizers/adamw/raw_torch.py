"""AdamW (Loshchilov and Hutter 2019): the decay is taken from the weight before Adam's update, in PyTorch."""

import math

import torch

LEARNING_RATE, WEIGHT_DECAY, BETA_1, BETA_2, EPSILON = 0.001, 0.004, 0.9, 0.999, 1e-7


class AdamW:
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
            p.mul_(1 - LEARNING_RATE * WEIGHT_DECAY)
            m.lerp_(p.grad, 1 - BETA_1)
            v.mul_(BETA_2).addcmul_(p.grad, p.grad, value=1 - BETA_2)
            p.addcdiv_(m, v.sqrt().add_(EPSILON), value=-alpha)


def make_optimizer(model):
    return AdamW(p for p in model.parameters() if p.requires_grad)
