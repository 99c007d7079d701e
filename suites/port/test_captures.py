"""A port of two environments: each side runs where its framework is, the comparison anywhere."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from impls import interpreters
from suites.port import bundle, capture_command, captures
from suites.port.__main__ import main as compare
from suites.port.captures import Captured
from suites.port.errors import PortError

MODEL = """
import numpy as np

class Model:
    def __init__(self):
        draw = np.random.RandomState(0).standard_normal
        self.params = {"up": {"w": draw((4, 8)), "b": draw(8)}, "down": {"w": draw((8, 3)), "b": draw(3)}}

    def forward(self, params, x):
        h = np.maximum(x @ params["up"]["w"] + params["up"]["b"], SLOPE * (x @ params["up"]["w"] + params["up"]["b"]))
        return h @ params["down"]["w"] + params["down"]["b"]

def build():
    return Model()
"""
OLD = ("impls/port/capture.py", "impls/port/base.py", "impls/port/conventions.py", "impls/port/measure.py",
       "impls/port/recorder.py", "impls/port/leaves.py", "impls/port/low_precision.py", "impls/port/keras2_graph.py",
       "impls/port/functions.py", "impls/port/worker.py", "impls/port/keras2.py", "impls/port/keras_layers.py",
       "impls/port/vocabulary.py", "impls/port/ways.py", "impls/worker/server.py", "impls/worker/process.py",
       "impls/weights.py", "impls/port/errors.py", "impls/port/weight.py", "impls/port/random_draws.py",
       "impls/port/libraries.py")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, the same once more, one with another activation, and captures of all three."""
    found = tmp_path_factory.mktemp("captures")
    for name, slope in (("a", 0.0), ("b", 0.0), ("c", 0.1)):
        (found / f"{name}.py").write_text(MODEL.replace("SLOPE", str(slope)))
    assert capture(found, "a.py", "--random-data=4:0", "--out=a.npz") == 0
    for name in "bc":
        assert capture(found, f"{name}.py", "--weights-from=a.npz", f"--out={name}.npz") == 0
    return found


def capture(folder: Path, *words: str) -> int:
    """`triptych capture WORDS`, typed in `folder`."""
    with contextlib.chdir(folder):
        return capture_command.main(words)


def test_two_captures_of_one_model_are_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else nobody could compare across environments that can't be in one."""
    assert compare([str(folder / "a.npz"), str(folder / "b.npz")]) == 0
    assert "SAME: " in capsys.readouterr().out


