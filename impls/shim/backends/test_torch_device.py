"""PyTorch on a GPU, seen without one: what is left on the CPU, and what a captured call would replay wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim import backends, data
from impls.shim.testing import peer

torch = pytest.importorskip("torch")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from impls.shim.backends import torch as backend  # noqa: E402
from impls.shim.backends import torch_graphs, torch_optimizers  # noqa: E402

SHAPES = {1: (4,), 2: (3, 4), 3: (6, 5, 2)}


def tensors(tree: Any) -> Iterator[Any]:
    """The tensors of nested arguments."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        yield from tensors(list(tree.values()))
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from tensors(item)


def aliases(tree: Any) -> Any:
    """The same with other objects for the tensors, whose shape no operation in place changes any more."""
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if isinstance(tree, dict):
        return {name: aliases(item) for name, item in tree.items()}
    return type(tree)(map(aliases, tree)) if type(tree) in (list, tuple) else tree


class OneDevice(TorchDispatchMode):  # type: ignore[misc]
    """Refuses what a GPU's kernels refuse: operands of which some are elsewhere. Copies between devices may be made."""

    COPIES = ("aten::_to_copy", "aten::copy_", "aten::_foreach_copy_")

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        places = {str(tensor.device) for tensor in tensors([args, kwargs or {}])}
        if len(places) > 1 and function._schema.name not in self.COPIES:
            raise RuntimeError(f"{function} has operands on {', '.join(sorted(places))}")
        return function(*args, **(kwargs or {}))


def needs_contiguous(whole: Callable[..., Any]) -> Callable[..., Any]:
    """A recurrent layer of torch's that refuses the weights that cuDNN refuses."""

    def call(x: Any, state: Any, weights: Any, *rest: Any) -> Any:
        for weight in weights:
            weight.detach().view(-1)
        return whole(x, state, weights, *rest)

    return call


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A device without numbers stands for the GPU."""
    monkeypatch.setattr(backend, "_place", lambda device: "meta" if device == "gpu" else device)
    for name in ("lstm", "gru"):
        monkeypatch.setattr(torch._VF, name, needs_contiguous(getattr(torch._VF, name)), raising=False)
    torch_optimizers.endless.cache_clear()
    with OneDevice():
        yield
    torch_optimizers.endless.cache_clear()


def columns_of(model: Any, name: str, count: int = 4) -> dict[str, np.ndarray]:
    """Examples, targets and the noise of dropout for a case of the peer's."""
    shape = (count, *model.input_shape)
    rng = np.random.RandomState(0)
    x = rng.randint(0, 5, shape) if name.startswith("masked") else rng.normal(0, 1, shape).astype(model.dtype)
    found = {"x": x, "y": rng.uniform(size=(count, *model.output_shape)).astype(model.dtype)}
    return {**found, **data.noise(model, found)}


def compiled(name: str, optimizer: str, **options: Any) -> Any:
    rank, layers = peer.CASES[name]
    model = shim.Sequential(layers(1, 2), inputs=SHAPES[rank], backend="torch", **options)
    model.compile(optimizer=peer.OPTIMIZERS[optimizer](), loss="mean_squared_error", metrics=("mean_absolute_error",))
    return model


def everything(model: Any, name: str) -> None:
    """A step, an epoch with a ragged last batch, a prediction and an evaluation, on native arrays."""
    model.ready(np.zeros((1, *model.input_shape)))
    columns = columns_of(model, name)
    native = [model.native(column) for column in columns.values()]
    names = tuple(columns)
    values = [model.step(*native, names=names)]
    model.carry, total = model.function("epoch", names)(model.carry, model.rates(2), native, 3)
    values += [total, model.call(native[0]), model.function("evaluate", ("x", "y"))(model.parameters(), native[:2])]
    assert {str(value.device) for value in values} == {"meta"}
    assert {str(leaf.device) for leaf in torch_graphs.leaves(model.carry)} == {"meta"}


@pytest.mark.parametrize("name", peer.CASES)
def test_nothing_of_a_layer_is_left_on_the_cpu(name: str, elsewhere: None) -> None:
    """The first run on a GPU found an LSTM that cuDNN refused."""
    everything(compiled(name, "sgd", device="gpu"), name)


