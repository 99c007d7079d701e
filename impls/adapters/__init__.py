"""Adapters: one per API, between the programs (which hold no harness code) and the worker.

An adapter owns one model of one program. Everything that crosses it is NumPy, in the canonical names and
layouts of `impls.weights`. Names of arrays that come out:

    activation/<layer>           output of a layer of the spec
    cotangent/<layer>            gradient of the loss with respect to that output
    gradient/<layer>/<weight>    gradient of the loss with respect to a trainable weight
    weight/<layer>/<weight>      a trainable weight or a running statistic
    slot/<name>/<layer>/<weight> an optimizer slot

Valid on Python 3.6: old interpreters serve workers too.
"""

import importlib
from collections import OrderedDict
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import numpy as np

from impls import IMPLEMENTATIONS, MODELS, layer_kinds
from impls import weights as canonical_weights

Arrays = Dict[str, np.ndarray]
# A tensor, a weight, a layer or a model of an engine, or what holds several: their types have no ancestor in common.
Native = Any
Program = Any  # the module of a program: `build`, `train` and what else its API has
Size = Union[str, Dict[str, int]]
ANY_ACTIVATION = "activation"


class Adapter(object):
    """One model of one program. Subclasses speak the API; `x` and `y` are NumPy unless called native.

    `size` is one of the spec's sizes by its name, or the sizes themselves.

    A subclass's module may define `configure(device, dtype, threads)`, called once before the first model.
    """

    def __init__(self, program: Program, model: str, size: Size, backend: str, mode: str, device: str, dtype: str):
        self.program, self.spec, self.size = program, MODELS[model], size
        self.backend, self.mode, self.device, self.dtype = backend, mode, device, dtype
        self.sizes = size if isinstance(size, dict) else self.spec.sizes[size]
        self.layers = self.spec.layers(**self.sizes)
        for layer in self.layers:
            layer_kinds.kind_of(layer)  # raises for one that is not declared
        self.trainable = canonical_weights.trainable(self.layers)
        self.state = canonical_weights.state(self.layers)

    def load(self, weights: Arrays) -> None:
        """Put canonical weights in and start the optimizer afresh."""
        raise NotImplementedError

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        """Put weights and slots in as they were after `step` updates. What is built or compiled stays."""
        raise NotImplementedError

    def weights(self) -> Arrays:
        """Canonical weights and running statistics, `layer/weight`, in `self.dtype`."""
        raise NotImplementedError

    def slots(self) -> Arrays:
        """The optimizer's slots, `<slot>/<layer>/<weight>` with the names that Keras gives them."""
        raise NotImplementedError

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        """Every layer's output, in the order of the spec. Leaves the running statistics as they were."""
        raise NotImplementedError

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        """`loss`, `activation/...`, `cotangent/...` and `gradient/...` of one training-mode forward and backward.

        Changes neither weights nor running statistics.
        """
        raise NotImplementedError

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[Native, Native]:
        """`x` and `y` as the native arrays of the backend, on the device, floats in `self.dtype`."""
        raise NotImplementedError

    def step(self, x: Native, y: Native) -> Native:
        """One training step of the program on a native batch; returns the native loss without waiting for it."""
        raise NotImplementedError

    def call(self, x: Native) -> Native:
        """The program's own inference on a native batch, in its compiled form; returns native logits."""
        raise NotImplementedError

    def pure(self, what: str, x: Native, y: Native) -> Tuple[Native, Tuple[Native, ...]]:
        """JAX only: what `train_step` or `predict` compiles, as a function without effects, and its arguments."""
        raise NotImplementedError

    def value(self, native: Native) -> np.ndarray:
        """Wait for a native array and return it as NumPy."""
        return np.asarray(native)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        """The program's own training loop; the mean training loss of each epoch."""
        raise NotImplementedError

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The program's own prediction: logits."""
        raise NotImplementedError

    def train(self, x: np.ndarray, y: np.ndarray, batch_size: int) -> List[float]:
        """One training step for each batch of `x`, in order; the loss of each step."""
        starts = range(0, len(x), batch_size)
        batches = [self.batch(x[at : at + batch_size], y[at : at + batch_size]) for at in starts]
        return [float(self.value(self.step(*batch))) for batch in batches]

    def floats(self, array: np.ndarray) -> np.ndarray:
        """`array` in `self.dtype` if it holds floats, else as it is."""
        return array.astype(self.dtype) if array.dtype.kind == "f" else array


class Taps(object):
    """Names the outputs of a program's layers by the order in which they are computed.

    A program computes the layers of its spec in order. A layer with a fused activation is one call in some
    APIs and two in others, so an activation that the spec has fused is accepted either way.
    """

    def __init__(self, layers: Tuple[Native, ...], fused: bool):
        self.expected = []  # type: List[Tuple[str, Optional[str]]]
        for layer in layers:
            split = layer.activation is not None and not fused
            self.expected.append((layer.kind, None if split else layer.name))
            if split:
                self.expected.append((layer.activation, layer.name))
        self.seen = 0
        self.outputs = OrderedDict()  # type: OrderedDict[str, Native]

    def __call__(self, kind: str, output: Native) -> Native:
        """Record `output` of the next layer, which has to be of `kind`; returns it."""
        kinds = [expected for expected, _ in self.expected]
        if self.seen >= len(kinds) or not self._fits(kind, kinds[self.seen]):
            raise ValueError(
                "call {} of this program is a {!r}; the spec's layers in order are {}".format(self.seen, kind, kinds)
            )
        name = self.expected[self.seen][1]
        self.seen += 1
        if name is not None:
            self.outputs[name] = output
        return output

    @staticmethod
    def _fits(kind: str, expected: Optional[str]) -> bool:
        """Whether a call of `kind` may stand here; ANY_ACTIVATION is judged by its values."""
        return kind == expected or (kind == ANY_ACTIVATION and expected in layer_kinds.ACTIVATIONS)

    def end(self, output: Native) -> Native:
        """The output of the program, which is that of the spec's last layer where no call of it was seen."""
        if self.seen == len(self.expected) - 1:
            self(self.expected[-1][0], output)
        return output


@contextmanager
def bound(module: ModuleType, **functions: Callable[..., Native]) -> Iterator[None]:
    """`module.<name>` is another function for a while."""
    missing = [name for name in functions if not hasattr(module, name)]
    if missing:
        raise AttributeError(
            "{} has no function named {}: a program made of functions has one for each kind of layer "
            "of its spec".format(module.__name__, " or ".join(missing))
        )
    originals = {name: getattr(module, name) for name in functions}
    try:
        vars(module).update(functions)
        yield
    finally:
        vars(module).update(originals)


def program_of(model: str, implementation: str) -> Program:
    """The module of the program that `implementation` runs for `model`."""
    own = IMPLEMENTATIONS[implementation].program or implementation
    return importlib.import_module("impls.{}.{}".format(model, own))


def adapter_module(implementation: str) -> Native:
    """The adapter module that serves `implementation`."""
    return importlib.import_module("impls.adapters." + IMPLEMENTATIONS[implementation].adapter)
