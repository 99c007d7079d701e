"""The wire: a JSON header and raw NumPy arrays over a pipe. Valid on Python 3.6.

A message is 8 bytes (big-endian length of the header), the header as UTF-8 JSON, then the arrays' bytes in the
order in which the header lists them: `{"body": {...}, "arrays": [[name, dtype, shape], ...]}`.
"""

import json
import struct
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

Arrays = Dict[str, np.ndarray]
LENGTH = struct.Struct(">Q")
KINDS = "biufc"  # booleans and numbers: nothing that could carry an object
LONGEST_HEADER = 1 << 28  # a longer one is not ours: the first bytes of something else, read as a length


def _number_type(name: str, dtype: str) -> np.dtype:
    kind = np.dtype(dtype)
    if kind.kind not in KINDS:
        raise ValueError("refused array {!r} of dtype {!r}: only booleans and numbers travel".format(name, dtype))
    return kind


def _contiguous(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, order="C")  # ascontiguousarray would turn a scalar into a vector
    _number_type(name, array.dtype.str)
    return array


def encode(body: Dict[str, Any], arrays: Optional[Arrays] = None) -> List[Any]:
    """One message as a list of buffers; TypeError or ValueError, before a byte is sent, for what can't travel."""
    contiguous = [(name, _contiguous(name, array)) for name, array in (arrays or {}).items()]
    described = [[name, array.dtype.str, list(array.shape)] for name, array in contiguous]
    header = json.dumps({"body": body, "arrays": described}).encode("utf-8")
    if len(header) > LONGEST_HEADER:
        raise ValueError("a header of {} bytes is too long: send numbers as arrays".format(len(header)))
    buffers = [array.reshape(-1).view(np.uint8).data for _, array in contiguous if array.size]
    return [LENGTH.pack(len(header)) + header] + buffers


def send(stream: Any, message: List[Any]) -> None:
    """Send what `encode` returned."""
    for buffer in message:
        stream.write(buffer)
    stream.flush()


def write(stream: Any, body: Dict[str, Any], arrays: Optional[Arrays] = None) -> None:
    """Send one message."""
    send(stream, encode(body, arrays))


def _exactly(stream: Any, count: int) -> bytearray:
    data = bytearray(count)  # writable: torch refuses to share what is not
    view, have = memoryview(data), 0
    while have < count:
        got = stream.readinto(view[have:])
        if not got:
            raise EOFError("the other side closed the pipe")
        have += got
    return data


def _array(stream: Any, kind: np.dtype, shape: Tuple[int, ...]) -> np.ndarray:
    count = 1
    for extent in shape:
        count *= extent
    return np.frombuffer(_exactly(stream, count * kind.itemsize), dtype=kind, count=count).reshape(shape)


def read(stream: Any) -> Tuple[Dict[str, Any], Arrays]:
    """Receive one message from anything with `readinto`.

    EOFError where the other side is gone, ValueError where what comes is not a message.
    """
    (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
    if length > LONGEST_HEADER:
        raise ValueError("not a message: its header would be {} bytes long".format(length))
    header = json.loads(_exactly(stream, length).decode("utf-8"))
    described = [(name, _number_type(name, dtype), tuple(shape)) for name, dtype, shape in header["arrays"]]
    return header["body"], {name: _array(stream, kind, shape) for name, kind, shape in described}