@pytest.mark.parametrize("optimizer", peer.OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_nothing_of_an_optimizer_is_left_on_the_cpu(optimizer: str, dtype: str, elsewhere: None) -> None:
    """The first run on a GPU found Adam's step count on the CPU: no model could be trained with it."""
    everything(compiled("batch_norm", optimizer, device="gpu", dtype=dtype), "batch_norm")


def test_the_stand_in_refuses_what_a_gpu_refuses(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the two tests above could not fail."""
    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(torch_optimizers, "endless", lambda device: torch.tensor(1e9))
        with pytest.raises(RuntimeError, match=r"_fused_adam_.* has operands on cpu, meta"):
            everything(compiled("relu", "adam", device="gpu"), "relu")
    monkeypatch.setattr(np, "ascontiguousarray", lambda value: value)
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        everything(compiled("lstm", "sgd", device="gpu"), "lstm")


class Recorded(TorchDispatchMode):  # type: ignore[misc]
    """Stands for a CUDA graph on the CPU: the operations of a call, on the very tensors that it had.

    As on a GPU nothing is computed while a call is captured, and a number that Python asks for cannot be captured.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[Any]]] = []
        self.made: set[int] = set()
        self.before: dict[int, tuple[Any, Any]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function._schema.name == "aten::_local_scalar_dense":
            raise RuntimeError("operation not permitted when stream is capturing")
        kwargs = kwargs or {}
        for place, argument in zip(function._schema.arguments, args, strict=False):
            if place.alias_info is not None and place.alias_info.is_write:
                self._keep(argument)
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors([args, kwargs])}
        kept = aliases(args), aliases(kwargs)
        result = function(*args, **kwargs)
        self.made |= {t.untyped_storage().data_ptr() for t in tensors(result)} - given
        self.calls.append((function, *kept, list(tensors(aliases(result)))))
        return result

    def _keep(self, written: Any) -> None:
        """Remember what is written over, to put it back when the call is captured."""
        for tensor in tensors(written):
            place = tensor.untyped_storage().data_ptr()
            if place not in self.made and place not in self.before:
                self.before[place] = tensor, tensor.clone()

    def replay(self) -> None:
        """All of it again, in place."""
        with torch.no_grad():
            for function, args, kwargs, results in self.calls:
                for old, new in zip(results, tensors(function(*args, **kwargs)), strict=True):
                    if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                        old.copy_(new)


class OnTheCpu:
    """The recorder of `torch_graphs` with the stand-in."""

    captures = 0

    @staticmethod
    def reason_against(device: Any) -> str:
        return ""

    def warm(self, call: Callable[[], Any]) -> Any:
        return call()

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        OnTheCpu.captures += 1
        with Recorded() as recorded:
            value = call()
        for tensor, before in recorded.before.values():
            tensor.detach().copy_(before)
        return recorded.replay, value


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_graphs, "Cuda", OnTheCpu)
    monkeypatch.setattr(torch_graphs, "CHUNK", 3)
    monkeypatch.setattr(OnTheCpu, "captures", 0)


def trained(name: str, optimizer: str, mode: str, dtype: str = "float64", seed: int = 0) -> tuple[Any, dict[str, Any]]:
    """A model after three epochs of 4 batches and a ragged one, steps, and a rate that a callback changed."""
    model = compiled(name, optimizer, mode=mode, dtype=dtype, seed=seed)
    columns = columns_of(model, name, 14)
    x, y = columns["x"], columns["y"]
    halving = shim.LearningRate(lambda epoch: 0.05 * 0.5**epoch)
    found: dict[str, Any] = model.fit(x, y, epochs=3, batch_size=3, callbacks=[halving])
    for count in (3, 3, 3, 2, 2):
        found.setdefault("steps", []).append(model.train_on_batch(x[:count], y[:count]))
    kept = model.get_weights()
    for count in (4, 4, 4):
        found.setdefault("outputs", []).append(model.predict(x[:count]))
        model.set_weights({name: weight * 0.9 for name, weight in model.get_weights().items()})
    model.set_weights(kept)
    model.compile(optimizer=peer.OPTIMIZERS[optimizer](), loss="mean_squared_error", metrics=("mean_absolute_error",))
    found["again"] = model.fit(x, y, epochs=3, batch_size=4)["loss"]
    found.update(model.get_weights())
    found.update(model.get_slots())
    return model, found


