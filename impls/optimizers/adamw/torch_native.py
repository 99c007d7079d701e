"""AdamW: epsilon beside the corrected root, in torch.optim."""

import torch


def make_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=0.001, weight_decay=0.004, eps=1e-7)
