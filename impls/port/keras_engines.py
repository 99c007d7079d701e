"""What Keras's three backends do differently for a port: watching, gradients, identities of variables."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import keras

from impls.port.recorder import Trace, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from impls.port.annotations import Args, Config, Engine, Key, Kwargs, LossAndSlopes, Native, Natives
    from impls.port.keras import PortOfKeras


class Eager:
    """An engine whose operations are seen while they run."""

    @contextlib.contextmanager
    def layer(
        self, port: PortOfKeras, path: str, kind: str, config: Config, class_name: str, given: Native
    ) -> Iterator[Callable[[Native], Native]]:
        """Around one call of a layer; what it yields takes the output."""
        trace = port.trace
        if trace is None or trace.quiet:
            yield lambda output: output
            return
        operands = [trace.operand(tensor) for tensor in tensors_in(given)]
        first = trace.enter(path)
        made = []

        def seen(output: Native) -> Native:
            made.extend(tensors_in(output))
            return output

        yield seen
        layer = port.layers.get(path)
        names = port.names_in(layer) if layer is not None else []
        trace.leave(path, first, kind, config, names, operands, made, class_name)

    def dropped(self, port: PortOfKeras, kind: str, rate: float, tensor: Native) -> Native:
        port.dropped(kind, rate, tensor, True)
        return tensor

    def watching(self, port: PortOfKeras) -> Native:
        return port

    def finish(self, port: PortOfKeras, trace: Trace) -> None:
        """Calls were recorded when they ended."""


class Tensorflow(Eager):
    def __init__(self) -> None:
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)

    def identity(self, variable: keras.Variable) -> Key:
        return id(variable.value.handle)

    def new_trace(self, port: PortOfKeras, keep: int) -> Trace:
        from impls.port import tensorflow_recorder

        return Trace(tensorflow_recorder.to_numpy, port.files, keep)

    def call(self, port: PortOfKeras, args: Args, kwargs: Kwargs, training: bool) -> Native:
        from impls.port import keras as front
        from impls.port import tensorflow_random, tensorflow_recorder

        watched = tensorflow_recorder.recording(port.trace, port.overridden)
        with front.common_draws(port), tensorflow_random.common(port), watched:
            return port.model(*args, **kwargs, training=training)

    def gradients(
        self, port: PortOfKeras, variables: Sequence[keras.Variable], args: Args, kwargs: Kwargs, y: Native, whole: bool
    ) -> LossAndSlopes:
        import tensorflow as tf

        from impls.port import keras as front
        from impls.port import tensorflow_random

        with front.common_draws(port), tensorflow_random.common(port), tf.GradientTape() as tape:
            loss = port.full_loss(args, kwargs, y, whole)
        slopes = tape.gradient(loss, [variable.value for variable in variables])
        return loss, [None if slope is None else tf.convert_to_tensor(slope) for slope in slopes]


class Torch(Eager):
    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)

    def identity(self, variable: keras.Variable) -> Key:
        return id(variable.value)

    def watching(self, port: PortOfKeras) -> Native:
        return Watched(port)

    def new_trace(self, port: PortOfKeras, keep: int) -> Trace:
        from impls.port import torch_recorder

        return Trace(torch_recorder.to_numpy, port.files, keep, torch_recorder.version)

    def call(self, port: PortOfKeras, args: Args, kwargs: Kwargs, training: bool) -> Native:
        import torch

        from impls.port import keras as front
        from impls.port import torch_recorder

        watched = torch_recorder.Functions(Watched(port)) if port.trace is not None else contextlib.nullcontext()
        with front.common_draws(port), torch.set_grad_enabled(training), watched:
            return port.model(*args, **kwargs, training=training)

    def gradients(
        self, port: PortOfKeras, variables: Sequence[keras.Variable], args: Args, kwargs: Kwargs, y: Native, whole: bool
    ) -> LossAndSlopes:
        import torch

        from impls.port import keras as front

        with front.common_draws(port):
            loss = port.full_loss(args, kwargs, y, whole)
        return loss, torch.autograd.grad(loss, [variable.value for variable in variables], allow_unused=True)


class Jax:
    """JAX is watched by interpreting what it traced."""

    @contextlib.contextmanager
    def layer(
        self, port: PortOfKeras, path: str, kind: str, config: Config, class_name: str, given: Native
    ) -> Iterator[Callable[[Native], Native]]:
        from impls.port import jax_recorder

        with jax_recorder.scope(path):
            yield lambda output: output

    def dropped(self, port: PortOfKeras, kind: str, rate: float, tensor: Native) -> Native:
        from impls.port import jax_recorder

        watched = port.trace is not None and rate
        return jax_recorder.note_dropout(kind, rate, tensor) if watched else tensor

    def identity(self, variable: keras.Variable) -> Key:
        return id(variable.value)

    def new_trace(self, port: PortOfKeras, keep: int) -> Trace:
        return Trace(lambda array: array, port.files, keep)

    def call(self, port: PortOfKeras, args: Args, kwargs: Kwargs, training: bool) -> Native:
        from impls.port import keras as front

        with front.common_draws(port):
            if port.trace is None:
                return port.model(*args, **kwargs, training=training)
            return self.watched(port, port.trace, args, kwargs, training)

    def watched(self, port: PortOfKeras, trace: Trace, args: Args, kwargs: Kwargs, training: bool) -> Native:
        from impls.port import jax_recorder

        variables = {weight.name: weight.tensors[0] for weight in port.weights}
        moved: Natives = {}

        def function(values: Natives, args: Args, kwargs: Kwargs) -> Native:
            pairs = [(variables[name], value) for name, value in values.items()]
            with keras.StatelessScope(pairs) as scope:
                output = port.model(*args, **kwargs, training=training)
            moved.update({name: scope.get_current_value(v) for name, v in variables.items()})
            return output

        weights = {name: variable.value for name, variable in variables.items()}
        return jax_recorder.record(trace, function, weights, (args, kwargs), port.overrides)

    def finish(self, port: PortOfKeras, trace: Trace) -> None:
        trace.calls_from_scopes(port.describe_layer)

    def watching(self, port: PortOfKeras) -> Native:
        return port

    def gradients(
        self, port: PortOfKeras, variables: Sequence[keras.Variable], args: Args, kwargs: Kwargs, y: Native, whole: bool
    ) -> LossAndSlopes:
        import jax

        from impls.port import keras as front

        fixed = list(port.model.non_trainable_variables)
        state = [variable.value for variable in fixed]

        def objective(values: Sequence[Native]) -> Native:
            pairs = list(zip([*variables, *fixed], [*values, *state], strict=True))
            with keras.StatelessScope(pairs):
                return port.full_loss(args, kwargs, y, whole)

        with front.common_draws(port):
            return jax.value_and_grad(objective)([variable.value for variable in variables])


def tensors_in(value: Native) -> list[Native]:
    """Every tensor of nested arguments, in order."""
    if keras.ops.is_tensor(value):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in tensors_in(part)]
    return []


ENGINES: dict[str, Callable[[], Engine]] = {"tensorflow": Tensorflow, "torch": Torch, "jax": Jax}