def assert_same(found: dict[str, Any], expected: dict[str, Any], unit: float) -> None:
    """Equal but for rounding: a rule and a fused kernel order their operations differently."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        for one, other in zip(np.atleast_1d(found[name]), np.atleast_1d(value), strict=True):
            scale = np.abs(other).max() + 1.0
            assert np.abs(np.asarray(one) - other).max() <= 4096 * unit * scale, name


REPLAYED = ("dropout", "lstm", "conv_same", "batch_norm", "gru", "masked", "average_pool")
RATES = ("adam", "nesterov", *(name for name in peer.OPTIMIZERS if name not in ("adam", "nesterov")))


def mostly_full(names: tuple[str, ...]) -> list[Any]:
    """The first is a quick test, the others need `--full`."""
    return [names[0], *(pytest.param(name, marks=pytest.mark.full) for name in names[1:])]


@pytest.mark.parametrize("name", mostly_full(REPLAYED))
def test_a_replayed_training_is_the_eager_one(name: str, graphs: None) -> None:
    """Data, noise, weights put in from outside and a ragged batch all reach what was captured."""
    _, expected = trained(name, "adam", "eager")
    model, found = trained(name, "adam", "graph")
    assert_same(found, expected, 2.0**-53)
    assert OnTheCpu.captures >= 6 and model.compiled


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=[pytest.mark.full, pytest.mark.catalogue])])
@pytest.mark.parametrize("optimizer", mostly_full(RATES))
def test_every_optimizer_is_replayed_with_its_schedule_and_clipping(optimizer: str, dtype: str, graphs: None) -> None:
    """A rate or a step count that was captured as a number would be that of the first step for ever."""
    _, expected = trained("batch_norm", optimizer, "eager", dtype)
    _, found = trained("batch_norm", optimizer, "graph", dtype)
    assert_same(found, expected, {"float64": 2.0**-53, "float32": 2.0**-24}[dtype])


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("nesterov", marks=pytest.mark.full)])
def test_an_update_that_overflows_is_left_out_of_a_replay(optimizer: str, graphs: None) -> None:
    """Whether it does is known on the device alone: a captured answer would be that of one step for ever."""
    found = {}
    for mode in ("eager", "graph"):
        model = compiled("relu", optimizer, mode=mode, dtype="mixed_float16")
        columns = columns_of(model, "relu", 14)
        y = columns["y"] * np.where(np.arange(14) % 5, 1.0, 3e4).reshape(-1, *(1,) * (columns["y"].ndim - 1))
        model.fit(columns["x"], y, epochs=4, batch_size=3)
        assert model.t < 20 and model.loss_scale.value < 2.0**15
        found[mode] = {"t": model.t, **model.get_weights(), **model.get_slots()}
    assert OnTheCpu.captures
    assert_same(found["graph"], found["eager"], 2.0**-24)


def test_what_cannot_be_captured_runs_as_it_is_written_and_says_why(graphs: None) -> None:
    def asks(B: Any, x: Any) -> Any:
        return x * float(x.detach().sum() > 1e9) + x

    x = np.random.RandomState(0).normal(size=(6, 4)).astype("float32")
    models = []
    for mode in ("eager", "graph"):
        layers = [shim.Dense(3), shim.Activation(asks), shim.Dense(1)]
        model = shim.Sequential(layers, inputs=(4,), backend="torch", mode=mode)
        model.compile(optimizer=shim.Adam(), loss="mean_squared_error")
        models.append(model)
    expected = models[0].fit(x, x[:, :1], epochs=3, batch_size=2)["loss"]
    with pytest.warns(UserWarning, match="the epoch runs as eager: operation not permitted when stream is capturing"):
        assert models[1].fit(x, x[:, :1], epochs=3, batch_size=2)["loss"] == expected


def test_without_a_gpu_the_mode_says_so_and_trains() -> None:
    x, y = np.ones((4, 4), "float32"), np.ones((4, 3), "float32")
    model = compiled("relu", "adam", mode="graph")
    with pytest.warns(UserWarning, match="mode 'graph': the epoch runs as eager: CUDA graphs need a GPU"):
        assert model.fit(x, y, epochs=2)["loss"] == compiled("relu", "adam").fit(x, y, epochs=2)["loss"]


def test_auto_tries_graphs_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from impls.shim import autotune

    model = compiled("relu", "adam")
    model.bind()
    assert "graph" not in autotune.forms(model)
    model.device = "gpu"
    assert "graph" in autotune.forms(model)


def test_auto_goes_on_without_a_mode_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Dynamo failed on a GPU for a model in bfloat16, and took the training with it."""

    def failing(function: Any) -> Any:
        def call(*args: Any) -> Any:
            raise IndexError("tuple index out of range\nand forty lines of where")

        return call

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(backend, "_compiled", failing)
    model = compiled("relu", "adam", mode="auto")
    x, y = np.ones((4, 4), "float32"), np.ones((4, 3), "float32")
    with pytest.warns(UserWarning, match=r"auto leaves 'compile' out: IndexError: tuple index out of range$"):
        found = model.fit(x, y, epochs=2)["loss"]
    assert model.choices == {"epoch": "eager"} and found == compiled("relu", "adam").fit(x, y, epochs=2)["loss"]


def test_batches_are_chunked_without_loss_or_overlap() -> None:
    for count in range(120):
        for batch, together in ((1, 4), (3, 16), (7, 1), (2, 5)):
            cuts = backends.chunks(count, batch, together)
            assert [at for first, last in cuts for at in range(first, last)] == list(range(-(-count // batch)))
            sizes = [min(last * batch, count) - first * batch for first, last in cuts]
            updates = [last - first for first, last in cuts]
            assert max(updates, default=1) <= together
            assert all(size == batch * number for size, number in zip(sizes, updates, strict=True) if number > 1)


def test_an_image_among_several_outputs_has_its_channels_last() -> None:
    """Images are computed with the channels first: which output is one is known for each."""
    start = shim.Input((6, 5, 2))
    image = shim.Conv2D(3, 3, padding="same", name="image")(start)
    ends = {"flat": shim.Dense(2, name="flat")(shim.Flatten()(image)), "image": image}
    whole = shim.Model(start, list(ends.values()), backend="torch", dtype="float64")
    x = np.sin(np.arange(120.0)).reshape(2, 6, 5, 2)
    for name, found in zip(ends, whole.predict(x), strict=True):
        alone = shim.Model(start, ends[name], backend="torch", dtype="float64")
        alone.set_weights({key: whole.get_weights()[key] for key in alone.get_weights()})
        np.testing.assert_allclose(found, alone.predict(x), rtol=1e-12)
