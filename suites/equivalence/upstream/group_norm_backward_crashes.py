"""PyTorch: the gradient of group norm's weights, on channels-last images that need none, ends the process."""

import subprocess
import sys

PROGRAM = """
import torch

x = torch.rand(1, 2, 2, 2).to(memory_format=torch.channels_last)
torch.nn.GroupNorm(2, 2)(x).sum().backward()
"""
print(subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode, 0)  # -11 is a segmentation fault
