"""The layers and the weights of a Keras model by the names of the spec, wherever in the model they are."""

from collections import OrderedDict
from typing import Callable, Dict, Sequence

from impls.adapters import Arrays, Native
from impls.layer_kinds import Layer, kind_of

Outputs = Native  # an OrderedDict, by the names of the spec


def named(model: Native, layers: Sequence[Layer]) -> Dict[str, Native]:
    """The layers of the model, and those inside of them, that have names of the spec.

    Raises ValueError where one with weights is missing.
    """
    names = [layer.name for layer in layers]
    found = {layer.name: layer for layer in model._flatten_layers(include_self=False) if layer.name in names}
    missing = [layer.name for layer in layers if layer.weights and layer.name not in found]
    if missing:
        raise ValueError(
            "this program has no layer named {}; the spec's layers in order are {}".format(", ".join(missing), names)
        )
    return found


def weight_name(layer: Native, weight: Native) -> str:
    """`kernel`, or `query/kernel` where several weights of the layer are called so and this one is in its `query`."""
    alike = [other for other in layer.weights if other.name == weight.name]
    return weight.name if len(alike) == 1 else "/".join(weight.path.split("/")[-2:])


def holding(model: Native, layers: Sequence[Layer], weights: Arrays) -> Dict[str, Native]:
    """The variables of a Keras model by their canonical names, once they hold `weights`."""
    found = {}  # type: Dict[str, Native]
    renamed = {layer.name: kind_of(layer).keras for layer in layers}
    for name, layer in named(model, layers).items():
        for weight in layer.weights:
            own = weight_name(layer, weight)
            found[name + "/" + renamed[name].get(own, own)] = weight
    names = [layer.name + "/" + name for layer in layers for name in list(layer.weights) + list(layer.state)]
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(
            "this program has no weight {}; it has {}: a name of Keras for a canonical one belongs into keras= of "
            "the kind, in KINDS of impls/layer_kinds.py".format(", ".join(missing), ", ".join(found))
        )
    for name in names:
        found[name].assign(weights[name])
    return {name: found[name] for name in names}


def tapping(model: Native, layers: Sequence[Layer], x: Native, training: bool, probes: Dict[str, Native]) -> Outputs:
    """The outputs of the spec's layers in their order, with `probes` added to them, of one call of the model.

    The last one is the model's output, where the model has no layer of its name.
    """
    outputs: Dict[str, Native] = {}

    def keep(name: str, output: Native) -> Native:
        outputs[name] = output + probes[name] if name in probes else output
        return outputs[name]

    tapped = named(model, layers)
    originals = {name: layer.call for name, layer in tapped.items()}
    try:
        for name, layer in tapped.items():
            layer.call = _tapped_call(name, originals[name], outputs, keep)
        result = model(x, training=training)
    finally:
        for layer in tapped.values():
            del layer.call
    if layers[-1].name not in tapped:
        keep(layers[-1].name, result)
    missing = [layer.name for layer in layers if layer.name not in outputs]
    if missing:
        raise ValueError("this program computes no layer named {}".format(", ".join(missing)))
    return OrderedDict((layer.name, outputs[layer.name]) for layer in layers)


def _tapped_call(
    name: str, call: Callable[..., Native], outputs: Dict[str, Native], keep: Callable[..., Native]
) -> Native:
    """The layer's `call`, which keeps its output; a second call of the same layer is none of the spec."""

    def tapped(*arguments: Native, **keywords: Native) -> Native:
        output = call(*arguments, **keywords)
        return output if name in outputs else keep(name, output)

    return tapped
