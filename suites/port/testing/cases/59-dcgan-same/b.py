import torch
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(10, 24, bias=False)
        self.main = nn.Sequential(
            nn.BatchNorm2d(6), nn.ReLU(True),
            nn.ConvTranspose2d(6, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.Tanh(),
        )

    def forward(self, z):
        return self.main(self.project(z).view(-1, 2, 2, 6).permute(0, 3, 1, 2))


def build():
    return Net()
