"""Models that a user has in memory, compared in this process: an object can't travel to a worker as a file can.

What the port checker does to a model it does to a copy in float64, and what it changes in a framework while it asks
(default types, replaced functions, random states, threads) is as it was when a question is answered.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import os
import random
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impls.port.worker import PortWorker
from impls.shim.config import backend_name
from suites.port.files import File
from suites.runner.workers import Arrays, Pool, WorkerRaised

Settings = list[tuple[Callable[[], Any], Callable[[Any], Any]]]  # how each is read, and set


class LiveFile(File):
    """Stands for a model in memory where the port checker expects a file."""

    @property
    def title(self) -> str:
        return f"{self.path} ({self.api if self.api == self.backend else f'{self.api} on {self.backend}'}, in memory)"


@dataclass(frozen=True)
class Live:
    """A model in memory: how it is shown, its API and engine, and what a file of it would define."""

    file: LiveFile
    program: types.SimpleNamespace
    source: str
    world: World


def recognise(model: Any) -> tuple[str, str] | None:
    """The API and the engine of a model by its class; None where it is of none that can be compared."""
    names = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(model).__mro__}
    if ("keras", "Layer") in names:  # on PyTorch it is a torch.nn.Module too
        return "keras", str(sys.modules["keras"].backend.backend())
    if ("torch", "Module") in names or ("torch", "ExportedProgram") in names:
        return "torch", "torch"
    if any(cls.__module__ == "impls.shim.model" for cls in type(model).__mro__):
        return "shim", backend_name(model.backend_argument)
    if ("onnx", "ModelProto") in names:
        return "onnx", "numpy"
    if callable(getattr(model, "forward", None)) and isinstance(getattr(model, "params", None), dict):
        return "functions", _engine_of(model.params)
    return None


def _engine_of(params: dict[str, Any]) -> str:
    """The engine that made these arrays, which may be nested."""
    engines = {"jaxlib": "jax", "jax": "jax", "tensorflow": "tensorflow", "torch": "torch"}
    for value in params.values():
        found = _engine_of(value) if isinstance(value, dict) else engines.get(type(value).__module__.partition(".")[0])
        if found and found != "numpy":
            return found
    return "numpy"


def live(given: Any, letter: str, layout: str, loss: Any = None, optimizer: Any = None, caller: str = "") -> Live:
    """What the port checker needs of a model in memory, or of a function without arguments that builds one.

    Raises ValueError where it can't be compared.
    """
    world = World()
    model, known = given, recognise(given)
    if known is None and callable(given) and not isinstance(given, type):
        with world():
            model = given()  # in float64 where the framework has it
        known = recognise(model)
    if known is None:
        raise ValueError(f"{letter}: can't compare a {type(model).__module__}.{type(model).__qualname__}: {KNOWN}")
    api, backend = known
    if model is given:
        with world():
            model = COPIES[api](given)
    program = types.SimpleNamespace(build=lambda: model, __file__=caller)
    if loss is not None:
        program.loss_fn = program.LOSS = loss
    if optimizer is not None:
        program.make_optimizer = program.OPTIMIZER = optimizer
    return Live(LiveFile(f"{letter}: {type(model).__name__}", api, backend, layout), program, caller, world)


KNOWN = (
    "known are the path of a Python file or of an ONNX file, a torch.nn.Module, a keras.Model, a model of "
    "triptych.shim, an onnx.ModelProto, an object with a dict `params` and `forward(params, x)`, and a function "
    "without arguments that returns one of these"
)


def copy_torch(model: Any) -> Any:
    """A copy; of an exported program one is made when it becomes a module."""
    return model if type(model).__name__ == "ExportedProgram" else copy.deepcopy(model)


def copy_keras(model: Any) -> Any:
    """The model rebuilt from its configuration in float64, with its weights."""
    keras = sys.modules["keras"]
    own = {}
    for layer in _layers(model):
        for cls in type(layer).__mro__:
            if cls.__module__ != "builtins" and not cls.__module__.startswith("keras."):
                own[cls.__name__] = cls
    try:
        config = in_float64(keras.saving.serialize_keras_object(model))
        with keras.saving.custom_object_scope(own):
            made = keras.saving.deserialize_keras_object(config)
        if model.built and not made.built:
            made.build(model._build_shapes_dict or model.input_shape)
        if model.built:
            made.set_weights(model.get_weights())
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{type(model).__name__} can't be rebuilt in float64 from its configuration: give a function "
            f"that builds it, `lambda: {type(model).__name__}(...)` ({type(error).__name__}: {reason})"
        ) from error
    return made


def _layers(model: Any) -> list[Any]:
    return [model, *model._flatten_layers(include_self=False)]


def in_float64(config: Any) -> Any:
    """A configuration of Keras with every float32 policy and type in it as float64."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {**config["config"], "name": "float64"}}
        return {
            key: "float64" if (key, value) == ("dtype", "float32") else in_float64(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(in_float64, config))
    return config


def copy_shim(model: Any) -> Any:
    """The same layers with the weights as they are, bound to no engine yet."""
    twin = copy.copy(model)
    if model.carry is not None:
        twin.initial = model.get_weights()
    twin.carry = None
    twin.compiled = {}
    modules = {id(module): module for module in list(sys.modules.values())}  # an engine's module is not copied
    return copy.deepcopy(twin, dict(modules))


COPIES: dict[str, Callable[[Any], Any]] = {
    "torch": copy_torch,
    "keras": copy_keras,
    "shim": copy_shim,
    "functions": lambda model: model,
    "onnx": lambda model: model,
}


class World:
    """What one model's questions change in the frameworks of this process: put in while it answers, and taken out.

    Two models of one framework are in this process at once, and so is the user: none sees what another one needs.
    """

    def __init__(self) -> None:
        self.settings: Settings = [(random.getstate, random.setstate), (np.random.get_state, np.random.set_state)]
        self.prepare: list[Callable[[], Any]] = []
        for name, add in SETTINGS.items():
            if name in sys.modules:
                settings, prepare = add()
                self.settings += settings
                self.prepare.append(prepare)
        self.own: list[Any] | None = None
        self.bindings: dict[tuple[str, str], Any] = {}

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        users = [read() for read, _ in self.settings]
        before = modules_of_keras()
        self._put_in()
        try:
            yield
        finally:
            self.own = [read() for read, _ in self.settings]
            self._take_out(before)
            self._set(users)

    def _put_in(self) -> None:
        for (module, name), value in self.bindings.items():
            setattr(sys.modules[module], name, value)
        if self.own is not None:
            self._set(self.own)
            return
        for prepare in self.prepare:
            prepare()

    def _set(self, values: Sequence[Any]) -> None:
        for (_, write), value in zip(self.settings, values, strict=True):
            write(value)

    def _take_out(self, before: dict[str, dict[str, Any]]) -> None:
        """Bindings as the user has them; those of this model are kept for its next question."""
        for name, bound in before.items():
            module = sys.modules[name]
            for key, value in list(vars(module).items()):
                if key in bound and bound[key] is not value:
                    self.bindings[name, key] = value
                    setattr(module, key, bound[key])


def modules_of_keras() -> dict[str, dict[str, Any]]:
    """What every module of Keras binds, in some of which the port checker replaces functions."""
    return {name: dict(vars(module)) for name, module in list(sys.modules.items()) if name.startswith("keras.")}


Added = tuple[Settings, Callable[[], Any]]  # what a framework's settings are, and what makes it compute in float64


def torch_settings() -> Added:
    import torch

    fast = torch.backends.mha
    settings: Settings = [
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_num_threads, torch.set_num_threads),
        (fast.get_fastpath_enabled, fast.set_fastpath_enabled),
        (torch.get_rng_state, torch.set_rng_state),
    ]
    return settings, lambda: torch.set_default_dtype(torch.float64)


