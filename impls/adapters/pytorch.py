"""The adapter of both PyTorch programs: the one that writes its update out and the one that uses torch.optim.

Layers are found by the kind of their module, in the order in which the model registers them; what is inside of a layer
is its own affair. `impls.layer_kinds` says which classes are of which kind and where they keep the weights.
"""

import os
from collections import OrderedDict
from contextlib import contextmanager
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn

from impls.adapters import ANY_ACTIVATION, Arrays, Native, Taps
from impls.adapters import Adapter as Base
from impls.layer_kinds import KINDS, TORCH_ACTIVATIONS, Layer, TorchWeight, is_of_kind

# Keras's names of slots, which are attributes of the optimizers that are written out; and of those of torch.optim.
SLOTS = ("m", "v", "accumulator")
NATIVE = {"exp_avg": "m", "momentum_buffer": "m", "exp_avg_sq": "v", "square_avg": "v", "sum": "accumulator"}


COMPILE_MODES = {"compile": "default", "reduce-overhead": "reduce-overhead"}  # the second with CUDA graphs


def configure(device: str, dtype: str, threads: int) -> None:
    """Threads as asked for, and TF32 only where TRIPTYCH_TF32 is 1; a GPU that is not there is an error."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    allowed = os.environ.get("TRIPTYCH_TF32") == "1"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
    if device == "gpu" and not torch.cuda.is_available():
        raise RuntimeError("device 'gpu' is not there: torch {} finds no GPU; use cpu".format(torch.__version__))


def kind_of(module: nn.Module) -> Optional[str]:
    """The spec's kind of a module; None for containers and for padding."""
    if is_of_kind(module, TORCH_ACTIVATIONS):
        return ANY_ACTIVATION
    return next((name for name, kind in KINDS.items() if is_of_kind(module, tuple(kind.torch))), None)


def has_weights(module: nn.Module) -> bool:
    """Whether a module holds weights of its kind."""
    kind = kind_of(module)
    return kind in KINDS and bool(weights_of(module, kind))


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that are layers, in the order of their registration."""
    for child in module.children():
        if kind_of(child):
            yield child
        else:
            yield from layers_of(child)


def weights_of(module: nn.Module, kind: str) -> Dict[str, TorchWeight]:
    """Where a module of this kind keeps its weights."""
    places = KINDS[kind].torch
    return next(places[base.__name__] for base in type(module).__mro__ if base.__name__ in places)


class Place(NamedTuple):
    """Where a canonical weight is: in these tensors, and there in `index` (of the canonical shape), counted through.

    `added` is a tensor that is added to it.
    """

    tensors: Tuple[torch.Tensor, ...]
    index: np.ndarray  # type: ignore[assignment]  # no place is looked up as a tuple is
    added: Optional[torch.Tensor]


def place_of(module: nn.Module, weight: TorchWeight, shape: Tuple[int, ...]) -> Place:
    """The place of a weight of `module`: what rearranges positions as the weight is rearranged."""
    tensors = tuple(attribute(module, path) for path in weight.tensors)
    positions, start = [], 0
    for tensor in tensors:
        positions.append(np.arange(start, start + tensor.numel()).reshape(tensor.shape))
        start += tensor.numel()
    added = attribute(module, weight.added) if weight.added else None
    return Place(tensors, weight.canonical(*positions).reshape(shape), added)


def attribute(module: nn.Module, path: str) -> torch.Tensor:
    """`module.a.b` of the path "a.b"."""
    for name in path.split("."):
        module = getattr(module, name)
    return module


def gathered(tensors: Sequence[torch.Tensor]) -> np.ndarray:
    """All elements of the tensors, one behind the other."""
    return np.concatenate([to_numpy(tensor).ravel() for tensor in tensors])


def scatter(place: Place, tensors: Sequence[torch.Tensor], value: np.ndarray) -> None:
    """Write a canonical array into tensors that are laid out as those of `place`."""
    flat = gathered(tensors)
    flat[place.index] = value
    ends = np.cumsum([tensor.numel() for tensor in tensors])[:-1]
    for tensor, part in zip(tensors, np.split(flat, ends), strict=True):
        tensor.copy_(torch.tensor(part.reshape(tensor.shape)))


def channels_last(activation: torch.Tensor) -> torch.Tensor:
    """Images as the spec has them: (B, C, H, W) -> (B, H, W, C)."""
    return activation.permute(0, 2, 3, 1) if activation.ndim == 4 else activation


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy: the tensor may be written in place later."""
    return np.array(tensor.detach().cpu())


