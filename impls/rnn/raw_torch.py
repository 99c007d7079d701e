"""An LSTM that predicts the next character, in PyTorch's layers and autograd, with the update written out.

RMSprop as Keras has it: epsilon inside the root. Clipping divides by the norm itself.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Model


class RNN(nn.Module):
    def __init__(self, vocabulary, embed, units):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embed)
        self.lstm = nn.LSTM(embed, units, batch_first=True)
        self.logits = nn.Linear(units, vocabulary)
        nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)  # torch has two biases, the model one

    def forward(self, ids):
        x = self.embedding(ids)  # (B, T) -> (B, T, E)
        x, _ = self.lstm(x)  # (B, T, H)
        return self.logits(x)  # (B, T, V)


def build(vocabulary=97, embed=32, units=64):
    return RNN(vocabulary, embed, units)


# Loss


def loss_fn(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())  # (B * T, V), (B * T,)


# Optimizer

LEARNING_RATE, RHO, EPSILON, GLOBAL_CLIPNORM = 0.01, 0.9, 1e-7, 1.0


class RMSprop:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.v = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        gradients = [p.grad for p in self.parameters]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        torch._foreach_mul_(gradients, GLOBAL_CLIPNORM / norm.clamp(min=GLOBAL_CLIPNORM))
        torch._foreach_mul_(self.v, RHO)
        torch._foreach_addcmul_(self.v, gradients, gradients, 1 - RHO)
        denominators = torch._foreach_add(self.v, EPSILON)
        torch._foreach_sqrt_(denominators)
        torch._foreach_addcdiv_(self.parameters, gradients, denominators, -LEARNING_RATE)


def make_optimizer(model):
    return RMSprop(p for p in model.parameters() if p.requires_grad)


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=3, batch_size=32):
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

    data = DATASETS["python_docs_32"]()
    model = build()
    print("losses", train(model, data.x, data.y))
    logits, y = (torch.as_tensor(array) for array in (predict(model, data.x_test), data.y_test))
    print("held-out cross-entropy", loss_fn(logits, y).item(), "nats per character")
