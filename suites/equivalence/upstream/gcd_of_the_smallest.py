"""PyTorch: the greatest common divisor of an integer type's smallest number is negative."""

import torch

print(float(torch.gcd(torch.tensor([-128], dtype=torch.int8), torch.tensor([-6], dtype=torch.int8))), 2.0)
