"""PyTorch: bessel_j0 of float64 has the precision of float32 above 5."""

import torch

print(float(torch.special.bessel_j0(torch.tensor(6.0, dtype=torch.float64))), 0.15064525725099692)
