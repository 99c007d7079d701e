"""Arrays that the frameworks' own layers, losses and optimizers computed, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest

from suites.runner.availability import availability
from suites.runner.machine import ROOT

Arrays = Mapping[str, np.ndarray]
SETTINGS = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


def references(framework: str, folder: str) -> Arrays:
    path = os.path.join(folder, f"{framework}.npz")
    command = [sys.executable, "-W", "ignore", "-m", "impls.port.references", framework, path]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **SETTINGS}, check=True, capture_output=True, text=True)
    with np.load(path) as file:
        return {name.replace("|", "/"): file[name] for name in file.files}


@pytest.fixture(scope="session")
def of_torch(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    if reason := availability("raw_torch", "torch"):
        pytest.skip(reason)
    return references("torch", str(tmp_path_factory.mktemp("references")))


@pytest.fixture(scope="session")
def of_keras(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    return references("keras", str(tmp_path_factory.mktemp("references")))
