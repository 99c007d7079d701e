"""The types that a port can be compared in besides float64, and numbers rounded to them."""

from __future__ import annotations

import re

import numpy as np

from impls.floating_types import FLOATING
from suites.port.errors import PortError
from suites.port.files import Data

LOW = ("float32", "bfloat16", "float16")
NAMED = re.compile(r"bfloat16|float16|float32|float64")


def name_of(dtype: str) -> str:
    """`bfloat16` of `torch.bfloat16` or `<dtype: 'bfloat16'>`; "" of what is no floating type."""
    found = NAMED.search(dtype)
    return found.group() if found else ""


def unit_of(dtype: str) -> float:
    """The unit roundoff of a recorded type; 0 of integers."""
    name = name_of(dtype)
    return FLOATING[name].unit if name else 0.0


def rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest numbers of a type, in float64; what is no floating array as it is."""
    if array.dtype.kind != "f" or dtype == "float64":
        return array
    single = np.asarray(array, np.float32)
    if dtype == "float32":
        return single.astype(np.float64)
    if dtype == "float16":
        with np.errstate(over="ignore"):
            return np.asarray(array, np.float16).astype(np.float64)
    bits = single.view(np.uint32)
    even = (bits >> 16) & 1
    nearest = ((bits + 0x7FFF + even) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isfinite(single), nearest, single).astype(np.float64)


def rounded_data(data: Data, dtype: str) -> Data:
    """The inputs as the low type has them, so that all sides and the truth get the same. Raises PortError."""
    inputs = {name: rounded(array, dtype) for name, array in data.inputs.items()}
    for name, array in inputs.items():
        if np.isfinite(data.inputs[name]).sum() > np.isfinite(array).sum():
            largest = np.abs(data.inputs[name][np.isfinite(data.inputs[name])]).max()
            raise PortError(f"the data: {name} holds {largest:.3g}, {dtype} ends at {FLOATING[dtype].largest:.5g}")
    return Data(inputs, data.labels)


def check(dtype: str) -> str:
    """The type, if it is known. Raises PortError."""
    if dtype not in FLOATING:
        raise PortError(f"--dtype {dtype}: unknown type: known are {', '.join(FLOATING)}")
    return dtype
