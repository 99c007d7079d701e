"""Models of a user's own file behind one interface, so that two of them can be compared whatever they are written in.

A `Port` owns one model. What crosses it is NumPy: inputs and outputs by name, weights in Keras's layouts (kernels
(in, out) and (spatial, in, out), gates i, f, c, o and z, r, h, one LSTM bias). It runs the model as its user wrote it;
a `Trace` may watch, which changes nothing of what is computed.

For the bounds the same pass is repeated with errors: every weight, the inputs and the output of every operation that
rounds are multiplied by 1 + u sqrt(n) e, e normal, u the unit roundoff and n the number of values that the longest sum
in that operation can run over (Higham and Mary 2019: rounding errors of a sum of n terms grow like sqrt(n)). Backward
stable operations compute the exact result of operands that are off by so much. Multiplying an output multiplies the
gradient that comes back through it as well, so one factor stands for both directions.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from impls.port import leaves
from impls.port.conventions import conventions, labels_first, spoken
from impls.port.errors import ServedElsewhere, UserError
from impls.port.low_precision import is_exact, same_type
from impls.port.random_draws import Draws
from impls.port.recorder import Trace
from impls.port.weight import Weight, added_up

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from impls.port.annotations import (
        Args,
        Arrays,
        Config,
        Convention,
        Key,
        Kwargs,
        LossAndSlopes,
        Native,
        Program,
    )
    from impls.port.low_precision import Rounding

STEPS = 3  # optimizer steps: a bias correction, a velocity and a decay show after the second
LARGE = 1 << 20  # numbers in a tensor: a larger one is compared by a sketch of it
STATISTICS = ("moving_mean", "moving_variance")


class Port:
    """One model of a user. Subclasses speak the framework."""

    api = ""  # where it is not that of the file
    channels_first = False  # whether this framework's images are (N, C, H, W)

    def __init__(self, program: Program, backend: str, layout: str, files: Collection[str] = ()) -> None:
        self.program = program
        self.backend = backend
        self.layout = layout
        self.files = files
        self.trace: Trace | None = None
        self.noise: tuple[float, np.random.Generator] | None = None
        self.spares_exact = False  # whether noise leaves numbers of few bits as they are
        self.draws = Draws()
        self.overrides: dict[int, np.ndarray] = {}
        self.evaluating = True
        self.turned = False
        self.image_axes = 3  # that an input has at least, if it is turned
        self.convention: Convention = ("call", ())
        self.inputs_seen: dict[str, int] = {}
        self.weights: list[Weight] = []
        self.clean: Arrays = {}
        self.no_gradients = ""  # why the engine has none
        self.loaded: set[str] = set()
        self.takes_steps = False
        self.sketched: set[str] = set()  # names of weights that are given as sketches
        self.model = self.build()

    # What a front end defines.

    @staticmethod
    def conditions() -> contextlib.AbstractContextManager[object]:
        """What holds in this process while the user's file is loaded and its model runs, and not after it."""
        return contextlib.ExitStack()

    @staticmethod
    def forget_names() -> None:
        """Names that the framework counts up are those of a process of its own again, as another file is opened."""

    def build(self) -> Native:
        """The user's model, in float64 where the framework has it."""
        model = self.program.build()
        if self.api != "onnx" and type(model).__module__.startswith("onnx"):
            raise ServedElsewhere(model)
        return model

    def find_weights(self) -> list[Weight]:
        """Every weight and running statistic as `Weight`, in the order of the model."""
        raise NotImplementedError

    def native(self, array: np.ndarray) -> Native:
        """A NumPy array as the framework's own."""
        raise NotImplementedError

    def numpy(self, native: Native) -> np.ndarray:
        """A native array's numbers; may share its memory."""
        raise NotImplementedError

    def is_tensor(self, value: Native) -> bool:
        """Whether a part of an output is a tensor of this framework."""
        raise NotImplementedError

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        """What the model gives, nested as it is; tells `self.trace` of its operations where there is one."""
        raise NotImplementedError

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        raise NotImplementedError

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> LossAndSlopes:
        """The loss of a training-mode pass, and the gradient (or None) of each tensor of the trainable weights.

        `whole`: with the penalties that the model itself adds.
        """
        raise NotImplementedError

    def start_training(self) -> bool:
        """Make the optimizer afresh; False where the file has none."""
        return False

    def train(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        """One step of the optimizer that `start_training` made."""
        raise NotImplementedError

    def describe_optimizer(self) -> Config:
        """The update rule and its numbers; {} where it is a rule of the user."""
        return {}

    def parameters_of_call(self) -> tuple[str, ...]:
        """The names that the model's call takes; () where they can't be known."""
        return ()

    def slopes_with_penalty(self) -> bool:
        """Whether the gradient that a step starts from holds the penalties: not where the description has them."""
        return True

    def penalty(self) -> float:
        """What the model adds to the loss by itself, as a number."""
        return 0.0

    def new_trace(self, keep: int) -> Trace:
        """A trace that knows this framework's tensors."""
        return Trace(self.numpy, self.files, keep)

    def identities(self, weight: Weight) -> list[Key]:
        """The keys (`id`) under which operations see the tensors of a weight."""
        return [id(tensor) for tensor in weight.tensors]

    def unit(self) -> float:
        """The unit roundoff of the weights' type."""
        types = {self.numpy(tensor).dtype for weight in self.weights for tensor in weight.tensors}
        return max((float(np.finfo(t).eps) / 2 for t in types if t.kind == "f"), default=2.0**-53)

    # What follows is the same for all frameworks.

    def open(self, inputs: Arrays) -> None:
        """Find how the model takes its inputs, by trying; then its weights."""
        self.convene(inputs)
        self.weights = self.find_weights()
        self.read_into_clean()

    def convene(self, inputs: Arrays) -> None:
        """The first convention and layout that the model does not refuse."""
        errors = []
        own = self.parameters_of_call()
        names = [spoken(name, own) for name in inputs]
        for turned, axes in self.layouts(inputs):
            for convention in conventions(names, own):
                self.turned, self.image_axes = turned, axes
                self.convention = convention
                try:
                    self.call(*self.arrange(inputs), False)
                    return
                except UserError:
                    raise
                except Exception as error:
                    errors.append(error)
        raise errors[0]

    def layouts(self, inputs: Arrays) -> list[tuple[bool, int]]:
        """Whether to turn images, and from how many axes on an input is one, in the order in which it is tried.

        Beside an image, what has fewer axes is no other one first: boxes, or a sequence.
        """
        ranks = sorted({array.ndim for array in inputs.values() if array.ndim >= 3 and array.dtype.kind == "f"})
        turned = [(True, rank) for rank in reversed(ranks)] or [(True, 3)]
        both = [(False, 3), *turned] if ranks and self.channels_first else [(False, 3)]
        return {"as_is": [(False, 3)], "channels_first": turned, "auto": both}[self.layout]

    def arrange(self, inputs: Arrays) -> tuple[Args, Kwargs]:
        """`(args, kwargs)` of the model's call, native."""
        given = {name: self.input(array) for name, array in inputs.items()}
        kind, names = self.convention
        if self.trace is not None:
            for name, tensor in given.items():
                self.inputs_seen[name] = self.trace.value(tensor)
        if kind == "dict":
            return (given,), {}
        if kind == "list":
            return (list(given.values()),), {}
        by_position: list[Native] = []
        by_name: Kwargs = {}
        for name, tensor in given.items():
            called = spoken(name, self.parameters_of_call())
            if called in names:
                by_name[called] = tensor
            else:
                by_position.append(tensor)
        return tuple(by_position), by_name

    def input(self, array: np.ndarray) -> Native:
        """One input as this model takes it: turned to (N, C, H, W) where `convene` found that it wants that."""
        if self.turned and array.ndim >= self.image_axes:
            array = np.moveaxis(array, -1, 1)
        return self.native(np.ascontiguousarray(self.noisy(array, array.size)))

    def noisy(self, array: np.ndarray, count: int) -> np.ndarray:
        """The array with the errors of the module's docstring in it; as it is while there is no noise."""
        if self.noise is None or array.dtype.kind != "f":
            return array
        return array * self.spared(array, self.factor(array.shape, count)).astype(array.dtype)

    def spared(self, array: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """The factors for these numbers, 1 for those that are exact where these are spared."""
        return np.where(is_exact(array), 1.0, factor) if self.spares_exact else factor

    def factor(self, shape: Sequence[int], count: int) -> np.ndarray:
        """What an output of this shape is multiplied by in a run with noise, with n = `count`."""
        if self.noise is None:
            return np.ones(shape)
        unit, rng = self.noise
        return 1 + unit * math.sqrt(max(count, 1)) * rng.standard_normal(shape)

    def overridden(self, ids: Sequence[int], outputs: Sequence[Native], output: Native) -> Native:
        """`output`, or what `overrides` says in its place; of a tuple of all outputs, in the place of each."""
        if not self.overrides or not any(at in self.overrides for at in ids):
            return output
        if len(ids) == 1 and not isinstance(output, (tuple, list)):
            return self.instead(ids[0], outputs[0])
        if not isinstance(output, (tuple, list)) or len(output) != len(ids):
            return output
        found = [self.instead(at, tensor) for at, tensor in zip(ids, outputs, strict=True)]
        return type(output)(found)

    def instead(self, at: int, tensor: Native) -> Native:
        """What takes the place of a value; the tensor itself where nothing does."""
        if at not in self.overrides:
            return tensor
        made = same_type(self.native(self.overrides[at]), tensor)
        trace = self.trace
        if trace is None:
            return made
        trace.remember(made, {"value": at})
        if trace.rounding is not None:
            del self.overrides[at]  # there is one for each value
        return made

    def dropped(self, kind: str, rate: float, tensor: Native, active: bool) -> None:
        """A dropout that was left out of a pass."""
        if not rate:
            return
        if self.trace is not None:
            self.trace.dropout(rate, kind, tensor, active)

    def load(self, arrays: Arrays | None = None) -> None:
        """Put canonical weights in, those of `clean` by default.

        With noise a large weight is put in once for all passes of a sample: nothing but an optimizer moves it.
        """
        for weight in self.weights:
            if self.noise is not None and weight.trainable and self.clean[weight.name].size >= LARGE:
                if weight.name in self.loaded and not self.takes_steps:
                    continue
                self.loaded.add(weight.name)
            canonical = self.clean[weight.name] if arrays is None else arrays[weight.name]
            canonical = canonical.astype(np.float64) if canonical.dtype == np.float32 else canonical
            self.put(weight, self.noisy(canonical, canonical.size))

    def put(self, weight: Weight, canonical: np.ndarray) -> None:
        for tensor, array in zip(weight.tensors, weight.write(canonical), strict=True):
            self.assign(tensor, array)

    def take(self, arrays: Arrays) -> None:
        """New clean weights; a name that is not given keeps its own."""
        for name, array in arrays.items():
            single = array.astype(np.float32) if array.dtype == np.float64 else array
            exact = array.size >= LARGE and np.array_equal(single, array)  # half the memory
            self.clean[name] = single if exact else array

    def read_into_clean(self) -> None:
        self.clean = self.read()

    def add_up(self, name: str, other: str) -> None:
        """Two weights of which only the sum counts are one from now on: biases of a recurrent cell by hand."""
        one, two = (next(weight for weight in self.weights if weight.name == each) for each in (name, other))
        made = added_up(one, two)
        self.weights = [made if weight is one else weight for weight in self.weights if weight is not two]
        self.clean[name] = self.clean[name] + self.clean.pop(other)

    def read(self) -> OrderedDict[str, np.ndarray]:
        """Canonical weights and running statistics."""
        return OrderedDict((weight.name, self.read_one(weight)) for weight in self.weights)

    def read_one(self, weight: Weight) -> np.ndarray:
        return np.array(weight.read([self.numpy(tensor) for tensor in weight.tensors]))

    def leaves(self, output: Native) -> list[tuple[str, Native]]:
        """`[(path, native tensor)]` of an output."""
        return leaves.flatten(output, self.is_tensor)

    # One pass, watched or not.

    def forward(self, inputs: Arrays, mode: str) -> OrderedDict[str, np.ndarray]:
        """`{leaf: array}` of one pass."""
        self.draws = Draws()
        self.evaluating = mode == "inference"
        output = self.call(*self.arrange(inputs), mode == "training")
        return OrderedDict((path, np.array(self.numpy(tensor))) for path, tensor in self.leaves(output))

    def record(
        self,
        inputs: Arrays,
        mode: str,
        keep: int,
        overrides: dict[int, np.ndarray] | None = None,
        rounding: Rounding | None = None,
        sketched: int = 0,
        limit: float = np.inf,
    ) -> tuple[dict[str, Any], Arrays, OrderedDict[str, np.ndarray]]:
        """One watched pass: `(body, arrays by value id, {leaf: array})`.

        `rounding`: errors that it commits. `sketched`: that many numbers stand for each value, none above `limit`.
        """
        trace = self.begin(mode, keep)
        self.overrides = trace.overrides = {} if overrides is None else overrides
        trace.rounding = rounding
        trace.sketched = sketched
        trace.limit = limit
        try:
            output = self.call(*self.arrange(inputs), mode == "training")
            found = self.leaves(output)
            ids = {path: trace.operand(tensor).get("value") for path, tensor in found}
            arrays = OrderedDict((path, np.array(self.numpy(tensor))) for path, tensor in found)
        finally:
            self.trace = None
            self.overrides = {}
        self.finish(trace)
        body, values = trace.message()
        return dict(body, mode=mode, inputs=self.inputs_seen, outputs=ids), values, arrays

    def begin(self, mode: str, keep: int) -> Trace:
        """A pass from the clean weights begins, and is watched by this trace."""
        self.load()
        self.draws = Draws()
        self.evaluating = mode == "inference"
        self.trace = trace = self.new_trace(keep)
        self.inputs_seen = {}
        for weight in self.weights:
            for key in self.identities(weight):
                trace.weights.setdefault(key, []).append(weight.name)
        return trace

    def finish(self, trace: Trace) -> None:
        """What a front end adds to a trace when the pass is over."""

    def sums_in_any_order(self) -> bool:
        """Whether a watched pass may differ from a plain one by the order of sums; elsewhere not a bit may change."""
        return False

    def watching(self) -> Native:
        """What PyTorch's functions tell of themselves while they are watched."""
        return self

    # Training.

    def has_training_mode(self) -> bool:
        """Whether the model knows training from inference at all."""
        return True

    def step_runs_the_model(self) -> bool:
        """Whether a step runs a pass of its own, as its user does; else it goes on from gradients that are there."""
        return False

    def step(self, inputs: Arrays, y: Native) -> None:
        self.draws = Draws()
        args, kwargs = self.arrange(inputs)
        self.train(args, kwargs, self.native(y))

    def slope(self, tensor: Native, gradient: Native) -> np.ndarray:
        """A gradient as NumPy; zeros where none comes back."""
        return np.zeros(np.shape(self.numpy(tensor))) if gradient is None else self.numpy(gradient)

    def has_loss(self) -> bool:
        return hasattr(self.program, "loss_fn")

    def loss(self, output: Native, y: Native) -> Native:
        """The user's loss, whichever of its two arguments comes first."""
        function = self.program.loss_fn
        return function(y, output) if labels_first(function) else function(output, y)
