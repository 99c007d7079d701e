"""Adam: epsilon beside the corrected root, in torch.optim."""

import torch


def make_optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
