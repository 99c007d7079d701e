"""A network: layers in an order, their parameters in one flat dict, and the pure function that computes them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from impls.shim.backends.contract import Array, Arrays, Backend, Carry, Function, Shape
from impls.shim.config import SEED, backend_module, looked_up
from impls.shim.layer import Layer, Run, Symbol, Weight, noise_key
from impls.shim.layers import Embedding


class Step:
    """One layer of a plan: the values it reads, which of them turn between image layouts, which are free after it."""

    def __init__(self, layer: Layer, sources: Sequence[int]) -> None:
        self.layer, self.sources = layer, tuple(sources)
        self.turns: tuple[Callable[[Array], Array] | None, ...] = ()
        self.free: tuple[int, ...] = ()
        self.output_shape: Shape = None  # type: ignore[assignment]  # until it is built
        self.image = False  # whether it leaves an image in the backend's own layout
        self.again = 0  # how often its layer is applied before, in the same pass


DTYPES: dict[str, tuple[str, str | None]] = {  # of the weights, and of the layers where it is another
    "float32": ("float32", None),
    "float64": ("float64", None),
    "mixed_float16": ("float32", "float16"),
    "mixed_bfloat16": ("float32", "bfloat16"),
}


class Plan(NamedTuple):
    """Layers in an order, the names of the columns that they read first, and the shape of one example of each."""

    steps: list[Step]
    input_names: tuple[str, ...]
    shapes: tuple[Shape, ...] = ()  # none where the first data decide
    keys: tuple[str, ...] = ()  # what the user calls the inputs
    outputs: tuple[int, ...] = ()  # of a model that has several: their places among inputs and steps
    output_keys: tuple[str, ...] = ()  # what the user calls them, where they are a dictionary


class Network:
    """A plan of layers with their weights on a backend."""

    def __init__(
        self, plan: Plan, backend: str | None, mode: str | None, dtype: str, device: str, seed: int | None
    ) -> None:
        self.plan = plan.steps
        self.input_names = plan.input_names
        self.input_keys = plan.keys
        self.outputs = plan.outputs
        self.output_keys = plan.output_keys
        self.backend_argument = backend
        self.mode_argument = mode
        self.device = device
        self.dtype, self.compute = looked_up("dtype", dtype, DTYPES)
        self.rng = np.random.default_rng(SEED[0] if seed is None else seed)
        self.input_shapes: list[Shape] = []
        self.input_shape: Shape = None  # type: ignore[assignment]  # until it is built
        self.output_shape: Shape = None  # type: ignore[assignment]  # until it is built
        self.output_shapes: list[Shape] = []  # of a model that has several outputs
        self.image_output = False
        self.image_outputs: list[bool] = []
        self.initial: dict[str, np.ndarray] = {}
        self.mode = ""  # known when the backend is: the argument, TRIPTYCH_MODE or the backend's first one
        self.B: Backend = None  # type: ignore[assignment]  # until it is bound
        self.carry: Carry = None  # type: ignore[assignment]  # until it is bound: weights, statistics and slots
        if plan.shapes:
            self.build(*plan.shapes)

    @property
    def layers(self) -> list[Layer]:
        """Each layer once, in the order of computation."""
        return list({id(step.layer): step.layer for step in self.plan}.values())

    @property
    def declared(self) -> dict[str, Weight]:
        """Every weight and running statistic by its name."""
        return {name: weight for layer in self.layers for name, weight in layer.weights.items()}

    @property
    def trainable(self) -> bool:
        """Whether any layer is trained; set, it freezes or thaws them all, from the next `compile` on."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place."""
        if index is not None:
            return self.layers[index]
        return looked_up("layer", name, {layer.name: layer for layer in self.layers})

    @property
    def last(self) -> str:
        """The name of the layer that the output comes from."""
        return self.plan[-1].layer.name

    @property
    def output_names(self) -> list[str]:
        """What several outputs are called: by the keys of a dictionary, or by their layers."""
        first = len(self.input_names)
        return list(self.output_keys) or [self.plan[at - first].layer.name for at in self.outputs]

    def packed(self, found: Sequence[Array]) -> Array:
        """Several outputs as the model was made with them: a list, or a dictionary."""
        return dict(zip(self.output_keys, found, strict=True)) if self.output_keys else list(found)

    def count_params(self) -> int:
        """The number of all weights and running statistics."""
        return sum(int(np.prod(weight.shape)) for weight in self.declared.values())

    def build(self, *inputs: Shape) -> None:
        """Name the layers, infer all shapes from the shape of one example (of each input), draw the first weights."""
        _name(self.layers)
        shapes = [tuple(shape) for shape in inputs]
        for step in self.plan:
            step.output_shape = step.layer.shape(*(shapes[i] for i in step.sources))
            shapes.append(step.output_shape)
        _count_uses(self.plan)
        last_use = {source: at for at, step in enumerate(self.plan) for source in step.sources}
        last_use.update(dict.fromkeys(self.outputs, len(self.plan)))
        for at, step in enumerate(self.plan):
            step.free = tuple(i for i in set(step.sources) if last_use[i] == at)
        self.input_shapes, self.input_shape, self.output_shape = shapes[: len(inputs)], shapes[0], shapes[-1]
        self.output_shapes = [shapes[at] for at in self.outputs]
        self.initial = {}
        for layer in self.layers:
            for name, weight in layer.weights.items():
                held = layer.held.get(name)
                self.initial[name] = weight.draw(self.rng, weight.shape) if held is None else np.array(held)

    @staticmethod
    def _known(mode: str | None, B: Backend) -> None:
        if mode and B and mode not in (*B.MODES, "auto"):
            raise ValueError(f"unknown mode {mode!r} of backend {B.NAME!r}: known are {', '.join(B.MODES)}, auto")

    def bind(self) -> Backend:
        """Load the backend and put the first weights on the device; returns the backend."""
        if self.carry is not None:
            return self.B
        if self.input_shape is None:
            raise ValueError("the model has no shapes yet: give `inputs=`, or call fit, predict or build(shape) first")
        B = self.B = backend_module(self.backend_argument)
        self.mode = str(self.mode_argument or os.environ.get("TRIPTYCH_MODE") or B.MODES[0])
        self._known(self.mode, B)
        if self.compute and self.compute not in B.HALVES:
            raise ValueError(f"backend {B.NAME!r} has no {self.compute}: known are {', '.join(B.HALVES)}")
        self._turn(B)
        native = {
            name: B.variable(self.initial[name], weight.role, self.dtype, self.device)
            for name, weight in self.declared.items()
        }
        self.carry = self._sorted(native)
        return B

    def _sorted(self, native: Arrays) -> Carry:
        """What travels through a step: the weights that it trains, the frozen ones and statistics, no slots yet."""
        trainable = self.trainable_names()
        state = {name: value for name, value in native.items() if name not in trainable}
        return {"weights": {name: native[name] for name in trainable}, "state": state, "slots": {}}

    def _turn(self, B: Backend) -> None:
        """Where image layouts change, so that a chain of image layers turns its data once on each side."""
        image = [False] * len(self.input_shapes)
        shapes = [*self.input_shapes, *(s.output_shape for s in self.plan)]
        for step in self.plan:
            pictures = [len(shapes[i]) == 3 for i in step.sources]
            want = step.layer.layout == "image"
            if step.layer.layout == "any":
                want = all(image[i] for i in step.sources)
            turn = B.to_image if want else B.from_image
            step.turns = (None,) * len(step.sources)
            if B.IMAGE == "NCHW":
                wrong = [picture and image[i] != want for i, picture in zip(step.sources, pictures, strict=True)]
                step.turns = tuple([turn if other else None for other in wrong])
            step.image = want and len(step.output_shape) == 3
            image.append(step.image)
        self.image_output = image[-1] and B.IMAGE == "NCHW"
        self.image_outputs = [image[at] and B.IMAGE == "NCHW" for at in self.outputs]

    def trainable_names(self) -> list[str]:
        """The weights that an optimizer updates: trainable ones of layers that are not frozen."""
        return [
            name
            for layer in self.layers
            for name, weight in layer.weights.items()
            if weight.trainable and layer.trainable
        ]

    def apply(
        self, p: Arrays, x: Array | Sequence[Array], run: Run, tap: Callable[[Layer, Array], Array] | None = None
    ) -> Array:  # fmt: skip
        """The pure function: outputs for parameters `p` and inputs `x` (a sequence where the model has several).

        Updated statistics and the mask of the output end up in `run`; of several outputs, which are a list, the masks.
        """
        B, values = self.B, list(x) if len(self.input_names) > 1 else [x]
        masks: list[Array] = [None] * len(values)
        call = None if self.compute is None else self._lowered(p, values, run)
        noise = run.noise
        for step in self.plan:
            inputs = [values[i] for i in step.sources]
            for at, turn in enumerate(step.turns):
                if turn is not None:
                    inputs[at] = turn(inputs[at])
            run.mask = step.layer.mask_of([masks[i] for i in step.sources])
            if step.again:
                run.noise = _noise_of(step, noise)
            if step.layer.reads_masks:
                run.masks = [masks[i] for i in step.sources]
            for i in step.free:
                values[i] = None
            given = inputs[0] if len(inputs) == 1 else inputs
            y = call(step.layer, given) if call else step.layer.call(B, p, given, run)
            values.append(tap(step.layer, y) if tap else y)
            masks.append(run.mask)
        if self.outputs:
            run.masks = [masks[at] for at in self.outputs]
            return self._several(values)
        y = values[-1] if self.compute is None else B.cast(values[-1], self.dtype)
        return B.from_image(y) if self.image_output else y

    def _several(self, values: list[Array]) -> list[Array]:
        B, found = self.B, [values[at] for at in self.outputs]
        if self.compute is not None:
            found = [B.cast(y, self.dtype) for y in found]
        return [B.from_image(y) if image else y for y, image in zip(found, self.image_outputs, strict=True)]

    def _lowered(self, p: Arrays, values: list[Array], run: Run) -> Function:
        """How a layer is called in mixed precision: on 16-bit values, the precise layers on those of the weights."""
        B, low, full = self.B, self.compute or self.dtype, self.dtype
        for at, x in enumerate(values):
            if not isinstance(self.reader(at), Embedding):
                values[at] = B.cast(x, low)
        lowered = {name: B.cast(value, low) for name, value in p.items()}
        run.noise = {n: B.cast(v, low) if n.startswith("noise/") else v for n, v in run.noise.items()}

        def call(layer: Layer, x: Array) -> Array:
            if layer.precise:
                return B.cast(layer.call(B, p, B.cast(x, full), run), low)
            return layer.call(B, lowered, x, run)

        return call

    def within(self, symbols: Sequence[Symbol]) -> Array:
        """What the same layers give, applied to symbols of another model, which takes copies of their weights."""
        if self.input_shape is not None:
            held = self.get_weights() if self.carry else self.initial
            for layer in self.layers:
                layer.held = {name: held[name] for name in layer.weights}
        if len(symbols) != len(self.input_names):
            raise ValueError(f"the model has {len(self.input_names)} inputs, got {len(symbols)} symbols")
        values = list(symbols)
        for step in self.plan:
            values.append(Symbol(step.layer, tuple([values[at] for at in step.sources])))
        return self.packed([values[at] for at in self.outputs]) if self.outputs else values[-1]

    def reader(self, at: int) -> Layer:
        """The first layer that takes input `at`."""
        return next(step.layer for step in self.plan if at in step.sources)

    def get_weights(self) -> dict[str, np.ndarray]:
        """Every weight and running statistic, `layer/weight`, in canonical layout."""
        B, declared = self.bind(), self.declared
        native = {**self.carry["weights"], **self.carry["state"]}
        return {name: np.array(B.numpy(native[name], weight.role)) for name, weight in declared.items()}

    def set_weights(self, weights: dict[str, np.ndarray] | Sequence[np.ndarray]) -> None:
        """Put canonical weights in, by their names or as a list in the order of `get_weights`.

        Raises ValueError for missing, unknown or misshapen ones, before any is set.
        """
        if not isinstance(weights, dict):
            weights = self._in_order(weights)
        self.compare(weights, self.declared, "weights")
        B, declared = self.bind(), self.declared
        for part in (self.carry["weights"], self.carry["state"]):
            for name in part:
                new = B.variable(weights[name], declared[name].role, self.dtype, self.device)
                part[name] = B.assign(part[name], new)

    def _in_order(self, weights: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """A list of weights by their names."""
        names = list(self.declared)
        if len(weights) != len(names):
            raise ValueError(f"the model has {len(names)} weights, got {len(weights)}")
        return dict(zip(names, weights, strict=True))

    @staticmethod
    def compare(given: Mapping[str, Array], expected: Mapping[str, Weight | np.ndarray], what: str) -> None:
        """Raise ValueError unless the arrays `given` have exactly the names and shapes of those expected."""
        for title, names in (
            ("misses", expected.keys() - given.keys()),
            ("does not know", given.keys() - expected.keys()),
        ):
            if names:
                raise ValueError(f"{what} of another model: this one {title} {', '.join(sorted(names))}")
        for name, shape in ((name, tuple(held.shape)) for name, held in expected.items()):
            if np.shape(given[name]) != shape:
                raise ValueError(f"{what}: {name} has shape {shape}, got {np.shape(given[name])}")


def _noise_of(step: Step, noise: Arrays) -> Arrays:
    """The noise as a layer looks it up that is applied again."""
    own = {name: noise.get(noise_key(name, step.again)) for name in step.layer.drops()}
    return {**noise, **{noise_key(name, 0): mask for name, mask in own.items()}}


def _count_uses(plan: Sequence[Step]) -> None:
    uses: dict[int, int] = {}
    for step in plan:
        step.again = uses.get(id(step.layer), 0)
        uses[id(step.layer)] = step.again + 1


def _name(layers: list[Layer]) -> None:
    """Names for layers without one, as Keras gives them: dense, dense_1, ..."""
    given = [layer.name for layer in layers if layer.name]
    for name in given:
        if given.count(name) > 1:
            raise ValueError(f"two layers are named {name!r}")
    taken = set(given)
    for layer in layers:
        if not layer.name:
            free = (f"{layer.kind}_{count}" if count else layer.kind for count in itertools.count())
            layer.name = next(name for name in free if name not in taken)
            taken.add(layer.name)


Outputs: TypeAlias = "Symbol | Sequence[Symbol] | Mapping[str, Symbol] | None"


def graph(inputs: Symbol | Sequence[Symbol], outputs: Outputs) -> Plan:
    """The layers between symbols, each after what it reads."""
    ends, keys = _ends(outputs)
    starts = [inputs] if isinstance(inputs, Symbol) else list(inputs)
    if any(end in starts for end in ends):
        raise ValueError("an output of a model comes from a layer, not from an Input itself")
    order = list(starts)
    for end in ends:
        _visit(end, order)
    places = {id(symbol): at for at, symbol in enumerate(order)}
    plan = [(symbol.layer, [places[id(s)] for s in symbol.sources]) for symbol in order[len(starts) :]]
    used = {at for _, sources in plan for at in sources}
    if any(layer is None for layer, _ in plan) or not set(range(len(starts))) <= used:
        raise ValueError("the inputs of a model are all the Inputs that lead to its output, and no others")
    names = tuple(f"x/{at}" for at in range(len(starts)))
    if len(starts) == 1:
        names = ("x",)
    steps = [Step(layer, sources) for layer, sources in plan if layer is not None]
    shapes = tuple(start.example for start in starts)
    several = tuple([places[id(end)] for end in ends])
    if len(ends) == 1 and not keys:
        several = ()
    return Plan(steps, names, shapes, tuple(start.name for start in starts), several, keys)  # type: ignore[arg-type]  # of inputs: known


def _ends(outputs: Outputs) -> tuple[list[Symbol], tuple[str, ...]]:
    """The symbols of outputs, and their keys where they are a dictionary: in the order of these, as Keras has them."""
    keys = tuple(sorted(outputs)) if isinstance(outputs, Mapping) else ()
    if isinstance(outputs, Mapping):
        outputs = [outputs[key] for key in keys]
    ends: list[Any] = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    wrong = [type(end).__name__ for end in ends if not isinstance(end, Symbol)]
    if wrong or not ends:
        raise ValueError(
            f"the outputs of a model are symbols that layers gave, one, a list or a dictionary of them: got "
            f"{', '.join(wrong) or 'none'}"
        )
    return ends, keys


def _visit(symbol: Symbol, order: list[Symbol]) -> None:
    """Depth first: every symbol after what it reads."""
    if any(symbol is known for known in order):
        return
    for source in symbol.sources:
        _visit(source, order)
    order.append(symbol)
