"""What of a file's initializers is a weight."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from impls.port.onnx_weights import Found  # noqa: E402


def test_settings_of_an_operation_are_no_weights() -> None:
    """The factors of a Resize were drawn at random with the weights, so that a file of another shape came out."""
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    held = {
        "up.scales": np.array([1, 1, 2, 2], "f"),
        "conv.weight": np.ones((4, 3, 1, 1), "f"),
        "shift": np.ones(4, "f"),
    }
    nodes = [
        node("Resize", ["x", "", "up.scales"], ["a"], mode="nearest"),
        node("Conv", ["a", "conv.weight"], ["b"]),
        node("Add", ["b", "shift"], ["y"]),
    ]
    inputs, outputs = (onnx.helper.make_tensor_value_info(name, 1, [1, 3, 4, 4]) for name in "xy")
    graph = onnx.helper.make_graph(nodes, "net", [inputs], [outputs], [tensor(v, k) for k, v in held.items()])
    assert [weight.name for weight in Found(graph).find()] == ["conv.weight", "shift"]
