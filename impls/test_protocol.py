"""The wire: what arrives is what was sent, or an exception; never half of it, never an object."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from impls import protocol
from impls.interpreters import find_python

IMPLS = Path(__file__).resolve().parent
OLD = ("__init__", "specs", "weights", "protocol", "adapters/__init__")
WORKER = ("__init__", "__main__", "server", "process", "patching", "environment", "stopwatch")
NUMBERS = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"),
    arrays.complex_number_dtypes(endianness="?"),
)
MESSAGES = st.dictionaries(st.text(), arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, min_side=0)), max_size=3)


class Dripping(io.RawIOBase):
    """A pipe that gives a few bytes at a time, as a real one may."""

    def __init__(self, data: bytes):
        super().__init__()
        self.data = io.BytesIO(data)

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]
        return self.data.readinto(view[:7])


def sent(body: dict[str, Any], found: dict[str, Any] | None = None) -> bytes:
    stream = io.BytesIO()
    protocol.write(stream, body, found)
    return stream.getvalue()


@given(MESSAGES)
def test_a_message_arrives_bit_for_bit(found: dict[str, np.ndarray]) -> None:
    """Scalars, empty, transposed and byte-swapped arrays too."""
    found = {name: array.T for name, array in found.items()}
    body, back = protocol.read(Dripping(sent({"op": "ü", "rate": 0.1}, found)))
    assert body == {"op": "ü", "rate": 0.1}
    assert list(back) == list(found)
    for name, array in found.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == array.tobytes() and back[name].flags.writeable


@pytest.mark.parametrize("value", [np.array([None]), np.array(["a"]), np.array([1], "M8[s]"), np.zeros(1, "i4,f4")])
def test_objects_are_refused_before_a_byte_is_sent(value: np.ndarray) -> None:
    stream = io.BytesIO()
    with pytest.raises(ValueError, match="refused array 'w' of dtype"):
        protocol.write(stream, {}, {"fine": np.ones(3), "w": value})
    with pytest.raises(TypeError, match="not JSON serializable"):
        protocol.write(stream, {"loss": np.float32(1)})
    assert stream.getvalue() == b""


def test_objects_are_refused_by_the_reader() -> None:
    """It must never build an array of pointers out of foreign bytes."""
    forged = sent({}, {"w": np.zeros(1)}).replace(b'"<f8"', b'"|O8"')
    with pytest.raises(ValueError, match=r"refused array 'w' of dtype '\|O8'"):
        protocol.read(io.BytesIO(forged))


def test_half_a_message_is_the_end_and_noise_is_no_message() -> None:
    whole = sent({"op": "x"}, {"w": np.ones((3, 4))})
    for cut in (0, 3, 8, 20, len(whole) - 1):
        with pytest.raises(EOFError):
            protocol.read(io.BytesIO(whole[:cut]))
    with pytest.raises(ValueError, match="not a message"):
        protocol.read(io.BytesIO(b"Warning: your CPU supports instructions"))


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9", "3.10"])
def test_old_interpreters_understand_a_worker(version: str, tmp_path: Path) -> None:
    """A worker can serve a framework of 2019 from an interpreter of its time."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"python{version} is not here")
    program = "import sys; [compile(open(path, encoding='utf-8').read(), path, 'exec') for path in sys.argv[1:]]"
    in_worker = [f"worker/{name}" for name in WORKER]
    files = [str(IMPLS / f"{name}.py") for name in (*OLD, *in_worker)]
    subprocess.run([python, "-c", program, *files], check=True)
    subprocess.run([python, "-B", "-c", "import impls; assert impls.MODELS['mlp']"], cwd=IMPLS.parent, check=True)
