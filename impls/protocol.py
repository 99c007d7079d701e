"""The wire: a JSON header and raw NumPy arrays over a pipe. Valid on Python 3.6.

A message is 8 bytes (big-endian length of the header), the header as UTF-8 JSON, then the arrays' bytes in the
order in which the header lists them: `{"body": {...}, "arrays": [[name, dtype, shape], ...]}`.
"""

import json
import struct
from typing import IO, Any, Dict, Optional, Tuple

import numpy as np

Arrays = Dict[str, np.ndarray]
LENGTH = struct.Struct(">Q")
KINDS = "biufc"  # booleans and numbers: nothing that could carry an object


def write(stream: IO[bytes], body: Dict[str, Any], arrays: Optional[Arrays] = None) -> None:
    """Send one message."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    described = [[name, array.dtype.str, list(array.shape)] for name, array in contiguous.items()]
    header = json.dumps({"body": body, "arrays": described}).encode("utf-8")
    stream.write(LENGTH.pack(len(header)) + header)
    for array in contiguous.values():
        stream.write(array.tobytes())
    stream.flush()


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if data is None or len(data) != count:
        raise EOFError("the other side closed the pipe")
    return data


def _array(stream: IO[bytes], dtype: str, shape: Tuple[int, ...]) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind not in KINDS:
        raise ValueError("refused an array of dtype {!r}".format(dtype))
    count = 1
    for extent in shape:
        count *= extent
    data = bytearray(_exactly(stream, count * kind.itemsize))  # writable: torch refuses to share what is not
    return np.frombuffer(data, dtype=kind).reshape(shape)


def read(stream: IO[bytes]) -> Tuple[Dict[str, Any], Arrays]:
    """Receive one message; EOFError where the other side is gone."""
    (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
    header = json.loads(_exactly(stream, length).decode("utf-8"))
    return header["body"], {name: _array(stream, dtype, tuple(shape)) for name, dtype, shape in header["arrays"]}