def test_a_capture_is_compared_with_a_model_that_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([str(folder / "a.npz"), str(folder / "b.py")]) == 0
    assert compare([str(folder / "a.npz"), str(folder / "c.py")]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_a_difference_between_captures_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([str(folder / "a.npz"), str(folder / "c.npz")]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_a_bug_that_was_injected_when_it_was_captured_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proof of a comparison has to hold for a side that can't run again, too."""
    compare([str(folder / "a.npz"), str(folder / "b.npz")])
    assert "a relative error of 1e-06 injected into" in capsys.readouterr().out


def test_captures_with_other_weights_are_no_comparison(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two sides with different numbers in them differ for no reason of the port's."""
    assert capture(folder, "b.py", "--random-data=4:0", "--seed=1", "--out=other.npz") == 0
    assert compare([str(folder / "a.npz"), str(folder / "other.npz")]) == 2
    error = capsys.readouterr().err
    assert "other.npz: did not run with these weights" in error and "--weights-from" in error


def test_a_capture_brings_its_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([str(folder / "a.npz"), str(folder / "b.npz"), "--random-data", "4:0"]) == 2
    assert "brings its data" in capsys.readouterr().err


def rewritten(folder: Path, name: str, **changes: object) -> Path:
    """a.npz with other values in its header."""
    with np.load(folder / "a.npz") as file:
        arrays = {key: file[key] for key in file.files}
    header = {**json.loads(bytes(arrays["header"])), **changes}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(folder / name, **arrays)
    return folder / name


def refusal(path: Path) -> str:
    with pytest.raises(PortError) as caught:
        Captured(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_truncated_capture_is_refused(folder: Path) -> None:
    path = folder / "short.npz"
    path.write_bytes((folder / "a.npz").read_bytes()[:-200])
    assert "is truncated, or no capture at all" in refusal(path)


def test_a_damaged_capture_is_refused(folder: Path) -> None:
    """A flipped bit in a weight would be a difference that nobody made."""
    path = folder / "damaged.npz"
    data = bytearray((folder / "a.npz").read_bytes())
    with zipfile.ZipFile(folder / "a.npz") as file:
        entry = next(e for e in file.infolist() if e.filename.startswith("start/"))
    data[entry.header_offset + 30 + len(entry.filename) + entry.file_size // 2 + 20] ^= 255
    path.write_bytes(data)
    assert "is damaged" in refusal(path)


def test_a_foreign_file_is_refused(folder: Path) -> None:
    np.savez(folder / "foreign.npz", x=np.zeros(3))
    assert "is an .npz file, but no capture" in refusal(folder / "foreign.npz")
    assert "was written by another program" in refusal(rewritten(folder, "program.npz", format="something"))
    (folder / "text.npz").write_text("no zip")
    assert "no capture at all" in refusal(folder / "text.npz")


def test_a_capture_of_a_later_version_is_refused(folder: Path) -> None:
    path = rewritten(folder, "future.npz", version=captures.VERSION + 1)
    assert f"is of version {captures.VERSION + 1} of the format" in refusal(path)


def test_a_capture_that_would_not_fit_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is unpacked: a small file may unpack to anything."""
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.npy", bytes(2**22))
    monkeypatch.setattr(captures, "LARGEST", 2**20)
    assert "would be 0.0 GiB unpacked" in refusal(folder / "bomb.npz")


def test_an_incomplete_capture_is_refused(folder: Path) -> None:
    with np.load(folder / "a.npz") as file:
        kept = {key: file[key] for key in file.files if key != "start/up/w"}
    np.savez(folder / "incomplete.npz", **kept)
    assert "start/up/w" in refusal(folder / "incomplete.npz")
    assert "its header is wrong at answers" in refusal(rewritten(folder, "answers.npz", answers={}))


def test_a_file_with_objects_in_it_is_refused(folder: Path) -> None:
    """Nothing that could carry code is ever loaded."""
    with np.load(folder / "a.npz") as file:
        arrays = {key: file[key] for key in file.files}
    arrays["start/up/w"] = np.array([{"code": 1}], dtype=object)
    np.savez(folder / "objects.npz", **arrays)
    assert "start/up/w in it can't be read" in refusal(folder / "objects.npz")


@pytest.fixture(scope="module")
def bundled() -> dict[str, str]:
    return bundle.modules()


@pytest.mark.parametrize("path", OLD)
def test_the_single_file_is_valid_on_the_oldest_python(bundled: dict[str, str], path: str) -> None:
    """Python 3.6 is where TensorFlow 1.15 lives; it would look `int | None` up and fail."""
    tree = ast.parse(bundled[path], path, feature_version=bundle.OLDEST)
    if "from __future__ import annotations" in (bundle.ROOT / path).read_text(encoding="utf-8"):
        assert all(isinstance(annotation, ast.Constant) for annotation in bundle.annotations_of(tree))


def test_the_single_file_captures_without_the_tree(folder: Path) -> None:
    """It is copied to a machine that has NumPy and nothing of Triptych."""
    assert capture(folder, "--single=capture.pyz") == 0
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "capture.pyz", "a.py", "--random-data=4:0", "--out=elsewhere.npz"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    assert compare([str(folder / "elsewhere.npz"), str(folder / "b.npz")]) == 0


def test_bad_input_of_the_single_file_is_one_line(folder: Path) -> None:
    command = [sys.executable, str(bundle.path()), "nowhere.py", "--random-data=4:0", "--out=x.npz"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert found.stderr.startswith("error: nowhere.py: can't be read")


KERAS2 = """
import keras
from keras import layers

def build():
    return keras.models.Sequential([
        layers.Conv2D(4, 3, padding="same", activation="relu", input_shape=(6, 6, 3), name="conv"),
        layers.Dropout(RATE, name="drop"),
        layers.MaxPooling2D(name="pool"),
        layers.Flatten(name="flat"),
        layers.Dense(5, name="logits"),
    ])

def loss_fn(y_true, y_pred):
    return keras.backend.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True))

def make_optimizer():
    return keras.optimizers.SGD(0.1, momentum=0.9)
"""
TORCH = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.drop = nn.Dropout(0.3)
        self.logits = nn.Linear(36, 5)

    def forward(self, x):
        x = F.max_pool2d(self.drop(F.relu(self.conv(x))), 2)
        return self.logits(x.permute(0, 2, 3, 1).flatten(1))

def build():
    return Net()

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
"""


@pytest.mark.full
@pytest.mark.parametrize("rate", [0.3, 0.5], ids=["same", "another rate of dropout"])
def test_keras_2_on_tensorflow_1_in_python_3_6_against_torch(
    tmp_path: Path, rate: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two can't be in one environment: graph, gradients and steps travel in a capture."""
    pytest.importorskip("torch")
    python = interpreters.interpreter("keras2")
    if not python.exists():
        pytest.skip("there is no environment of Keras 2: `triptych heritage` makes it")
    (tmp_path / "old.py").write_text(KERAS2.replace("RATE", str(rate)))
    (tmp_path / "new.py").write_text(TORCH)
    assert capture(tmp_path, "old.py", "--random-data=6x6x3:5", f"--python={python}", "--out=old.npz") == 0
    with contextlib.chdir(tmp_path):
        status = compare(["old.npz", "new.py"])
    shown = capsys.readouterr().out
    assert status == (0 if rate == 0.3 else 1), shown
    if rate != 0.3:
        assert "dropout rate: A 0.5, B 0.3" in shown
