"""Three dense layers on handwritten digits, in PyTorch's layers and autograd, with the update written out.

Adam: Kingma and Ba (2015), in the order of operations given before their section 2.1: epsilon-hat outside the root.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Model


def build(features=64, hidden=(128, 64), classes=10):
    first, second = hidden
    return nn.Sequential(
        nn.Linear(features, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, classes),
    )


# Loss


def loss_fn(logits, y):
    return F.cross_entropy(logits, y)


# Optimizer

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
        gradients = [p.grad for p in self.parameters]
        torch._foreach_lerp_(self.m, gradients, 1 - BETA_1)
        torch._foreach_mul_(self.v, BETA_2)
        torch._foreach_addcmul_(self.v, gradients, gradients, 1 - BETA_2)
        alpha = LEARNING_RATE * math.sqrt(1 - BETA_2**self.t) / (1 - BETA_1**self.t)
        denominators = torch._foreach_sqrt(self.v)
        torch._foreach_add_(denominators, EPSILON)
        torch._foreach_addcdiv_(self.parameters, self.m, denominators, -alpha)


def make_optimizer(model):
    return Adam(model.parameters())


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=20, batch_size=64):
    device = next(model.parameters()).device
    xs, ys = (torch.as_tensor(array, device=device).split(batch_size) for array in (x, y))
    batches = list(zip(xs, ys, strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [train_step(model, optimizer, *batch) for batch in batches]
        history.append(float(np.average(torch.stack(losses).cpu(), weights=[len(x) for x in xs])))
    return history


# Prediction


@torch.inference_mode()
def predict(model, x):
    model.eval()
    device = next(model.parameters()).device
    return model(torch.as_tensor(x, device=device)).cpu().numpy()


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("losses", train(model, data.x, data.y)[::5])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