class Adapter(Base):
    """Serves `raw_torch` and `torch_native`."""

    def __init__(self, *arguments: Native):
        super().__init__(*arguments)
        self.target = torch.device("cuda" if self.device == "gpu" else "cpu")
        self.model = self.program.build(**self.sizes).to(self.target, getattr(torch, self.dtype))
        self.modules = list(layers_of(self.model))
        self.places = self._find()
        # Dynamo refuses nn.LSTM and runs a forward that holds one as it is written: there, compile is eager. Its
        # experimental switch doubles the time of a float32 step and takes minutes to compile a float64 one.
        # model.compile(), unlike torch.compile(model), compiles nothing of a plain nn.Sequential.
        self.running = self.model if self.mode == "eager" else torch.compile(self.model, mode=COMPILE_MODES[self.mode])

    def _find(self) -> Dict[str, Place]:
        """Where each canonical weight is."""
        found = {}
        owners = iter([module for module in self.modules if has_weights(module)])
        for layer in self.layers:
            if layer.weights:
                module = self._owner(layer, next(owners, None))
                places = weights_of(module, layer.kind)
                for name, shape in dict(layer.weights, **layer.state).items():
                    found[layer.name + "/" + name] = place_of(module, places[name], shape)
        return found

    @staticmethod
    def _owner(layer: Layer, module: Optional[nn.Module]) -> nn.Module:
        """The module that is to be `layer`. Raises ValueError where it is none of its kind."""
        if module is None or kind_of(module) != layer.kind:
            classes = ", ".join(KINDS[layer.kind].torch) or "none"
            raise ValueError(
                "layer {!r} of the spec is of kind {!r} (classes: {}, see KINDS in impls/layer_kinds.py); in its place "
                "this program has {}".format(layer.name, layer.kind, classes, type(module).__name__)
            )
        return module

    def load(self, weights: Arrays) -> None:
        with torch.no_grad():
            for name, place in self.places.items():
                scatter(place, place.tensors, weights[name])
                if place.added is not None:
                    place.added.zero_()
        self.optimizer = self.program.make_optimizer(self.model)

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        """As the contract says; a torch.optim optimizer, whose slots have another meaning, starts afresh."""
        self.load(weights)
        if isinstance(self.optimizer, torch.optim.Optimizer):
            return
        if hasattr(self.optimizer, "t"):
            self.optimizer.t = step
        for key, value in slots.items():
            slot, _, name = key.partition("/")
            place = self.places[name]
            with torch.no_grad():
                scatter(place, [self._slots(tensor)[slot] for tensor in place.tensors], value)

    def weights(self) -> Arrays:
        # The spec's weight is the sum of the two: exactly the first where the second stays zero.
        return {
            name: gathered(place.tensors if place.added is None else [place.tensors[0] + place.added])[place.index]
            for name, place in self.places.items()
        }

    def slots(self) -> Arrays:
        found = {}
        for name in self.trainable:
            place = self.places[name]
            kept = [self._slots(tensor) for tensor in place.tensors]
            for slot in kept[0]:
                found[slot + "/" + name] = gathered([each[slot] for each in kept])[place.index]
        return found

    def _slots(self, parameter: torch.Tensor) -> Dict[str, torch.Tensor]:
        """The slots of one weight; torch.optim has none before the first step."""
        if isinstance(self.optimizer, torch.optim.Optimizer):
            state = self.optimizer.state.get(parameter, {})
            return {NATIVE[key]: value for key, value in state.items() if key in NATIVE and value is not None}
        index = next(i for i, known in enumerate(self.optimizer.parameters) if known is parameter)
        return {slot: getattr(self.optimizer, slot)[index] for slot in SLOTS if hasattr(self.optimizer, slot)}

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Puts the running statistics back afterwards."""
        kept = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        try:
            yield
        finally:
            for buffer, value in kept:
                buffer.copy_(value)

    def _tapped(self, x: torch.Tensor) -> "OrderedDict[str, torch.Tensor]":
        """Outputs of the spec's layers, by hooks that see the modules in the order in which they are called."""
        taps = Taps(self.layers, fused=False)

        def hook(module: nn.Module, inputs: Native, output: Native) -> None:
            taps(kind_of(module) or "", output[0] if isinstance(output, tuple) else output)

        handles = [module.register_forward_hook(hook) for module in self.modules]
        try:
            taps.end(self.model(x))
        finally:
            for handle in handles:
                handle.remove()
        return taps.outputs

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        self.model.train(training)
        with self._unchanged(), torch.no_grad():
            outputs = self._tapped(self.batch(x)[0])
        return OrderedDict((name, to_numpy(channels_last(output))) for name, output in outputs.items())

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        native_x, native_y = self.batch(x, y)
        self.model.train()
        # Twice: hooks would make torch.compile compile another model than the one that is trained.
        with self._unchanged():
            outputs = self._tapped(native_x)
            tapped_loss = self.program.loss_fn(next(reversed(outputs.values())), native_y)
            cotangents = torch.autograd.grad(tapped_loss, list(outputs.values()))
        with self._unchanged():
            loss = self.program.loss_fn(self.running(native_x), native_y)
            gradients = self._slopes(loss)
        found = {"loss": to_numpy(loss)}
        for (name, output), cotangent in zip(outputs.items(), cotangents, strict=True):
            found["activation/" + name] = to_numpy(channels_last(output))
            found["cotangent/" + name] = to_numpy(channels_last(cotangent))
        for name in self.trainable:
            place = self.places[name]
            found["gradient/" + name] = gathered([gradients[id(tensor)] for tensor in place.tensors])[place.index]
        return found

    def _slopes(self, loss: torch.Tensor) -> Dict[int, torch.Tensor]:
        """The gradient of each tensor that holds a trainable weight, by its id: one tensor may hold several."""
        tensors = {id(tensor): tensor for name in self.trainable for tensor in self.places[name].tensors}
        return dict(zip(tensors, torch.autograd.grad(loss, list(tensors.values())), strict=True))

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
        labels = None if y is None else torch.as_tensor(y, device=self.target)
        return torch.as_tensor(x, device=self.target), labels

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if not self.model.training:
            self.model.train()
        return self.program.train_step(self.running, self.optimizer, x, y)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        if self.model.training:
            self.model.eval()
        with torch.inference_mode():
            return self.running(x)

    def value(self, native: Native) -> np.ndarray:
        return to_numpy(native) if isinstance(native, torch.Tensor) else np.asarray(native)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        return self.program.train(self.running, x, y, epochs, batch_size)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.program.predict(self.running, x)
