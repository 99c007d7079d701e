"""The adapter of both PyTorch programs: the one that writes its update out and the one that uses torch.optim.

Layers are found by the kind of their module, in the order in which the model registers them.
"""

import os
from collections import OrderedDict
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch
from torch import nn

from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Taps

KINDS = {
    nn.Linear: "dense",
    nn.Conv2d: "conv2d",
    nn.BatchNorm2d: "batchnorm",
    nn.ReLU: "relu",
    nn.MaxPool2d: "maxpool2d",
    nn.Flatten: "flatten",
    nn.Embedding: "embedding",
    nn.LSTM: "lstm",
}
# An activation in the place of a ReLU is judged by its values, not by its class: Hardtanh(0, inf) is one.
KINDS.update(dict.fromkeys((nn.Hardtanh, nn.Threshold, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus), "relu"))

# Canonical weight: the module's attribute, and the axes of the canonical array in the order in which torch has them.
# torch's gates i, f, g, o are Keras's i, f, c, o.
WEIGHTS = {
    "dense": {"kernel": ("weight", (1, 0)), "bias": ("bias", (0,))},
    "conv2d": {"kernel": ("weight", (3, 2, 0, 1))},
    "batchnorm": {
        "gamma": ("weight", (0,)),
        "beta": ("bias", (0,)),
        "moving_mean": ("running_mean", (0,)),
        "moving_variance": ("running_var", (0,)),
    },
    "embedding": {"embeddings": ("weight", (0, 1))},
    "lstm": {
        "kernel": ("weight_ih_l0", (1, 0)),
        "recurrent_kernel": ("weight_hh_l0", (1, 0)),
        "bias": ("bias_ih_l0", (0,)),
    },
}

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
    """The spec's kind of a leaf module; None for containers and for padding."""
    return next((kind for layer, kind in KINDS.items() if isinstance(module, layer)), None)


def channels_last(activation: torch.Tensor) -> torch.Tensor:
    """Images as the spec has them: (B, C, H, W) -> (B, H, W, C)."""
    return activation.permute(0, 2, 3, 1) if activation.ndim == 4 else activation


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy: the tensor may be written in place later."""
    return np.array(tensor.detach().cpu())


class Adapter(Base):
    """Serves `raw_torch` and `torch_native`."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.target = torch.device("cuda" if self.device == "gpu" else "cpu")
        self.model = self.program.build(**self.sizes).to(self.target, getattr(torch, self.dtype))
        self.modules = [module for module in self.model.modules() if kind_of(module)]
        self.tensors, self.second_biases = self._find()
        # Dynamo refuses nn.LSTM and runs a forward that holds one as it is written: there, compile is eager. Its
        # experimental switch doubles the time of a float32 step and takes minutes to compile a float64 one.
        # model.compile(), unlike torch.compile(model), compiles nothing of a plain nn.Sequential.
        self.running = self.model if self.mode == "eager" else torch.compile(self.model, mode=COMPILE_MODES[self.mode])

    def _find(self) -> Tuple[Dict[str, Tuple[torch.Tensor, Tuple[int, ...]]], Dict[str, torch.Tensor]]:
        """Canonical name -> torch's tensor and axes; and the second bias that torch's LSTM has."""
        tensors, second = {}, {}
        owners = iter([module for module in self.modules if WEIGHTS.get(kind_of(module))])
        for layer in self.layers:
            if layer.weights:
                module = next(owners)
                for name in list(layer.weights) + list(layer.state):
                    attribute, axes = WEIGHTS[layer.kind][name]
                    tensors[layer.name + "/" + name] = getattr(module, attribute), axes
                if layer.kind == "lstm":
                    second[layer.name + "/bias"] = module.bias_hh_l0
        return tensors, second

    def _array(self, name: str, tensor: torch.Tensor) -> np.ndarray:
        """`tensor`, which has torch's layout of weight `name`, in the canonical layout."""
        return to_numpy(tensor).transpose(np.argsort(self.tensors[name][1]))

    def load(self, weights: Arrays) -> None:
        with torch.no_grad():
            for name, (tensor, axes) in self.tensors.items():
                tensor.copy_(torch.tensor(weights[name].transpose(axes)))
            for bias in self.second_biases.values():
                bias.zero_()
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
            parameter, axes = self.tensors[name]
            self._slots(parameter)[slot].copy_(torch.tensor(value.transpose(axes)))

    def weights(self) -> Arrays:
        # The spec's bias is the sum of the two: exactly the first where the second stays zero.
        summed = {name: self.tensors[name][0] + bias for name, bias in self.second_biases.items()}
        return {name: self._array(name, summed.get(name, tensor)) for name, (tensor, _) in self.tensors.items()}

    def slots(self) -> Arrays:
        found = {}
        for name in self.trainable:
            for slot, value in self._slots(self.tensors[name][0]).items():
                found[slot + "/" + name] = self._array(name, value)
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

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            taps(kind_of(module), output[0] if isinstance(output, tuple) else output)

        handles = [module.register_forward_hook(hook) for module in self.modules]
        try:
            self.model(x)
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
            gradients = torch.autograd.grad(loss, [self.tensors[name][0] for name in self.trainable])
        found = {"loss": to_numpy(loss)}
        for (name, output), cotangent in zip(outputs.items(), cotangents, strict=True):
            found["activation/" + name] = to_numpy(channels_last(output))
            found["cotangent/" + name] = to_numpy(channels_last(cotangent))
        found.update(
            ("gradient/" + name, self._array(name, g)) for name, g in zip(self.trainable, gradients, strict=True)
        )
        return found

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
        return tuple(None if array is None else torch.as_tensor(array, device=self.target) for array in (x, y))

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if not self.model.training:
            self.model.train()
        return self.program.train_step(self.running, self.optimizer, x, y)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        if self.model.training:
            self.model.eval()
        with torch.inference_mode():
            return self.running(x)

    def value(self, native: Any) -> np.ndarray:
        return to_numpy(native) if isinstance(native, torch.Tensor) else np.asarray(native)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        return self.program.train(self.running, x, y, epochs, batch_size)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.program.predict(self.running, x)
