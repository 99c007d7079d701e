"""Export to ONNX: the model is called with a backend that writes down what it is asked for, and computes nothing.

So whatever layers and activations a model is made of are exported by their own code; the few that ONNX has an operator
for, or that need sizes of the runtime, stand in `onnx_layers`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import cast

import onnx

from impls.shim.backends.contract import Backend
from impls.shim.interop.onnx_graph import Graph
from impls.shim.interop.onnx_layers import written
from impls.shim.layer import Run
from impls.shim.model import Model


def to_onnx(model: Model, path: str | Path | None = None) -> onnx.ModelProto:
    """The inference of `model` as an `onnx.ModelProto`, written to `path` where one is given.

    Inputs are named as the model's columns (`x`, or `x/0`, `x/1` ...) with a free batch, the output `outputs`. float32
    and float64; which operations have float64 kernels is for the runtime to say (ONNX Runtime has none for
    convolutions). In float64, and for masks, recurrent layers are unrolled and need a fixed number of steps.
    """
    if model.outputs:
        raise ValueError(
            f"a file has one output, this model has {', '.join(model.output_names)}: export a model of each"
        )
    weights = model.get_weights()
    graph, traced = Graph(model.dtype, weights), copy.copy(model)
    traced.B, traced.compute = cast(Backend, graph), None
    traced.plan = [copy.copy(step) for step in model.plan]
    traced._turn(traced.B)
    for step in traced.plan:
        step.layer = written(step.layer)
    starts = [graph.input(model, at, name) for at, name in enumerate(model.input_names)]
    shapes = iter([(None, *step.output_shape) for step in model.plan])
    y = traced.apply(weights, starts if len(starts) > 1 else starts[0], Run(False), lambda _, y: y.shaped(next(shapes)))
    proto = graph.finish(y)
    if path is not None:
        Path(path).write_bytes(proto.SerializeToString())
    return proto