def keras_settings() -> Added:
    import keras

    table = importlib.import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE

    def write(found: dict[str, str]) -> None:
        table.clear()
        table.update(found)

    def prepare() -> None:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        table["float64"] = "float64"  # Keras answers float32 for two float64 arguments on all backends but TensorFlow

    policy = keras.config.dtype_policy, keras.config.set_dtype_policy
    return [(lambda: dict(table), write), policy], prepare


def jax_settings() -> Added:
    import jax

    def write(value: bool) -> None:
        jax.config.update("jax_enable_x64", value)

    return [(lambda: jax.config.jax_enable_x64, write)], lambda: write(True)


SETTINGS: dict[str, Callable[[], Added]] = {"torch": torch_settings, "keras": keras_settings, "jax": jax_settings}


class LiveWorker:
    """Answers what a worker is asked, for a model in this process."""

    def __init__(self, model: Live):
        self.model = model
        options = types.SimpleNamespace(backend=model.file.backend, device="cpu", dtype="float64", threads=1)
        make: Any = PortWorker
        self.asked = make(options)
        self.asked.load_program = self.load_program
        with model.world():
            self.asked.start()

    def load_program(self) -> Any:
        """What stands for the user's file, in which lines of the model are looked for."""
        self.asked.path = self.model.source or self.asked.path
        return self.model.program

    def call(
        self, op: str, arrays: Arrays | None = None, timeout: float | None = None, **arguments: Any
    ) -> tuple[dict[str, Any], Arrays]:
        """The result and the arrays of one operation, as `suites.runner.workers.Worker.call` gives them."""
        given = {name: np.array(array) for name, array in (arrays or {}).items()}
        with self.model.world():
            try:
                result, found = self.asked.operation(op)({"op": op, **arguments}, given)
            except Exception as error:
                details = traceback.format_exc()
                raise WorkerRaised(self.model.file.title, type(error).__name__, str(error), details) from error
        return result, {name: np.array(array) for name, array in found.items()}


class LivePool(Pool):
    """Workers of files, and in the places of models in memory those of this process."""

    def __init__(self, models: Sequence[Live | None]):
        super().__init__()
        self.models = models
        self.here: dict[Any, LiveWorker] = {}

    def start(self, roles: Any, progress: Any = lambda worker: None) -> None:
        wanted = list(roles)
        for role, model in zip(wanted, self.models, strict=True):
            if model is not None:
                self.here[role] = LiveWorker(model)
        super().start([role for role in wanted if role not in self.here], progress)

    def serving(self, role: Any) -> Any:
        return self.here.get(role) or super().serving(role)


def calling_file() -> str:
    """The file of the user that called this package: lines of a model are found in it and beside it."""
    frame = sys._getframe()
    ours = str(Path(__file__).resolve().parent)
    while frame is not None and os.path.realpath(frame.f_code.co_filename).startswith(ours + os.sep):
        frame = frame.f_back  # type: ignore[assignment]
    name = frame.f_code.co_filename if frame is not None else ""
    return name if os.path.isfile(name) else os.path.join(os.getcwd(), "models in memory")
