"""Adagrad: epsilon outside the root, in torch.optim."""

import torch


def make_optimizer(model):
    return torch.optim.Adagrad(model.parameters(), lr=0.01, initial_accumulator_value=0.1, eps=1e-7)
