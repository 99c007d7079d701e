"""Models of a user's own file behind one interface, so that two of them can be compared whatever they are written in.

A `Port` owns one model. What crosses it is NumPy: weights in Keras's layouts (kernels (in, out) and HWIO, gates
i, f, c, o and z, r, h, one LSTM bias), images as (N, H, W, C). It runs the model as its user wrote it and taps what it
computes on the way: layers and activations, each with its kind, its configuration, its input and its output.

For the bounds the same run is repeated with errors: every weight, the input and the output of every tap are multiplied
by 1 + u sqrt(n) e, e normal, u the unit roundoff and n the number of values that the longest sum in that layer can run
over (Higham and Mary 2019: rounding errors of a sum of n terms grow like sqrt(n)). Backward stable layers compute the
exact result of operands that are off by so much. Multiplying a tap's output multiplies the gradient that comes back
through it as well, so one factor stands for both directions.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np

STEPS = 3  # optimizer steps: a bias correction, a velocity and a decay show after the second


class UserError(Exception):
    """The user's file can't be used; the message is one line that says where and what to do."""


class Weight:
    """A parameter or a running statistic of a layer: native tensors and the way to the canonical array and back."""

    def __init__(self, layer, kind, role, tensors, read=None, write=None, trainable=True, name=None):
        self.layer, self.kind, self.role, self.tensors, self.trainable = layer, kind, role, list(tensors), trainable
        self.name = name or f"{layer}/{role}"
        self.read = read or (lambda arrays: arrays[0])
        self.write = write or (lambda array: [array])


class Port:
    """One model of a user. Subclasses speak the framework."""

    channels_first = False  # whether this framework's images are (N, C, H, W)

    def __init__(self, program, backend, layout):
        self.program, self.backend, self.layout = program, backend, layout
        self.records, self.noise, self.inside, self.switched_off = None, None, [], []
        self.model = self.build()
        self.turned = False
        self.weights = []
        self.size = 1  # of the output: the loss is a sum over it

    def build(self):
        """The user's model, in float64 where the framework has it."""
        return self.program.build()

    def find_weights(self):
        """Every weight and running statistic as `Weight`, in the order of the model."""
        raise NotImplementedError

    def native(self, array):
        """A NumPy array as the framework's own."""
        raise NotImplementedError

    def numpy(self, native):
        """A copy of a native array; images as (N, H, W, C) where it is known that they are not."""
        raise NotImplementedError

    def call(self, x, training):
        """The model's output for a native x, taps included."""
        raise NotImplementedError

    def assign(self, tensor, array):
        raise NotImplementedError

    def value_and_grads(self, x, y):
        """The loss of a training-mode pass, and the gradient (or None) of each tensor of the trainable weights."""
        raise NotImplementedError

    def start_training(self):
        """Make the optimizer afresh; False where the file has none."""
        return False

    def train(self, x, y):
        """One step of the optimizer that `start_training` made."""
        raise NotImplementedError

    def describe_optimizer(self):
        """The update rule and its numbers; {} where it is a rule of the user."""
        return {}

    def unit(self):
        """The unit roundoff of the weights' type."""
        types = {self.numpy(tensor).dtype for weight in self.weights for tensor in weight.tensors}
        return max((float(np.finfo(t).eps) / 2 for t in types if t.kind == "f"), default=2.0**-53)

    # What follows is the same for all frameworks.

    def open(self, x):
        """Find how the model takes x, by trying; then its weights, in the order in which they are used."""
        self.first_call(x)
        self.weights = self.find_weights()
        order = {name: at for at, record in reversed(list(enumerate(self.records))) for name in record["weights"]}
        last = len(self.records)
        self.weights.sort(key=lambda weight: order.get(weight.name, last))
        self.records = None

    def first_call(self, x):
        images = x.ndim == 4
        turns = {"as_is": [False], "channels_first": [True], "auto": [False, True] if images else [False]}[self.layout]
        errors = []
        for self.turned in turns:
            self.records = []
            try:
                self.call(self.input(x), False)
                return
            except Exception as error:
                errors.append(error)
        raise errors[0]

    def input(self, x):
        """x as this model takes it: turned to (N, C, H, W) where `first_call` found that it wants that."""
        x = x.transpose(0, 3, 1, 2) if self.turned else x
        return self.native(np.ascontiguousarray(self.noisy(x, x.size)))

    def noisy(self, array, count):
        """The array with the errors of the module's docstring in it; as it is while there is no noise."""
        if self.noise is None or array.dtype.kind != "f":
            return array
        return array * self.factor(array.shape, count).astype(array.dtype)

    def factor(self, shape, count):
        unit, rng = self.noise
        return 1 + unit * math.sqrt(max(count, 1)) * rng.standard_normal(shape)

    def record(self, name, kind, config, weights, given, output):
        """One tap: what went in, what came out; both are copied, since the model may write in place."""
        self.records.append(
            {
                "name": name,
                "kind": kind,
                "config": config,
                "weights": weights,
                "inside": list(self.inside),
                "in": self.numpy(given),
                "out": self.numpy(output),
            }
        )

    def load(self, arrays):
        """Put canonical weights in."""
        for weight in self.weights:
            canonical = self.noisy(arrays[weight.name], arrays[weight.name].size)
            for tensor, array in zip(weight.tensors, weight.write(canonical), strict=True):
                self.assign(tensor, array)

    def read(self):
        """Canonical weights and running statistics."""
        return OrderedDict(
            (weight.name, np.array(weight.read([self.numpy(t) for t in weight.tensors]))) for weight in self.weights
        )

    def gradients(self, x, y):
        loss, grads = self.value_and_grads(x, y)
        found, grads = {"loss": np.asarray(self.noisy(self.numpy(loss), self.size))}, iter(grads)
        for weight in self.weights:
            if weight.trainable:
                native = [self.slope(tensor, next(grads)) for tensor in weight.tensors]
                if (weight.kind, weight.role) == ("lstm", "bias"):  # torch adds two of them: each has the gradient
                    native[1:] = [np.zeros_like(array) for array in native[1:]]
                found["gradient/" + weight.name] = weight.read(native)
        return found

    def slope(self, tensor, gradient):
        """A gradient as NumPy; zeros where none comes back."""
        return np.zeros(np.shape(self.numpy(tensor))) if gradient is None else self.numpy(gradient)

    def everything(self, start, x, y):
        """All phases from the weights `start`: `(tap records by mode, arrays)`."""
        records, arrays = {}, {}
        for mode in ("inference", "training"):
            self.load(start)
            self.records, given = [], self.input(x)
            self.record("data", "data", {}, [], given, given)
            output = self.call(given, mode == "training")
            self.size = self.numpy(output).size
            self.record("output", "output", {}, [], output, output)
            records[mode], self.records = self.records, None
            arrays.update(named(mode, records[mode]))
        state = [weight.name for weight in self.weights if not weight.trainable]
        moved = self.read()
        arrays.update(("state/" + name, moved[name]) for name in state)
        if y is not None and self.has_loss():
            arrays.update(self.learning(start, x, y))
        return records, arrays

    def learning(self, start, x, y):
        """Loss and gradients, then STEPS optimizer steps; each step's weights, and the gradients it started from."""
        self.load(start)
        native = self.input(x), self.native(y)
        found = self.gradients(*native)
        self.load(start)
        if not self.start_training():
            return found
        for step in range(STEPS):
            before = self.read()
            slopes = self.gradients(*native)
            found.update((f"slope{step}/{w.name}", slopes["gradient/" + w.name]) for w in self.weights if w.trainable)
            self.restore_state(before)
            self.train(*native)
            after = self.read()
            found.update((f"step{step}/" + w.name, after[w.name]) for w in self.weights if w.trainable)
        return found

    def restore_state(self, values):
        """Running statistics as they were: a gradient that is only looked at must not move them."""
        for weight in self.weights:
            if not weight.trainable:
                for tensor, array in zip(weight.tensors, weight.write(values[weight.name]), strict=True):
                    self.assign(tensor, array)

    def has_loss(self):
        return hasattr(self.program, "loss_fn")

    def loss(self, output, y):
        """The user's loss, whichever of its two arguments comes first."""
        function = self.program.loss_fn
        return function(y, output) if labels_first(function) else function(output, y)

    def measure(self, start, x, y, samples, unit, seed):
        """A clean run, and for every tensor the inner products of the errors of `samples` runs with noise."""
        records, clean = self.everything(start, x, y)
        errors = {name: [] for name in clean}
        try:
            for sample in range(samples):
                self.noise = unit, np.random.default_rng([seed, sample])
                for name, array in self.everything(start, x, y)[1].items():
                    errors[name].append(np.ravel(array - clean[name]))
        finally:
            self.noise = None
        self.load(start)
        products = {"products/" + name: np.stack(e) @ np.stack(e).T for name, e in errors.items() if e}
        return records, {**clean, **products}


def named(mode, records):
    """The arrays of the taps of one mode."""
    arrays = {}
    for at, record in enumerate(records):
        arrays[f"{mode}/{at}/in"], arrays[f"{mode}/{at}/out"] = record.pop("in"), record.pop("out")
    return arrays


def labels_first(function):
    """Whether a loss takes (y, logits), as Keras's do, and not (logits, y)."""
    import inspect

    target = function if inspect.isroutine(function) or not callable(function) else type(function).__call__
    names = [name for name in inspect.signature(target).parameters if name != "self"]
    return bool(names) and names[0] in ("y", "y_true", "labels", "label", "target", "targets")
