"""PyTorch: softplus is the identity above 20; in TensorFlow, JAX and NumPy it is softplus."""

import numpy as np
import torch

x = torch.tensor(20.1, dtype=torch.float64)
print(float(torch.nn.functional.softplus(x)), float(np.logaddexp(0, 20.1)))
