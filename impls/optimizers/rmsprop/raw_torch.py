"""RMSprop (Tieleman and Hinton 2012), epsilon inside the root, in PyTorch."""

import torch

LEARNING_RATE, RHO, EPSILON = 0.001, 0.9, 1e-7


class RMSprop:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.v = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.parameters, self.v, strict=True):
            v.mul_(RHO).addcmul_(p.grad, p.grad, value=1 - RHO)
            p.addcdiv_(p.grad, (v + EPSILON).sqrt(), value=-LEARNING_RATE)


def make_optimizer(model):
    return RMSprop(p for p in model.parameters() if p.requires_grad)
