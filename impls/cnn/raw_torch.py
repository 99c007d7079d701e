"""Two convolutions with BatchNorm on handwritten digits, in PyTorch's layers and autograd, with the update written out.

SGD with Nesterov momentum as Keras has it: the rate is inside the velocity, which matters as soon as it decays.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Model


class BatchNorm2d(nn.BatchNorm2d):
    def forward(self, x):
        if not self.training:
            return super().forward(x)
        n, momentum, moved = x.numel() / x.shape[1], self.momentum, self.running_var.clone()
        y = F.batch_norm(x, self.running_mean, moved, self.weight, self.bias, True, momentum, self.eps)
        # torch moves by the unbiased variance, n / (n - 1) too much; Keras by the biased one.
        self.running_var.mul_((1 - momentum) / n).add_(moved, alpha=1 - 1 / n)
        return y


class CNN(nn.Module):
    def __init__(self, image, filters, classes):
        super().__init__()
        height, width, channels = image
        first, second = filters
        self.features = nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1, bias=False),
            BatchNorm2d(first, eps=1e-3, momentum=0.1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(first, second, 3, stride=2, bias=False),
            BatchNorm2d(second, eps=1e-3, momentum=0.1),
            nn.ReLU(),
        )
        self.flatten = nn.Flatten()
        self.logits = nn.Linear((height // 4) * (width // 4) * second, classes)

    def forward(self, images):
        x = images.permute(0, 3, 1, 2)  # (B, H, W, C) -> (B, C, H, W), channels-last in memory
        x = self.features(x)  # (B, C, H/4, W/4)
        x = self.flatten(x.permute(0, 2, 3, 1))  # (B, H/4 * W/4 * C)
        return self.logits(x)


def build(image=(8, 8, 1), filters=(16, 32), classes=10):
    return CNN(image, filters, classes).to(memory_format=torch.channels_last)


# Loss


def loss_fn(logits, y):
    return F.cross_entropy(logits, y)


# Optimizer

LEARNING_RATE, DECAY_STEPS, DECAY_RATE, MOMENTUM = 0.05, 100, 0.8, 0.9


class SGD:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.t = 0

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        rate = LEARNING_RATE * DECAY_RATE ** (self.t / DECAY_STEPS)
        self.t += 1
        gradients = [p.grad for p in self.parameters]
        torch._foreach_mul_(self.m, MOMENTUM)
        torch._foreach_add_(self.m, gradients, alpha=-rate)
        torch._foreach_add_(self.parameters, self.m, alpha=MOMENTUM)
        torch._foreach_add_(self.parameters, gradients, alpha=-rate)


def make_optimizer(model):
    return SGD(model.parameters())


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=12, batch_size=64):
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

    data = DATASETS["digit_images"]()
    model = build()
    print("losses", train(model, data.x, data.y))
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
