"""Two convolutions with BatchNorm on handwritten digits, with PyTorch's layers and torch.optim.

torch.optim.SGD multiplies the velocity by the rate, Keras has it inside; torch's running variance is unbiased.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Model


class CNN(nn.Module):
    def __init__(self, image, filters, classes):
        super().__init__()
        height, width, channels = image
        first, second = filters
        self.features = nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first, eps=1e-3, momentum=0.1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(first, second, 3, stride=2, bias=False),
            nn.BatchNorm2d(second, eps=1e-3, momentum=0.1),
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


def make_optimizer(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, fused=True)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8 ** (1 / 100))
    optimizer.register_step_post_hook(lambda *_: scheduler.step())  # the rate decays by step, not by epoch
    return optimizer


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
